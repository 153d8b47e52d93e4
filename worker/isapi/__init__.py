"""ISAPI extensions in a worker: one session a request, spoken to from Python or from C."""
