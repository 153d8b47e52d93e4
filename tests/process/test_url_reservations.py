"""Who may serve a URL: decided by who the kernel says a program is, and by `was add urlacl`.

Programs of other users need root; without it they are the server's own user, who may add any URL.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.running import place, simple_config
from support.wire import get

from was import httpapi

DEMO = Path(__file__).resolve().parents[2] / "docs" / "samples" / "httpapi" / "demo.py"
# What the program needs is read first: the interpreter may lie where other users cannot look.
AS_USER = """
import os, sys
from was.httpapi import exchanges, link, queue, session
code = compile(open(sys.argv[2]).read(), sys.argv[2], "exec")
user, group = map(int, sys.argv[3:])
if os.geteuid() == 0:
    os.setgroups([group])
    os.setgid(user)
    os.setuid(user)
exec(code, {"__name__": "__main__"})
"""
ANA, BEN, STAFF = 47110, 47111, 47112


@contextlib.contextmanager
def program(running, url: str, user: int, group: int) -> Iterator[tuple[subprocess.Popen, str]]:
    """The sample as another user, and what it has said first: `ready`, or an error."""
    with subprocess.Popen(
        [sys.executable, "-c", AS_USER, url, str(DEMO), str(user), str(group)],
        env={**os.environ, "WAS_HOME": str(running.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            yield process, first if first == "ready\n" else first + process.stdout.read()
        finally:
            process.kill()


def test_a_url_is_served_by_whom_it_is_reserved_for(start_server):
    """Error 5 without a reservation; with one its user and the members of its group may, alone."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    port, command = running.port(), running.server.command
    url = f"http://+:{port}/demo/"
    is_root = os.geteuid() == 0

    def says(user: int, group: int) -> str:
        with program(running, url, user, group) as (process, first):
            if first == "ready\n":
                assert get(port, "/demo/").text.endswith(f" answered by process {process.pid}\n")
                return first
            assert process.wait() == 1
        return first.splitlines()[-1]

    refused = f"error {httpapi.ERROR_ACCESS_DENIED}"
    assert refused in says(ANA, ANA) or not is_root
    assert command("add", "urlacl", url, "--user", str(ANA), "--group", str(STAFF)).returncode == 0
    assert says(ANA, ANA) == "ready\n"  # in force when the command ends
    assert says(BEN, STAFF) == "ready\n"
    assert refused in says(BEN, BEN) or not is_root
    assert get(port, "/").status == 200

    with program(running, url, ANA, ANA) as (process, first):
        assert first == "ready\n"
        assert command("delete", "urlacl", url).returncode == 0
        assert refused in says(BEN, STAFF) or not is_root
        # What is served is served on: the reservation is asked for when a URL is added.
        assert get(port, "/demo/").text.endswith(f" {process.pid}\n")
