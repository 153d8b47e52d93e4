"""Response fields that a module has set before the handler runs, with each kind of handler."""

import pytest
from fake_exchange import ask, ask_later, make_server

MODULE = """
from was.api import CONTINUE, HttpModule, RequestNotification

class Marking(HttpModule):
    def on_begin_request(self, context, provider):
        response = context.response
        response.set_header("X-Mark", "module")
        response.set_header("Content-Type", "text/x-module")
        response.set_header("Set-Cookie", "module=1")
        response.set_header("Vary", "X-Mark")
        if context.query == "close":
            response.set_need_disconnect()
        return CONTINUE

class Factory:
    def get_http_module(self, allocator):
        return Marking()
    def terminate(self):
        pass

def register_module(server_version, registration_info, http_server):
    registration_info.set_request_notifications(Factory(), RequestNotification.BEGIN_REQUEST, 0)
"""
APPLICATION = """
import sys

FIELDS = [("Content-Type", "text/plain"), ("Set-Cookie", "app=1"), ("Vary", "X-Mark")]

def wsgi(environ, start_response):
    start_response("200 OK", FIELDS)
    if environ["QUERY_STRING"] == "pieces":
        return iter([b"a", b"nswer"])
    if environ["QUERY_STRING"] == "again":
        try:
            start_response("200 OK", [("X-First", "1"), ("Content-Type", "text/first")], None)
        except AssertionError:
            start_response("200 OK", FIELDS, sys.exc_info())
    return [b"answer"]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    fields = [(n.lower().encode(), v.encode()) for n, v in FIELDS]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"answer"})
"""
CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\nSet-Cookie: app=1\\r\\nVary: X-Mark\\r\\n\\r\\nanswer'
"""
ISAPI = """
from isapi import isapicon
from isapi.simple import SimpleExtension

class Extension(SimpleExtension):
    def HttpExtensionProc(self, control_block):
        fields = "Content-Type: text/plain\\r\\nSet-Cookie: app=1\\r\\nVary: X-Mark\\r\\n\\r\\n"
        control_block.SendResponseHeaders("200 OK", fields, True)
        control_block.WriteClient("answer")
        control_block.DoneWithSession()
        return isapicon.HSE_STATUS_SUCCESS

def __ExtensionFactory__():
    return Extension()
"""
HANDLERS = """<handlers>
  <add name="i" path="/isapi" verb="*" modules="IsapiModule" scriptProcessor="{}/extension.py" />
  <add name="w" path="/wsgi" verb="*" modules="WsgiModule" scriptProcessor="answering:wsgi" />
  <add name="a" path="/asgi" verb="*" modules="AsgiModule" scriptProcessor="answering:asgi" />
  <add name="c" path="*.cgi" verb="*" modules="CgiModule" />
</handlers><modules><add name="Marking" /></modules>
<security><isapiCgiRestriction notListedIsapisAllowed="true" /></security>"""
CACHING = (
    '<caching><profiles><add extension=".txt" policy="CacheForTimePeriod" /></profiles></caching>'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    site = folder / "site"
    site.mkdir()
    (folder / "marking.py").write_text(MODULE)
    (site / "answering.py").write_text(APPLICATION)
    (site / "extension.py").write_text(ISAPI)
    (site / "page.txt").write_text("answer")
    (site / "page.cgi").write_text(CGI)
    (site / "page.cgi").chmod(0o755)
    module = f'<globalModules><add name="Marking" image="{folder}/marking.py" /></globalModules>'
    server = make_server(folder, HANDLERS.format(site) + CACHING, global_modules=module)
    ask_later(server, path="/page.cgi")  # what a worker keeps for its programs is there from now on
    yield server
    server.stop()


def lines(exchange) -> list[str]:
    """The fields that the module or the handler has set."""
    wanted = ("x-mark", "content-type", "set-cookie", "vary", "x-first")
    pairs = (line.partition(":") for line in exchange.block.decode().split("\r\n"))
    found = [f"{name.lower()}:{value}" for name, _, value in pairs]
    return sorted(line for line in found if line.startswith(wanted))


OF_MODULE = ["set-cookie: module=1", "vary: X-Mark", "x-mark: module"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/wsgi", ""),
        ("/wsgi", "pieces"),
        ("/wsgi", "again"),
        ("/asgi", ""),
        ("/page.cgi", ""),
        ("/isapi", ""),
    ],
)
def test_an_application_adds_to_them(server, path, query):
    """They go out with the application's own, which count where there can be one only."""
    answer = ask_later(server, path=path, query=query)
    assert answer.body == b"answer"
    assert lines(answer) == ["content-type: text/plain", "set-cookie: app=1", *OF_MODULE]


@pytest.mark.parametrize(
    ("fields", "status"),
    [([], 200), ([("Range", "bytes=0-1")], 206), ([("If-None-Match", "*")], 304)],
)
def test_a_file_adds_to_them(server, fields, status):
    """The same for a file, whole, in part or not at all."""
    answer = ask(server, path="/page.txt", fields=[("Host", "h"), *fields])
    assert answer.status == status
    kind = "text/x-module" if status == 304 else "text/plain"
    assert lines(answer) == [f"content-type: {kind}", *OF_MODULE]


def test_a_module_may_have_the_connection_closed(server):
    """SetNeedDisconnect before an ASGI application runs: the application does not take it back."""
    assert ask_later(server, path="/asgi", query="close").close


def test_a_response_with_a_cookie_of_a_module_is_not_kept(server):
    """A cookie is for one client, whoever has set it."""
    for text in ("one", "other"):
        with open(f"{next(iter(server.applications)).physical_path}/kept.txt", "w") as file:
            file.write(text)
        assert ask(server, path="/kept.txt").body == text.encode()
