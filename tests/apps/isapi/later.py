"""Answers after it has returned HSE_STATUS_PENDING, from other threads; the query says how."""

import threading

HEADERS = "Content-Type: text/plain\r\n\r\n"
BLOCK = b"x" * 65536
PENDING = 3
ASYNC = 2

go = threading.Event()
waiting = threading.Semaphore(0)
blocks = []


class Extension:
    """One method for each query."""

    def GetExtensionVersion(self, info):
        pass

    def TerminateExtension(self, status):
        pass

    def HttpExtensionProc(self, ecb):
        return getattr(self, ecb.QueryString.decode())(ecb)

    def waits_in_callback(self, ecb):
        """A callback that blocks, as it may, until somebody asks for /?go."""

        def called(ecb, argument, count, error):
            waiting.release()
            go.wait()
            ecb.DoneWithSession()

        self._send(ecb, called, "waited")
        return PENDING

    def go(self, ecb):
        """Once 70 wait: from a callback too."""
        for _ in range(70):
            waiting.acquire()

        def called(ecb, argument, count, error):
            go.set()
            ecb.DoneWithSession()

        self._send(ecb, called, "go")
        return PENDING

    def _send(self, ecb, called, text):
        ecb.IOCompletion(called)
        ecb.SendResponseHeaders("200 OK", HEADERS, False)
        ecb.WriteClient(text, ASYNC)

    def ends_while_it_writes(self, ecb):
        """One thread writes, another one says that the session is done."""
        has_begun = threading.Event()

        def write():
            ecb.SendResponseHeaders("200 OK", HEADERS, False)
            ecb.SetFlushFlag(True)
            try:
                while True:
                    ecb.WriteClient(BLOCK)
                    has_begun.set()
            except RuntimeError:
                print("the session was over", flush=True)

        def end():
            has_begun.wait()
            ecb.DoneWithSession()

        threading.Thread(target=write).start()
        threading.Thread(target=end).start()
        return PENDING

    def writes_for_ever(self, ecb):
        """Until its client has gone, and does not care how that is told."""
        ecb.SendResponseHeaders("200 OK", HEADERS, False)
        try:
            while True:
                ecb.WriteClient(BLOCK)
        finally:
            print("nobody reads any more", flush=True)

    def writes_on(self, ecb):
        """The same, with a callback for each block."""

        def called(ecb, argument, count, error):
            try:
                ecb.WriteClient(BLOCK, ASYNC if not error else 0)
            finally:
                if error:
                    print("nobody reads any more", flush=True)

        self._send(ecb, called, "begun")
        return PENDING

    def keeps_its_block(self, ecb):
        """DoneWithSession twice, and the block is kept."""
        ecb.SendResponseHeaders("200 OK", HEADERS, False)
        ecb.WriteClient("kept")
        blocks.append(ecb)
        ecb.DoneWithSession()
        try:
            ecb.DoneWithSession()
        except RuntimeError:
            return PENDING
        return 4

    def uses_what_it_kept(self, ecb):
        """Every function of a block whose request has ended."""
        old = blocks.pop()
        calls = [
            lambda: old.WriteClient("late"),
            lambda: old.WriteClient("late", ASYNC),
            lambda: old.SendResponseHeaders("500 Late", HEADERS),
            lambda: old.ReadClient(1),
            lambda: old.GetServerVariable("URL"),
            lambda: old.TransmitFile(self.go, None, 0, "", 0, 0, "", "", ASYNC),
            lambda: old.TransmitFile(self.go, None, 0, "", 0, 0, "", "", 0),
            lambda: old.VectorSend([b"late"]),
            lambda: old.Redirect("/"),
            lambda: old.MapURLToPath("/"),
            old.ReportUnhealthy,
            old.IsSessionActive,
            old.DoneWithSession,
        ]
        refused = 0
        for call in calls:
            try:
                call()
            except RuntimeError:
                refused += 1
        ecb.SendResponseHeaders("200 OK", HEADERS, False)
        ecb.WriteClient(f"{refused} of {len(calls)}")
        return 1


def __ExtensionFactory__():
    return Extension()
