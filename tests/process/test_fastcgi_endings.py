"""When FastCGI processes end that nobody needs: idleTimeout and signalBeforeTerminateSeconds."""

import time
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.php import PHP_ARGUMENTS
from support.running import place
from support.wire import get

IDLE_S, GRACE_S = 10, 3
LONG_S = 60  # who ends by itself is not waited for
RESPONDER = "{home}/sites/app/fcgi_responder.py"
NOTES = "{home}/sites/app/data"


def _config() -> str:
    programs = {
        "*.php": ("/usr/bin/php-cgi", PHP_ARGUMENTS, GRACE_S),
        "/gentle": ("/usr/bin/python3", f"{RESPONDER} gentle={NOTES}/gentle", LONG_S),
        "/stubborn": ("/usr/bin/python3", f"{RESPONDER} stubborn={NOTES}/stubborn", GRACE_S),
    }
    handlers, applications = [], ""
    for path, (program, arguments, grace_s) in programs.items():
        applications += (
            f'<application fullPath="{program}" arguments="{arguments}" idleTimeout="{IDLE_S}" '
            f'signalBeforeTerminateSeconds="{grace_s}" />'
        )
        handlers.append(
            f'<add name="{path.strip("*./")}" path="{path}" verb="*" modules="FastCgiModule" '
            f'scriptProcessor="{program}|{arguments}" />'
        )
    folder = Path("{home}") / "sites" / "app"
    site = Site("Site", (Application("/", folder, "Pool", tuple(handlers)),))
    section = f"<system.webServer><fastCgi>{applications}</fastCgi></system.webServer>"
    return application_host_config([Pool("Pool")], [site], section)


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_idle_processes_end_and_are_told_before(start_server):
    """SIGTERM after idleTimeout; what has not ended by itself by then is killed after the grace."""
    running = start_server(_config(), place("fcgi_responder.py"))

    def ask(kind: str) -> int:
        answer = get(running.port(), "/pid.php" if kind == "php" else f"/{kind}")
        assert answer.status == 200, answer.text
        return int(answer.text.split()[0])

    (running.folder() / "pid.php").write_text("<?php echo getmypid();")
    pids, asked = {}, {}
    for kind in ("php", "gentle", "stubborn"):
        asked[kind] = time.monotonic()
        pids[kind] = ask(kind)
    ended: dict[str, float] = {}

    def look() -> bool:
        for kind, pid in pids.items():
            if kind not in ended and not _is_alive(pid):
                ended[kind] = time.monotonic()
        return len(ended) == len(pids)

    wait_for("the end of all", look, limit_s=IDLE_S + LONG_S - 5)
    notes = running.folder() / "data"
    told = {kind: float((notes / kind).read_text()) for kind in ("gentle", "stubborn")}
    for kind, at in told.items():
        assert at - asked[kind] >= IDLE_S
    assert ended["php"] - asked["php"] >= IDLE_S
    # Killed, and not before; the gentle one has ended by itself long before it would have been.
    # (Not since it was told: a busy machine may let it hear of that late.)
    assert ended["stubborn"] - asked["stubborn"] >= IDLE_S + GRACE_S
    for kind, pid in pids.items():
        assert ask(kind) != pid
