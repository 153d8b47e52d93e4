"""FastCGI processes of the section fastCgi: what each attribute does, and what errors are."""

import os
import select
import socketserver
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.running import place, run_server
from support.wire import LIMIT_S, Wire, get, many, post

RESPONDER = "{home}/sites/app/fcgi_responder.py"
MODES = ("ReturnGeneric500", "IgnoreAndReturn200", "TerminateProcess")


def _application(arguments: str = "", attributes: str = "", inside: str = "") -> str:
    command = f"{RESPONDER} {arguments}".strip()
    return (
        f'<application fullPath="/usr/bin/python3" arguments="{command}" {attributes}>'
        f"{inside}</application>"
    )


def _handler(path: str, arguments: str = "", processor: str = "") -> str:
    command = processor or f"/usr/bin/python3|{RESPONDER} {arguments}".strip()
    return (
        f'<add name="{path}" path="/{path}" verb="*" modules="FastCgiModule" '
        f'scriptProcessor="{command}" />'
    )


def _config(handlers: list[str], applications: list[str]) -> str:
    pool = Pool("Pool", {}, {"failure": {"rapidFailProtection": "false"}})
    folder = Path("{home}") / "sites" / "app"
    site = Site("Site", (Application("/", folder, "Pool", tuple(handlers)),))
    section = f"<system.webServer><fastCgi>{''.join(applications)}</fastCgi></system.webServer>"
    return application_host_config([pool], [site], section)


ONE = 'maxInstances="1" '
KINDS = {
    "plain": (ONE, ""),
    "three": ('maxInstances="3" ', ""),
    "twice": (ONE + 'instanceMaxRequests="2"', ""),
    "watched": (ONE + 'monitorChangesTo="{home}/sites/app/data/watched.ini"', ""),
    "brief": (ONE + 'activityTimeout="10" requestTimeout="10"', ""),
    "short": (ONE + 'queueLength="1"', ""),
    "frail": (ONE + 'rapidFailsPerMinute="2"', ""),
    "tcp": (ONE + 'protocol="Tcp"', ""),
    "multiplex": (ONE, ""),
    "coloured": (
        ONE,
        "<environmentVariables><environmentVariable name='COLOUR' value='red' />"
        "</environmentVariables>",
    ),
    **{mode: (ONE + f'stderrMode="{mode}"', "") for mode in MODES},
}


class Stranger(socketserver.BaseRequestHandler):
    """Speaks HTTP."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture(scope="module")
def stranger():
    """The address of a server that is none of FastCGI."""
    with socketserver.TCPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def fast(stranger):
    """One server with an application for each behaviour, told apart by their arguments."""
    applications = [_application(name, *parts) for name, parts in KINDS.items()]
    handlers = [_handler(name, name) for name in KINDS]
    handlers += [
        _handler("unlisted", "unlisted"),
        _handler("nobody", processor="127.0.0.1:1"),
        _handler("stranger", processor=stranger),
        _handler("absent", processor="/no/such/program"),
    ]
    applications.append('<application fullPath="/no/such/program" />')
    config = _config(handlers, applications)
    with run_server(config, place("fcgi_responder.py")) as running:
        yield running


class Told:
    """What the responder tells of itself."""

    def __init__(self, text: str) -> None:
        words = text.split()[-4:]
        self.pid, self.served, self.body = map(int, words[:3])
        self.colour = words[3]


def _told(running, path: str) -> Told:
    answer = get(running.port(), path)
    assert answer.status == 200, answer.text
    return Told(answer.text)


def _rest(wire: Wire) -> Told:
    """The rest of an answer whose head was read: chunks."""
    text = wire.read_until(b"0\r\n\r\n").decode()
    return Told(text.rpartition("None")[0].rpartition("\n")[2] + "None")


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_process_stays_for_the_next_request(fast):
    """One process, one connection kept; a body of any length goes through."""
    first = _told(fast, "/plain")
    assert (second := _told(fast, "/plain")).pid == first.pid
    assert second.served == first.served + 1
    assert Told(post(fast.port(), "/plain", os.urandom(1_000_000)).text).body == 1_000_000


def test_a_process_does_not_preempt_its_worker(fast):
    """It is woken in the middle of the worker's turn, which gathers work for all of them."""
    assert os.sched_getscheduler(_told(fast, "/plain").pid) == os.SCHED_BATCH


def test_each_request_that_runs_has_a_process_up_to_max_instances(fast):
    """Three at once are three processes; the fourth waits for one of them."""
    gate = fast.folder() / "data" / "gate"
    with Wire(fast.port()) as a, Wire(fast.port()) as b, Wire(fast.port()) as c:
        wires = (a, b, c)
        for wire in wires:
            wire.send_request(f"/three?until={gate}")
            wire.read_until(b"begun\n")
        with Wire(fast.port()) as late:
            late.send_request("/three")
            gate.touch()
            pids = {_rest(wire).pid for wire in wires}
            assert len(pids) == 3
            assert Told(late.read().text).pid in pids


def test_a_process_is_replaced_after_its_number_of_requests(fast):
    """instanceMaxRequests: the third request finds another process, the first has ended."""
    pids = [_told(fast, "/twice").pid for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]
    wait_for("the end of the first", lambda: not _is_alive(pids[0]))


def test_a_changed_file_replaces_the_processes(fast):
    """monitorChangesTo, looked at once a second."""
    first = _told(fast, "/watched").pid
    (fast.folder() / "data" / "watched.ini").write_text("x")
    wait_for("another process", lambda: _told(fast, "/watched").pid != first)
    wait_for("the end of the first", lambda: not _is_alive(first))


def test_environment_variables_are_the_processes(fast):
    """fastCgi/application/environmentVariables."""
    assert _told(fast, "/coloured").colour == "red"


def test_tcp_is_served_as_well(fast):
    """protocol="Tcp": descriptor 0 is a socket of the loopback interface."""
    assert _told(fast, "/tcp").pid == _told(fast, "/tcp").pid


def test_a_queue_has_a_limit(fast):
    """503.4 where more than queueLength requests wait."""
    gate = fast.folder() / "data" / "short"
    with Wire(fast.port()) as first, many(fast.port(), 2) as others:
        first.send_request(f"/short?until={gate}")
        first.read_until(b"begun\n")
        for wire in others:
            wire.send_request("/short")
        # Whichever comes second.
        (refused, *_), *_ = select.select([wire.socket for wire in others], [], [], LIMIT_S)
        others.sort(key=lambda wire: wire.socket is not refused)
        assert others[0].read().status == 503
        gate.touch()
        assert others[1].read().status == 200


def test_requests_that_wait_take_no_thread(fast):
    """Twelve of them, for one process that is busy: the worker has no more threads than before."""
    gate = fast.folder() / "data" / "crowd"
    _told(fast, "/coloured")
    (worker,) = fast.workers()
    tasks = Path(f"/proc/{worker}/task")
    with ExitStack() as stack:
        first, *others = [stack.enter_context(Wire(fast.port())) for _ in range(13)]
        first.send_request(f"/coloured?until={gate}")
        first.read_until(b"begun\n")
        before = len(list(tasks.iterdir()))
        for wire in others:
            wire.send_request("/coloured")
        assert get(fast.port(), "/plain").status == 200
        assert len(list(tasks.iterdir())) <= before + 2
        gate.touch()
        assert [wire.read().status for wire in others] == [200] * 12


def test_what_comes_slowly_is_sent_as_it_comes(fast):
    """The first piece of an answer is not held back until the end; nor is one of 300 KB lost."""
    answer = get(fast.port(), "/plain?large")
    assert len(answer.text) > 300_000
    assert answer.text.count("x") == 300_000


def test_a_process_that_says_nothing_is_killed(fast):
    """activityTimeout: 500.0 with 0x80070102, and another process for the next."""
    before = _told(fast, "/brief").pid
    answer = get(fast.port(), "/brief?hang")
    assert (answer.status, "0x80070102" in answer.text) == (500, True)
    assert _told(fast, "/brief").pid != before
    wait_for("the end of the first", lambda: not _is_alive(before))


def test_a_process_that_exits_is_told_with_its_exit_code(fast):
    """500.0 with IIS's words; a request that had begun to be answered is cut."""
    answer = get(fast.port(), "/plain?die")
    assert answer.status == 500
    assert "exited unexpectedly" in answer.text
    assert "0x00000007" in answer.text
    gate = fast.folder() / "data" / "halves"
    with Wire(fast.port()) as wire:
        wire.send_request(f"/plain?halves={gate}")
        text = wire.read_until(b"half")
        gate.touch()
        text += wire.read_until(b"0\r\n\r\n")
        assert b"half" in text
        assert b"0\r\n\r\n" not in text
    assert get(fast.port(), "/plain").status == 200


def test_a_process_that_leaves_between_two_requests_fails_none(fast):
    """One that has ended by itself is found out before or while the next request is sent."""
    for _ in range(10):
        first = _told(fast, "/plain?leave").pid
        assert _told(fast, "/plain").pid != first


@pytest.mark.parametrize("body", [b"", b"x" * 300_000])
def test_what_is_said_of_a_request_after_its_end_is_nobody_s(fast, body):
    """Not the answer to the next one on the connection: output, complaints and a second end."""
    for _ in range(3):
        assert get(fast.port(), "/plain?late").status == 200
        answer = post(fast.port(), "/plain", body) if body else get(fast.port(), "/plain")
        assert (answer.status, answer.field("content-type")) == (200, "text/plain")
        assert Told(answer.text).body == len(body)


def test_too_many_failures_take_the_application_off_line(fast):
    """rapidFailsPerMinute="2": after the third, 500.0 without a process being started."""
    for _ in range(3):
        assert get(fast.port(), "/frail?die").status == 500
    answer = get(fast.port(), "/frail")
    assert (answer.status, "within a minute" in answer.text) == (500, True)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/plain?complain", 500, "a complaint"),
        ("/ReturnGeneric500?complain", 500, "500.0"),
        ("/IgnoreAndReturn200?complain", 200, "None"),
        ("/TerminateProcess?complain", 500, "500.0"),
        ("/plain?overloaded", 503, "Service Unavailable"),
        ("/plain?nonsense", 502, "502.2"),
        ("/unlisted", 500, "0x80070585"),
        ("/nobody", 502, "502.3"),
        ("/stranger", 502, "speaks no FastCGI"),
        ("/absent", 500, "No such file"),
    ],
)
def test_errors_have_iis_status(fast, path, status, text):
    """stderrMode, and what cannot be reached or understood."""
    answer = get(fast.port(), path)
    assert (answer.status, text in answer.text) == (status, True), answer.text


def test_only_terminate_process_ends_a_process_that_complains(fast):
    """The other modes leave it; its complaint is in the pool's log in each."""
    for mode in MODES:
        before = _told(fast, f"/{mode}").pid
        get(fast.port(), f"/{mode}?complain")
        assert (_told(fast, f"/{mode}").pid == before) == (mode != "TerminateProcess"), mode
    log = fast.home / "logs" / "pools" / "Pool.log"
    wait_for("the complaint", lambda: "a complaint" in log.read_text())


def test_one_connection_carries_several_requests_where_the_process_says_so(fast):
    """FCGI_MPXS_CONNS=1: two that run at once are on one process, though maxInstances is 1."""
    gate = fast.folder() / "data" / "many"
    with Wire(fast.port()) as first, Wire(fast.port()) as second:
        for wire in (first, second):
            wire.send_request(f"/multiplex?until={gate}")
            wire.read_until(b"begun\n")
        third = _told(fast, "/multiplex")
        gate.touch()
        assert {_rest(wire).pid for wire in (first, second)} == {third.pid}


def test_many_multiplexed_requests_keep_their_answers_apart(fast):
    """Bodies of different lengths, eight threads: each gets its own length back."""
    wrong: list[tuple[int, str]] = []

    def ask(count: int) -> None:
        with Wire(fast.port()) as wire:
            for number in range(20):
                length = count * 7000 + number
                answer = wire.request("/multiplex", "POST", b"x" * length)
                if answer.status != 200 or Told(answer.text).body != length:
                    wrong.append((length, answer.text))

    threads = [threading.Thread(target=ask, args=(count,)) for count in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_disconnect_lets_the_process_end_its_work(fast):
    """FCGI_ABORT_REQUEST is sent, and the process serves the next request."""
    gate = fast.folder() / "data" / "aborted"
    before = _told(fast, "/plain").pid
    with Wire(fast.port()) as wire:
        wire.send_request(f"/plain?until={gate}")
        wire.read_until(b"begun\n")
    time.sleep(0.05)
    gate.touch()
    assert _told(fast, "/plain").pid == before


def test_processes_end_with_their_worker():
    """A killed worker, and one that stops, leave neither process nor socket."""
    with run_server(
        _config([_handler("a", "a")], [_application("a")]), place("fcgi_responder.py")
    ) as running:
        first = _told(running, "/a").pid
        (worker,) = running.workers()
        os.kill(worker, 9)
        wait_for("the end of its process", lambda: not _is_alive(first))
        second = _told(running, "/a").pid
        assert second != first
        sockets = list((running.home / "run" / "pools").glob("*/tmp/*.sock"))
        assert len(sockets) == 1
    wait_for("the end of the second", lambda: not _is_alive(second))
