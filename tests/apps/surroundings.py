"""Answers with the value that a variable of the environment had at import: /NAME; else 404."""

import os

VARIABLES = dict(os.environ)


def application(environ, start_response):
    value = VARIABLES.get(environ["PATH_INFO"][1:])
    body = b"" if value is None else value.encode()
    status = "404 Not Found" if value is None else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
