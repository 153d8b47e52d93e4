"""Trace events: what they are, who wants them, and the calls that raise them."""
