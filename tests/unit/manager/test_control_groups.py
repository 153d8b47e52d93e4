"""Control groups, on folders that look like the kernel's: where they are, what is written."""

from pathlib import Path

import pytest

from was.manager import control_groups
from was.manager.control_groups import ControlGroups, find, memberships, mount_points

V1_MOUNTS = """\
32 31 0:29 / {top}/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / {top}/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2_MOUNTS = "41 31 0:38 / {top} rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Makes /proc/self say what a test wants, and folders as the kernel would."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    monkeypatch.setattr(control_groups, "_PROC", proc)
    top = tmp_path / "cgroup"

    def set_up(mounts: str, groups: str) -> Path:
        (proc / "self" / "mountinfo").write_text(mounts.format(top=top))
        (proc / "self" / "cgroup").write_text(groups)
        return top

    return set_up


def make_v2(top: Path, inside: str) -> Path:
    own = top / "system.slice" / "was.service"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu memory pids")
    (own / "cgroup.procs").write_text(inside)
    return own


def test_mounts_and_memberships_are_read_as_the_kernel_writes_them():
    """Several controllers may share a hierarchy of version 1; "" is version 2."""
    mounts = mount_points(V1_MOUNTS.format(top="/c") + "30 1 8:1 / / rw - ext4 /dev/sda rw\n")
    assert mounts["cpu"] == mounts["cpuacct"] == ("/", Path("/c/cpu,cpuacct"))
    assert mounts[""] == ("/", Path("/c/unified"))
    groups = memberships("3:cpu,cpuacct:/a/b\n1:name=systemd:/s\n0::/u\n")
    assert (groups["cpu"], groups["cpuacct"], groups[""]) == ("/a/b", "/a/b", "/u")


def test_version_1_lies_inside_the_group_of_the_manager(kernel):
    """What holds for the manager's own group holds for the pools'."""
    top = kernel(V1_MOUNTS, "3:cpu,cpuacct:/box\n0::/\n")
    (top / "cpu,cpuacct" / "box").mkdir(parents=True)
    groups = find("was-1", [])
    assert groups is not None
    group = groups.group("p")
    folder = top / "cpu,cpuacct" / "box" / "was-1-p"
    group.set_limits(rate=0.25, weight=None, processors=2)
    assert (folder / "cpu.cfs_quota_us").read_text() == "50000"
    assert (folder / "cpu.shares").read_text() == "1024"
    group.set_limits(rate=None, weight=0.2, processors=2)
    assert (folder / "cpu.cfs_quota_us").read_text() == "-1"
    assert (folder / "cpu.shares").read_text() == "256"
    group.add(42)
    assert (folder / "cgroup.procs").read_text() == "42"
    (folder / "cpuacct.usage").write_text("1500000000\n")
    (folder / "cpu.stat").write_text("nr_periods 9\nnr_throttled 4\n")
    assert (group.used_s(), group.throttled()) == (1.5, 4)


def test_version_2_moves_the_manager_down_where_it_is_alone(kernel):
    """A group has processes or limited subgroups: a delegated unit becomes manager and pools."""
    top = kernel(V2_MOUNTS, "0::/system.slice/was.service\n")
    own = make_v2(top, "7\n8\n")
    groups = find("was-1", [7, 8, 9])
    assert groups is not None
    assert (own / "was-manager" / "cgroup.procs").read_text() == "8"
    assert (own / "cgroup.subtree_control").read_text() == "+cpu"
    group = groups.group("p")
    folder = own / "was-1-p"
    group.set_limits(rate=0.25, weight=0.2, processors=2)
    assert (folder / "cpu.max").read_text() == "50000 100000"
    assert (folder / "cpu.weight").read_text() == "25"
    (folder / "cpu.stat").write_text("usage_usec 2500000\nnr_throttled 3\n")
    assert (group.used_s(), group.throttled()) == (2.5, 3)


def test_version_2_leaves_strangers_alone(kernel):
    """A group that holds others too is not rearranged; the top is used, where it can be."""
    top = kernel(V2_MOUNTS, "0::/system.slice/was.service\n")
    own = make_v2(top, "7\n1000\n")
    assert find("was-1", [7]) is None
    assert not (own / "was-manager").exists()
    (top / "cgroup.controllers").write_text("cpu")
    (top / "cgroup.subtree_control").write_text("cpu")
    groups = find("was-1", [7])
    assert groups is not None
    assert groups.parents == (top,)


def test_version_2_uses_what_systemd_has_prepared(kernel):
    """DelegateSubgroup= has put the manager below its unit already; nobody is moved."""
    top = kernel(V2_MOUNTS, "0::/system.slice/was.service/was-manager\n")
    own = make_v2(top, "")
    (own / "was-manager").mkdir()
    groups = find("was-1", [7], is_unit=True)
    assert groups is not None
    assert groups.parents == (own,)
    assert (own / "cgroup.subtree_control").read_text() == "+cpu"
    assert not (own / "was-manager" / "cgroup.procs").exists()


def test_version_2_does_not_divide_a_unit(kernel):
    """An older systemd could not start the next manager in a group that is divided."""
    top = kernel(V2_MOUNTS, "0::/system.slice/was.service\n")
    own = make_v2(top, "7\n")
    assert find("was-1", [7], is_unit=True) is None
    assert not (own / "cgroup.subtree_control").exists()


def test_a_hierarchy_without_the_controller_is_of_no_use(kernel):
    """A hybrid machine has an empty version 2 beside version 1."""
    top = kernel(V2_MOUNTS, "0::/\n")
    top.mkdir()
    assert find("was-1", [7]) is None


def test_what_is_not_there_is_removed_already(tmp_path):
    """Removing is asked for again and again until it is done."""
    assert ControlGroups(1, (tmp_path / "gone",), "was-1").remove()
    for name in ("was-1-p", "was-1-q", "was-manager", "was-2-p"):
        (tmp_path / name).mkdir()
    assert ControlGroups(1, (tmp_path,), "was-1").remove()
    assert {path.name for path in tmp_path.iterdir()} == {"was-manager", "was-2-p"}
