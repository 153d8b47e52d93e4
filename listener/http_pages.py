"""The answers HTTP.SYS gives itself: small, fixed, without any part of the request in them."""

from __future__ import annotations

__all__ = ["page"]

# The title is the reason phrase, and so is the heading but for a 400 with a known reason. Texts
# of IIS where they are known, in its manner where they are not.
_PHRASES = {
    400: "Bad Request",
    404: "Not Found",
    408: "Request Timeout",
    414: "Request URL Too Long",
    417: "Expectation Failed",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
_SENTENCES = {
    400: "The request is badly formed.",
    404: "The requested resource is not found.",
    408: "The request took too long to arrive.",
    414: "The request URL is too long.",
    417: "The expectation of the request cannot be met.",
    501: "The request needs a feature that is not implemented.",
    502: "The application ended before it had answered.",
    503: "The service is unavailable.",
    504: "The application took too long to answer.",
    505: "The HTTP version of the request is not supported.",
}
_BAD_REQUESTS = {
    "Hostname": ("Invalid Hostname", "The request hostname is invalid."),
    "RequestLength": ("Request Too Long", "The size of the request headers is too long."),
    "URL": ("Invalid URL", "The request URL is invalid."),
    "Verb": ("Invalid Verb", "The request verb is invalid."),
    "Header": ("Invalid Header", "The request has an invalid header name."),
    "FieldLength": ("Header Field Too Long", "A request header field is too long."),
    "Number": ("Invalid Number", "The request has an invalid length or chunk size."),
    "Invalid_CR/LF": ("Invalid Line End", "The request has an invalid line end."),
}


def page(
    status: int, reason_key: str, request_id: str = "", retry_after: int | None = None
) -> tuple[str, list[tuple[str, str]], bytes]:
    """Reason phrase, fields and body of an answer; `reason_key` is the HTTPERR reason or "".

    Fields are those the answer brings itself: the sender adds Date, Connection and
    Content-Length. `request_id` shows in every 5xx; `retry_after` is seconds, for a 503.
    """
    phrase = _PHRASES.get(status, "Error")
    heading, sentence = phrase, _SENTENCES.get(status, "The request failed.")
    if status == 400 and reason_key in _BAD_REQUESTS:
        detail, sentence = _BAD_REQUESTS[reason_key]
        heading = f"{phrase} - {detail}"
    fields = [("Content-Type", "text/html; charset=us-ascii"), ("Server", "Microsoft-HTTPAPI/2.0")]
    identity = ""
    if status >= 500 and request_id:
        identity = f"<p>Request ID: {_printable(request_id)}</p>\r\n"
        fields.append(("X-Request-ID", _printable(request_id)))
    if status == 503 and retry_after is not None:
        fields.append(("Retry-After", str(retry_after)))
    text = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN"'
        '"http://www.w3.org/TR/html4/strict.dtd">\r\n'
        f"<HTML><HEAD><TITLE>{phrase}</TITLE>\r\n"
        '<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii"></HEAD>\r\n'
        f"<BODY><h2>{heading}</h2>\r\n"
        f"<hr><p>HTTP Error {status}. {sentence}</p>\r\n"
        f"{identity}"
        "</BODY></HTML>\r\n"
    )
    return phrase, fields, text.encode("ascii")


def _printable(request_id: str) -> str:
    """The id as it can stand in a header field and in HTML."""
    return "".join(c for c in request_id if c.isascii() and (c.isalnum() or c in "-_.:"))
