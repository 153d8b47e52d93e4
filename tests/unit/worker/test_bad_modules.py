"""Modules that cannot be loaded or called: one clear line, 500.21 for who lists them, no more."""

import sys
import types

import pytest
from fake_exchange import ask, make_server

from was.worker.calls.http_module import HttpModule
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    ModuleRegistration,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import Priority, RequestNotification

GLOBAL = '<globalModules><add name="Odd" image="{}" /></globalModules>'
LISTED = '<modules><add name="Odd" /></modules>'


class Factory:
    def get_http_module(self, allocator):
        return HttpModule()

    def terminate(self):
        pass


def twice(version, info, server):
    info.set_request_notifications(Factory(), 1, 0)
    info.set_request_notifications(Factory(), 1, 0)


def unknown(version, info, server):
    info.set_request_notifications(Factory(), 0x1000, 0)


def failing(version, info, server):
    return 0x80004005


def leaving(version, info, server):
    sys.exit(3)


def broken_make(version, info, server):
    def make(application):
        raise ValueError("no settings here")

    info.set_request_notifications(ApplicationModuleFactory(make), 1, 0)


IMAGES = {
    "twice": (twice, "0x800700B7", "are set already"),
    "unknown": (unknown, "0x80070057", "no such notifications"),
    "failing": (failing, "0x80004005", "register_module has failed"),
    "leaving": (leaving, "0x80004005", "SystemExit"),
    "broken_make": (broken_make, "0x80004005", "no settings here"),
    "no_entry_point": (None, "0x8007007F", "register_module"),
    "missing": (None, "0x8007007E", "No module named"),
}


@pytest.fixture(params=sorted(IMAGES))
def odd(request, tmp_path, capfd):
    """A server of which one application takes the module out of its list, and what was said."""
    register, hresult, words = IMAGES[request.param]
    if request.param != "missing":
        image = types.ModuleType("odd_image")
        if register is not None:
            image.register_module = register
        sys.modules["odd_image"] = image
    (tmp_path / "site").mkdir()
    (tmp_path / "good").mkdir()
    for folder in ("site", "good"):
        (tmp_path / folder / "a.txt").write_text("fine")
    (tmp_path / "good" / "web.config").write_text(
        '<configuration><system.webServer><modules><remove name="Odd" /></modules>'
        "</system.webServer></configuration>"
    )
    server = make_server(
        tmp_path,
        LISTED,
        global_modules=GLOBAL.format("odd_image"),
        applications=f"""<application path="/good" applicationPool="pool">
          <virtualDirectory path="/" physicalPath="{tmp_path}/good" /></application>""",
    )
    yield server, hresult, words, capfd.readouterr().err
    sys.modules.pop("odd_image", None)


def test_who_lists_it_answers_500_21_and_others_go_on(odd):
    """The application whose list has it says why to who may know; the other one is served."""
    server, hresult, words, _ = odd
    exchange = ask(server, path="/a.txt")
    assert (exchange.status, exchange.sub_status) == (500, 21)
    assert words.encode() in exchange.body
    assert hresult.lower() in exchange.body.decode().lower()
    assert exchange.log
    assert ask(server, path="/good/a.txt", application="/good").body == b"fine"


def test_one_line_names_file_and_line(odd):
    """The log says which module, why, and where it is written."""
    _, _, words, said = odd
    lines = [line for line in said.splitlines() if "module_" in line and words in line]
    assert lines
    assert all("applicationHost.config" in line and "line=" in line for line in lines)
    assert "Odd" in lines[0]


def test_listed_but_not_installed(tmp_path, capfd):
    """A name that globalModules does not have: 500.19 for who lists it, with its place."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "web.config").write_text(
        "<configuration><system.webServer><modules>\n<add name='Nowhere' />\n"
        "</modules></system.webServer></configuration>"
    )
    server = make_server(tmp_path)
    said = capfd.readouterr().err
    assert "web.config:2" in said
    assert "Nowhere" in said
    exchange = ask(server)
    assert (exchange.status, exchange.sub_status) == (500, 19)
    assert b"Nowhere" in exchange.body


def info():
    return ModuleRegistrationInfo(ModuleRegistration("M", 1))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda i: i.set_request_notifications(Factory(), 1 << 13, 0), 87),
        (lambda i: i.set_request_notifications(Factory(), 1, 1 << 40), 87),
        (lambda i: i.set_request_notifications(Factory(), "all", 0), 87),
        (lambda i: i.set_request_notifications(None, 1, 0), 87),
        (lambda i: i.set_request_notifications(GlobalModule(), 1, 0), 87),
        (lambda i: i.set_global_notifications(Factory(), 2), 87),
        (lambda i: i.set_global_notifications(GlobalModule(), 1), 87),
        (lambda i: [i.set_global_notifications(GlobalModule(), 2) for _ in "12"], 183),
        (lambda i: [i.set_request_notifications(Factory(), 1, 0) for _ in "12"], 183),
        (lambda i: i.set_priority_for_request_notification(1, "SOON"), 87),
        (lambda i: i.set_priority_for_request_notification(1, 5), 87),
        (lambda i: i.set_priority_for_global_notification(1, "LAST"), 87),
    ],
)
def test_what_registration_refuses(call, code):
    """The tutorial that swaps the two setters, unknown bits and names, and a second time."""
    with pytest.raises(HResultError) as caught:
        call(info())
    assert caught.value.hresult == 0x80070000 | code


@pytest.mark.parametrize("priority", ["FIRST", "first", 0, Priority.FIRST])
def test_a_priority_by_alias_or_number(priority):
    """Both ways of C++ headers and of Python; a post-event takes its event's unless it is set."""
    registration = ModuleRegistration("M", 1)
    one = ModuleRegistrationInfo(registration)
    one.set_priority_for_request_notification(RequestNotification.BEGIN_REQUEST, priority)
    assert registration.priority(RequestNotification.BEGIN_REQUEST, True) is Priority.FIRST
    one.set_priority_for_post_request_notification(RequestNotification.BEGIN_REQUEST, "LAST")
    assert registration.priority(RequestNotification.BEGIN_REQUEST, True) is Priority.LAST
    assert registration.priority(RequestNotification.BEGIN_REQUEST, False) is Priority.FIRST
