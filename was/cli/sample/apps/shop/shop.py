"""A small WSGI application: shows which worker process answered, and takes orders."""

import html
import os
import threading
import time
from urllib.parse import parse_qs

GOODS = {"apple": 3, "pear": 4, "plum": 2}
STARTED = time.time()

_lock = threading.Lock()
_sold = dict.fromkeys(GOODS, 0)

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }}
td, th {{ padding: 0 1em 0 0; text-align: left }}</style></head>
<body><h1>Shop</h1>
<form method="post"><table>
<tr><th>goods<th>price<th>sold by this worker<th></tr>
{rows}
</table></form>
<p>Worker process {pid} of pool <b>{pool}</b>, {age} seconds old, request {request_id}.</p>
<p><code>was recycle apppool {pool}</code> gives the shop a new worker while it is open.
The count starts again at 0: what must last belongs in a database.</p>
</body></html>
"""


def application(environ, start_response):
    """Answer one request."""
    if environ["PATH_INFO"] != "/":
        return reply(start_response, "404 Not Found", "<h1>Not found</h1>")
    if environ["REQUEST_METHOD"] == "POST":
        return take_order(environ, start_response)
    with _lock:
        sold = dict(_sold)
    rows = "\n".join(
        f"<tr><td>{name}<td>{price}<td>{sold[name]}"
        f'<td><button name="buy" value="{name}">buy</button>'
        for name, price in GOODS.items()
    )
    page = PAGE.format(
        rows=rows,
        pid=os.getpid(),
        pool=html.escape(str(environ.get("was.app_pool", "?"))),
        age=int(time.time() - STARTED),
        request_id=html.escape(str(environ.get("was.request_id", "?"))),
    )
    return reply(start_response, "200 OK", page)


def take_order(environ, start_response):
    """Count one sale, then send the browser back to the list."""
    length = min(int(environ.get("CONTENT_LENGTH") or 0), 1000)
    form = parse_qs(environ["wsgi.input"].read(length).decode("ascii", "replace"))
    name = form.get("buy", [""])[0]
    if name not in GOODS:
        return reply(start_response, "400 Bad Request", "<h1>We do not sell that</h1>")
    with _lock:
        _sold[name] += 1
    print(f"sold: {name}", flush=True)  # to logs/pools/shop.log
    return reply(start_response, "303 See Other", "", ("Location", "/"))


def reply(start_response, status, text, *fields):
    """One HTML response."""
    body = text.encode()
    start_response(
        status,
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *fields,
        ],
    )
    return [body]
