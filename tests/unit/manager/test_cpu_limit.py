"""A pool's `cpu` limit as arithmetic: budgets, throttling, what the kernel is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.model import Cpu, CpuAction
from was.manager.cpu_limit import (
    PERIOD_US,
    CpuBudget,
    CpuThrottle,
    affinity_of,
    is_limited,
    nice_of,
    quota_us,
    share_of,
    weight_of,
)

HALF = {"share": 0.5, "processors": 2, "interval_s": 100.0}  # a budget of 100 s


def test_a_budget_is_a_share_of_all_processors_over_the_interval():
    """50 % of two processors for 100 s: 100 s may be used, and what is more is told once."""
    budget = CpuBudget(0.0, 7.0)
    assert not budget.look(10.0, 107.0, **HALF)
    assert budget.look(20.0, 107.1, **HALF)
    assert not budget.look(30.0, 120.0, **HALF)
    assert budget.next_at == budget.ends_at == 100.0


def test_a_new_interval_has_a_new_budget():
    """What was used in the last interval is forgotten, and is told again when it happens again."""
    budget = CpuBudget(0.0, 0.0)
    assert budget.look(10.0, 150.0, **HALF)
    assert not budget.look(100.0, 160.0, **HALF)
    assert budget.ends_at == 200.0
    assert budget.look(150.0, 260.1, **HALF)


def test_a_budget_is_looked_at_when_it_could_be_used_up():
    """No sooner than all processors could have done it, nor more than 100 times an interval."""
    budget = CpuBudget(0.0, 0.0)
    budget.look(0.0, 0.0, **HALF)
    assert budget.next_at == 50.0
    budget.look(50.0, 99.9, **HALF)
    assert budget.next_at == 51.0


@given(st.lists(st.tuples(st.floats(0.001, 2.0), st.floats(0.0, 1.0)), max_size=60))
def test_a_throttled_pool_never_gets_more_than_its_rate(steps):
    """However greedy it is: what it uses beyond rate x time is at most what fits in one look."""
    share, processors = 0.1, 2
    throttle = CpuThrottle(0.0, 0.0)
    now = used = 0.0
    most_step = 0.0
    held = throttle.look(now, used, share=share, processors=processors)
    for late, greed in steps:
        # The look comes as late as a busy machine has it.
        length = max(0.0, throttle.next_at - now) + late * 0.01
        step = 0.0 if held else greed * processors * length
        most_step = max(most_step, step)
        now, used = now + length, used + step
        held = throttle.look(now, used, share=share, processors=processors)
        assert used <= share * processors * now + most_step + 1e-6


def test_a_throttled_pool_that_uses_its_rate_is_never_held():
    """Throttling is a maximum: who stays below it does not notice."""
    throttle = CpuThrottle(0.0, 0.0)
    for step in range(1, 200):
        assert not throttle.look(step * 0.1, step * 0.009, share=0.1, processors=1)


def test_a_held_pool_goes_on_when_it_has_something_again():
    """next_at says when; a look before that changes nothing."""
    throttle = CpuThrottle(0.0, 0.0)
    assert throttle.look(1.0, 0.6, share=0.5, processors=1)
    assert throttle.next_at == pytest.approx(1.25 + 0.0)
    assert throttle.look(1.1, 0.6, share=0.5, processors=1)
    assert not throttle.look(throttle.next_at, 0.6, share=0.5, processors=1)


@pytest.mark.parametrize(
    ("cpu", "limited"),
    [
        (Cpu(), False),
        (Cpu(limit=1), True),
        (Cpu(limit=1, reset_interval_s=0.0), False),
        (Cpu(limit=1, reset_interval_s=0.0, action=CpuAction.KILL_W3WP), False),
        (Cpu(limit=1, reset_interval_s=0.0, action=CpuAction.THROTTLE), True),
        (Cpu(limit=1, reset_interval_s=0.0, action=CpuAction.THROTTLE_UNDER_LOAD), True),
        (Cpu(limit=0, action=CpuAction.THROTTLE), False),
    ],
)
def test_is_limited(cpu, limited):
    """Limit 0 is none; an interval of 0 turns off the limits that have one."""
    assert is_limited(cpu) is limited


def test_the_kernel_is_told_shares():
    """100 % is the whole machine; no quota is less than the kernel takes."""
    assert share_of(Cpu(limit=25_000)) == 0.25
    assert quota_us(0.25, 2) == PERIOD_US // 2
    assert quota_us(0.00001, 2) == 1000
    assert weight_of(0.5, 1024) == 1024
    assert weight_of(0.2, 100) == 25
    assert weight_of(0.00001, 1024) == 2
    assert weight_of(1.0, 100) == 10_000
    assert [nice_of(share) for share in (1.0, 0.5, 0.2, 0.00001)] == [0, 0, 6, 19]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF, {0, 1, 33}),
        (0b10, 0, {1}),
        (0b1, 0b10, {0, 33}),
        (0b100, 0, set()),
    ],
)
def test_affinity(low, high, expected):
    """The masks are the low and the high half of one; processors that are not there count not."""
    cpu = Cpu(smp_processor_affinity_mask=low, smp_processor_affinity_mask2=high)
    assert affinity_of(cpu, [0, 1, 33]) == expected
