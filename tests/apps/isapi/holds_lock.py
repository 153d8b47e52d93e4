"""An extension in Python that holds the interpreter's lock for ever."""

import ctypes

from isapi import isapicon
from isapi.simple import SimpleExtension


class Extension(SimpleExtension):
    """Holds the lock"""

    def HttpExtensionProc(self, ecb):
        if ecb.QueryString == b"hold":
            hold_the_lock()
        ecb.SendResponseHeaders("200 OK", "Content-Type: text/plain\r\n\r\n")
        ecb.write("alive")
        return isapicon.HSE_STATUS_SUCCESS


def hold_the_lock():
    # A PyDLL's functions are called with the lock held.
    ctypes.PyDLL(None).pause()


def __ExtensionFactory__():
    return Extension()
