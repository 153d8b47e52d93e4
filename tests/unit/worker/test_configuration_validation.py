"""ConfigurationValidationModule: settings of ASP.NET's classic pipeline are not passed over."""

import pytest
from fake_exchange import ask, make_server

MODULES = '<httpModules><add name="M" type="T" /></httpModules>'
HANDLERS = '<httpHandlers><add path="*" verb="*" type="T" /></httpHandlers>'
IMPERSONATION = '<identity impersonate="true" />'


def web_config(folder, system_web, validation=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "web.config").write_text(
        f"<configuration><system.web>{system_web}</system.web>"
        f"<system.webServer>{validation}</system.webServer></configuration>"
    )


def outcome(server, path="/a.txt"):
    exchange = ask(server, path=path)
    return f"{exchange.status}.{exchange.sub_status}"


@pytest.mark.parametrize(
    ("system_web", "expected"),
    [
        (MODULES, "500.22"),
        (HANDLERS, "500.23"),
        (IMPERSONATION, "500.24"),
        (IMPERSONATION + HANDLERS + MODULES, "500.22"),
        ("<httpModules><clear /></httpModules>", "200.0"),
        ("<httpModules />", "200.0"),
        ('<identity impersonate="false" />', "200.0"),
        ('<compilation debug="true" />', "200.0"),
    ],
)
def test_what_does_not_apply(tmp_path, system_web, expected):
    """Each setting has its sub-status; sections without an entry, and all others, pass."""
    web_config(tmp_path / "site", system_web)
    (tmp_path / "site" / "a.txt").write_text("a")
    assert outcome(make_server(tmp_path)) == expected


def test_it_concerns_what_lies_below_the_file(tmp_path):
    """And the page names file and line."""
    web_config(tmp_path / "site" / "old", MODULES)
    for folder in ("", "old", "old/er"):
        (tmp_path / "site" / folder).mkdir(exist_ok=True)
        (tmp_path / "site" / folder / "a.txt").write_text("a")
    server = make_server(tmp_path)
    assert outcome(server) == "200.0"
    assert outcome(server, "/old/a.txt") == outcome(server, "/old/er/a.txt") == "500.22"
    page = ask(server, path="/old/a.txt", fields=[("Host", "localhost")]).body.decode()
    assert f"{tmp_path}/site/old/web.config:1" in page


def test_it_can_be_switched_off(tmp_path):
    """validateIntegratedModeConfiguration="false" means: I know, go on."""
    web_config(
        tmp_path / "site", MODULES, '<validation validateIntegratedModeConfiguration="false" />'
    )
    (tmp_path / "site" / "a.txt").write_text("a")
    assert outcome(make_server(tmp_path)) == "200.0"
