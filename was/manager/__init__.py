"""The manager process (service WAS)."""
