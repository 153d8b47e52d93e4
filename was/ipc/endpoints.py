"""Names of the files and sockets of one home: the only place that knows the layout of CONTRACT.

A Unix socket's path may hold 107 bytes, and homes lie deep, so sockets live in a short folder of
their own, keyed by hashes: /run/was/X for root, $XDG_RUNTIME_DIR/was/X for a user with one, else a
folder under the temporary one (0700; root's 0711, for a container whose /run cannot be written to).
`run/sockets` in the home names it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from was.errors import HomeError
from was.ipc.worker_control import QueueEndpoint

__all__ = ["SOCKET_PATH_LIMIT", "Home", "SocketFolder", "home_key", "pool_key", "socket_base"]

SOCKET_PATH_LIMIT = 107
RUN = Path("/run/was")


def home_key(home: Path) -> str:
    """8 hex digits that name this home's socket folder."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:8]


def pool_key(pool: str) -> str:
    """12 hex digits that stand for a pool's name in paths."""
    return hashlib.sha256(pool.encode()).hexdigest()[:12]


class SocketFolder:
    """Paths of the sockets in one home's folder of sockets."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def control(self) -> str:
        """The manager's SEQPACKET socket for listener, template and workers."""
        return str(self.path / "control")

    @property
    def supervisor(self) -> str:
        """The supervisor's SEQPACKET socket, where it is told which sockets it is to keep."""
        return str(self.path / "supervisor")

    @property
    def programs(self) -> Path:
        """The folder of the listener's doors for programs (was.httpapi)."""
        return self.path / "h"

    @property
    def programs_door(self) -> Path:
        """A link to the door of the listener that takes new programs."""
        return self.programs / "door"

    def queue_folder(self, pool: str) -> Path:
        """Where the listener's endpoints for the pool lie; only the pool may enter."""
        return self.path / "q" / pool_key(pool)

    def queue_endpoint(self, pool: str, epoch: int) -> QueueEndpoint:
        """Where the listener of this epoch takes the pool's messages and descriptors."""
        folder = self.queue_folder(pool)
        return QueueEndpoint(epoch, f"ipc://{folder}/{epoch}", f"{folder}/{epoch}.fd")


class Home:
    """Paths of one home; makes nothing but what `make_sockets` says."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def config_file(self) -> Path:
        """config/applicationHost.config."""
        return self.path / "config" / "applicationHost.config"

    @property
    def run(self) -> Path:
        """The folder of everything that exists only while the server runs."""
        return self.path / "run"

    @property
    def lock_file(self) -> Path:
        """Held (fcntl.lockf) by the one manager of this home."""
        return self.run / "manager.lock"

    @property
    def pid_file(self) -> Path:
        """The manager's pid, in decimal."""
        return self.run / "manager.pid"

    @property
    def admin_socket(self) -> Path:
        """What administrators ask at; a symlink to a short path when the home lies deep."""
        return self.run / "control.sock"

    @property
    def state(self) -> Path:
        """State records of the processes."""
        return self.run / "state"

    def stacks(self, worker_id: int) -> Path:
        """Where a worker's stacks are written when something is wrong with it."""
        return self.state / f"worker-{worker_id}.stacks"

    def pool_config(self, pool: str) -> Path:
        """The pool's reduced applicationHost.config."""
        return self.run / "pools" / pool_key(pool) / "applicationHost.config"

    @property
    def logs(self) -> Path:
        """All logs."""
        return self.path / "logs"

    @property
    def own_log(self) -> Path:
        """The server's own, when it has no terminal to write to."""
        return self.logs / "was.log"

    def pool_log(self, pool: str) -> Path:
        """stdout and stderr of the pool's workers."""
        return self.logs / "pools" / f"{pool}.log"

    def make_sockets(self) -> SocketFolder:
        """Make the folder of sockets (mode 0711, ours) and note it in run/sockets.

        Only for who holds the home's lock. Folders that nobody will ever come back to go.
        Raises HomeError when the place is taken by somebody else or no short path can be had.
        """
        # The manager's alone; other processes need the names only.
        from was.ipc.socket_folders import excluding_others, note_home, remove_left

        key = home_key(self.path)
        folder = socket_base() / key
        longest = len(os.fsencode(folder / "q" / ("0" * 12) / "4294967295.fd"))
        if longest > SOCKET_PATH_LIMIT:
            raise HomeError(f"no short path for sockets: {folder} leaves too few bytes")
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with excluding_others(folder.parent):
            remove_left(folder.parent, folder)
            folder.mkdir(mode=0o711, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise HomeError(f"{folder} belongs to somebody else")
            for below in ("q", "h"):
                (folder / below).mkdir(mode=0o711, exist_ok=True)
            note_home(folder, self.lock_file)
        known = self.find_sockets()
        if known is None or known.path != folder:  # on a full disk it is there already, or never
            (self.run / "sockets").write_text(f"{folder}\n")
        return SocketFolder(folder)

    def find_sockets(self) -> SocketFolder | None:
        """The folder noted in run/sockets, None when the home never ran."""
        try:
            return SocketFolder(Path((self.run / "sockets").read_text().strip()))
        except OSError:
            return None


def socket_base() -> Path:
    """Where the folders of sockets of this user's homes are.

    Raises HomeError where somebody else has taken the place.
    """
    if os.geteuid() == 0:
        if os.access(RUN if RUN.exists() else RUN.parent, os.W_OK):
            return RUN
        # Workers are other users, who have to get through.
        return _own_folder(Path(tempfile.gettempdir()) / "was-0", 0o711)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "was"
    return _own_folder(Path(tempfile.gettempdir()) / f"was-{os.geteuid()}", 0o700)


def _own_folder(path: Path, mode: int) -> Path:
    """A folder that only we write to, where anybody may make one of that name before us."""
    path.mkdir(mode=mode, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise HomeError(f"{path} belongs to somebody else")
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
    return path
