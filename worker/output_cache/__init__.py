"""The output cache: whole responses, what may be kept of them, and what modules say of it."""
