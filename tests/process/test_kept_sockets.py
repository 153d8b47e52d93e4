"""The supervisor of a detached server keeps its ports when manager and listener die at once."""

import contextlib
import os
import select
import signal
import socket

import pytest
from harness.home import Pool
from harness.server import ServerError, WasServer, wait_for
from support.blows import judge
from support.files import replace_text
from support.load import steady_load
from support.ports import has_listening, is_refused, unused_port
from support.running import STEADY, place, simple_config
from support.wire import Wire, get

POOL = Pool("Pool", STEADY["attributes"], STEADY["elements"])
CONFIG = simple_config("hello:application", pool=POOL)
BINDING = '<binding protocol="http" bindingInformation="{}:" />'
FIRST = BINDING.format("127.0.0.1:0")
TIMES = 4


@pytest.fixture
def detached(start_server):
    """A detached server whose supervisor keeps its sockets; with this port, if one is given."""

    def start(port=0, config=CONFIG):
        text = config.replace("127.0.0.1:0:", f"127.0.0.1:{port}:") if port else config
        running = start_server(text, place("hello.py"), launch=WasServer.start_detached)
        running.allow("listener_died")
        wait_until_kept(running, running.port())
        return running

    return start


def wait_until_kept(running, port):
    wait_for("the port at the supervisor", lambda: has_listening(supervisor(running), port))


def supervisor(running):
    return status(running)["supervisor_pid"]


def status(running):
    """Of a server that is whole, be it that one has to wait for that."""

    def found():
        with contextlib.suppress(ServerError):
            now = running.server.status()
            pids = [now[f"{name}_pid"] for name in ("manager", "listener", "supervisor")]
            return now if now["is_ready"] and all(pids) else None
        return None

    return wait_for("manager, listener and supervisor", found)


def kill_at_once(*pids):
    """SIGKILL to all, and then their ends are seen."""
    pidfds = [os.pidfd_open(pid) for pid in pids]
    for pidfd in pidfds:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(10_000)
        os.close(pidfd)


def kill_both(running):
    now = status(running)
    kill_at_once(now["manager_pid"], now["listener_pid"])
    return now


@contextlib.contextmanager
def waiting_clients(running, *ports):
    """Clients that have connected and asked, and that no listener has accepted."""
    listener = status(running)["listener_pid"]
    os.kill(listener, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(port)) for port in ports]
        for wire in wires:
            wire.send_request("/")
        yield wires


def test_a_port_outlives_manager_and_listener(detached):
    """Killed at once, again and again: who waited in the kernel's queue is answered by the next."""
    running = detached()
    port = running.port()
    for _ in range(TIMES):
        with waiting_clients(running, port) as (before,):
            kill_both(running)
            with Wire(port) as meanwhile:
                assert meanwhile.request().status == 200
            assert before.read().status == 200
        assert running.server.port("Site") == port


def test_under_load_nobody_is_refused(detached):
    """No connection fails to be made, and only requests that a listener had are lost."""
    running = detached()
    port = running.port()
    with steady_load(port, rate=50) as tally:
        for _ in range(TIMES):
            wait_for("load", lambda n=tally.total: tally.total > n + 10)
            kill_both(running)
            assert get(port).status == 200
    assert judge(tally, tally.connections, is_listener=True) == []


def test_ports_of_either_family_that_a_reload_brings_or_takes(detached):
    """What is new is kept, what is gone is not: neither by the supervisor nor by anybody else."""
    running = detached()
    running.port()
    file = running.home / "config" / "applicationHost.config"
    text = file.read_text()
    old, new, six, every = (unused_port() for _ in range(4))
    bindings = (f"127.0.0.1:{new}", f"[::1]:{six}", f"*:{every}")
    with_old = text.replace(FIRST, FIRST + BINDING.format(f"127.0.0.1:{old}"))
    replace_text(file, with_old)
    assert running.server.command("reload").returncode == 0
    wait_until_kept(running, old)
    replace_text(file, text.replace(FIRST, FIRST + "".join(map(BINDING.format, bindings))))
    assert running.server.command("reload").returncode == 0
    for port in (new, six, every):
        wait_until_kept(running, port)
    wait_for("the end of the port", lambda: not has_listening(supervisor(running), old))
    with (
        waiting_clients(running, new, every) as wires,
        socket.create_connection(("::1", six), timeout=60) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        kill_both(running)
        assert [wire.read().status for wire in wires] == [200, 200]
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert is_refused(old)


def test_the_next_supervisor_keeps_them_too(detached):
    """One that is killed is replaced, and told."""
    running = detached()
    port, first = running.port(), supervisor(running)
    kill_at_once(first)
    wait_for("another supervisor", lambda: supervisor(running) != first)
    wait_until_kept(running, port)
    with waiting_clients(running, port) as (wire,):
        kill_both(running)
        assert wire.read().status == 200


def test_a_supervisor_that_becomes_new_code_keeps_them(detached):
    """An upgrade, and whoever waits after that is answered."""
    running = detached()
    port = running.port()
    assert running.server.command("upgrade").returncode == 0
    wait_for("its end", lambda: not running.server.status()["is_upgrading"])
    wait_until_kept(running, port)
    with waiting_clients(running, port) as (wire,):
        kill_both(running)
        assert wire.read().status == 200


def test_who_waits_does_so_until_a_manager_can_start(detached):
    """The next one cannot listen on a further port: it ends, and the first port's queue stays."""
    running = detached()
    running.allow("manager_failed")
    port = running.port()
    file = running.home / "config" / "applicationHost.config"
    text = file.read_text()
    now = status(running)
    with socket.create_server(("127.0.0.1", unused_port())) as other:
        taken = BINDING.format(f"127.0.0.1:{other.getsockname()[1]}")
        with waiting_clients(running, port) as (wire,):
            os.kill(now["manager_pid"], signal.SIGSTOP)  # it is to reload nothing
            replace_text(file, text.replace(FIRST, FIRST + taken))
            kill_at_once(now["manager_pid"], now["listener_pid"])
            wait_for("a failure", lambda: "manager_failed" in running.server.log_text())
            replace_text(file, text)
            assert wire.read().status == 200


def test_a_stopped_supervisor_keeps_no_port_from_another_binding(detached):
    """127.0.0.1:N becomes *:N while it hears nothing."""
    port = unused_port()
    running = detached(port)
    keeper = supervisor(running)
    os.kill(keeper, signal.SIGSTOP)
    file = running.home / "config" / "applicationHost.config"
    replace_text(file, file.read_text().replace(f"127.0.0.1:{port}:", f"*:{port}:"))
    assert running.server.command("reload").returncode == 0
    assert running.server.command("list", "site").stdout.count("started") == 1
    assert get(port).status == 200
    assert has_listening(running.server.status()["listener_pid"], port)
    os.kill(keeper, signal.SIGCONT)
    wait_until_kept(running, port)


def test_a_stopped_supervisor_does_not_keep_the_ports_from_the_next_manager(detached):
    """Somebody starts one by hand: what the supervisor does not give is bound anew."""
    port = unused_port()
    running = detached(port)
    keeper = supervisor(running)
    os.kill(keeper, signal.SIGSTOP)
    kill_both(running)
    done = running.server.command("start", "--detach")
    assert done.returncode == 0, done.stderr
    assert get(port).status == 200
    assert supervisor(running) != keeper
    wait_until_kept(running, port)


def test_a_stop_closes_the_port(detached):
    """Nobody keeps it for a server that was told to end."""
    port = unused_port()
    running = detached(port)
    keeper = supervisor(running)
    assert running.server.command("stop").returncode == 0
    assert not os.path.exists(f"/proc/{keeper}")
    assert is_refused(port)
