"""Tells what reached it: /environ as JSON, /echo of the body, /sleep?ms=N, /digest of the body."""

import hashlib
import json
import os
import time
from urllib.parse import parse_qs


def application(environ, start_response):
    path = environ["PATH_INFO"]
    query = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    answer = {
        "/environ": tell_environ,
        "/echo": echo,
        "/digest": digest,
        "/sleep": sleep,
        "/status": status,
    }.get(path, tell_pid)
    return answer(environ, start_response, query)


def reply(start_response, body, status="200 OK", kind="text/plain"):
    fields = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(status, fields)
    return [body]


def tell_pid(environ, start_response, query):
    return reply(start_response, f"{os.getpid()}\n".encode())


def tell_environ(environ, start_response, query):
    plain = {k: v for k, v in environ.items() if isinstance(v, str | int | bool | tuple)}
    return reply(start_response, json.dumps(plain).encode(), kind="application/json")


def echo(environ, start_response, query):
    return reply(start_response, environ["wsgi.input"].read())


def digest(environ, start_response, query):
    """The body's length and hash; ms = a pause after each 64 KiB."""
    total, seen = 0, hashlib.sha256()
    while block := environ["wsgi.input"].read(65536):
        total += len(block)
        seen.update(block)
        if "ms" in query:
            time.sleep(float(query["ms"]) / 1000)
    return reply(start_response, f"{total} {seen.hexdigest()}".encode())


def sleep(environ, start_response, query):
    time.sleep(float(query.get("ms", "5")) / 1000)
    return reply(start_response, f"{os.getpid()} {environ['was.attempt']}\n".encode())


def status(environ, start_response, query):
    code = int(query["code"])
    if code in {204, 304}:
        start_response(f"{code} Nothing", [])
        return []
    return reply(start_response, b"as asked\n", f"{code} As asked")
