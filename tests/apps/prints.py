"""Prints the path of each request."""


def application(environ, start_response):
    print(environ["PATH_INFO"], flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"printed"]
