"""The worker process (w3wp)."""
