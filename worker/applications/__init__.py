"""The applications of a worker: their loading, what is in force in each, and their warming."""
