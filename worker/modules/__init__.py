"""IIS's built-in modules, one a file."""
