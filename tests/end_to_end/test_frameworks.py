"""Flask and Django applications as their users write them, static files served by the site."""

import re
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from support.running import place, run_server
from support.wire import Answer, Wire, get

FORM = "application/x-www-form-urlencoded"


def _config(processor: str) -> str:
    static = '<add name="static" path="static/*" verb="*" modules="StaticFileModule" />'
    handlers = (static, wsgi_handler(processor))
    application = Application("/", Path("{home}") / "sites" / "app", "Pool", handlers)
    # The first `add` of a level comes first, so the files need to be named before the application.
    return application_host_config([Pool("Pool")], [Site("Site", (application,))])


@pytest.fixture(scope="module")
def flask_site():
    with run_server(
        _config("shop:app"), place("flask_shop/shop.py", "flask_shop/static")
    ) as running:
        running.allow("application_error")
        yield running


@pytest.fixture(scope="module")
def django_site():
    names = ("settings.py", "site_wsgi.py", "notes", "static")
    with run_server(
        _config("site_wsgi:application"), place(*(f"django_site/{name}" for name in names))
    ) as running:
        running.allow("application_error")
        yield running


def _cookies(answer: Answer) -> str:
    return "; ".join(value.partition(";")[0] for value in answer.all("set-cookie"))


def test_flask_pages_forms_and_sessions(flask_site):
    """A form post changes the session, the redirect leads to the page that shows it."""
    with Wire(flask_site.port()) as wire:
        assert "Basket: " in wire.request("/").text
        answer = wire.request("/basket", "POST", b"item=tea", {"Content-Type": FORM})
        assert answer.status == 302
        assert answer.field("location") == "/"
        page = wire.request("/", fields={"Cookie": _cookies(answer)})
        assert "Basket: tea" in page.text


def test_flask_uploads(flask_site):
    """A multipart upload larger than the spool's memory reaches the application whole."""
    content = b"x" * 200_000
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--edge--\r\n"
    )
    with Wire(flask_site.port()) as wire:
        answer = wire.request(
            "/upload", "POST", body, {"Content-Type": "multipart/form-data; boundary=edge"}
        )
    assert answer.json() == {"name": "a.bin", "size": len(content)}


def test_flask_static_files_are_the_sites(flask_site):
    """Static files are served by the site's own handler, with its validators."""
    answer = get(flask_site.port(), "/static/shop.css")
    assert (answer.status, answer.text) == (200, "p { color: green }\n")
    assert answer.field("content-type").startswith("text/css")
    assert get(flask_site.port(), "/static/missing.css").status == 404


def test_flask_errors_are_flasks_own(flask_site):
    """What the framework answers, 404 and 500 pages too, reaches the client."""
    assert get(flask_site.port(), "/missing").status == 404
    assert get(flask_site.port(), "/fail").status == 500


def test_django_forms_with_csrf_and_sessions(django_site):
    """A form post with its CSRF token is accepted, one without is refused."""
    with Wire(django_site.port()) as wire:
        page = wire.request("/")
        assert page.status == 200
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert found
        cookie = _cookies(page)
        body = f"csrfmiddlewaretoken={found[1]}&note=first+note".encode()
        fields = {"Content-Type": FORM, "Cookie": cookie}
        answer = wire.request("/", "POST", body, fields)
        assert answer.status == 302
        shown = wire.request("/", fields={"Cookie": _cookies(answer)})
        assert "<li>first note</li>" in shown.text
        assert wire.request("/", "POST", b"note=x", fields).status == 403


def test_django_static_files_are_the_sites(django_site):
    """Static files are served by the site, not by Django, which has DEBUG off."""
    answer = get(django_site.port(), "/static/notes.css")
    assert (answer.status, answer.text) == (200, "ul { color: blue }\n")


def test_django_errors_are_djangos_own(django_site):
    """What the framework answers reaches the client."""
    assert get(django_site.port(), "/missing").status == 404
    assert get(django_site.port(), "/fail").status == 500
