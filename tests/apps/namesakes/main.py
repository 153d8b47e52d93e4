"""An application with modules of its own named as the server's folders are."""

import config
import listener
import worker


def application(environ, start_response):
    body = f"{config.NAME} {listener.NAME} {worker.NAME}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
