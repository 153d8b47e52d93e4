"""Control groups of the kernel: one for each pool that has a `cpu` limit, version 2 or 1.

Their names begin with `was-` and the key of the home, and they lie inside the group that the
manager was started in, so that what holds for the manager holds for them. Version 2 lets a group
have processes or limited subgroups, not both: where the manager's group holds nobody but the
manager and its children these move down into a subgroup of their own, which systemd does for its
units (DelegateSubgroup=). Else the top of the hierarchy is tried, which is exempt. A unit's group
is not divided behind systemd's back: it could not start the next manager in it. What cannot be
written is not used: `find` then returns None.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from was.manager.cpu_limit import PERIOD_US, quota_us, weight_of

__all__ = ["ControlGroup", "ControlGroups", "find", "memberships", "mount_points"]

_PROC = Path("/proc")
MANAGER = "was-manager"  # the subgroup that the manager is in, with all but the workers
USUAL_WEIGHT = 100  # version 2
USUAL_SHARES = 1024  # version 1


def mount_points(mountinfo: str) -> dict[str, tuple[str, Path]]:
    """Controller ("" for version 2) -> (group at the mount's root, folder), of mountinfo(5)."""
    found: dict[str, tuple[str, Path]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        root, folder = fields[3], Path(fields[4])
        if kind[0] == "cgroup2":
            found[""] = root, folder
        elif kind[0] == "cgroup":
            found |= dict.fromkeys(kind[2].split(","), (root, folder))
    return found


def memberships(text: str) -> dict[str, str]:
    """Controller ("" for version 2) -> group, of /proc/PID/cgroup."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        found |= dict.fromkeys(controllers.split(","), group)
    return found


def _folder(mounts: dict[str, tuple[str, Path]], groups: dict[str, str], name: str) -> Path | None:
    if name not in mounts or name not in groups:
        return None
    root, folder = mounts[name]
    group = groups[name]
    if root != "/" and not (group + "/").startswith(root + "/"):
        return None
    return folder / (group if root == "/" else group[len(root) :]).lstrip("/")


class ControlGroup:
    """The group of one pool. `by` says which version it is, for people."""

    def __init__(self, version: int, folders: tuple[Path, ...]) -> None:
        self._version = version
        self._folders = folders  # of the controllers cpu and cpuacct in version 1
        self.by = f"cgroup v{version}"

    def add(self, pid: int) -> None:
        """Take a process in, with all it will ever start. Raises OSError."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def used_s(self) -> float:
        """Processor time of all that ever were in it. Raises OSError."""
        if self._version == 1:
            return int((self._folders[-1] / "cpuacct.usage").read_text()) / 1e9
        return _field(self._folders[0] / "cpu.stat", "usage_usec") / 1e6

    def throttled(self) -> int:
        """How many periods the group has been held in. Raises OSError."""
        return _field(self._folders[0] / "cpu.stat", "nr_throttled")

    def set_limits(self, *, rate: float | None, weight: float | None, processors: int) -> None:
        """A hard limit and a share under load, each a part of the machine or none."""
        folder = self._folders[0]
        if self._version == 1:
            quota = -1 if rate is None else quota_us(rate, processors)
            shares = USUAL_SHARES if weight is None else weight_of(weight, USUAL_SHARES)
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
            (folder / "cpu.shares").write_text(str(shares))
            return
        most = "max" if rate is None else str(quota_us(rate, processors))
        (folder / "cpu.max").write_text(f"{most} {PERIOD_US}")
        share = USUAL_WEIGHT if weight is None else weight_of(weight, USUAL_WEIGHT)
        (folder / "cpu.weight").write_text(str(share))

    def remove(self) -> bool:
        """Remove it; False while somebody is in it."""
        removed = [_remove(folder) for folder in self._folders]
        return all(removed)


class ControlGroups:
    """The groups of one server: side by side in `parents`, so that weights count among all."""

    def __init__(self, version: int, parents: tuple[Path, ...], name: str) -> None:
        self.version = version
        self.parents = parents
        self._name = name

    def group(self, key: str) -> ControlGroup:
        """The group of a pool, made if it is not there. Raises OSError."""
        folders = tuple(parent / f"{self._name}-{key}" for parent in self.parents)
        for folder in folders:
            folder.mkdir(exist_ok=True)
        return ControlGroup(self.version, folders)

    def remove(self) -> bool:
        """Remove all of them; False while somebody is in one."""
        found = [path for parent in self.parents for path in parent.glob(f"{self._name}-*")]
        removed = [_remove(path) for path in found]
        return all(removed)


def find(name: str, ours: Iterable[int], *, is_unit: bool = False) -> ControlGroups | None:
    """Where this server's groups can be; `ours` are the processes that may be moved for it.

    `is_unit`: systemd started us.
    """
    try:
        mounts = mount_points((_PROC / "self" / "mountinfo").read_text())
        groups = memberships((_PROC / "self" / "cgroup").read_text())
    except OSError:
        return None
    cpu, account = (_folder(mounts, groups, c) for c in ("cpu", "cpuacct"))
    if cpu is not None and account is not None:
        parents = (cpu,) if cpu == account else (cpu, account)
        return ControlGroups(1, parents, name) if _can_make(parents, name) else None
    own = _folder(mounts, groups, "")
    if own is None:
        return None
    top = mounts[""][1]
    candidates = [top]
    if own.name == MANAGER:
        candidates = [own.parent, top]
    elif own != top and not is_unit:
        candidates = [own, top]
    for parent in candidates:
        if "cpu" not in _words(parent / "cgroup.controllers"):
            continue
        may_move = frozenset[int]() if parent == top else frozenset(ours)
        if _can_hold_limits(parent, may_move) and _can_make((parent,), name):
            return ControlGroups(2, (parent,), name)
    return None


def _can_hold_limits(parent: Path, may_move: frozenset[int]) -> bool:
    """Whether subgroups of `parent` may be limited; moves processes of ours down for it."""
    if "cpu" in _words(parent / "cgroup.subtree_control"):
        return True
    try:
        inside = {int(pid) for pid in _words(parent / "cgroup.procs")}
        if may_move:
            if not inside <= may_move:
                return False
            (parent / MANAGER).mkdir(exist_ok=True)
            for pid in sorted(inside):
                (parent / MANAGER / "cgroup.procs").write_text(str(pid))
        (parent / "cgroup.subtree_control").write_text("+cpu")
    except OSError:
        return False
    return True


def _can_make(parents: Iterable[Path], name: str) -> bool:
    try:
        for parent in parents:
            trial = parent / f"{name}-trial"
            trial.mkdir(exist_ok=True)
            trial.rmdir()
    except OSError:
        return False
    return True


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
