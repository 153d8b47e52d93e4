"""Records of the processes in run/state: what the next manager finds them by.

A record names a process by pid, start ticks and boot, which no other process ever shares. Written
under a temporary name and renamed, so a reader sees the old record or the new one.

Nobody waits for a record but the manager after this one. So what a full disk keeps from being
written is kept here until there is room (`write_again`), and all goes on meanwhile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from was.ipc.endpoints import Home, pool_key
from was.log import log
from was.recorded import boot_id, start_ticks

__all__ = ["Counters", "StateFiles", "write_atomically"]


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file as a whole, or leave it as it is."""
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


class StateFiles:
    """run/state of one home."""

    def __init__(self, home: Home) -> None:
        self._folder = home.state
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._boot_id = boot_id()
        self._pools: dict[str, dict[str, object]] = {}
        self._unwritten: dict[str, bytes] = {}
        self.trouble = ""  # why not all is written

    def write_process(self, name: str, pid: int, fields: Mapping[str, object]) -> None:
        """The record of one process: "listener", "template", "worker-ID", "orphan-ID"."""
        identity = {"pid": pid, "start_ticks": start_ticks(pid), "boot_id": self._boot_id}
        self.write(name, {**identity, **fields})

    def write_pool(self, pool: str, fields: Mapping[str, object]) -> None:
        """The record of a pool; written only when it says something new."""
        record = {"name": pool, "boot_id": self._boot_id, **fields}
        if self._pools.get(pool) != record:
            self._pools[pool] = record
            self.write(f"pool-{pool_key(pool)}", record)

    def read_pool(self, pool: str) -> dict[str, Any]:
        """The record of a pool of this boot; its times are of the monotonic clock."""
        record = self.read(f"pool-{pool_key(pool)}")
        return record if record.get("boot_id") == self._boot_id else {}

    def pools(self) -> list[str]:
        """The names of all pools that have a record."""
        found = [self.read(path.stem) for path in self._folder.glob("pool-*.json")]
        return [record["name"] for record in found if "name" in record]

    def remove_pool(self, pool: str) -> None:
        """There is no such pool any more: one of that name would begin anew."""
        self._pools.pop(pool, None)
        self.remove(f"pool-{pool_key(pool)}")

    def workers(self) -> list[dict[str, Any]]:
        """The records of all workers."""
        found = [self.read(path.stem) for path in sorted(self._folder.glob("worker-*.json"))]
        return [record for record in found if record]

    def orphans(self) -> list[dict[str, Any]]:
        """The records of workers that were orphaned, by this manager or an earlier one."""
        found = [self.read(path.stem) for path in sorted(self._folder.glob("orphan-*.json"))]
        return [record for record in found if record]

    def write(self, name: str, record: Mapping[str, object]) -> None:
        """Any record; what cannot be written now is written later."""
        content = _to_bytes(record)
        try:
            self._write(name, content)
        except OSError as error:
            self._unwritten[name] = content
            if not self.trouble:
                self.trouble = f"{self._folder} cannot be written: {error.strerror}"
                log("state_not_written", file=name, error=error)

    def write_now(self, name: str, record: Mapping[str, object]) -> None:
        """A record that must be there before what it says is done. Raises OSError."""
        self._write(name, _to_bytes(record))

    def write_over(self, name: str, record: Mapping[str, object]) -> None:
        """A record that must not be lost, over the one that there is, and never shorter than it.

        That takes no room on a disk that is full.
        """
        try:
            fd = os.open(self._folder / f"{name}.json", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, _to_bytes(record), 0)
            finally:
                os.close(fd)
        except OSError:  # there is none yet
            self.write(name, record)

    def write_again(self) -> None:
        """What could not be written, as far as it can be now."""
        for name, content in list(self._unwritten.items()):
            try:
                self._write(name, content)
            except OSError:
                return
        self.trouble = ""

    def _write(self, name: str, content: bytes) -> None:
        # Ours alone: a worker's record holds the identity it proves itself with.
        write_atomically(self._folder / f"{name}.json", content, 0o600)
        self._unwritten.pop(name, None)

    def read(self, name: str) -> dict[str, Any]:
        """A record, empty when there is none that can be read."""
        try:
            found: object = json.loads((self._folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def remove(self, name: str) -> None:
        """Forget a record."""
        self._unwritten.pop(name, None)
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def remove_processes(self) -> None:
        """Forget every process, pool and site; the counters stay."""
        of_processes = ("listener", "retiring", "upgrade", "template", "worker-*", "pool-*")
        for kind in (*of_processes, "newcomers", "sites", "sockets"):
            for path in self._folder.glob(f"{kind}.json"):
                path.unlink(missing_ok=True)
        for path in self._folder.glob("worker-*.stacks"):
            path.unlink(missing_ok=True)


def _to_bytes(record: Mapping[str, object]) -> bytes:
    return json.dumps(record).encode() + b"\n"


class Counters:
    """Worker ids and listener epochs: never given twice in a home's life.

    Else a worker that no record tells of would be taken for a new one, and what it still has to say
    to one listener would be heard by another.
    """

    def __init__(self, files: StateFiles) -> None:
        self._files = files
        record = files.read("counters")
        self._worker_id = _number(record.get("worker_id"))
        self._epoch = _number(record.get("epoch"))

    def __iter__(self) -> Counters:
        return self

    def __next__(self) -> int:
        """The next worker id."""
        self._worker_id += 1
        self._save()
        return self._worker_id

    def next_epoch(self) -> int:
        """The next listener's epoch."""
        self._epoch += 1
        self._save()
        return self._epoch

    def _save(self) -> None:
        self._files.write_over("counters", {"worker_id": self._worker_id, "epoch": self._epoch})


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
