"""Probes: a binding of protocol was.health, and `was status --check`."""

import os
import signal
import socket

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.running import Running, place, simple_config
from support.wire import Answer, Wire, get

BINDING = '<binding protocol="was.health" bindingInformation="127.0.0.1:0:" />'


def _config(start_mode: str = "AlwaysRunning", **failure: str) -> str:
    pool = Pool("Pool", {"startMode": start_mode}, {"failure": failure} if failure else {})
    text = simple_config("hello:application", pool=pool)
    return text.replace("</bindings>", f"{BINDING}</bindings>")


def _port(running: Running) -> int:
    (row,) = running.server.rows("sites")
    (found,) = [b for b in row["bindings"] if b.startswith("was.health/")]
    return int(found.split(":")[1])


def _check(running: Running) -> tuple[int, str]:
    result = running.server.command("status", "--check")
    return result.returncode, result.stderr + result.stdout


@pytest.fixture
def always(start_server) -> Running:
    running = start_server(_config(), place("hello.py"))
    running.workers(count=1)
    return running


def test_a_healthy_server(always):
    """Both probes answer 200 in JSON, --check exits 0 and says nothing; sites are apart."""
    port = _port(always)
    alive, ready = get(port, "/healthz"), get(port, "/readyz?from=probe")
    assert (alive.status, alive.json()) == (200, {"status": "ok", "manager": True})
    assert (ready.status, ready.json()) == (200, {"status": "ready"})
    assert ready.field("content-type") == "application/json"
    assert ready.field("cache-control") == "no-store"
    assert _check(always) == (0, "")
    assert get(always.port(), "/healthz").text == "hello\n"
    assert get(port, "/").status == 404


def test_both_answer_without_a_manager(always):
    """The listener needs nobody: alive, and ready as long as a worker is; --check exits 1."""
    always.expected_exit = None
    port = _port(always)
    worker = always.workers(count=1)[0]
    os.kill(always.server.pid, signal.SIGKILL)
    always.server.wait_exit()
    answer = wait_for(
        "the loss of the manager",
        lambda: a if not (a := get(port, "/healthz")).json()["manager"] else None,
    )
    assert answer.status == 200
    assert get(port, "/readyz").status == 200
    code, said = _check(always)
    assert code == 1
    assert "no manager" in said
    os.kill(worker, signal.SIGKILL)
    unready = _until_unready(port)
    assert unready.json()["not_ready"] == [{"app_pool": "Pool", "reason": "no worker is ready"}]
    assert get(port, "/healthz").status == 200


def _until_unready(port: int) -> Answer:
    return wait_for("a 503", lambda: a if (a := get(port, "/readyz")).status == 503 else None)


def test_a_disabled_pool_is_not_ready_a_stopped_one_need_not_be(start_server):
    """Rapid-fail protection shows in both; what an administrator stopped does not."""
    running = start_server(_config(rapidFailProtectionMaxCrashes="1"), place("hello.py"))
    running.allow("pool_disabled")
    port = _port(running)
    os.kill(running.workers(count=1)[0], signal.SIGKILL)
    answer = wait_for(
        "the pool's end",
        lambda: a if "disabled" in (a := get(port, "/readyz")).text else None,
    )
    assert answer.status == 503
    assert answer.json()["not_ready"][0]["app_pool"] == "Pool"
    code, said = _check(running)
    assert (code, said.count("\n")) == (1, 1)
    assert "application pool 'Pool' is disabled" in said
    assert running.server.command("start", "apppool", "Pool").returncode == 0
    wait_for("readiness", lambda: get(port, "/readyz").status == 200)
    assert running.server.command("stop", "apppool", "Pool").returncode == 0
    assert get(port, "/readyz").status == 200
    assert _check(running) == (0, "")


def test_a_pool_that_sleeps_is_ready_while_somebody_can_wake_it(start_server):
    """OnDemand without a worker: ready with a manager, not without."""
    running = start_server(_config("OnDemand"), place("hello.py"))
    running.expected_exit = None
    port = _port(running)
    assert get(port, "/readyz").status == 200
    assert running.workers() == []
    os.kill(running.server.pid, signal.SIGKILL)
    running.server.wait_exit()
    assert "no manager" in _until_unready(port).json()["not_ready"][0]["reason"]


def test_a_pool_that_cannot_start_a_worker_is_not_ready(start_server):
    """OnDemand, its workers end before they are ready: both say so while a request wants one."""
    module = '<add name="Ends" image="{home}/sites/app/ends.py" />'
    module = f"<globalModules>{module}</globalModules></system.webServer></configuration>"
    text = _config("OnDemand", rapidFailProtection="false")
    text = text.replace("</configuration>", f"<system.webServer>{module}")
    running = start_server(text, place("hello.py"))
    (running.folder() / "ends.py").write_text("import os\nos._exit(3)\n")
    port = _port(running)
    assert get(port, "/readyz").status == 200
    with Wire(running.port()) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        says = {"app_pool": "Pool", "reason": "it cannot start a worker"}
        assert _until_unready(port).json()["not_ready"] == [says]
        for _ in range(5):  # between two starts, and within one
            code, said = _check(running)
            assert (code, said.count("application pool 'Pool' cannot start a worker")) == (1, 1)
            assert get(port, "/readyz").status == 503
        (running.folder() / "ends.py").write_text("def register_module(*server):\n    pass\n")
        assert wire.read("GET").status == 200
    assert get(port, "/readyz").status == 200
    assert _check(running) == (0, "")


def test_a_listener_that_does_not_answer(always):
    """The manager asks it: what holds the sockets and is stopped serves nobody."""
    listener = always.server.status()["listener_pid"]
    os.kill(listener, signal.SIGSTOP)
    try:
        code, said = _check(always)
    finally:
        os.kill(listener, signal.SIGCONT)
    assert (code, said) == (1, "was: the listener does not answer\n")


def test_check_of_a_stopped_home(always):
    """Exit code 3, as without --check."""
    assert always.server.stop() == 0
    assert _check(always) == (3, "was: the server is stopped\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /readyz HTTP/1.0\r\n\r\n", 200),
        (b"\r\nGET /healthz HTTP/1.1\r\nHost: any.name:1\r\n\r\nrest", 200),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"no http at all\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000, 400),
    ],
)
def test_what_a_probe_may_send(always, sent, status):
    """Any client, byte by byte if it likes, gets one answer, and the connection ends."""
    with Wire(_port(always)) as wire:
        step = 1 if len(sent) < 100 else len(sent)
        for at in range(0, len(sent), step):
            wire.send(sent[at : at + step])
        answer = wire.read("HEAD" if sent.startswith(b"HEAD") else "GET")
        assert answer.status == status
        assert answer.will_close


def test_silent_clients_take_nothing_from_probes(always):
    """Those who say nothing are limited in number, and leave the sites' connections alone."""
    port = _port(always)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
    try:
        assert get(always.port()).status == 200
        # The last ones were refused, and are not counted.
        assert idle[-1].recv(1) == b""
    finally:
        for end in idle:
            end.close()
    wait_for("a place", lambda: _is_answered(port))


def _is_answered(port: int) -> bool:
    try:
        return get(port, "/healthz").status == 200
    except Exception:  # noqa: BLE001 refused: all places are still taken
        return False


def test_a_binding_with_a_host_or_on_a_sites_port_is_refused(always):
    """`was config validate` names both faults; nothing is taken over."""
    file = always.home / "config" / "applicationHost.config"
    good = file.read_text()
    site, probe = ('protocol="http" bindingInformation="127.0.0.1:8099:"', "127.0.0.1:0:")
    text = good.replace('protocol="http" bindingInformation="127.0.0.1:0:"', site)
    other = file.with_name("other.config")
    other.write_text(text.replace(f'"{probe}"', '"*:8099:probe"'))
    result = always.server.command("config", "validate", str(other))
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert "takes no host name: 'probe'" in said
    assert "Port 8099 of this was.health binding is an http binding's too" in said
