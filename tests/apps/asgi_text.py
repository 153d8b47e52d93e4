"""Text by ASGI: /whole in one message with its length, all else in pieces."""

PIECES = [b"piece %d of a text\n" % number for number in range(300)]


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    whole = b"".join(PIECES)
    is_whole = scope["path"].endswith("/whole")
    if is_whole:
        headers.append((b"content-length", str(len(whole)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in [whole] if is_whole else PIECES:
        await send({"type": "http.response.body", "body": piece, "more_body": not is_whole})
    if not is_whole:
        await send({"type": "http.response.body", "body": b""})
