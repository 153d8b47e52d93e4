"""An extension with a thread pool of its own."""

import threading

from isapi.threaded_extension import ThreadPoolExtension


class Extension(ThreadPoolExtension):
    """Thread pool"""

    max_workers = 2

    def Dispatch(self, ecb):
        if b"raise" in ecb.PathInfo:
            raise LookupError("on purpose")
        ecb.SendResponseHeaders("200 OK", "Content-Type: text/plain\r\n\r\n", False)
        ecb.WriteClient(threading.current_thread().name)
        ecb.DoneWithSession()


def __ExtensionFactory__():
    return Extension()
