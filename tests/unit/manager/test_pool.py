"""ApplicationPool: what it decides, without a process."""

import itertools

import pytest

from was.config.model import AppPool, Failure, ProcessModel, RecycleReason, Recycling, StartMode
from was.manager.actions import (
    Activate,
    Drain,
    Kill,
    Publish,
    RecycleSettled,
    Report,
    SendPing,
    Spawn,
)
from was.manager.pool import ApplicationPool
from was.manager.states import PoolState, WorkerState
from was.manager.wear import WorkerSample


def make_pool(**settings) -> ApplicationPool:
    pool = ApplicationPool(AppPool(name="P", **settings), itertools.count(1), lambda s: s)
    pool.start(0.0)
    return pool


def of(kind, actions):
    return [a for a in actions if isinstance(a, kind)]


def run_worker(pool, worker_id, now=0.0):
    return pool.worker_loaded(worker_id, now) + pool.worker_attached(worker_id, now)


def running_pool(**settings) -> ApplicationPool:
    pool = make_pool(**settings)
    pool.demand(0.0, further=False)
    run_worker(pool, 1)
    return pool


def events(actions):
    return [a.event_id for a in of(Report, actions)]


def test_an_on_demand_pool_starts_its_first_worker_on_demand_and_only_one():
    """A pool without workers starts one at the first waiting request, none at the second."""
    pool = make_pool()
    assert of(Spawn, pool.demand(0.0, further=False)) == [Spawn(1, 1)]
    assert of(Spawn, pool.demand(0.0, further=False)) == []


def test_an_always_running_pool_starts_all_its_workers():
    """startMode AlwaysRunning needs no request."""
    settings = AppPool(
        name="P", start_mode=StartMode.ALWAYS_RUNNING, process_model=ProcessModel(max_processes=3)
    )
    pool = ApplicationPool(settings, itertools.count(1), lambda s: s)
    assert len(of(Spawn, pool.start(0.0))) == 3


def test_a_worker_gets_requests_only_when_loaded_and_attached():
    """Either alone activates nothing, in whatever order they come."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    assert pool.worker_attached(1, 0.0) == []
    assert of(Activate, pool.worker_loaded(1, 0.0)) == [Activate(1)]


def test_a_worker_that_had_served_is_replaced_at_once():
    """No back-off for a worker that had finished a request."""
    pool = running_pool()
    actions = pool.worker_exited(1, 5.0, served=True, how="SIGKILL")
    assert of(Spawn, actions) == [Spawn(2, 1)]
    assert events(actions) == [5009]


def test_an_idle_pools_unserved_worker_is_not_replaced_until_somebody_waits():
    """A worker that died before its first finished request is replaced on demand, after a delay."""
    pool = running_pool()
    assert of(Spawn, pool.worker_exited(1, 5.0, served=False, how="exit 1")) == []
    assert of(Spawn, pool.demand(5.0, further=False)) == []
    due = pool.next_deadline()
    assert due == pytest.approx(5.1)
    assert of(Spawn, pool.tick(due)) == [Spawn(2, 1)]


def test_delays_double_up_to_their_limit():
    """Starts that fail one after another come 0.1, 0.2, 0.4 … at most 5 seconds apart."""
    pool = make_pool(failure=Failure(rapid_fail_protection=False))
    pool.demand(0.0, further=False)
    now, delays = 0.0, []
    for worker_id in range(1, 10):
        pool.worker_failed(worker_id, now, 5059)
        pool.worker_exited(worker_id, now, served=False, how="SIGKILL")
        due = pool.next_deadline()
        delays.append(round(due - now, 3))
        now = due
        pool.tick(now)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_a_waiting_request_of_a_dead_worker_is_demand():
    """Requests taken back from a dead worker start the next one without a new DemandStart."""
    pool = running_pool()
    pool.worker_exited(1, 5.0, served=False, how="SIGKILL")
    pool.death_settled(1, 5.0, frozenset({"a"}), has_waiting=True)
    assert of(Spawn, pool.tick(5.2)) == [Spawn(2, 1)]


def _fail(pool, worker_id, now, client):
    run_worker(pool, worker_id, now)
    pool.worker_exited(worker_id, now, served=True, how="SIGSEGV")
    clients = frozenset({client} if client else ())
    return pool.death_settled(worker_id, now, clients, has_waiting=False)


def test_rapid_fail_protection_stops_the_pool_at_the_limit():
    """maxCrashes failures within the interval: AppOffline, event 5002, no further start."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    for worker_id in range(1, 5):
        assert 5002 not in events(_fail(pool, worker_id, 1.0 * worker_id, ""))
    actions = _fail(pool, 5, 5.0, "")
    assert 5002 in events(actions)
    assert of(Publish, actions)
    assert (pool.state, pool.refusal) == (PoolState.DISABLED, "AppOffline")
    assert of(Spawn, pool.demand(6.0, further=False)) == []


def test_deaths_laid_to_one_client_count_once():
    """One client cannot take a pool away from the others."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    for worker_id in range(1, 20):
        _fail(pool, worker_id, 1.0 * worker_id, "10.0.0.1")
    assert pool.state is PoolState.STARTED
    assert pool.failure_count(20.0) == 1


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_client_on_this_machine_may_be_a_proxy_and_is_nobody(client):
    """Behind a reverse proxy all visitors have its address: each death counts."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    for worker_id in range(1, 6):
        _fail(pool, worker_id, 1.0 * worker_id, client)
    assert pool.state is PoolState.DISABLED


def test_who_waits_does_not_wait_long_for_a_pool_that_keeps_dying():
    """The delay grows to its limit, and a waiting request cuts it to a second."""
    pool = make_pool(failure=Failure(rapid_fail_protection=False))
    now = 0.0
    pool.demand(now, further=False)
    for worker_id in range(1, 12):
        run_worker(pool, worker_id, now)
        pool.worker_exited(worker_id, now, served=False, how="SIGKILL")
        pool.death_settled(worker_id, now, frozenset(), has_waiting=True)
        due = pool.next_deadline()
        assert due is not None
        assert due - now <= 1.0
        now += 1.0
        pool.tick(now)
    assert pool.failure_count(now) == 11


def test_failures_outside_the_window_are_forgotten():
    """The window slides: four old failures and one new one are one."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    for worker_id in range(1, 5):
        _fail(pool, worker_id, 1.0, "")
    _fail(pool, 5, 400.0, "")
    assert pool.state is PoolState.STARTED
    assert pool.failure_count(400.0) == 1


def test_a_death_the_listener_never_settles_counts_after_a_second():
    """A listener that says nothing does not switch protection off."""
    pool = running_pool()
    pool.worker_exited(1, 5.0, served=True, how="SIGKILL")
    assert pool.failure_count(5.5) == 0
    assert pool.failure_count(6.0) == 1


def test_starting_a_disabled_pool_forgets_its_failures():
    """An administrator's start gives the pool a clean slate."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    for worker_id in range(1, 6):
        _fail(pool, worker_id, 1.0, "")
    assert pool.state is PoolState.DISABLED
    pool.start(2.0)
    assert pool.failure_count(2.0) == 0
    assert pool.is_accepting


def test_recycling_overlaps():
    """The old worker runs until the new one takes its place; the waiter hears of its exit."""
    pool = running_pool()
    assert of(Spawn, pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0, token=7)) == [Spawn(2, 2)]
    assert pool.workers[1].state is WorkerState.RUNNING
    actions = run_worker(pool, 2, 2.0)
    assert of(Activate, actions) == [Activate(2, (1,))]
    assert of(Drain, actions) == []
    assert pool.workers[1].state is WorkerState.STOPPING
    assert of(RecycleSettled, pool.worker_exited(1, 3.0, served=True, how="exit 0")) == [
        RecycleSettled(7, "")
    ]


def test_a_recycling_whose_new_worker_fails_leaves_the_old_one():
    """The old worker stays in dispatch, the waiter gets an error, nothing is tried again."""
    pool = running_pool()
    pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0, token=7)
    actions = pool.worker_failed(2, 2.0, 5059, detail="no")
    assert of(RecycleSettled, actions)[0].error
    assert 5093 in events(actions)
    assert pool.worker_exited(2, 2.0, served=False, how="SIGKILL") == []
    assert pool.workers[1].state is WorkerState.RUNNING
    assert of(Spawn, pool.tick(10.0)) == []


def test_a_recycling_of_an_empty_pool_is_over_at_once():
    """Nothing runs, so nothing is to be replaced."""
    assert make_pool().recycling.recycle(RecycleReason.ON_DEMAND, 0.0, token=3) == [
        RecycleSettled(3, "")
    ]


def test_a_web_garden_recycles_all_workers_and_never_dispatches_to_more_than_it_may():
    """Each worker gets a successor; the waiter waits for the last one."""
    pool = make_pool(process_model=ProcessModel(max_processes=2))
    pool.demand(0.0, further=False)
    run_worker(pool, 1)
    assert of(Spawn, pool.demand(0.0, further=True)) == [Spawn(2, 1)]
    run_worker(pool, 2)
    assert len(of(Spawn, pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0, token=1))) == 2
    run_worker(pool, 3)
    run_worker(pool, 4)
    assert of(RecycleSettled, pool.worker_exited(1, 2.0, served=True, how="exit 0")) == []
    assert of(RecycleSettled, pool.worker_exited(2, 2.0, served=True, how="exit 0"))


def test_without_overlap_the_old_worker_goes_first():
    """disallowOverlappingRotation: drained at once, the next one starts when it has gone."""
    pool = running_pool(recycling=Recycling(disallow_overlapping_rotation=True))
    actions = pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0)
    assert of(Drain, actions) == [Drain(1)]
    assert of(Spawn, actions) == []
    assert of(Spawn, pool.demand(1.5, further=False)) == []
    assert of(Spawn, pool.worker_exited(1, 2.0, served=True, how="exit 0")) == [Spawn(2, 2)]


def test_a_worker_that_asked_for_it_starts_no_chain():
    """A successor is fresh: it is not replaced in its turn."""
    pool = running_pool()
    pool.recycling.recycle(RecycleReason.REQUESTS, 1.0, only=1)
    run_worker(pool, 2, 2.0)
    assert of(Spawn, pool.worker_exited(1, 3.0, served=True, how="exit 0")) == []
    assert pool.workers[2].stale == ""


def test_start_up_and_shutdown_limits_kill():
    """5012 for a worker that is not ready in time, 5013 for one that does not go in time."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    assert pool.next_deadline() == 90.0
    actions = pool.tick(90.0)
    assert events(actions) == [5012]
    assert of(Kill, actions) == [Kill(1)]
    pool.worker_exited(1, 90.0, served=False, how="SIGKILL")
    pool.tick(91.0)
    run_worker(pool, 2, 91.0)
    pool.stop(100.0)
    actions = pool.tick(190.0)
    assert events(actions) == [5013]
    assert of(Kill, actions) == [Kill(2)]


def test_no_worker_is_replaced_any_more_when_the_server_is_about_to_end():
    """Only one that dies while requests wait: its successor would be killed at once."""
    pool = running_pool()
    pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0, token=7)
    assert pool.recycling.wind_down() == [RecycleSettled(7, "the server is stopping")]
    assert pool.recycling.worker_asks(1, RecycleReason.ON_DEMAND, 2.0, "worn out") == []
    assert pool.recycling.recycle(RecycleReason.ON_DEMAND, 2.0, token=8) == [
        RecycleSettled(8, "the server is stopping")
    ]
    pool.worker_exited(2, 2.0, served=False, how="exit 1")  # the successor of the first order
    assert of(Spawn, pool.tick(3.0)) == []
    pool.worker_exited(1, 4.0, served=True, how="SIGKILL")
    assert len(pool.workers) == 1


def test_who_still_loads_when_the_server_ends_is_killed():
    """The listener and it have met already, but it hears nothing before it has loaded."""
    pool = make_pool()
    pool.demand(0.0, further=False)
    pool.worker_attached(1, 0.0)
    assert of(Kill, pool.shut_down(1.0, drain=True)) == [Kill(1)]
    assert of(Kill, running_pool().shut_down(1.0, drain=True)) == []


def test_a_worker_whose_requests_were_all_answered_is_not_waited_for():
    """At the server's end it has ten seconds instead of shutdownTimeLimit."""
    pool = running_pool()
    pool.shut_down(100.0, frozenset({1}), drain=False)
    assert of(Kill, pool.tick(109.0)) == []
    actions = pool.tick(110.0)
    assert events(actions) == [5013]
    assert of(Kill, actions) == [Kill(1)]


def test_a_missed_ping_replaces_and_kills():
    """Silence for pingResponseTime after a ping is a failure; an answer is not."""
    pool = running_pool()
    assert of(SendPing, pool.tick(30.0)) == [SendPing(1, 1)]
    pool.pong(1, 1, 31.0)
    assert of(SendPing, pool.tick(61.0)) == [SendPing(1, 2)]
    pool.pong(1, 1, 62.0)
    pool.recycling.sample(1, WorkerSample(60.0, 5, 1), 62.0)
    actions = pool.tick(151.0)
    assert events(actions) == [5010]
    assert of(Kill, actions) == [Kill(1)]
    assert of(Spawn, actions) == [Spawn(2, 1)]


def test_an_idle_worker_is_drained_and_not_replaced():
    """Event 5186 after idleTimeout without a request; a request in between starts it anew."""
    pool = running_pool()
    assert pool.recycling.sample(1, WorkerSample(1190.0, 0, 1), 1190.0) == []
    assert pool.recycling.sample(1, WorkerSample(1300.0, 0, 0), 1300.0) == []
    actions = pool.recycling.sample(1, WorkerSample(2400.0, 0, 0), 2400.0)
    assert events(actions) == [5186]
    assert of(Drain, actions) == [Drain(1)]
    assert of(Spawn, pool.worker_exited(1, 2401.0, served=True, how="exit 0")) == []


def test_a_worker_that_finds_the_next_manager_is_pinged_again():
    """It was not there to hear the first one, whose answer is still waited for; once is enough."""
    pool = running_pool()
    model = pool.settings.process_model
    assert pool.came_back(1) == []
    (ping,) = of(SendPing, pool.tick(model.ping_interval_s))
    assert pool.came_back(1) == [ping]
    pool.pong(1, ping.nonce, model.ping_interval_s + 1)
    assert pool.came_back(1) == []
    assert pool.came_back(2) == []


def test_stopping_refuses_and_drains():
    """A stopped pool answers Disabled, its workers finish, its state follows the last one."""
    pool = running_pool()
    actions = pool.stop(1.0)
    assert of(Drain, actions) == [Drain(1)]
    assert (pool.state, pool.refusal) == (PoolState.STOPPING, "Disabled")
    pool.worker_exited(1, 2.0, served=True, how="exit 0")
    assert pool.state is PoolState.STOPPED


def test_fewer_processes_drain_the_surplus():
    """A lower maxProcesses is in force at once."""
    pool = make_pool(process_model=ProcessModel(max_processes=2))
    pool.demand(0.0, further=False)
    run_worker(pool, 1)
    pool.demand(0.0, further=True)
    run_worker(pool, 2)
    assert len(of(Drain, pool.apply(AppPool(name="P"), 1.0))) == 1


def test_a_pool_is_held_up_from_a_start_that_failed_to_one_that_did_not():
    """Also while the next one is on its way; each change is published, for the listener's probe."""
    pool = make_pool(failure=Failure(rapid_fail_protection=False))
    assert not pool.is_held_up
    pool.demand(0.0, further=False)
    assert not pool.is_held_up
    assert of(Publish, pool.worker_failed(1, 0.0, 5059))
    pool.worker_exited(1, 0.0, served=False, how="exit 1")
    assert pool.is_held_up
    assert of(Spawn, pool.tick(0.1)) == [Spawn(2, 1)]
    assert pool.is_held_up
    assert not of(Publish, pool.worker_failed(2, 0.1, 5059))
    pool.worker_exited(2, 0.1, served=False, how="exit 1")
    pool.tick(1.0)
    assert of(Publish, run_worker(pool, 3, 1.0))
    assert not pool.is_held_up
    pool.worker_exited(3, 2.0, served=True, how="SIGKILL")
    assert not pool.is_held_up  # it worked: another comes at once


def test_a_pool_whose_worker_nobody_waits_for_is_not_held_up():
    """OnDemand: it sleeps, as far as anybody knows."""
    pool = running_pool()
    pool.worker_exited(1, 5.0, served=False, how="exit 1")
    assert (pool.places.wanted, pool.is_held_up) == (0, False)


@pytest.mark.parametrize("reason", RecycleReason)
def test_a_successor_runs_what_runs_in_the_old_worker_unless_the_code_has_changed(reason):
    """Changed configuration or code that fails is to be seen; age costs nothing that runs."""
    spawned = of(Spawn, running_pool().recycling.recycle(reason, 1.0))
    assert [a.runs_the_same for a in spawned] == [reason is not RecycleReason.CONFIG_CHANGE]


def test_a_worker_that_replaces_nobody_runs_whatever_runs():
    """There is nobody who could go on in its place."""
    assert [a.runs_the_same for a in of(Spawn, make_pool().demand(0.0, further=False))] == [False]


def test_a_successor_that_cannot_run_what_runs_costs_no_failure():
    """The old worker goes on, however often it is tried; rapid-fail protection takes no notice."""
    pool = running_pool(failure=Failure(rapid_fail_protection_max_crashes=1))
    for token in range(1, 4):
        (successor,) = of(Spawn, pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0, token=token))
        actions = pool.worker_failed(successor.worker_id, 2.0, 5059, is_counted=False)
        assert [a.token for a in of(RecycleSettled, actions) if a.error] == [token]
        pool.worker_exited(successor.worker_id, 2.0, served=False, how="exit 71")
    assert pool.state is PoolState.STARTED
    assert pool.workers[1].state is WorkerState.RUNNING


def test_a_successor_without_a_predecessor_fails_like_any_other():
    """The old worker died meanwhile: a pool whose workers do not start is stopped."""
    pool = running_pool(failure=Failure(rapid_fail_protection_max_crashes=2))
    pool.recycling.recycle(RecycleReason.ON_DEMAND, 1.0)
    pool.worker_exited(1, 1.0, served=True, how="SIGKILL")
    actions = pool.worker_failed(2, 2.0, 5059, is_counted=False)
    assert 5002 in events(actions)
