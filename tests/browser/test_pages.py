"""What pages do with a server: forms, streams, caches, WebSockets, credentials."""

import json
import os
import signal
import threading
import wave
from pathlib import Path

import pytest
from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    asgi_handler,
    place_application,
    wsgi_handler,
)
from harness.server import wait_for
from support.running import APPS, STEADY, run_server

from was.config.password_hash import digest_hash, hash_password

NAMES = ("plain.txt", "ä b.txt", "a&b#c.txt", "100%.txt", "q?r.txt", "semi;colon+plus.txt")
COMPRESSION = """<urlCompression doDynamicCompression="true" />
<httpCompression dynamicCompressionDisableCpuUsage="100" staticCompressionDisableCpuUsage="100" />
<directoryBrowse enabled="true" />"""
USERS = f"""<users><add name="ana" passwordHash="{hash_password("secret")}"
  digestRealm="Digest" digestMD5="{digest_hash("ana", "Digest", "secret", "md5")}" /></users>"""

TWO = {"maxProcesses": "2"}


def _secured(kind: str) -> str:
    return f"""<security><authentication><anonymousAuthentication enabled="false" />
      <{kind}Authentication enabled="true" />{USERS}</authentication></security>"""


def _config() -> str:
    folder = Path("{home}") / "sites" / "pages"
    wsgi, asgi = (wsgi_handler("browsed:wsgi"),), (asgi_handler("browsed:asgi"),)
    applications = (
        Application("/", folder / "files", "Files", (), COMPRESSION),
        Application("/wsgi", folder, "Pool", wsgi, COMPRESSION),
        Application("/asgi", folder, "Pool", asgi),
        Application("/basic", folder, "Pool", wsgi, _secured("basic")),
        Application("/digest", folder, "Pool", wsgi, _secured("digest")),
    )
    other = (Application("/", folder, "Other", wsgi),)
    pools = [
        Pool("Pool", STEADY["attributes"], {**STEADY["elements"], "processModel": TWO}),
        Pool("Files"),
        Pool("Other"),
    ]
    return application_host_config(pools, [Site("Site", applications), Site("Other", other)])


def _prepare(home: Path) -> None:
    pages = place_application(home / "sites" / "pages", APPS / "browsed.py")
    files = pages / "files"
    (files / "names").mkdir(parents=True)
    for name in NAMES:
        (files / "names" / name).write_text(f"this is {name}", encoding="utf-8")
    (files / "index.html").write_text("<!doctype html><title>Files</title><body>files</body>")
    (files / "long.txt").write_text("the same again, " * 5000)
    with wave.open(str(files / "tone.wav"), "wb") as tone:
        tone.setparams((2, 2, 44100, 0, "NONE", "not compressed"))
        tone.writeframes(bytes(44100 * 4 * 60))


@pytest.fixture(scope="module")
def running(engine):
    with run_server(_config(), _prepare, engine=engine) as running:
        yield running


@pytest.fixture
def page(running, browser):
    """A page of the site, from which scripts ask for more."""
    return browser.page(f"http://127.0.0.1:{running.port()}/wsgi/")


def data(running, name):
    """What the applications have written down."""
    file = running.folder("pages") / "data" / name
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("length", [0, 10, 60_000, 5_000_000])
def test_bodies_of_every_length_arrive_whole(page, length):
    """By fetch and by XMLHttpRequest, as bytes and as a form with a file: the length and the hash
    that the browser knows."""
    answers = page.run(
        f"""
        const body = new Uint8Array({length}).map((_, i) => i * 7 % 251);
        const hash = [...new Uint8Array(await crypto.subtle.digest("SHA-256", body))]
            .map((byte) => byte.toString(16).padStart(2, "0")).join("");
        const put = await (await fetch("digest", {{method: "PUT", body}})).json();
        const request = new XMLHttpRequest();
        const answered = new Promise((resolve) => request.onload = resolve);
        request.open("POST", "digest");
        request.send(body);
        await answered;
        const form = new FormData();
        form.append("file", new Blob([body]), "ä.bin");
        const [whole] = await (await fetch("digest", {{method: "POST", body: form}})).json();
        return [put, JSON.parse(request.response), [{length}, hash], whole > {length}];
        """
    )
    assert answers[0] == answers[1] == answers[2]
    assert answers[3]


def test_a_stream_is_read_piece_by_piece(running, page):
    """Each block arrives before the application makes the next one."""
    pieces = page.run(
        """
        const reader = (await fetch("stream")).body.getReader(), decoder = new TextDecoder();
        const pieces = [];
        for (;;) {
            const {done, value} = await reader.read();
            if (done) return pieces;
            pieces.push(decoder.decode(value));
            await fetch("read?" + pieces.length);
        }
        """
    )
    assert pieces == ["piece 0", "piece 1", "piece 2"]
    for number in (1, 2, 3):
        (running.folder("pages") / "data" / f"read-{number}").unlink()


def test_a_page_that_leaves_off_ends_the_request(running, page):
    """AbortController: the application's iterable is closed."""
    page.run(
        """
        const controller = new AbortController();
        const answer = await fetch("endless", {signal: controller.signal});
        await answer.body.getReader().read();
        controller.abort();
        return true;
        """
    )
    wait_for("the end of the stream", lambda: data(running, "endless") == "closed")


def test_cookies_come_back(page):
    """Two of one response; what is HttpOnly no script sees, and the server does."""
    page.run("return await (await fetch('cookies')).json();")
    # The one with the longer path, which is the default's, comes first.
    assert page.run("return await (await fetch('cookies')).json();") == "two=2; one=1"
    assert page.run("document.cookie") == "one=1"


@pytest.mark.parametrize(
    ("status", "told"), [(302, ["GET", ""]), (303, ["GET", ""]), (307, ["POST", "b"])]
)
def test_redirects_keep_what_their_status_says(page, status, told):
    """307 repeats method and body, the others ask with GET."""
    script = f"""const options = {{method: "POST", body: "b"}};
        return await (await fetch("redirect?{status}", options)).json();"""
    assert page.run(script) == told


@pytest.mark.parametrize("url", ["/long.txt", "/wsgi/text"])
def test_texts_travel_compressed(page, url):
    """Fewer bytes than the page reads, of a file that is asked for often and of an application."""
    lengths = page.run(
        f"""
        let whole;
        for (let i = 0; i < 3; i++)
            whole = (await (await fetch("{url}", {{cache: "no-store"}})).text()).length;
        const entry = performance.getEntriesByName(location.origin + "{url}").at(-1);
        return [whole, entry.decodedBodySize, entry.encodedBodySize < 10000];
        """
    )
    assert lengths == [80000, 80000, True]


def test_a_file_that_has_not_changed_is_not_sent_again(running, page):
    """A browser that asks whether it has is answered 304; after a change, with the new text."""
    file = running.folder("pages") / "files" / "changing.txt"
    file.write_text("first")
    ask = """
        const text = await (await fetch("/changing.txt", {cache: "no-cache"})).text();
        const entry = performance.getEntriesByName(location.origin + "/changing.txt").at(-1);
        return [text, entry.responseStatus, entry.transferSize > 0];
        """
    assert page.run(ask) == ["first", 200, True]
    assert page.run(ask)[0] == "first"
    log = wait_for("the second line of the log", lambda: _log_lines(running, "/changing.txt", 2))
    assert [line.split()[LOG_STATUS] for line in log] == ["200", "304"]
    file.write_text("second")
    assert page.run(ask) == ["second", 200, True]


LOG_STATUS = -4  # of the default fields: substatus, win32-status and time-taken follow


def _log_lines(running, target, count):
    found = [
        line
        for file in (running.home / "logs").rglob("u_ex*.log")
        for line in file.read_text().splitlines()
        if f" {target} " in line
    ]
    return found if len(found) >= count else []


def test_a_recording_is_played_from_the_middle(page):
    """A media element asks for ranges where it is told to go on."""
    assert page.run(
        """
        const sound = new Audio("/tone.wav");
        sound.muted = true;
        await new Promise((resolve) => sound.onloadedmetadata = resolve);
        sound.currentTime = 45;
        await new Promise((resolve) => sound.onseeked = resolve);
        return [Math.round(sound.duration), Math.round(sound.currentTime), sound.error];
        """
    ) == [60, 45, None]


def test_each_name_of_a_listing_leads_to_its_file(running, browser):
    """Also with what URLs write differently."""
    page = browser.page(f"http://127.0.0.1:{running.port()}/names/")
    found = page.run(
        """
        const links = [...document.querySelectorAll("a")].slice(1);
        return Promise.all(links.map(async (link) =>
            [link.textContent, await (await fetch(link.href)).text()]));
        """
    )
    assert dict(found) == {name: f"this is {name}" for name in NAMES}
    page.click("a")
    assert page.run("document.title") == "Files"


def test_events_go_on_where_the_connection_ended(page):
    """EventSource connects again, and says what it heard last."""
    heard = page.run(
        """
        const source = new EventSource("/asgi/events"), heard = [];
        await new Promise((resolve) => source.onmessage = (event) => {
            heard.push(event.data);
            if (heard.length == 6) resolve();
        });
        source.close();
        return heard;
        """
    )
    assert heard == [f"event {number}" for number in range(1, 7)]


def test_a_web_socket_carries_all_that_pages_send(running, page):
    """Texts and bytes, empty and large ones, compressed; the subprotocol; the code at the end."""
    (running.folder("pages") / "data" / "closed").unlink(missing_ok=True)
    told = page.run(
        """
        const socket = new WebSocket(`ws://${location.host}/asgi/socket`, ["one", "two"]);
        socket.binaryType = "arraybuffer";
        await new Promise((resolve) => socket.onopen = resolve);
        const echo = (message) => new Promise((resolve) => {
            socket.onmessage = (event) => resolve(event.data);
            socket.send(message);
        });
        const large = "ä€😀".repeat(100000), bytes = new Uint8Array(1000000).fill(7);
        const same = [await echo("") === "", await echo(large) === large,
            new Uint8Array(await echo(bytes)).every((byte) => byte === 7)];
        const ended = new Promise((resolve) => socket.onclose = resolve);
        socket.send("end");
        const {code, reason, wasClean} = await ended;
        return [same, socket.protocol, code, reason, wasClean, socket.extensions];
        """
    )
    assert told[0] == [True, True, True]
    assert told[1:5] == ["two", 3210, "as you wished ä", True]
    page.run(
        """
        const socket = new WebSocket(`ws://${location.host}/asgi/socket`);
        await new Promise((resolve) => socket.onopen = resolve);
        socket.close(4001, "bye");
        return true;
        """
    )
    wait_for("the code of the end", lambda: data(running, "closed") == "4001")


def test_what_a_page_sends_as_it_goes_arrives(running, page):
    """navigator.sendBeacon, when the page is left."""
    page.run("addEventListener('pagehide', () => navigator.sendBeacon('beacon', 'gone'))")
    page.open("about:blank")
    wait_for("the beacon", lambda: data(running, "beacon") == "gone")


def test_pages_of_another_origin_are_let_in_by_the_application(running, page):
    """The preflight's OPTIONS is the application's, as any request is."""
    url = f"http://127.0.0.1:{running.port('Other')}/other"
    script = f"""
        const headers = {{"X-Of-Mine": "m"}};
        return await (await fetch({json.dumps(url)},
            {{method: "PUT", headers, credentials: "include"}})).json();
        """
    assert page.run(script) == "m"


@pytest.mark.parametrize(("kind", "name"), [("basic", "Basic"), ("digest", "Digest")])
def test_a_browser_says_who_it_is(running, browser, kind, name):
    """It answers the challenge with the name and password it has been given."""
    page = browser.page(f"http://ana:secret@127.0.0.1:{running.port()}/{kind}/who")
    assert json.loads(page.text) == [name, "ana"]
    page.open(f"http://127.0.0.1:{running.port()}/{kind}/who?again")
    assert json.loads(page.text) == [name, "ana"]


def test_a_page_does_not_notice_that_workers_die(running, page):
    """Three hundred requests over a browser's six connections, a worker killed every 100 ms."""
    running.allow("worker_died")
    is_over = threading.Event()
    killed = []

    def kill():
        while not is_over.wait(0.1):
            for pid in running.server.workers("Pool")[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        failed = page.run(
            """
            const failed = [];
            for (let round = 0; round < 10; round++)
                await Promise.all([...Array(30).keys()].map(async () => {
                    try {
                        const answer = await fetch("worker");
                        if (!answer.ok) failed.push(answer.status);
                        else await answer.json();
                    } catch (error) { failed.push(String(error)); }
                }));
            return failed;
            """
        )
    finally:
        is_over.set()
        killer.join()
    assert failed == []
    assert killed
