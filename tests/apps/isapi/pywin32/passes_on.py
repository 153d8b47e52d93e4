"""Answers what another server answers; leaves what it does not want to the next handler.

A wildcard extension on threads of its own. The field X-Port says where the other server is.
"""

import sys
from urllib.request import urlopen

import win32api
from isapi import isapicon, threaded_extension

if hasattr(sys, "isapidllhandle"):
    import win32traceutil  # noqa: F401 a name that extensions import

NOT_OURS = (b"/plain.txt", b"/none.txt")


def child_ended(ecb, url, count, error):
    status, sub_status, win32 = ecb.GetExecURLStatus()
    print(f"{url} {status}.{sub_status} {win32api.FormatMessage(win32).strip()}", flush=True)
    ecb.DoneWithSession()


def written(ecb, source, count, error):
    block = source.read(8192)
    if block:
        ecb.WriteClient(block, isapicon.HSE_IO_ASYNC)
    else:
        source.close()
        ecb.DoneWithSession()


class Extension(threaded_extension.ThreadPoolExtension):
    "Passes requests on"

    def __init__(self):
        super().__init__()
        self.dispatch_map[7] = self.count
        self.counted = 0

    def count(self, error, number, key, overlapped):
        """A key of its own, posted to the pool's port."""
        self.counted += number

    def Dispatch(self, ecb):
        url = ecb.GetServerVariable("URL")
        if url.lower().startswith(NOT_OURS):
            assert ecb.Version >= 0x60000
            ecb.IOCompletion(child_ended, url.decode())
            flags = isapicon.HSE_EXEC_URL_IGNORE_CURRENT_INTERCEPTOR
            ecb.ExecURL(None, None, None, None, None, flags)
            return isapicon.HSE_STATUS_PENDING
        port = ecb.GetServerVariable("HTTP_X_PORT").decode()
        source = urlopen(f"http://127.0.0.1:{port}{url.decode()}")
        lines = str(source.info()).rstrip("\n").replace("\n", "\r\n") + "\r\n\r\n"
        ecb.SendResponseHeaders("200 OK", lines, False)
        if url == b"/slowly":
            ecb.ReqIOCompletion(written, source)
            ecb.WriteClient(source.read(8192), isapicon.HSE_IO_ASYNC)
            return isapicon.HSE_STATUS_PENDING
        ecb.WriteClient(source.read())
        source.close()
        ecb.DoneWithSession()
        return isapicon.HSE_STATUS_SUCCESS


def __ExtensionFactory__():
    return Extension()
