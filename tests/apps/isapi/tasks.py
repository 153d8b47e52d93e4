"""A filter that hears everything, writes the order down, and does what a query asks for."""

import win32api
from isapi import FilterError
from isapi import isapicon as c
from isapi.simple import SimpleFilter

NAMES = {
    getattr(c, name): name.removeprefix("SF_NOTIFY_")
    for name in vars(c)
    if name.startswith("SF_NOTIFY_") and "ORDER" not in name and "PORT" not in name
}


class Filter(SimpleFilter):
    """Every task of a filter"""

    filter_flags = sum(n for n in NAMES if n != c.SF_NOTIFY_READ_RAW_DATA) | c.SF_NOTIFY_ORDER_HIGH
    tag = "tasks"

    def HttpFilterProc(self, fc):
        name = NAMES[fc.NotificationType]
        query = fc.GetServerVariable("QUERY_STRING", b"").decode()
        print(f"{self.tag} {name} {query.partition('&')[0]}", flush=True)
        task = getattr(self, name.lower(), None)
        return task(fc, fc.GetData(), query) if task is not None else None

    def preproc_headers(self, fc, headers, query):
        if "count" in query:
            fc.FilterContext = (fc.FilterContext or 0) + 1
            fc.AddResponseHeaders(f"X-Count: {fc.FilterContext}\r\n")
        if "url" in query:
            headers.SetHeader("url", "/other.txt?moved")
        if "utf8" in query:
            headers.SetHeader("url", "/\N{EURO SIGN}.txt" if "text" in query else b"/\xc3\xa4.txt")
        if "verb" in query:
            headers.SetHeader("method", "M-SEARCH")
        if "own" in query:
            fc.SendResponseHeader("299 Mine", "Content-Type: text/plain\r\n\r\n")
            fc.WriteClient("a page of the filter's")
            return c.SF_STATUS_REQ_FINISHED_KEEP_CONN
        if "whole" in query:
            fc.WriteClient("nothing but text")
            return c.SF_STATUS_REQ_FINISHED_KEEP_CONN
        if "bad+field" in query:
            for add in (fc.AddResponseHeaders, fc.AddHeadersOnDenial):
                try:
                    add("A field: x\r\n")
                except FilterError as error:
                    fc.AddResponseHeaders(f"X-Refused: {error.errno}\r\n")
        if "fail" in query:
            return c.SF_STATUS_REQ_ERROR
        if "raise" in query:
            raise ZeroDivisionError("on purpose")
        return None

    def url_map(self, fc, data, query):
        if "map" in query and data.PhysicalPath.endswith(b"plain.txt"):
            data.PhysicalPath = data.PhysicalPath.replace(b"plain", b"other")
        if "nowhere" in query:
            fc.SendResponseHeader("299 Mine", "Content-Type: text/plain\r\n\r\n")
            fc.WriteClient("no file is meant")
            return c.SF_STATUS_REQ_FINISHED_KEEP_CONN
        return c.SF_STATUS_REQ_ERROR if "no file" in query.replace("+", " ") else None

    def authentication(self, fc, data, query):
        if "deny" in query:
            win32api.SetLastError(5)
            return c.SF_STATUS_REQ_ERROR
        if "login" in query:
            assert (data.User, data.Password) == (b"", b"")
            data.User, data.Password = "mapped", "secret"
        return None

    def auth_complete(self, fc, headers, query):
        if "after" in query:
            headers.SetHeader("X-User:", "someone")
        if "settled" in query:
            headers.SetHeader("url", "/other.txt?settled")

    def access_denied(self, fc, data, query):
        if "page" in query:
            fc.SendResponseHeader("401 Go away", "Content-Type: text/plain\r\n\r\n")
            fc.WriteClient(b"reason %d" % data.Reason)
            return c.SF_STATUS_REQ_FINISHED_KEEP_CONN
        return None

    def send_response(self, fc, headers, query):
        if "head" in query:
            headers.SetHeader("X-Status:", headers.GetHeader("status"))
            headers.SetHeader("Last-Modified:", "")
        if "gone" in query:
            headers.SetHeader("status", "404 Gone Away")
        if "replace" in query:
            fc.SendResponseHeader("298 Mine", "Content-Type: text/plain\r\n\r\n")
            fc.WriteClient("in its place")
            return c.SF_STATUS_REQ_FINISHED_KEEP_CONN
        return c.SF_STATUS_REQ_ERROR if "spoil" in query else None

    def send_raw_data(self, fc, data, query):
        if "upper" in query and not data.InData.startswith(b"HTTP/"):
            data.InData = data.InData.upper() + b"!"
        if "raw" in query and data.InData.startswith(b"HTTP/"):
            data.InData = data.InData.replace(b"200 OK", b"203 Changed")
        if "lost" in query and data.InData.startswith(b"HTTP/"):
            data.InData = data.InData.replace(b"200 OK", b"404 Lost")
        if "withhold" in query and not data.InData.startswith(b"HTTP/"):
            fc.FilterContext = (fc.FilterContext or 0) + 1
            if fc.FilterContext > int("some" in query):
                return c.SF_STATUS_REQ_ERROR
        return None

    def end_of_request(self, fc, data, query):
        if "tail" in query:
            fc.WriteClient(b"tail")

    def log(self, fc, data, query):
        if "log" in query:
            data.Target = "/as/logged"
            data.ClientUserName = "somebody"

    def end_of_net_session(self, fc, data, query):
        fc.FilterContext = None


def __FilterFactory__():
    return Filter()
