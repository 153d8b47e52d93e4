"""URLs of programs beside those of sites: who comes first has a prefix, as long as it is there."""

from types import SimpleNamespace

import pytest

from was.config.urls import parse_prefix
from was.ipc.served import LogSettings, PoolRoute, SiteRoute
from was.listener.routes import Routes, SiteRuntime, Target

LOG = LogSettings(False, "", "Daily", 0, False, 0)
URL = parse_prefix("http://*:80/demo/")


def site(number: int, path: str = "/") -> SiteRoute:
    return SiteRoute(number, f"S{number}", True, [("http", "*:80:")], [PoolRoute(path, "P")], LOG)


def target(*, accepting: bool = True) -> Target:
    broker = SimpleNamespace(settings=SimpleNamespace(accepting=accepting))
    return Target(SiteRuntime(0), "", broker)


@pytest.fixture
def routes() -> Routes:
    routes = Routes()
    routes.configure([site(1)], {"P": target().pool}, float)
    return routes


def find(routes: Routes, path: str):
    return routes.lookup("http", "host", 80, "127.0.0.1", path)


def test_a_program_has_its_prefix_through_changes_of_the_sites(routes):
    """It is found before the site's shorter one, also after the sites were set anew."""
    mine = target()
    assert routes.register(URL, mine)
    routes.change([site(2, "/other")], [], {"P": target().pool}, float)
    assert find(routes, "/demo/x") is mine
    routes.configure([site(1)], {"P": target().pool}, float)
    assert find(routes, "/DEMO") is mine
    assert find(routes, "/demon").site.id == 1


def test_what_is_taken_is_refused_and_can_be_had_when_it_is_free(routes):
    """A site's prefix and another queue's are refused; a dead queue's are not."""
    dead, mine = target(accepting=False), target()
    assert not routes.register(parse_prefix("http://*:80/"), mine)
    assert routes.register(URL, dead)
    assert routes.register(URL, mine)
    assert not routes.register(URL, target())
    routes.unregister(URL)
    assert find(routes, "/demo/").site.id == 1
    routes.unregister(URL)  # nothing to give back


def test_a_site_gets_the_prefix_that_a_program_gives_back(routes):
    """A site that came later waits for it."""
    mine = target()
    routes.register(URL, mine)
    routes.change([site(3, "/demo")], [], {"P": target().pool}, float)
    assert find(routes, "/demo/") is mine
    routes.unregister(URL)
    assert find(routes, "/demo/").site.id == 3
