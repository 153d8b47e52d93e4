"""Time as an argument, and the scale that makes it pass faster in a testing home."""

import pytest

from was.clock import SystemClock, time_scale


@pytest.fixture
def home(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path


def test_the_scale_counts_in_a_testing_home_only(home, monkeypatch):
    """A variable that somebody left in the environment shortens nobody's limits."""
    monkeypatch.setenv("WAS_TEST_TIME_SCALE", "60")
    assert time_scale(home) == 1.0
    (home / "run" / "testing").touch()
    assert time_scale(home) == 60.0
    monkeypatch.delenv("WAS_TEST_TIME_SCALE")
    assert time_scale(home) == 1.0


@pytest.mark.parametrize("text", ["0.5", "-1", "fast"])
def test_a_scale_that_is_none_is_refused(home, monkeypatch, text):
    """Nothing slower than life, and no zero to divide by."""
    (home / "run" / "testing").touch()
    monkeypatch.setenv("WAS_TEST_TIME_SCALE", text)
    with pytest.raises(ValueError, match=text if text == "fast" else "at least 1"):
        time_scale(home)


def test_a_scaled_clock_shortens_durations_and_not_time():
    """Limits pass faster; what the clock says stays what it is."""
    assert SystemClock(60.0).scaled(90.0) == 1.5
    assert SystemClock().scaled(90.0) == 90.0
    assert SystemClock.monotonic() <= SystemClock(60.0).monotonic()
