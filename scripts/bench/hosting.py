"""One page by every way of hosting it, and FastCGI beside nginx with php-fpm.

All of ours in one server, two workers a pool. nginx runs with two processes and talks to a php-fpm
of eight; ours has eight php-cgi of its own (what maxInstances is on two processors unless it is
set), and in another row the same php-fpm. The rounds take
turns. Processes started: the different ones that answered 200 requests in a row, but for workers.
"""

from __future__ import annotations

import argparse
import http.client
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.home import Application, Site, application_host_config, make_home, place_application
from harness.server import wait_for
from harness.started import APPS, always_running, started_server
from harness.table import Report

import was.sdk

__all__ = ["run"]

NGINX_BAR = 0.7
SAMPLE = 200
CONNECTIONS = {"CGI": 8}  # a process each: more would measure the machine's scheduler
PHP = "/usr/bin/php-cgi|-d opcache.lockfile_path=${TMPDIR}"
NGINX = "nginx + php-fpm"
OURS, OURS_REMOTE = "FastCGI php-cgi", "FastCGI php-fpm"
FASTCGI = (
    '<system.webServer><fastCgi><application fullPath="/usr/bin/php-cgi" maxInstances="4" '
    'arguments="-d opcache.lockfile_path=${TMPDIR}" instanceMaxRequests="1000000" '
    "><environmentVariables>"
    '<environmentVariable name="PHP_FCGI_MAX_REQUESTS" value="1000000" />'
    "</environmentVariables></application></fastCgi>"
    '<security><isapiCgiRestriction notListedIsapisAllowed="true" /></security></system.webServer>'
)


def _handlers(fpm: str) -> dict[str, tuple[str, str]]:
    """By kind: the handler, and the path of the page."""
    add = '<add name="page" path="{}" verb="*" modules="{}" scriptProcessor="{}" {} />'
    file = 'resourceType="File"'
    return {
        "CGI": (add.format("hello.cgi", "CgiModule", "", file), "/hello.cgi"),
        OURS: (add.format("*.php", "FastCgiModule", PHP, file), "/hello.php"),
        OURS_REMOTE: (add.format("*.php", "FastCgiModule", f"unix:{fpm}", file), "/hello.php"),
        "ISAPI in C": (add.format("page", "IsapiModule", "{folder}/hello_isapi.so", ""), "/page"),
        "ISAPI in Python": (
            add.format("page", "IsapiModule", "{folder}/hello_isapi.py", ""),
            "/page",
        ),
        "WSGI": (add.format("*", "WsgiModule", "hello_process:application", ""), "/"),
    }


def run(report: Report, *, rounds: int = 3, seconds: int = 4) -> None:
    """Measure all, and judge FastCGI."""
    report.title(f"Hosting: wrk -t1, {rounds} rounds of {seconds} s, median")
    prepare = Path(__file__).resolve().parent / "prepare"
    if subprocess.run([prepare], check=False).returncode != 0:
        report.bar("nginx, php-fpm, php-cgi, gcc and wrk are needed", is_met=False)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="was-bench-")))
        folder.chmod(0o755)
        fpm = stack.enter_context(_php_fpm(folder))
        handlers = _handlers(fpm)
        server = stack.enter_context(started_server(lambda home: _make_home(home, handlers)))
        ports = {kind: server.port(kind) for kind in handlers}
        urls = {k: f"http://127.0.0.1:{ports[k]}{path}" for k, (_, path) in handlers.items()}
        urls[NGINX] = stack.enter_context(_nginx(folder, fpm))
        workers = {pid for kind in handlers for pid in server.workers(kind)}
        started = {kind: len(_answering(url) - workers) for kind, url in urls.items()}
        rates: dict[str, list[float]] = {kind: [] for kind in urls}
        for kind, url in urls.items():
            _rate(kind, url, 1)
        for _ in range(rounds):
            for kind, url in urls.items():
                rates[kind].append(_rate(kind, url, seconds))
    _tell(report, rates, started)


def _tell(report: Report, rates: dict[str, list[float]], started: dict[str, int]) -> None:
    medians = {kind: statistics.median(rate) for kind, rate in rates.items()}
    rows = [
        [
            kind,
            f"{medians[kind]:,.0f}",
            f"{started[kind]}",
            " ".join(f"{rate:,.0f}" for rate in rates[kind]),
        ]
        for kind in rates
    ]
    report.table(["", "requests/s", f"processes for {SAMPLE} requests", "rounds"], rows)
    for kind in (OURS, OURS_REMOTE):
        ratio = medians[kind] / medians[NGINX]
        text = f"{kind}: {ratio:.2f} of {NGINX} (at least {NGINX_BAR:g})"
        # A connection a request: what it costs to leave php-fpm's processes to others.
        report.bar(text, ratio >= NGINX_BAR, goal_only=kind == OURS_REMOTE)


def _rate(kind: str, url: str, seconds: int) -> float:
    connections = CONNECTIONS.get(kind, 32)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    ).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    if rate is None or "Non-2xx" in done or "Socket errors" in done:
        raise SystemExit(f"{kind} did not answer every request:\n{done}")
    return float(rate[1])


def _answering(url: str) -> set[int]:
    """The processes that answer a sample of requests, one after the other."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    found: set[int] = set()
    for _ in range(SAMPLE):
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        response.read()
        found.add(int(response.headers["X-Process"]))
    connection.close()
    return found


def _make_home(home: Path, handlers: dict[str, tuple[str, str]]) -> None:
    folder = place_application(
        home / "sites" / "hello",
        APPS / "hello.php",
        APPS / "hello_process.py",
        APPS / "hello_isapi.py",
    )
    headers = str(Path(was.sdk.__file__).parent)
    library = str(folder / "hello_isapi.so")
    command = ["gcc", "-O2", "-shared", "-fPIC", "-I", headers, "-o", library]
    subprocess.run([*command, str(APPS / "hello_isapi.c")], check=True)
    subprocess.run(["gcc", "-O2", "-o", folder / "hello.cgi", APPS / "hello.c"], check=True)
    sites = [
        Site(kind, (Application("/", folder, kind, (handler.replace("{folder}", str(folder)),)),))
        for kind, (handler, _) in handlers.items()
    ]
    pools = [always_running(kind, 2) for kind in handlers]
    make_home(home, application_host_config(pools, sites, FASTCGI))


# ── the others ──────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _php_fpm(folder: Path) -> Generator[str, None, None]:
    """php-fpm with eight processes; the path of its socket."""
    (program,) = Path("/usr/sbin").glob("php-fpm*")
    file = folder / "fpm.conf"
    file.write_text(
        f"[global]\nerror_log = {folder}/fpm.log\ndaemonize = no\n"
        f"[bench]\nlisten = {folder}/fpm.sock\nlisten.mode = 0666\nlisten.backlog = 511\n"
        "user = nobody\ngroup = nogroup\npm = static\npm.max_children = 8\n"
    )
    with _process([str(program), "-y", str(file)]):
        wait_for("php-fpm", (folder / "fpm.sock").exists)
        yield f"{folder}/fpm.sock"


@contextmanager
def _nginx(folder: Path, fpm: str) -> Generator[str, None, None]:
    """nginx as its package's files for PHP set it up, access log on; the URL of the page."""
    root = folder / "www"
    root.mkdir()
    shutil.copy(APPS / "hello.php", root)
    port = _free_port()
    names = ("body", "fastcgi", "proxy", "uwsgi", "scgi")
    places = "".join(
        f"{'client_body' if name == 'body' else name}_temp_path {folder}/{name};" for name in names
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;"
        f"events {{ worker_connections 1024; }} http {{ {places}"
        f"access_log {folder}/access.log; keepalive_requests 1000000;"
        f"server {{ listen 127.0.0.1:{port}; root {root};"
        "location ~ \\.php$ { include /etc/nginx/fastcgi_params;"
        "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;"
        f"fastcgi_pass unix:{fpm}; }} }} }}"
    )
    command = ["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _process(command):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        wait_for("nginx", lambda: _is_open(connection))
        yield f"http://127.0.0.1:{port}/hello.php"


@contextmanager
def _process(command: list[str]) -> Generator[None, None, None]:
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_open(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.connect()
    except OSError:
        time.sleep(0.05)
        return False
    connection.close()
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    report = Report()
    run(report, rounds=options.rounds, seconds=options.seconds)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
