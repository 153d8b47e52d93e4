"""URL Rewrite, redirections and server-side includes, through real processes."""

from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.event_log import wait_event
from support.running import run_server
from support.wire import CutShortError, get

RULES = """<rewrite>
  <rules>
    <rule name="Closed" stopProcessing="true"><match url="^closed" />
      <action type="CustomResponse" statusCode="503" subStatusCode="9" statusReason="Closed"
              statusDescription="Later." /></rule>
    <rule name="Cut" stopProcessing="true"><match url="^cut$" />
      <action type="AbortRequest" /></rule>
    <rule name="Other pool" stopProcessing="true"><match url="^other/(.*)$" />
      <action type="Rewrite" url="second/{R:1}" /></rule>
    <rule name="Upwards" stopProcessing="true"><match url="^up$" />
      <action type="Redirect" url="/a b/{UrlEncode:{HTTP_HOST}}" redirectType="Found" /></rule>
    <rule name="Routes" stopProcessing="true"><match url=".*" />
      <conditions>
        <add input="{REQUEST_FILENAME}" matchType="IsFile" negate="true" />
        <add input="{REQUEST_FILENAME}" matchType="IsDirectory" negate="true" />
        <add input="{REQUEST_URI}" pattern="^/(api|in|moved)" negate="true" />
      </conditions>
      <action type="Rewrite" url="index.html" /></rule>
  </rules>
  <outboundRules>
    <rule name="Links"><match filterByTags="A" pattern="^/old/(.*)$" />
      <action type="Rewrite" value="/new/{R:1}" /></rule>
    <rule name="Strict"><match serverVariable="RESPONSE_X_Strict" pattern=".*" />
      <action type="Rewrite" value="yes" /></rule>
  </outboundRules>
</rewrite>"""
GLOBAL = """<system.webServer><rewrite><globalRules>
  <rule name="Everywhere" stopProcessing="true"><match url="^everywhere/(.*)$" />
    <action type="Rewrite" url="{R:1}" /></rule>
</globalRules></rewrite></system.webServer>"""
COMMANDS = '<serverSideInclude cmdDirectiveEnabled="true" />'


def _config(sections: str) -> str:
    return f"<configuration><system.webServer>{sections}</system.webServer></configuration>"


def _prepare(home: Path) -> None:
    root = home / "sites" / "app"
    for name in ("moved", "in", "second"):
        (root / name).mkdir(parents=True)
    (root / "web.config").write_text(_config(RULES))
    (root / "index.html").write_text('<h1>page</h1><a href="/old/x">x</a>')
    (root / "real.txt").write_text("real")
    (root / "second" / "secret.txt").write_text("of another pool")
    (root / "moved" / "web.config").write_text(
        _config('<httpRedirect enabled="true" destination="/there" />')
    )
    (root / "in" / "page.shtml").write_text(
        "<!--#include file='part.inc'--> <!--#exec cmd='echo \"$REQUEST_METHOD\"; pwd'-->"
        "<!--#exec cmd='sleep 600 &'-->"
    )
    (root / "in" / "part.inc").write_text("<!--#echo var='DOCUMENT_URI'-->")


@pytest.fixture(scope="module")
def site():
    root = Path("{home}") / "sites" / "app"
    pools = [Pool("Pool", {"startMode": "AlwaysRunning"}), Pool("Second")]
    applications = (
        Application("/", root, "Pool", (), COMMANDS),
        Application("/second", root / "second", "Second"),
    )
    config = application_host_config(pools, [Site("Site", applications)], GLOBAL)
    with run_server(config, _prepare) as running:
        yield running


def test_a_single_page(site):
    """What is no file is the page, and its links are those of the outside; files are themselves."""
    answer = get(site.port(), "/some/route?x=1")
    assert (answer.status, answer.body) == (200, b'<h1>page</h1><a href="/new/x">x</a>')
    assert int(answer.field("content-length")) == len(answer.body)
    assert answer.field("x-strict") == "yes"
    assert get(site.port(), "/real.txt").body == b"real"


def test_global_rules(site):
    """They come before the rules of the site."""
    assert get(site.port(), "/everywhere/real.txt").body == b"real"


def test_answers_of_rules(site):
    """A status with its reason and words, a Location, a connection that is cut."""
    answer = get(site.port(), "/closed/x")
    assert (answer.status, answer.body) == (503, b"Later.")
    answer = get(site.port(), "/up")
    host = f"127.0.0.1%3A{site.port()}"
    assert (answer.status, answer.field("location")) == (302, f"/a%20b/{host}")
    with pytest.raises(CutShortError):
        get(site.port(), "/cut")


def test_an_application_of_another_pool(site):
    """The worker knows that the path is not its pool's: 403.18, and no byte of the file."""
    answer = get(site.port(), "/other/secret.txt")
    assert answer.status == 403
    assert b"a URL of another application pool" in answer.body
    assert b"of another pool" not in answer.body
    assert get(site.port(), "/second/secret.txt").body == b"of another pool"


def test_a_redirected_folder(site):
    """httpRedirect of a folder's web.config, seen from outside."""
    answer = get(site.port(), "/moved/x%20y?q=1")
    assert (answer.status, answer.field("location")) == (302, "/there/x%20y?q=1")


def test_includes_and_commands(site):
    """A page's commands run in its folder, and end with all they have started."""
    answer = get(site.port(), "/in/page.shtml")
    assert answer.status == 200
    folder = site.home / "sites" / "app" / "in"
    assert answer.body.decode().split() == ["/in/page.shtml", "GET", str(folder)]


def test_the_log_has_what_the_client_asked_for(site):
    """A rewritten request is logged under its own URL."""
    get(site.port(), "/logged/route?x=1")
    logs = site.home / "logs" / "W3SVC1"
    wait_for(
        "the line of the request",
        lambda: any("GET /logged/route x=1" in f.read_text() for f in logs.glob("*.log")),
    )


def test_an_expression_that_takes_for_ever():
    """The time limit answers 504, the worker is replaced, and the pool goes on."""
    rule = (
        '<rewrite><rules><rule name="r"><match url="^(a+)+$" /><action type="None" /></rule>'
        "</rules></rewrite>"
    )

    def prepare(home: Path) -> None:
        root = home / "sites" / "app"
        root.mkdir(parents=True)
        (root / "web.config").write_text(_config(rule))
        (root / "real.txt").write_text("real")

    pool = Pool(
        "Pool",
        {"startMode": "AlwaysRunning"},
        {
            "requests": {"timeLimit": "00:00:02"},
            "processModel": {"shutdownTimeLimit": "00:00:02"},
        },
    )
    application = Application("/", Path("{home}") / "sites" / "app", "Pool")
    config = application_host_config([pool], [Site("Site", (application,))])
    with run_server(config, prepare) as running:
        before = running.workers(count=1)
        assert get(running.port(), "/real.txt").body == b"real"
        assert get(running.port(), f"/{'a' * 60}!").status == 504
        event = wait_event(running, 2299)
        assert event["requests"][0]["state"] == "started"
        wait_for("another worker", lambda: running.workers() not in ([], before))
        assert get(running.port(), "/real.txt").body == b"real"
        wait_event(running, 5013)
