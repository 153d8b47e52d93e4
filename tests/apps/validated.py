"""A form and its answer under wsgiref.validate: any breach of PEP 3333 on either side is a 500."""

from urllib.parse import parse_qs
from wsgiref.validate import validator


def plain(environ, start_response):
    body = b"hello\n"
    if environ["REQUEST_METHOD"] == "POST":
        size = int(environ.get("CONTENT_LENGTH") or "0")
        form = parse_qs(environ["wsgi.input"].read(size).decode())
        body = f"name={form['name'][0]}\n".encode()
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = validator(plain)
