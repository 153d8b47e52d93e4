"""What tests of programs that serve URLs have in common: a server, a URL beside its site, a queue.

A test module takes them by name: `running, url, queue = programs.running, programs.url, …`.
"""

from collections.abc import Iterator

import pytest

from support.running import Running, place, simple_config
from was import httpapi


@pytest.fixture
def running(start_server) -> Running:
    """A server with one site."""
    return start_server(simple_config("hello:application"), place("hello.py"))


@pytest.fixture
def url(running) -> str:
    """A UrlPrefix on the site's port."""
    return f"http://+:{running.port()}/demo/"


@pytest.fixture
def queue(running) -> Iterator[httpapi.RequestQueue]:
    """A request queue of this process, that others may share."""
    with httpapi.RequestQueue("tested", share=True, home=running.home) as queue:
        yield queue
