"""A filter that moves every URL below /inner, and the extension that answers there, in one file."""

import winerror
from isapi import ExtensionError, InternalReloadException, isapicon, threaded_extension
from isapi.simple import SimpleFilter

try:
    loads += 1
except NameError:
    loads = 1


class Filter(SimpleFilter):
    "Moves in"

    filter_flags = isapicon.SF_NOTIFY_PREPROC_HEADERS | isapicon.SF_NOTIFY_ORDER_DEFAULT

    def HttpFilterProc(self, fc):
        if fc.NotificationType != isapicon.SF_NOTIFY_PREPROC_HEADERS:
            return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION
        headers = fc.GetData()
        url = headers.GetHeader("url")
        if url == b"/inner/again" and loads == 1:
            raise InternalReloadException
        if url.startswith(b"/inner"):
            return None
        fc.FilterContext = (fc.FilterContext or 0) + 1
        fc.AddResponseHeaders(f"X-Moved: {fc.FilterContext}\r\n")
        headers.SetHeader("url", b"/inner" + url)
        return isapicon.SF_STATUS_REQ_HANDLED_NOTIFICATION


class Extension(threaded_extension.ThreadPoolExtension):
    "Answers inside"

    max_workers = 2

    def Dispatch(self, ecb):
        name = ecb.GetServerVariable("URL").decode().rpartition("/")[2]
        said = getattr(self, name)(ecb)
        if said is not None:
            ecb.SendResponseHeaders("200 OK", "Content-type: text/plain\r\n\r\n", False)
            print(said, end="", file=ecb)
            ecb.DoneWithSession()

    def unknown(self, ecb):
        try:
            ecb.GetServerVariable("no such")
        except ExtensionError as error:
            return error.errno == winerror.ERROR_INVALID_INDEX
        return "no error"

    def long(self, ecb):
        query = ecb.GetServerVariable("QUERY_STRING")
        if query:
            return len(query)
        me = ecb.GetServerVariable("URL").decode()
        ecb.SendResponseHeaders("301 Moved", f"Location: {me}?{'x' * 8500}\r\n\r\n")
        ecb.DoneWithSession()
        return None

    def text(self, ecb):
        version = float(ecb.GetServerVariable("SERVER_SOFTWARE").decode().split("/")[1])
        name = ecb.GetServerVariable("UNICODE_SERVER_NAME")
        return version >= 6 and name == ecb.GetServerVariable("SERVER_NAME").decode()

    def again(self, ecb):
        return loads


def __FilterFactory__():
    return Filter()


def __ExtensionFactory__():
    return Extension()
