"""What an ASGI application is given and what it says (ASGI 3), and the event loop it runs on."""
