"""A wildcard extension: lets requests through to the next handler, as X-How says, or not at all."""

from isapi import isapicon
from isapi.simple import SimpleExtension


class Extension(SimpleExtension):
    """Gate"""

    def HttpExtensionProc(self, ecb):
        how = ecb.GetServerVariable("HTTP_X_HOW", b"")
        flags = isapicon.HSE_EXEC_URL_IGNORE_CURRENT_INTERCEPTOR
        method = fields = url = None
        if how == b"refuse":
            ecb.SendResponseHeaders("403 Not You", "Content-Type: text/plain\r\n\r\n")
            ecb.WriteClient("refused")
            return isapicon.HSE_STATUS_SUCCESS
        if how == b"replace":
            method, fields = "PATCH", "Host: inner\r\nX-Replaced: yes\r\n"
        elif how == b"elsewhere":
            url = "/other.asp?block=2"
        elif how == b"body only":
            flags |= isapicon.HSE_EXEC_URL_NO_HEADERS
            ecb.SendResponseHeaders("202 Mine", "X-Gate: mine\r\n\r\n")
        ecb.IOCompletion(self.done)
        ecb.ExecURL(url, method, fields, None, None, flags)
        return isapicon.HSE_STATUS_PENDING

    def done(self, ecb, argument, count, error):
        ecb.HttpStatusCode = ecb.GetExecURLStatus()[0]
        ecb.DoneWithSession()


def __ExtensionFactory__():
    return Extension()
