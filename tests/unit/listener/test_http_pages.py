"""HTTP.SYS's own pages: its exact body, and our three additions."""

from __future__ import annotations

import pytest

from was.listener.http_pages import page


def test_the_body_is_the_one_of_http_sys():
    """Byte for byte what captures show, with CR LF lines."""
    reason, fields, body = page(400, "RequestLength")
    assert reason == "Bad Request"
    assert fields == [("Content-Type", "text/html; charset=us-ascii"),
                      ("Server", "Microsoft-HTTPAPI/2.0")]  # fmt: skip
    assert body == (
        b'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">'
        b"\r\n<HTML><HEAD><TITLE>Bad Request</TITLE>\r\n"
        b'<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii"></HEAD>\r\n'
        b"<BODY><h2>Bad Request - Request Too Long</h2>\r\n"
        b"<hr><p>HTTP Error 400. The size of the request headers is too long.</p>\r\n"
        b"</BODY></HTML>\r\n"
    )


@pytest.mark.parametrize(
    ("status", "key", "heading", "sentence"),
    [
        (400, "Hostname", "Bad Request - Invalid Hostname", "The request hostname is invalid."),
        (400, "URL", "Bad Request - Invalid URL", "The request URL is invalid."),
        (400, "Verb", "Bad Request - Invalid Verb", "The request verb is invalid."),
        (400, "Header", "Bad Request - Invalid Header",
         "The request has an invalid header name."),
        (400, "BadRequest", "Bad Request", "The request is badly formed."),
        (400, "", "Bad Request", "The request is badly formed."),
        (404, "NotFound", "Not Found", "The requested resource is not found."),
        (414, "URL_Length", "Request URL Too Long", "The request URL is too long."),
        (503, "QueueFull", "Service Unavailable", "The service is unavailable."),
    ],
)  # fmt: skip
def test_texts_are_those_of_the_table(status, key, heading, sentence):
    """The heading and sentence follow status and HTTPERR reason."""
    body = page(status, key)[2].decode("ascii")
    assert f"<h2>{heading}</h2>\r\n<hr><p>HTTP Error {status}. {sentence}</p>" in body


@pytest.mark.parametrize("status", [400, 404, 408, 414, 417, 501, 502, 503, 504, 505, 599])
def test_every_status_has_a_page(status):
    """No status of ours is without title and sentence, nor is one that nobody foresaw."""
    reason, _, body = page(status, "")
    assert reason
    assert f"HTTP Error {status}. ".encode() in body


def test_a_5xx_names_its_request():
    """Every 5xx has X-Request-ID and one more line; nothing of it can break out of either."""
    _, fields, body = page(502, "Poisoned", 'a1-b2"<script>\r\nX: y')
    assert ("X-Request-ID", "a1-b2scriptX:y") in fields
    assert b"</p>\r\n<p>Request ID: a1-b2scriptX:y</p>\r\n</BODY>" in body
    assert "X-Request-ID" not in dict(page(400, "URL", "a1")[1])


def test_retry_after_is_said_on_503_only():
    """Retry-After belongs to 503."""
    assert dict(page(503, "QueueFull", "1", 5)[1])["Retry-After"] == "5"
    assert "Retry-After" not in dict(page(502, "", "1", 5)[1])
