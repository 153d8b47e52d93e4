"""What ISAPI filters make of a response's blocks, what becomes of its files, and whom they name."""

import base64
import os
from types import SimpleNamespace

import pytest
from fake_exchange import WSGI, ask, make_server

from was.worker.chunks import FileRegion
from was.worker.isapi import filter_sending
from was.worker.isapi.filter_flags import Notify
from was.worker.isapi.filter_sending import send_response


class Session:
    """One that has raised its head, and whose filter fails at a block."""

    has_raised_head = True
    is_sent = is_replaced = is_final = False

    def __init__(self, context, fails_at):
        self.context = context
        self.blocks = 0
        self.fails_at = fails_at

    def raise_event(self, filters, event, shown):
        self.blocks += 1
        if self.blocks == self.fails_at:
            raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_filter_that_fails_leaves_no_file_open(tmp_path, monkeypatch, fails_at):
    """Not of the block that it was shown, nor of those before it and after it."""
    file = tmp_path / "file"
    file.write_text("content")
    regions = [FileRegion(os.open(file, os.O_RDONLY), 0, 7) for _ in range(3)]
    response = SimpleNamespace(chunks=list(regions), content_length=-1)
    context = SimpleNamespace(response=response, is_cut=False)
    session = Session(context, fails_at)
    monkeypatch.setattr(filter_sending, "session_of", lambda context: session)
    parts = SimpleNamespace(of=dict.fromkeys(Notify, ("a filter",)))
    with pytest.raises(ZeroDivisionError):
        send_response(parts)(None, context, response)
    assert [region.fd for region in regions] == [-1, -1, -1]


FILTER = """
from isapi import isapicon
from isapi.simple import SimpleFilter

class Filter(SimpleFilter):
    "Says who it is."
    filter_flags = isapicon.SF_NOTIFY_AUTHENTICATION
    def HttpFilterProc(self, fc):
        data = fc.GetData()
        data.User, data.Password = b"J\\xf6rg", "secret"
        return isapicon.SF_STATUS_REQ_NEXT_NOTIFICATION

def __FilterFactory__():
    return Filter()
"""
ECHO = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["HTTP_AUTHORIZATION"].encode("latin-1")]
"""


def test_a_filter_names_a_user_in_any_bytes(tmp_path):
    """What it sets goes on as it is, be it no UTF-8."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "echoing.py").write_text(ECHO)
    (tmp_path / "naming_filter.py").write_text(FILTER)
    path = tmp_path / "naming_filter.py"
    filters = f'<isapiFilters><filter name="naming" path="{path}" /></isapiFilters>'
    server = make_server(tmp_path, filters + WSGI.format("echoing:app"))
    scheme, _, token = ask(server).body.decode().partition(" ")
    assert (scheme, base64.b64decode(token)) == ("Basic", b"J\xf6rg:secret")
    server.stop()
