"""Calls of modules: who takes part in a request, who is called when, and how."""
