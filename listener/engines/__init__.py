"""HTTP protocol engines: bytes in, events out."""
