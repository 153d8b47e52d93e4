"""Applications that wait until a pool's workers know them, and which workers that concerns."""

import itertools
from types import SimpleNamespace

import pytest

from was.config.model import (
    Application,
    AppPool,
    GlobalModule,
    RecycleReason,
    ServerConfig,
    Site,
    VirtualDirectory,
)
from was.ipc.endpoints import Home
from was.manager.newcomers import Newcomers, new_since
from was.manager.outgrown import beyond_reach, outgrown
from was.manager.pool import ApplicationPool
from was.manager.state_files import StateFiles


def site(number, **applications):
    """Applications by the last segment of their folder: the pool."""
    return Site(
        name=f"s{number}",
        id=number,
        applications=tuple(
            Application(
                path=f"/{name}",
                application_pool=pool,
                virtual_directories=(VirtualDirectory(path="/", physical_path=f"/{name}"),),
            )
            for name, pool in applications.items()
        ),
    )


def config(*sites, **more):
    return ServerConfig(home="/", app_pools={}, sites=sites, **more)


def run_worker(pool, worker_id):
    pool.worker_loaded(worker_id, 0.0)
    pool.worker_attached(worker_id, 0.0)


@pytest.fixture
def files(tmp_path):
    return StateFiles(Home(tmp_path))


@pytest.fixture
def pools():
    """A and B, each with a worker that runs."""
    found = {}
    ids = itertools.count(1)
    for name in ("A", "B"):
        pool = found[name] = ApplicationPool(AppPool(name=name), ids, lambda s: s)
        pool.start(0.0)
        pool.demand(0.0, further=False)
        run_worker(pool, len(found))
    return found


def recycle(pool):
    pool.recycling.recycle(RecycleReason.CONFIG_CHANGE, 0.0)


def test_who_moves_to_a_pool_at_work_waits_for_its_new_workers(files, pools):
    """Those that the pool had, or that go to a pool whose workers stay, do not."""
    newcomers = Newcomers(files, pools)
    before, now = site(1, x="A", y="B", z="B"), site(1, x="B", y="B", z="A")
    recycle(pools["B"])
    newcomers.take(config(now), new_since(config(before)), {"B"})
    assert newcomers.of_site(now).keys() == {"/x"}
    assert [queue.stands_for for queue in newcomers.queues()] == ["B"]
    assert newcomers.of_site(now)["/x"] == newcomers.queues()[0].name != "B"
    assert not newcomers.settle()
    run_worker(pools["B"], 3)
    assert newcomers.settle()
    assert newcomers.of_site(now) == {}
    # What waits there is to move before the queue goes.
    assert [queue.stands_for for queue in newcomers.queues()] == ["B"]
    assert newcomers.close_queues()
    assert newcomers.queues() == []


def test_nobody_waits_for_a_worker_that_does_not_come(files, pools):
    """The old worker stays when its successor does not become ready: it is what there is."""
    newcomers = Newcomers(files, pools)
    now = site(1, x="B")
    recycle(pools["B"])
    newcomers.take(config(now), new_since(config()), {"B"})
    pools["B"].worker_failed(3, 0.0, 5059)
    assert newcomers.settle()


def test_who_is_moved_on_waits_no_more(files, pools):
    """Nor does what is gone; who stays goes on waiting, whatever else changes."""
    newcomers = Newcomers(files, pools)
    recycle(pools["B"])
    first, second = site(1, x="B", y="B", z="B"), site(1, x="A", y="B")
    newcomers.take(config(first), new_since(config()), {"B"})
    newcomers.take(config(second), new_since(config(first)), set())
    assert newcomers.of_site(second).keys() == {"/y"}


def test_the_next_manager_lets_them_wait_on(files, pools):
    """And knows whom it has not to wait for any more."""
    recycle(pools["B"])
    now = site(1, x="B")
    Newcomers(files, pools).take(config(now), new_since(config()), {"B"})
    later = Newcomers(files, pools)
    later.restore()
    assert later.of_site(now).keys() == {"/x"}
    run_worker(pools["B"], 3)
    last = Newcomers(files, pools)
    last.restore()
    assert last.of_site(now) == {}


def handle(pool, *reach, is_draining=False):
    return SimpleNamespace(pool=pool, reach=reach, is_draining=is_draining)


@pytest.fixture
def folders(tmp_path):
    """Two folders that are there: `name` and below it."""
    (tmp_path / "one" / "below").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    return tmp_path


def site_in(folder, pool):
    directory = VirtualDirectory(path="/", physical_path=str(folder))
    application = Application(path="/", application_pool=pool, virtual_directories=(directory,))
    return Site(name="s", id=1, applications=(application,))


def test_workers_are_outgrown_by_folders_that_they_were_not_started_for(folders):
    """Below their own they see everything; what is not there asks for nothing."""
    one, two = folders / "one", folders / "two"
    handles = [handle("A", str(one)), handle("B"), handle("A", str(two), is_draining=True)]

    def grown(folder, pool="A", before=None):
        return list(
            outgrown(before or config(), config(site_in(folder, pool)), ["A", "B"], handles)
        )

    assert grown(two) == ["A"]
    assert grown(one) == grown(one / "below") == grown(folders / "one-more") == []
    assert grown(two, "B") == []  # LocalSystem: nothing is closed to it
    known = site_in(two, "A")
    assert outgrown(config(known), config(known), ["A"], handles) == {}
    is_new = beyond_reach(handles)
    assert is_new(known, known.applications[0])
    assert not is_new(known, site_in(one, "A").applications[0])


def test_all_workers_are_outgrown_by_another_list_of_modules():
    """Modules are loaded when a process starts."""
    module = GlobalModule(name="M", image="m")
    before, now = config(), config(global_modules=(module,))
    assert outgrown(before, now, ["A", "B"], []).keys() == {"A", "B"}
    assert outgrown(None, now, ["A", "B"], []) == {}
