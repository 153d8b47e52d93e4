"""Loads itself anew when its file has changed; transmits that file; says it is ill if asked to."""

import os
import threading

import win32con
import win32event
import win32file
import winerror
from isapi import InternalReloadException, isapicon
from isapi.simple import SimpleExtension

try:
    loads += 1
except NameError:
    loads = 1


class Watcher(threading.Thread):
    def __init__(self):
        self.has_changed = False
        self.handle = win32file.FindFirstChangeNotification(
            os.path.dirname(__file__), False, win32con.FILE_NOTIFY_CHANGE_LAST_WRITE
        )
        super().__init__()

    def run(self):
        before = os.stat(__file__).st_mtime_ns
        while True:
            try:
                win32event.WaitForSingleObject(self.handle, win32event.INFINITE)
                win32file.FindNextChangeNotification(self.handle)
            except win32event.error as failure:
                if failure.winerror == winerror.ERROR_INVALID_HANDLE:
                    print("the watcher ends", flush=True)
                return
            if os.stat(__file__).st_mtime_ns != before:
                self.has_changed = True


def transmitted(ecb, file, count, error):
    ecb.close()


class Extension(SimpleExtension):
    "Reloads"

    def __init__(self):
        self.watcher = Watcher()
        self.watcher.start()

    def HttpExtensionProc(self, ecb):
        if self.watcher.has_changed:
            raise InternalReloadException
        url = ecb.GetServerVariable("UNICODE_URL")
        if url.endswith("source"):
            flags = win32con.FILE_FLAG_SEQUENTIAL_SCAN | win32con.FILE_FLAG_OVERLAPPED
            file = win32file.CreateFile(
                __file__, win32con.GENERIC_READ, 0, None, win32con.OPEN_EXISTING, flags, None
            )
            flags = isapicon.HSE_IO_ASYNC | isapicon.HSE_IO_DISCONNECT_AFTER_SEND
            flags |= isapicon.HSE_IO_SEND_HEADERS
            ecb.TransmitFile(transmitted, file, int(file), "200 OK", 0, 0, None, None, flags)
            return isapicon.HSE_STATUS_SUCCESS
        if url.endswith("ill"):
            ecb.ReportUnhealthy("a little ill")
        ecb.SendResponseHeaders("200 OK", "Content-Type: text/plain\r\n\r\n", 0)
        print(loads, ecb.MapURLToPath("/").decode(), file=ecb)
        ecb.close()
        return isapicon.HSE_STATUS_SUCCESS

    def TerminateExtension(self, status):
        win32file.FindCloseChangeNotification(self.watcher.handle)
        self.watcher.join()


def __ExtensionFactory__():
    return Extension()
