"""Readiness: which pools should serve and cannot."""

from dataclasses import replace

import pytest

from was.listener.readiness import PoolFacts, not_ready

SERVING = PoolFacts(
    "P",
    accepting=True,
    refusal="",
    demand_start=False,
    held_up=False,
    has_worker=True,
    queued=0,
    queue_length=1000,
)
ASLEEP = replace(SERVING, demand_start=True, has_worker=False)
STOPPED = replace(SERVING, accepting=False, refusal="Disabled", has_worker=False)


@pytest.mark.parametrize(
    "pool",
    [SERVING, ASLEEP, STOPPED, replace(SERVING, queued=999), replace(SERVING, held_up=True)],
)
def test_what_can_serve_or_need_not_is_ready(pool):
    """A worker, a place to start one at the first request, or nobody's wish."""
    assert not_ready([pool], has_manager=True) == []


@pytest.mark.parametrize(
    ("pool", "has_manager", "word"),
    [
        (replace(SERVING, has_worker=False), True, "no worker is ready"),
        (replace(STOPPED, refusal="AppOffline"), True, "disabled"),
        (ASLEEP, False, "no manager"),
        (replace(ASLEEP, held_up=True), True, "cannot start a worker"),
        (replace(SERVING, queued=1000), True, "queue is full"),
    ],
)
def test_what_should_serve_and_cannot_is_named(pool, has_manager, word):
    """Pool and reason, beside pools that are well."""
    (line,) = not_ready([SERVING, pool], has_manager=has_manager)
    assert line["app_pool"] == "P"
    assert word in line["reason"]
