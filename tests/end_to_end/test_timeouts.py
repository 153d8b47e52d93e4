"""Time limits on clients, in a home whose minutes pass in seconds."""

import time

import pytest
from support.pools import calm_pool
from support.running import place, run_server, simple_config
from support.wire import Wire

SCALE = 50  # the default limit of 120 s passes in 2.4 s
# Neither that of a machine that is busy, nor of any other limit.
LONGEST_S = 30


@pytest.fixture(scope="module")
def site():
    config = simple_config("probe:application", pool=calm_pool(idleTimeout="00:00:00"))
    with run_server(config, place("probe.py"), time_scale=SCALE) as running:
        yield running


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nSlow: ",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
    ],
)
def test_a_request_that_stands_still_is_ended(site, begun):
    """A head or a body that stops arriving ends the connection at its limit."""
    start = time.monotonic()
    with Wire(site.port()) as wire:
        wire.send(begun)
        while wire.read_some():
            pass
    assert 0.5 < time.monotonic() - start < LONGEST_S


def test_an_idle_connection_is_closed_at_its_limit(site):
    """A keep-alive connection without a request is closed after connectionTimeout."""
    start = time.monotonic()  # not when the answer is heard, which may be late
    with Wire(site.port()) as wire:
        assert wire.request("/").status == 200
        assert wire.is_closed()
    assert 0.5 < time.monotonic() - start < LONGEST_S
