"""Compression: which coding a client gets, the codings, and when there is time for them."""
