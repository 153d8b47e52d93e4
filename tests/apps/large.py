"""Answers with as many bytes as the query string says."""


def application(environ, start_response):
    body = b"x" * int(environ["QUERY_STRING"] or "0")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
