"""Debian's Chromium, without a window, driven over its DevTools protocol."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection

from support.web_socket import connect
from support.wire import LIMIT_S

PROGRAM = "/usr/bin/chromium"
# It shows local pages only; its sandbox refuses root, and a container may lack shared memory.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)


class PageError(Exception):
    """A script of a page has failed, or the page could not be opened."""


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection, numbers: Iterator[int], session: str) -> None:
        self._socket = socket
        self._numbers = numbers
        self._session = session
        self.loaded = 0
        self._send("Page.enable")

    def _send(self, method: str, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps({**message, "sessionId": self._session}))
        while True:
            answer = json.loads(self._socket.recv(LIMIT_S))
            if answer.get("sessionId") == self._session:
                self.loaded += answer.get("method") == "Page.loadEventFired"
                if answer.get("id") == number:
                    if "error" in answer:
                        raise PageError(f"{method}: {answer['error']}")
                    return answer["result"]

    def open(self, url: str) -> None:
        """Go to a page, and wait until it and all that it names has been loaded."""
        before = self.loaded
        answer = self._send("Page.navigate", url=url)
        if "errorText" in answer:
            raise PageError(f"{url}: {answer['errorText']}")
        self.wait_loaded(before)

    def wait_loaded(self, before: int) -> None:
        """Wait for a load that followed the first `before`."""
        limit = time.monotonic() + LIMIT_S
        while self.loaded <= before:
            if time.monotonic() > limit:
                raise PageError("the page does not end loading")
            time.sleep(0.02)
            self._send("Page.getFrameTree")  # events come with its answer

    def run(self, script: str):
        """The value of an expression; of the body of an async function where it says `return`."""
        if "return" in script:
            script = f"(async () => {{ {script} }})()"
        answer = self._send(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press what leads to another page, and wait for that one."""
        before = self.loaded
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self.wait_loaded(before)

    def wait(self, script: str):
        """Wait until an expression is true; its value."""
        limit = time.monotonic() + LIMIT_S
        while not (found := self.run(script)):
            if time.monotonic() > limit:
                raise PageError(f"never true: {script}; the page: {self.text}")
            time.sleep(0.02)
        return found

    @property
    def text(self) -> str:
        """What a person reads on it."""
        return self.run("document.body.innerText")


class Chromium:
    """One browser process."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._context = ""

    def _ask(self, method: str, **parameters) -> dict[str, str]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(LIMIT_S))).get("id") != number:
            pass
        return answer["result"]

    @contextmanager
    def person(self) -> Iterator[None]:
        """Until the end the tabs are those of somebody who has never been here."""
        self._context = self._ask("Target.createBrowserContext")["browserContextId"]
        yield
        self._ask("Target.disposeBrowserContext", browserContextId=self._context)

    def page(self, url: str = "about:blank") -> Page:
        """A new tab that shows `url`; one person's tabs share cookies and cache."""
        place = {"url": "about:blank", "browserContextId": self._context}
        target = self._ask("Target.createTarget", **place)["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self._socket, self._numbers, session)
        page.open(url)
        return page


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser with an empty profile, from its start to its end."""
    folder = Path(tempfile.mkdtemp(prefix="was-chromium-"))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, *SWITCHES, f"--user-data-dir={folder}/profile"],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with connect(_address(folder, process), max_size=None) as socket:
            yield Chromium(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    file = folder / "profile" / "DevToolsActivePort"
    limit = time.monotonic() + LIMIT_S
    while True:
        if process.poll() is not None or time.monotonic() > limit:
            raise PageError((folder / "output").read_text(errors="replace"))
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
