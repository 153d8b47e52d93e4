"""dynamicIdleThreshold: IIS's steps, and which of them are events."""

import pytest

from was.manager.pressure import MemoryPressure, idle_divisor, used_share


@pytest.mark.parametrize(
    ("used", "expected"),
    [(0.1, 1), (0.39, 1), (0.4, 2), (0.43, 4), (0.46, 8), (0.48, 16), (0.5, 32), (0.9, 32)],
)
def test_idle_timeouts_shrink_in_steps(used, expected):
    """The load is the used part of the memory against the threshold, here 50 %."""
    assert idle_divisor(used, 50) == expected


def test_zero_is_off():
    """Without a threshold no load is too much."""
    assert idle_divisor(1.0, 0) == 1


def test_changes_are_events():
    """5192 when reducing begins, 5193 when it becomes aggressive, 5194 when it has ended; no step
    between is one, and none is said twice."""
    pressure = MemoryPressure()
    steps = [1, 2, 4, 2, 8, 32, 8, 1, 1, 32]
    assert [pressure.update(step) for step in steps] == [
        [], [5192], [], [], [5193], [], [], [5194], [], [5192, 5193],
    ]  # fmt: skip


def test_what_is_not_available_is_used(tmp_path):
    """From /proc/meminfo; nothing is said to be used where it cannot be read."""
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  250 kB\nHugePages: 0\n")
    assert used_share(file) == 0.75
    file.write_text("nothing\n")
    assert used_share(file) == 0.0
    assert used_share(tmp_path / "none") == 0.0
    assert 0.0 < used_share() < 1.0
