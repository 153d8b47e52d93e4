"""A WSGI application that breaks on request, to see what the server makes of it."""

import ctypes
import os
import signal
import time

INDEX = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Crash</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 44em; margin: 3em auto; padding: 0 1em }}
dt {{ margin-top: .6em }}</style></head>
<body><h1>Break something</h1>
<p>You are talking to worker process {pid}. Each link harms the worker that runs it; reload this
page to see another one in its place. The other sites do not notice.</p>
<dl>
<dt><a href="/kill">/kill</a>
<dd>SIGKILL. A GET is tried again, so this takes more than one worker, then you get 502.
<dt><a href="/flaky">/flaky</a>
<dd>The first attempt kills its worker, the second one answers: you see 200, attempt 2.
<dt><a href="/exit">/exit</a>
<dd>The process exits with code 3 in the middle of the request.
<dt><a href="/segv">/segv</a>
<dd>A bad pointer in C code: SIGSEGV.
<dt><a href="/hang">/hang</a>
<dd>Sleeps for a minute; the pool's timeLimit is 5 seconds, then you get 504.
<dt><a href="/error">/error</a>
<dd>An exception: 500, and the worker stays.
</dl>
<form method="post" action="/kill"><button>POST /kill</button>
is never repeated: one worker, 502.</form>
<p>Twenty deaths within a minute stop the pool: 503, until <code>was start apppool crash</code>.
A worker that dies with its very first request is replaced after a pause of up to a second; load
this page in between and the next one comes at once.
<code>was list apppools</code> shows its state, logs/events.log each death.</p>
</body></html>
"""


def application(environ, start_response):
    """Do what the path says."""
    path = environ["PATH_INFO"]
    attempt = environ.get("was.attempt", 1)
    if path == "/kill" or (path == "/flaky" and attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/exit":
        os._exit(3)
    elif path == "/segv":
        ctypes.string_at(0)
    elif path == "/hang":
        time.sleep(60)
    elif path == "/error":
        raise RuntimeError("asked for at /error")
    if path == "/":
        status, kind, text = "200 OK", "text/html", INDEX.format(pid=os.getpid())
    elif path in ("/flaky", "/hang"):
        status, kind = "200 OK", "text/plain"
        text = f"answered by worker process {os.getpid()}, attempt {attempt}\n"
    else:
        status, kind, text = "404 Not Found", "text/plain", "not found\n"
    body = text.encode()
    start_response(
        status, [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    )
    return [body]
