"""What the pipeline costs a request, in CPU time, without sockets: medians of interleaved batches.

Three servers in this process answer the same request: one with nothing but its handler, one with
the default `modules` list, and one with ten modules that subscribe to every event and pass.
"""

from __future__ import annotations

import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

from harness.table import Report

from was.config.files import load_text
from was.ipc.messages import Request
from was.worker.applications.application import HttpApplication
from was.worker.applications.warm_up import WarmUpExchange
from was.worker.calls.http_module import HttpModule
from was.worker.calls.registration import ApplicationModuleFactory, ModuleRegistrationInfo
from was.worker.interfaces.context import HttpContext
from was.worker.interfaces.user import ANONYMOUS
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    METHODS,
    POST_METHODS,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.server import WorkerServer

RQ = RequestNotification
PASSING = 10
EVERY_EVENT = sum(RQ)
BATCH = 100
BATCHES = 120
TEN_LIMIT_US = 25.0
DEFAULT_LIMIT_US = 12.0

CONFIGURATION = """<configuration>
  <system.applicationHost>
    <applicationPools><add name="bench" /></applicationPools>
    <sites><site name="bench" id="1">
      <application path="/" applicationPool="bench">
        <virtualDirectory path="/" physicalPath="/nonexistent" />
      </application>
      <bindings><binding protocol="http" bindingInformation="127.0.0.1:0:" /></bindings>
    </site></sites>
  </system.applicationHost>
  <system.webServer>
    <globalModules>{images}</globalModules>
    <modules>{clear}{modules}</modules>
    <handlers><clear /><add name="h" path="*" verb="*" modules="Answer" requireAccess="None" />
    </handlers>{sections}
  </system.webServer>
</configuration>"""


class Answer(HttpModule):
    """The handler; makes everybody anonymous, so that it is enough of a list by itself."""

    def on_authenticate_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Everybody may."""
        context.user = ANONYMOUS
        return CONTINUE

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Thirteen bytes."""
        context.response.chunks.append(b"Hello, world!")
        context.is_handled = True
        return CONTINUE


class Passing(HttpModule):
    """Has a method for every event, which does nothing."""


def _pass(self: HttpModule, context: HttpContext, provider: object) -> RequestNotificationStatus:
    return CONTINUE


for _name in (*METHODS.values(), *POST_METHODS.values()):
    setattr(Passing, _name, _pass)


class _PassingFactory:
    def get_http_module(self, allocator: object) -> HttpModule:
        return Passing()

    def terminate(self) -> None:
        """Nothing to give back."""


def _register_answer(_: int, info: ModuleRegistrationInfo, __: object) -> None:
    def make(application: HttpApplication) -> HttpModule:
        return Answer()

    mask = RQ.EXECUTE_REQUEST_HANDLER | RQ.AUTHENTICATE_REQUEST
    info.set_request_notifications(ApplicationModuleFactory(make), mask, 0)


def _register_passing(_: int, info: ModuleRegistrationInfo, __: object) -> None:
    info.set_request_notifications(_PassingFactory(), EVERY_EVENT, EVERY_EVENT)


def _image(name: str, register: Callable[[int, ModuleRegistrationInfo, object], None]) -> str:
    module = types.ModuleType(name)
    module.__dict__["register_module"] = register
    sys.modules[name] = module
    return name


def make_server(*, is_bare: bool, passing: int, sections: str = "") -> WorkerServer:
    """A server whose only site is answered by Answer; `sections` are further ones of it."""
    names = [f"Passing{number}" for number in range(passing)]
    image = _image("bench_passing", _register_passing)
    images = "".join(f'<add name="{name}" image="{image}" />' for name in names)
    images += f'<add name="Answer" image="{_image("bench_answer", _register_answer)}" />'
    text = CONFIGURATION.format(
        images=images,
        clear="<clear />" if is_bare else "",
        sections=sections,
        modules="".join(f'<add name="{name}" />' for name in [*names, "Answer"]),
    )
    nowhere = Path("/nonexistent")
    server = WorkerServer(
        config_file=nowhere,
        home=nowhere,
        pool="bench",
        worker_id=0,
        threads=2,
        read_configuration=lambda: load_text(text.encode(), nowhere),
    )
    server.load()
    return server


REQUEST = Request(
    id=1,
    attempt=1,
    slot=0,
    connection_id=1,
    site_id=1,
    application="/",
    method="GET",
    target="/hello",
    path="/hello",
    query="",
    version=11,
    fields=[("Host", "localhost:8080"), ("User-Agent", "bench"), ("Accept", "*/*")],
    remote_addr="127.0.0.1",
    remote_port=40000,
    local_addr="127.0.0.1",
    local_port=8080,
    secure=False,
    body=b"",
    body_length=0,
    pull=False,
)


def batch(server: WorkerServer) -> float:
    """Microseconds of CPU time a request."""
    exchanges = [WarmUpExchange(REQUEST) for _ in range(BATCH)]
    begin = time.thread_time_ns()
    for exchange in exchanges:
        server.handle(exchange)
    return (time.thread_time_ns() - begin) / BATCH / 1000


def _bare_calls(count: int) -> float:
    """Microseconds of so many calls of a method that does nothing, through a bound method."""
    module = Passing()
    calls = [module.on_begin_request] * count
    context: HttpContext = None  # type: ignore[assignment]

    begin = time.thread_time_ns()
    for _ in range(20):
        for call in calls:
            call(context, context)
    return (time.thread_time_ns() - begin) / 20 / 1000


def measure() -> dict[str, float]:
    """Microseconds a request: of the bare list, added by each of the two others, of the calls."""
    servers = {
        "bare": make_server(is_bare=True, passing=0),
        "default": make_server(is_bare=False, passing=0),
        "ten": make_server(is_bare=True, passing=PASSING),
    }
    # Each module is called at every event and post-event but the handler's own, and once more when
    # the response is sent.
    count = PASSING * (2 * len(DETERMINISTIC) - 1 + 1)
    times: dict[str, list[float]] = {name: [] for name in [*servers, "calls"]}
    for server in servers.values():
        batch(server)
    for _ in range(BATCHES):
        for name, server in servers.items():
            times[name].append(batch(server))
        times["calls"].append(_bare_calls(count))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "bare": median["bare"],
        "default": median["default"] - median["bare"],
        "ten": median["ten"] - median["bare"],
        "calls": median["calls"],
    }


def run(report: Report) -> None:
    """Measure and compare with the bars."""
    found = measure()
    report.title("pipeline: CPU µs a request, in process, medians")
    rows = [
        ["a request with its handler alone", f"{found['bare']:.1f}"],
        ["the default module list adds", f"{found['default']:.1f}"],
        [f"{PASSING} modules on every event add", f"{found['ten']:.1f}"],
        ["  of which their bare calls", f"{found['calls']:.1f}"],
    ]
    report.table(["", "µs"], rows)
    report.bar(f"ten modules add less than {TEN_LIMIT_US} µs", found["ten"] < TEN_LIMIT_US)
    is_met = found["default"] < DEFAULT_LIMIT_US
    report.bar(f"the default list adds less than {DEFAULT_LIMIT_US} µs", is_met)
