"""IIS's interfaces of a request: the context, and what hangs off it."""
