"""A systemd of one's own: a user's instance, in a cgroup and a mount namespace that go with it."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.server import wait_for

PROGRAM = "/lib/systemd/systemd"
# It starts only where a systemd seems to have booted the machine.
START = """
mount -t tmpfs tmpfs {run} && mkdir -p /run/systemd/system
echo $$ >{group}/cgroup.procs
exec {program} --user --unit=basic.target
"""


class Systemd:
    """The instance: `folder` is where its units lie."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}

    def ctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`systemctl --user`, which waits for the job that it asks for."""
        command = ["systemctl", "--user", "--no-pager", *arguments]
        return subprocess.run(
            command,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.ctl("show", unit, "--property", name, "--value").stdout.strip()

    def pid(self, unit: str) -> int:
        """The main process of a service that runs."""
        return int(self.show(unit, "MainPID"))


@contextmanager
def run_systemd() -> Iterator[Systemd]:
    """From its start to its end, and that of all that it has started."""
    with tempfile.TemporaryDirectory(prefix="was-systemd-", dir="/tmp") as name:
        units, runtime = Path(name) / "units", Path(name) / "run"
        units.mkdir()
        runtime.mkdir(mode=0o700)
        group = _own_group() / f"was-systemd-{os.getpid()}"
        group.mkdir()
        was_there = Path("/run/systemd").exists()
        Path("/run/systemd").mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "HOME": name,
            "XDG_RUNTIME_DIR": str(runtime),
            "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user",
            "SYSTEMD_LOG_TARGET": "console",
        }
        start = START.format(run="/run/systemd", group=group, program=PROGRAM)
        with (Path(name) / "log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "bash", "-ec", start],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            systemd = Systemd(units, runtime)
            wait_for("systemd", lambda: systemd.ctl("is-active", "basic.target").returncode == 0)
            yield systemd
        finally:
            process.send_signal(signal.SIGTERM)  # it ends its units first
            process.wait(120)
            if not was_there:
                Path("/run/systemd").rmdir()
            for folder in sorted(group.rglob("*/"), reverse=True):
                folder.rmdir()
            if group.exists():
                group.rmdir()


def _own_group() -> Path:
    """This process's folder in the hierarchy that systemd uses for names."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            return Path("/sys/fs/cgroup/systemd") / path.lstrip("/")
    return Path("/sys/fs/cgroup") / path.lstrip("/")
