"""Django's admin, as its users work with it: migrated, collected, logged in, uploaded to."""

import os
import re

import pytest
from support.django_admin import run_django_admin
from support.wire import Answer, Wire, get

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def running():
    with run_django_admin() as running:
        yield running


class Browser:
    """Keeps cookies, and posts forms with the token of the page."""

    def __init__(self, port: int) -> None:
        self._wire = Wire(port)
        self._cookies: dict[str, str] = {}

    def ask(self, target: str, method: str = "GET", body: bytes | None = None, kind: str = FORM):
        fields = {"Cookie": "; ".join(f"{n}={v}" for n, v in self._cookies.items())}
        if body is not None:
            fields["Content-Type"] = kind
        answer = self._wire.request(target, method, body, fields)
        for cookie in answer.all("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer

    def token(self, page: Answer) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert found is not None
        return found[1]

    def close(self) -> None:
        self._wire.socket.close()


@pytest.fixture
def browser(running):
    browser = Browser(running.port())
    yield browser
    browser.close()


def test_the_admin_below_a_path_of_the_site(running, browser):
    """Login, a list, an upload in a form of several parts, and its file as it was sent."""
    answer = browser.ask("/shop/admin/")
    assert answer.field("location") == "/shop/admin/login/?next=/shop/admin/"
    login = browser.ask("/shop/admin/login/?next=/shop/admin/")
    style = re.search(r'href="(/shop/static/admin/css/base[^"]*\.css)"', login.text)
    assert style is not None
    assert get(running.port(), style[1]).field("content-type") == "text/css"
    form = f"csrfmiddlewaretoken={browser.token(login)}&username=anna&password=secret"
    done = browser.ask("/shop/admin/login/?next=/shop/admin/", "POST", form.encode())
    assert (done.status, done.field("location")) == (302, "/shop/admin/")
    assert "Documents" in browser.ask("/shop/admin/").text

    page = browser.ask("/shop/admin/shelf/document/add/")
    content = os.urandom(3_000_000)
    edge = "=-=-edge"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value
        for name, more, value in (
            ("csrfmiddlewaretoken", "", browser.token(page).encode()),
            ("title", "", "Größe".encode()),
            ("file", '; filename="a.bin"', content),
        )
    ]
    body = b"\r\n".join([*parts, f"--{edge}--\r\n".encode()])
    kind = f"multipart/form-data; boundary={edge}"
    added = browser.ask("/shop/admin/shelf/document/add/", "POST", body, kind)
    assert (added.status, added.field("location")) == (302, "/shop/admin/shelf/document/")
    assert "Größe" in browser.ask("/shop/admin/shelf/document/").text
    (kept,) = (running.folder("shop") / "data" / "media" / "files").iterdir()
    assert kept.read_bytes() == content
