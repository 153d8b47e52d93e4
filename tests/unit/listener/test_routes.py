"""Routes told bit by bit are those of a listener that was told everything at once."""

from hypothesis import given
from hypothesis import strategies as st

from was.ipc.listener_control import ChangeRoutes, SetRoutes
from was.ipc.served import LogSettings, PoolRoute, SiteRoute
from was.listener.routes import Routes
from was.listener.routing import RouteMiss
from was.manager.listener_side import ListenerSide

HOSTS = ("", "a.example", "b.example", "*.example")
PATHS = ("/", "/app", "/app/deep")
POOLS = {"p": object(), "q": object()}


@st.composite
def site_routes(draw, site_id):
    """A site with a few bindings and applications, some of which others have as well."""
    hosts = draw(st.lists(st.sampled_from(HOSTS), max_size=3))
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True))
    return SiteRoute(
        id=site_id,
        name=f"S{site_id}",
        started=draw(st.booleans()),
        bindings=[("http", f"*:80:{host}") for host in hosts],
        applications=[PoolRoute(path, draw(st.sampled_from(["p", "q", "gone"]))) for path in paths],
        log=LogSettings(True, "", "Daily", 0, False, 0),
        connection_timeout_s=float(draw(st.integers(0, 3))),
    )


STEPS = st.lists(
    st.lists(st.integers(1, 4), max_size=4, unique=True).flatmap(
        lambda ids: st.tuples(*(site_routes(n) for n in ids))
    ),
    min_size=1,
    max_size=5,
)


def answers(routes):
    """Where each address leads, as far as a client can tell."""
    found = []
    for host in ("a.example", "b.example", "c.example", "other", ""):
        for path in ("/x", "/app/x", "/app/deep/x"):
            target = routes.lookup("http", host, 80, "127.0.0.1", path)
            if isinstance(target, RouteMiss):
                found.append(target)
            else:
                site = target.site
                found.append((site.id, site.connection_timeout_s, target.application, target.pool))
    return found


class Listener:
    """The listener's end of the control road: obeys what it is told about routes."""

    def __init__(self):
        self.routes = Routes()
        self.heard = []

    def send(self, message, descriptors=()):
        self.heard.append(message)
        if isinstance(message, SetRoutes):
            self.routes.configure(message.sites, POOLS, float)
        else:
            self.routes.change(message.sites, message.gone, POOLS, float)


def told(side, listener):
    side._peer = listener
    side._told = None
    return listener


@given(steps=STEPS)
def test_changes_in_a_row_lead_where_everything_at_once_leads(steps):
    """Sites come, change, stop and go; two may want one address, then the first has it."""
    side = ListenerSide(None)
    listener = told(side, Listener())
    for sites in steps:
        side.set_routes(sorted(sites, key=lambda s: s.id))
        fresh = Routes()
        # In the order in which the listener has heard of them: who asked first has a prefix.
        order = list(listener.routes._routes)
        fresh.configure(sorted(sites, key=lambda s: order.index(s.id)), POOLS, float)
        assert answers(listener.routes) == answers(fresh)


def a_site(number, host="a.example"):
    log = LogSettings(True, "", "Daily", 0, False, 0)
    return SiteRoute(
        number, f"S{number}", True, [("http", f"*:80:{host}")], [PoolRoute("/", "p")], log
    )


def test_a_listener_is_told_what_is_new_to_it():
    """Everything at first and when pools have changed; then what changed, and nothing twice."""
    side = ListenerSide(None)
    side.set_routes([a_site(1)])
    listener = told(side, Listener())
    one, two = a_site(1), a_site(2, "b.example")
    side.set_routes([one, two])
    side.set_routes([one, a_site(2, "b.example")])
    side.set_routes([one, a_site(2, "c.example")])
    side.set_routes([one])
    side.set_routes([one], whole=True)
    assert listener.heard == [
        SetRoutes([one, two]),
        ChangeRoutes([a_site(2, "c.example")], []),
        ChangeRoutes([], [2]),
        SetRoutes([one]),
    ]
    successor = told(side, Listener())
    side.set_routes([one])
    assert successor.heard == [SetRoutes([one])]


def test_a_site_keeps_its_connections_when_it_changes():
    """Its runtime is the same object, in the old table and in the new one."""
    routes = Routes()
    routes.configure([a_site(1), a_site(2, "b.example")], POOLS, float)
    before = routes.lookup("http", "a.example", 80, "127.0.0.1", "/").site
    before.connections = 3
    routes.change([a_site(1, "c.example")], [2], POOLS, float)
    assert routes.lookup("http", "c.example", 80, "127.0.0.1", "/").site is before
    assert isinstance(routes.lookup("http", "a.example", 80, "127.0.0.1", "/"), RouteMiss)
    assert isinstance(routes.lookup("http", "b.example", 80, "127.0.0.1", "/"), RouteMiss)


def test_who_waited_for_an_address_has_it_when_it_is_free():
    """The second of two sites with one binding answers once the first has gone."""
    routes = Routes()
    routes.configure([a_site(1), a_site(2)], POOLS, float)
    assert routes.lookup("http", "a.example", 80, "127.0.0.1", "/").site.id == 1
    routes.change([], [1], POOLS, float)
    assert routes.lookup("http", "a.example", 80, "127.0.0.1", "/").site.id == 2
