"""A Python extension that does what the last segment of the URL names."""

import threading

from isapi import ExtensionError, isapicon
from isapi.simple import SimpleExtension

TEXT = "Content-Type: text/plain\r\n\r\n"


class Extension(SimpleExtension):
    """All methods of the control block"""

    def HttpExtensionProc(self, ecb):
        name = ecb.GetServerVariable("URL").decode().rpartition("/")[2].partition(".")[0]
        return getattr(self, name)(ecb)

    def hello(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        print("hello", file=ecb)
        return isapicon.HSE_STATUS_SUCCESS

    def variables(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        for name in ecb.QueryString.decode().split("&"):
            try:
                value = ecb.GetServerVariable(name)
            except ExtensionError as error:
                value = error.errno
            print(name, repr(value), file=ecb)
        ecb.DoneWithSession()
        return isapicon.HSE_STATUS_SUCCESS

    def block(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        for name in (
            "Version",
            "TotalBytes",
            "AvailableBytes",
            "HttpStatusCode",
            "Method",
            "QueryString",
            "PathInfo",
            "PathTranslated",
            "ContentType",
        ):
            print(name, repr(getattr(ecb, name)), file=ecb)
        return isapicon.HSE_STATUS_SUCCESS_AND_KEEP_CONN

    def echo(self, ecb):
        body = ecb.AvailableData + ecb.ReadClient()
        ecb.SendResponseHeaders("200 OK", f"X-Preloaded: {ecb.AvailableBytes}\r\n" + TEXT)
        ecb.WriteClient(body)
        return isapicon.HSE_STATUS_SUCCESS

    def raises(self, ecb):
        raise ZeroDivisionError("on purpose")

    def error(self, ecb):
        return isapicon.HSE_STATUS_ERROR

    def error_with_page(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        ecb.write("what went wrong")
        return isapicon.HSE_STATUS_ERROR

    def wrong(self, ecb):
        return "no status"

    def redirect(self, ecb):
        ecb.Redirect("/elsewhere")
        return isapicon.HSE_STATUS_SUCCESS

    def pending(self, ecb):
        def answer():
            ecb.SendResponseHeaders("202 Later", TEXT)
            ecb.write("from another thread")
            ecb.DoneWithSession()

        threading.Thread(target=answer).start()
        return isapicon.HSE_STATUS_PENDING

    def chunks(self, ecb):
        """Ten asynchronous writes, each started by the completion of the one before."""
        ecb.SendResponseHeaders("200 OK", TEXT)
        ecb.IOCompletion(self._next, [0])
        ecb.WriteClient(b"x" * 1000, isapicon.HSE_IO_ASYNC)
        return isapicon.HSE_STATUS_PENDING

    def _next(self, ecb, count, written, error):
        count[0] += 1
        assert (written, error) == (1000, 0)
        if count[0] < 10:
            ecb.WriteClient(b"x" * 1000, isapicon.HSE_IO_ASYNC)
        else:
            ecb.DoneWithSession()

    def file(self, ecb):
        """As pywin32's own sample does it: asynchronous, and SUCCESS at once."""
        source = open(__file__, "rb")  # noqa: SIM115

        def done(ecb, source, count, error):
            source.close()
            ecb.DoneWithSession()

        flags = isapicon.HSE_IO_ASYNC | isapicon.HSE_IO_SEND_HEADERS
        ecb.TransmitFile(done, source, source.fileno(), "200 OK", 0, 0, TEXT, b"TAIL", flags)
        return isapicon.HSE_STATUS_SUCCESS

    def vector(self, ecb):
        """Memory and regions of a file: at once with headers, then from a completion."""
        source = open(__file__, "rb")  # noqa: SIM115
        head = isapicon.HSE_IO_SYNC | isapicon.HSE_IO_SEND_HEADERS
        ecb.VectorSend([b"one ", (source.fileno(), 3, 8), "two "], "200 OK", TEXT, head)

        def done(ecb, source, count, error):
            source.close()
            ecb.VectorSend([b"%d %d" % (count, error)])
            try:
                ecb.VectorSend([b"x"], "200 OK")
            except ExtensionError as error:
                ecb.VectorSend([b" %d" % error.errno])
            ecb.DoneWithSession()

        ecb.IOCompletion(done, source)
        ecb.VectorSend([(source.fileno(), 3, 8)], flags=isapicon.HSE_IO_ASYNC)
        return isapicon.HSE_STATUS_PENDING

    def lengths(self, ecb):
        """Says one length and sends another; `1` as it goes."""
        said, sent, flushes = map(int, ecb.QueryString.split(b"&"))
        ecb.SetFlushFlag(bool(flushes))
        ecb.SendResponseHeaders("200 OK", f"Content-Length: {said}\r\n" + TEXT)
        for _ in range(sent // 3):
            ecb.WriteClient("abc")
        return isapicon.HSE_STATUS_SUCCESS

    def after(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        ecb.write("before")
        ecb.close()
        try:
            ecb.write("after")
        except RuntimeError:
            print("a late write is refused")
        return isapicon.HSE_STATUS_ERROR

    def path(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        ecb.write(ecb.MapURLToPath(ecb.QueryString))
        return isapicon.HSE_STATUS_SUCCESS

    def keep(self, ecb):
        ecb.SendResponseHeaders("200 OK", TEXT)
        ecb.write(f"{ecb.IsKeepAlive()} {ecb.IsKeepConn()} {ecb.IsSessionActive()}")
        return isapicon.HSE_STATUS_SUCCESS

    def unhealthy(self, ecb):
        ecb.ReportUnhealthy("worn out")
        ecb.SendResponseHeaders("200 OK", TEXT)
        return isapicon.HSE_STATUS_SUCCESS

    def child(self, ecb):
        def done(ecb, arg, count, error):
            ecb.DoneWithSession()

        ecb.IOCompletion(done)
        ecb.ExecURL(ecb.QueryString.decode(), None, None, None, None, 0)
        return isapicon.HSE_STATUS_PENDING

    def forever(self, ecb):
        while True:
            pass


def __ExtensionFactory__():
    return Extension()
