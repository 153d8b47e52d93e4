"""The text of error pages: everything for those who may see it, one line for all others."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING

from was.errors import ConfigError, ConfigErrors
from was.worker.interfaces.response import ErrorDetail

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["detailed_page", "generic_page"]

MOST_FAULTS = 20
LONGEST_LINE = 400

_ONE_LINE: dict[int, str] = {
    400: "The request could not be understood.",
    401: "You do not have permission to view this directory or page.",
    403: "You do not have permission to view this directory or page.",
    404: "The resource you are looking for has been removed, had its name changed, "
    "or is temporarily unavailable.",
    405: "The page you are looking for cannot be displayed because an invalid method was used.",
    406: "The resource cannot be displayed because its type is not accepted by the browser.",
    412: "The request was not completed because a precondition was not met.",
    413: "The request is too large.",
    416: "The resource is shorter than the range that was asked for.",
    501: "The method is not implemented here.",
}

_FAULT_OF_CLIENT = "The page cannot be displayed."
_FAULT_OF_SERVER = "The page cannot be displayed because an internal server error has occurred."

# What a sub-status means, where the status alone does not say it.
_MEANINGS: dict[tuple[int, int], str] = {
    (400, 10): "X-Forwarded-For holds what is no address.",
    (401, 1): "The user is not known here, or the password is wrong.",
    (401, 2): "The user may not use this URL (authorization), or nobody has been authenticated.",
    (401, 3): "The file system does not let this worker's identity read the file.",
    (401, 501): "Too many requests at a time come from this address (dynamicIpSecurity).",
    (401, 502): "Too many requests come from this address (dynamicIpSecurity).",
    (401, 503): "This address may not come in (ipSecurity).",
    (401, 504): "This domain may not come in (ipSecurity).",
    (403, 1): "The access policy does not let a script run here.",
    (403, 2): "The access policy does not let files be read here.",
    (403, 3): "The access policy does not let files be written here.",
    (403, 6): "This address may not come in (ipSecurity).",
    (403, 14): "No default document is there, and directory browsing is off.",
    (403, 18): "Rules moved it to a URL of another application pool (<clear /> inherited ones).",
    (403, 501): "Too many requests at a time come from this address (dynamicIpSecurity).",
    (403, 502): "Too many requests come from this address (dynamicIpSecurity).",
    (403, 504): "This domain may not come in (ipSecurity).",
    (404, 3): "The file name's extension has no MIME type (staticContent/mimeMap).",
    (404, 4): "No handler is mapped to this verb and path (handlers).",
    (404, 5): "The URL holds a sequence that request filtering denies.",
    (404, 6): "Request filtering denies the verb.",
    (404, 7): "Request filtering denies the file name extension.",
    (404, 8): "Request filtering hides this segment of the path (hiddenSegments).",
    (404, 9): "Names that begin with a dot are hidden.",
    (404, 11): "The path is escaped twice (allowDoubleEscaping).",
    (404, 12): "The path has characters outside ASCII (allowHighBitCharacters).",
    (404, 14): "The path is longer than maxUrl.",
    (404, 15): "The query string is longer than maxQueryString.",
    (404, 18): "The query string holds a sequence that request filtering denies.",
    (404, 19): "A filtering rule denies the request.",
    (404, 20): "The path has more segments than maxUrlSegments.",
    (413, 0): "The body is longer than maxRequestEntityAllowed.",
    (413, 1): "The body is longer than maxAllowedContentLength.",
    (500, 19): "The configuration of this part of the site is wrong.",
    (500, 21): "A handler or the module list names a module that is not there.",
    (500, 30): "The application failed to start.",
    (503, 2): "Too many requests wait or run at once (appConcurrentRequestLimit, passwords).",
}


def generic_page(context: HttpContext) -> bytes:
    """One line, and for 5xx the request id."""
    status = context.response.status
    text = _one_line(status)
    title = f"{status} {context.response.reason}"
    request_id = f"<p>Request ID: {context.request_id}</p>" if status >= 500 else ""
    return (
        f"<!DOCTYPE html>\n<html><head><title>{escape(title)}</title></head>"
        f"<body><h2>{escape(title)}</h2><hr><p>{text}</p>{request_id}</body></html>\n"
    ).encode()


def _one_line(status: int) -> str:
    return _ONE_LINE.get(status, _FAULT_OF_SERVER if status >= 500 else _FAULT_OF_CLIENT)


def detailed_page(context: HttpContext, link: str) -> bytes:
    """What is known of the error; all of it is escaped that no module says is HTML already."""
    response = context.response
    error = response.error or ErrorDetail()
    title = f"HTTP Error {response.status}.{response.sub_status} - {response.reason}"
    meaning = error.description or _MEANINGS.get(
        (response.status, response.sub_status), _one_line(response.status)
    )
    user = context.user
    facts = {
        "Module": error.module_name,
        "Notification": error.notification,
        "Handler": context.plan.script_map.name
        if context.plan is not None
        else "Not yet determined",
        "Error Code": f"0x{error.hresult:08x}",
        "Requested URL": context.message.target,
        "Physical Path": context.physical_path,
        "Logon Method": _logon(user.authentication_type or "Anonymous" if user else ""),
        "Logon User": _logon(user.user_name or "Anonymous" if user else ""),
        "Request ID": context.request_id,
    }
    rows = "\n".join(
        f"<tr><th>{name}</th><td>{_text(value)}</td></tr>" for name, value in facts.items()
    )
    config = ""
    if isinstance(error.exception, ConfigErrors):
        config = "".join(_config_fault(fault) for fault in error.exception.errors[:MOST_FAULTS])
    trace = f"<h3>Traceback</h3><pre>{_text(error.traceback)}</pre>" if error.traceback else ""
    more = f'<p><a href="{_text(link)}">More information</a></p>' if link else ""
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title>\n<style>body{{font-family:sans-serif;margin:2em}}"
        "th{text-align:left;padding-right:2em;vertical-align:top}"
        "pre{background:#f4f4f4;padding:1em;overflow:auto}</style></head>\n"
        f"<body><h2>{_text(title)}</h2>\n<p>{meaning if error.is_html else _text(meaning)}</p>\n"
        f"<h3>Detailed error information</h3>\n<table>\n{rows}\n</table>\n"
        f"{config}{trace}{more}\n"
        "<p>This page is shown to requests from the server itself (httpErrors errorMode).</p>"
        "</body></html>\n"
    ).encode("utf-8", "replace")


def _config_fault(fault: ConfigError) -> str:
    """One fault of a configuration as IIS shows it: what, in which file, and the lines around."""
    facts = {
        "Config Error": fault.message,
        "Config Section": fault.section,
        "Config File": f"{fault.file}, line {fault.line}" if fault.line else fault.file,
        "Error Code": f"0x{fault.hresult:08x}",
    }
    rows = "\n".join(
        f"<tr><th>{name}</th><td>{_text(value)}</td></tr>" for name, value in facts.items() if value
    )
    source = "\n".join(f"{number:5}: {text}" for number, text in _lines_around(fault))
    shown = f"<h3>Config Source</h3><pre>{_text(source)}</pre>" if source else ""
    return f"<h3>Configuration error</h3>\n<table>\n{rows}\n</table>\n{shown}\n"


def _lines_around(fault: ConfigError) -> list[tuple[int, str]]:
    """The line of the fault, one before and one after."""
    if not fault.line:
        return []
    try:
        with open(fault.file, encoding="utf-8", errors="replace") as file:
            first = max(1, fault.line - 1)
            lines = islice(file, first - 1, fault.line + 1)
            return [(first + n, line.rstrip()[:LONGEST_LINE]) for n, line in enumerate(lines)]
    except (OSError, ValueError):
        return []


def _logon(text: str) -> str:
    return text or "Not yet determined"


def _text(value: str) -> str:
    return escape(value.encode("utf-8", "replace").decode("utf-8"))
