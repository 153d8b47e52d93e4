"""Configuration to sockets, routes and queues."""

import errno
import os
import select
import socket
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from support.ports import unused_port

from was.config.model import (
    Application,
    AppPool,
    Binding,
    LogFile,
    ServerConfig,
    Site,
    VirtualDirectory,
)
from was.ipc.endpoints import Home
from was.ipc.listener_control import WantSockets
from was.ipc.served import ListeningSocket
from was.manager.newcomers import Newcomers
from was.manager.notify import GivenSocket, Notifier
from was.manager.pool import ApplicationPool
from was.manager.routes import SocketKey, needed_sockets, pool_queue, site_route, site_urls
from was.manager.sites import SiteSet
from was.manager.sockets import ListeningSockets
from was.manager.state_files import StateFiles


def binding(ip="", port=80, host="", protocol="http"):
    text = f"{ip or '*'}:{port}:{host}"
    return Binding(protocol=protocol, binding_information=text, ip=ip, port=port, host=host)


def site(number, *bindings, pool="P"):
    root = VirtualDirectory(path="/", physical_path="/srv")
    application = Application(path="/", application_pool=pool, virtual_directories=(root,))
    return Site(name=f"s{number}", id=number, bindings=bindings, applications=(application,))


def test_sites_share_the_socket_of_an_address():
    """Host names tell sites apart, not sockets."""
    sites = [site(1, binding(host="a")), site(2, binding(host="b"))]
    assert list(needed_sockets(sites)) == [SocketKey("", 80)]


def test_a_socket_for_all_addresses_serves_each_of_them():
    """The kernel would refuse a second socket for one address of the same port."""
    sites = [site(1, binding("10.0.0.1")), site(2, binding()), site(3, binding("10.0.0.1", 81))]
    assert set(needed_sockets(sites)) == {SocketKey("", 80), SocketKey("10.0.0.1", 81)}


def test_port_0_is_a_port_of_its_own():
    """Two bindings that ask for any port get two."""
    sites = [site(1, binding(port=0), binding(port=0)), site(2, binding(port=0))]
    assert len(needed_sockets(sites)) == 3


def test_other_protocols_need_no_socket():
    """net.tcp and the like are kept in the file and not listened on."""
    assert not needed_sockets([site(1, Binding(protocol="net.pipe", binding_information="*"))])


def test_routes_show_real_ports_and_leave_out_unknown_pools():
    """The listener is told what was really bound."""
    route = site_route(site(1, binding("::1", 0, "h")), lambda _: 4711, {"Q"}, started=True)
    assert route.bindings == [("http", "[::1]:4711:h")]
    assert route.applications == []


@pytest.mark.parametrize(
    ("folder", "told"), [("/srv/logs", "/srv/logs"), ("/srv/D:\\logs", ""), ("/srv/%X%/logs", "")]
)
def test_a_folder_of_windows_for_logs_is_none(folder, told):
    """They are in the home's own, and not below a folder with a backslash in its name."""
    logged = replace(site(1, binding()), log_file=LogFile(directory=folder))
    assert site_route(logged, lambda _: 80, {"P"}, started=True).log.directory == told


def test_urls_can_be_opened_by_a_person():
    """Host name or address, and the port unless it is the usual one."""
    one = site(1, binding(), binding("::1", 8080), binding(host="a.example"), binding(host="*.b"))
    assert site_urls(one, lambda key: key.port) == [
        "http://localhost/",
        "http://[::1]:8080/",
        "http://a.example/",
        "http://localhost/",
    ]


def test_a_stopped_pool_refuses():
    """The queue's state is the pool's."""
    pool = ApplicationPool(AppPool(name="P"), iter(range(9)), lambda s: s)
    assert (pool_queue(pool).accepting, pool_queue(pool).refusal) == (False, "Disabled")
    pool.start(0.0)
    assert (pool_queue(pool).accepting, pool_queue(pool).refusal) == (True, "")


def test_sockets_stay_while_they_are_needed():
    """A second apply keeps the port; one without sites closes it, once the listener has let go."""
    sockets = ListeningSockets(Notifier())
    one = site(1, binding("127.0.0.1", 0))
    key = SocketKey("127.0.0.1", 0, "1/0")
    try:
        assert sockets.apply([one]) == {}
        port = sockets.real_port(key)
        assert port > 0
        assert sockets.apply([one]) == {}
        assert sockets.real_port(key) == port
        with socket.create_connection(("127.0.0.1", port)), socket.socket() as late:
            ((_, fd),) = sockets.to_send()
            with socket.socket(fileno=os.dup(fd)) as of_listener:
                sockets.apply([])
                # Who comes now is not let in, to be reset in a moment: he asks again, and is told.
                late.setblocking(False)
                assert late.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
                of_listener.accept()[0].close()
                with pytest.raises(BlockingIOError):
                    of_listener.accept()
            sockets.let_go()
            select.select([], [late], [])
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    finally:
        sockets.close()


def test_the_next_manager_takes_connections_where_the_last_one_was_about_to_end():
    """It died between its last word of a socket and its end; the binding is wanted again."""
    sockets, later = ListeningSockets(Notifier()), ListeningSockets(Notifier())
    try:
        sockets.apply([site(1, binding("127.0.0.1", 0))])
        ((described, fd),) = sockets.to_send()
        held = os.dup(fd)
        sockets.apply([])
        later.adopt([(SocketKey("127.0.0.1", described.port), "http", held)])
        socket.create_connection(("127.0.0.1", described.port)).close()
    finally:
        sockets.close()
        later.close()


def test_what_a_service_manager_listens_on_is_left_as_it_is():
    """Its socket outlives us: who comes meanwhile waits there."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        sockets = ListeningSockets(Notifier())
        sockets.give([GivenSocket("", given.dup())])
        try:
            sockets.apply([site(1, binding("127.0.0.1", port))])
            sockets.apply([])
            socket.create_connection(("127.0.0.1", port)).close()
        finally:
            sockets.close()


def test_a_socket_that_is_needed_again_is_the_same():
    """And one of another address waits until the listener has let go."""
    sockets = ListeningSockets(Notifier())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    one, every = site(1, binding("127.0.0.1", port)), site(1, binding("", port))
    try:
        assert sockets.apply([one]) == {}
        ((_, fd),) = sockets.to_send()
        sockets.apply([])
        assert sockets.apply([one]) == {}
        assert [fd] == [fd for _, fd in sockets.to_send()]
        socket.create_connection(("127.0.0.1", port)).close()
        assert list(sockets.apply([every])) == ["s1"]
        assert sockets.awaiting == {"s1"}
        sockets.let_go()
        assert sockets.apply([every]) == {}
        assert sockets.awaiting == frozenset()
    finally:
        sockets.close()


def site_set(folder, *sites):
    """As a manager has it that begins, and the listener that it tells of them."""
    config = ServerConfig(home="/", app_pools={}, sites=sites)
    files = StateFiles(Home(folder))
    server = SimpleNamespace(config=config, files=files, notifier=Notifier())
    listener = SimpleNamespace(set_routes=Mock(), set_sockets=Mock())
    return SiteSet(server, listener, {}, Newcomers(files, {})), server, listener


def test_a_site_with_the_id_of_one_that_is_gone_is_a_new_one(tmp_path):
    """It starts by itself though that one was stopped; for the next manager too."""
    old, new = site(1), site(1)
    sites, server, _ = site_set(tmp_path, old)
    sites.bind()
    sites.set_started(old, started=False)
    assert not sites.is_started(old)
    for configured in ((), (new,)):
        server.config = replace(server.config, sites=configured)
        sites.bind()
    assert sites.is_started(new)
    sites, _, _ = site_set(tmp_path, new)
    sites.adopt([])
    sites.bind()
    assert sites.is_started(new)


def test_nothing_is_bound_once_all_is_closed(tmp_path):
    """A stop has closed the ports: what was on its way by then opens none again."""
    one = site(1, binding("127.0.0.1", unused_port()))
    sites, _, listener = site_set(tmp_path, one)
    assert sites.bind() == []
    sites.close()
    program = ListeningSocket("127.0.0.1", unused_port(), "http")
    sites.want(WantSockets([program], is_whole=True))
    sites.set_started(one, started=True)
    sites.publish_routes()
    assert not listener.set_routes.called
    assert not listener.set_sockets.called
    assert sites.sockets() == []


def test_a_taken_port_is_named_with_its_site_and_the_reason():
    """One line a person can act on; the other sites are bound."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sockets = ListeningSockets(Notifier())
        try:
            refused = sockets.apply(
                [site(1, binding("127.0.0.1", port)), site(2, binding("127.0.0.1", 0))]
            )
            assert list(refused) == ["s1"]
            assert f"127.0.0.1:{port}" in refused["s1"]
            assert "in use" in refused["s1"]
            assert len(sockets.to_send()) == 1
        finally:
            sockets.close()
