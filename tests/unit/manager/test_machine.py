"""What the machine has for all pools together."""

import itertools

import pytest

from was.config.model import AppPool, ProcessModel, RecycleReason
from was.manager.actions import Report, Spawn
from was.manager.machine import Machine, count_nodes
from was.manager.pool import ApplicationPool


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"has_cpu": "0\n"}, 1),
        ({"has_cpu": "0-1\n", "online": "0-3\n"}, 2),
        ({"online": "0-1,4\n"}, 3),
        ({"has_cpu": "\n", "online": "0-1\n"}, 2),
        ({}, 1),
    ],
)
def test_nodes_are_counted_as_the_kernel_lists_them(tmp_path, files, expected):
    """Nodes with processors, else all that are online, else one."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert count_nodes(tmp_path) == expected


def garden(machine: Machine, most: int, ids=None) -> ApplicationPool:
    settings = AppPool(name="P", process_model=ProcessModel(max_processes=most))
    return ApplicationPool(settings, ids or itertools.count(1), lambda s: s, machine)


def test_max_processes_0_stands_for_the_nodes():
    """One worker a NUMA node."""
    assert garden(Machine(nodes=3), 0).max_processes == 3
    assert garden(Machine(nodes=3), 2).max_processes == 2


def test_a_full_machine_starts_no_further_worker_and_says_so_once():
    """demandStartThreshold counts the workers of all pools; a place that comes free is taken."""
    machine, ids = Machine(most_workers=1), itertools.count(1)
    first, second = garden(machine, 1, ids), garden(machine, 1, ids)
    for pool in (first, second):
        pool.start(0.0)
    assert Spawn(1, 1) in first.demand(0.0, further=False)
    assert second.demand(0.0, further=False) == [Report(5196)]
    assert second.demand(0.1, further=False) == []
    assert second.next_deadline() is None
    first.stop(1.0)
    first.worker_exited(1, 1.0, served=True, how="exit 0")
    assert Spawn(2, 1) in second.tick(1.0)


def test_a_full_machine_replaces_its_workers_all_the_same():
    """A successor is not one more worker: the one that it replaces goes."""
    machine = Machine(most_workers=1)
    pool = garden(machine, 1)
    pool.start(0.0)
    pool.demand(0.0, further=False)
    pool.worker_loaded(1, 0.0)
    pool.worker_attached(1, 0.0)
    assert Spawn(2, 2) in pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0)
