"""What a WSGI application is given and what it gives back (PEP 3333)."""
