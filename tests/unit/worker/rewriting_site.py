"""A site with rewrite rules, and what becomes of a request there."""

from __future__ import annotations

from fake_exchange import FakeExchange, ask, make_server

ECHO = """
def app(environ, start_response):
    e = environ
    start_response("200 OK", [("Content-Type", "text/plain")])
    seen = f"{e['SCRIPT_NAME']}|{e['PATH_INFO']}|{e['QUERY_STRING']}"
    if "HTTP_X_A" in e:
        seen += f"|{e['HTTP_X_A']}|{e.get('MINE', '')}"
    return [seen.encode("latin-1")]
"""
ECHO_HANDLER = (
    '<handlers><add name="app" path="*" verb="*" modules="WsgiModule" '
    'scriptProcessor="echo_app:app" /></handlers>'
)


def rewrite(rules: str, more: str = "") -> str:
    """The section with these rules."""
    return f"<rewrite>{more}<rules>{rules}</rules></rewrite>"


def rule(match: str, action: str, *, conditions: str = "", name: str = "r", **attributes) -> str:
    """One rule; `match` is its pattern, `action` the attributes of its action."""
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return (
        f'<rule name="{name}"{more}><match url="{match}" />{conditions}<action {action} /></rule>'
    )


class Site:
    """A server over a folder; `web_configs` are written below the site's folder."""

    def __init__(self, folder, web_server="", *, files=(), web_configs=None, **parts):
        root = folder / "site"
        root.mkdir(exist_ok=True)
        (root / "echo_app.py").write_text(ECHO)
        for name in files:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        for place, text in (web_configs or {}).items():
            (root / place).mkdir(parents=True, exist_ok=True)
            (root / place / "web.config").write_text(
                f"<configuration><system.webServer>{text}</system.webServer></configuration>"
            )
        self.server = make_server(folder, web_server, **parts)

    def ask(self, path: str, query: str = "", **changes) -> FakeExchange:
        """The answer to a request for a canonical path."""
        return ask(self.server, path=path, query=query, **changes)

    def location(self, path: str, query: str = "", **changes) -> str | None:
        """Where a request is sent."""
        return self.ask(path, query, **changes).headers().get("location")

    def seen(self, path: str, query: str = "", **changes) -> str:
        """What the application of the site sees: script name, path info and query."""
        return self.ask(path, query, **changes).body.decode("utf-8")
