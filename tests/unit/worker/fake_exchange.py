"""An exchange that keeps what it is told, and a server over a home made of files."""

from __future__ import annotations

import os
import time
from pathlib import Path

from was.ipc.messages import Request
from was.ipc.scoreboard import module_cell_of
from was.worker.chunks import FileRegion
from was.worker.exchange import ClientGoneError
from was.worker.server import WorkerServer


def make_request(**changes) -> Request:
    fields = {
        "id": 1,
        "attempt": 1,
        "slot": 0,
        "connection_id": 1,
        "site_id": 1,
        "application": "/",
        "method": "GET",
        "target": "/",
        "path": "/",
        "query": "",
        "version": 11,
        "fields": [("Host", "localhost:8080"), ("User-Agent", "test")],
        "remote_addr": "127.0.0.1",
        "remote_port": 40000,
        "local_addr": "127.0.0.1",
        "local_port": 8080,
        "secure": False,
        "body": b"",
        "body_length": 0,
        "pull": False,
    }
    fields.update(changes)
    if "path" in changes and "target" not in changes:
        fields["target"] = changes["path"] + ("?" + fields["query"] if fields["query"] else "")
    if "body" in changes and "body_length" not in changes:
        fields["body_length"] = len(changes["body"])
    return Request(**fields)


class FakeExchange:
    """Same face as was.worker.exchange.Exchange; `gone_after` = bytes until the client leaves."""

    def __init__(self, request: Request, *, gone_after: int = -1) -> None:
        self.request = request
        self.gone = False
        self.started = False
        self.trailers = b""
        self.words = memoryview(bytearray(8 * 8)).cast("Q")
        self.row = 0
        self.module_cell = module_cell_of(self.words, self.row)
        self.calls: list[str] = []
        self.status = 0
        self.sub_status = 0
        self.reason = ""
        self.block = b""
        self.length: int | None = None
        self.body = b""
        self.writes: list[bytes] = []
        self.log = ""
        self.win32 = 0
        self.close = False
        self.ends = 0
        self.file: FileRegion | None = None
        self._rest = request.body
        self._gone_after = gone_after

    def give_back(self) -> None:
        self.calls.append("give_back")
        self.ends += 1

    def _count(self, data: bytes) -> None:
        if self._gone_after >= 0 and len(self.body) + len(data) > self._gone_after:
            self.gone = True
            raise ClientGoneError("gone")
        self.body += data
        self.writes.append(data)

    def read(self, size: int) -> bytes:
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def poll_body(self) -> bool:
        return True

    def ring_on_arrival(self, ring) -> None:
        pass

    is_readable = True
    writable_bytes = 1 << 62

    def cancel(self) -> None:
        self.gone = True

    def wait_for(self, event) -> None:
        assert event.wait(60)

    def _take_head(self, response) -> None:
        self.status, self.reason = response.status, response.reason
        self.block, self.length = response.block, response.length

    def start(self, response) -> None:
        self.calls.append("start")
        assert not self.started
        assert not self.ends
        self.started = True
        self._take_head(response)
        self._count(response.body)

    def write(self, data: bytes) -> None:
        self.calls.append("write")
        assert self.started
        self._count(data)

    def send_file(self, region) -> None:
        self.calls.append("send_file")
        self._count(os.pread(region.fd, region.length, region.offset))

    def finish(self, response, file=None) -> None:
        self.calls.append("finish")
        assert not self.started
        self._take_head(response)
        self.body = response.body
        self.file = file
        if file is not None:
            self.body += os.pread(file.fd, file.length, file.offset)
        self.close = response.close
        self._end(response.log, response.substatus, response.win32)

    def end(self, data, log, substatus, win32) -> None:
        self.calls.append("end")
        assert self.started
        self.body += data
        self._end(log, substatus, win32)

    def abort(self, log, win32, reset=False) -> None:
        self.calls.append("reset" if reset else "abort")
        self._end(log, 0, win32)

    def _end(self, log, substatus, win32) -> None:
        self.log, self.sub_status, self.win32 = log, substatus, win32
        self.ends += 1  # last: who waits for it on another thread looks at the rest then
        assert self.ends == 1

    def headers(self) -> dict[str, str]:
        lines = self.block.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        return {name.lower(): value for name, _, value in pairs}


def write_home(
    folder: Path,
    web_server: str = "",
    *,
    vdirs: str = "",
    applications: str = "",
    global_modules: str = "",
    pools: str = "",
) -> Path:
    """A home with one site whose root is <folder>/site; returns its applicationHost.config."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "site").mkdir(exist_ok=True)
    file = folder / "config" / "applicationHost.config"
    file.write_text(
        f"""<?xml version="1.0"?>
<configuration>
  <system.applicationHost>
    <applicationPools><add name="pool" />{pools}</applicationPools>
    <sites>
      <site name="main" id="1">
        <application path="/" applicationPool="pool">
          <virtualDirectory path="/" physicalPath="{folder}/site" />
          {vdirs}
        </application>
        {applications}
        <bindings><binding protocol="http" bindingInformation="*:8080:" /></bindings>
      </site>
    </sites>
  </system.applicationHost>
  <system.webServer>
  {global_modules}
  {web_server}
  </system.webServer>
</configuration>
"""
    )
    return file


def make_server(folder: Path, web_server: str = "", **parts) -> WorkerServer:
    file = write_home(folder, web_server, **parts)
    server = WorkerServer(config_file=file, home=folder, pool="pool", worker_id=1, threads=4)
    server.load()
    return server


def ask(server: WorkerServer, exchange: FakeExchange | None = None, **changes) -> FakeExchange:
    if exchange is None:
        exchange = FakeExchange(make_request(**changes))
    server.handle(exchange)
    assert exchange.ends == 1
    return exchange


WSGI = """<handlers>
  <add name="app" path="*" verb="*" modules="WsgiModule" scriptProcessor="{}" />
</handlers>"""
ASGI = WSGI.replace("WsgiModule", "AsgiModule")


def ask_later(server: WorkerServer, **changes) -> FakeExchange:
    """The same for a request that another thread ends."""
    exchange = FakeExchange(make_request(**changes))
    server.handle(exchange)
    deadline = time.monotonic() + 60
    while not exchange.ends:
        assert time.monotonic() < deadline, "no END"
        time.sleep(0.0002)
    return exchange
