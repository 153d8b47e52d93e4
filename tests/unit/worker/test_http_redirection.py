"""httpRedirect: where a request is sent, by the attributes of the section."""

import pytest
from rewriting_site import ECHO_HANDLER, Site


def section(attributes: str, items: str = "") -> str:
    return f'<httpRedirect enabled="true" {attributes}>{items}</httpRedirect>'


def add(wildcard: str, destination: str) -> str:
    return f'<add wildcard="{wildcard}" destination="{destination}" />'


NEW = 'destination="http://new"'
TABLE = [
    # attributes, items, path, query -> Location (None: no redirection)
    (NEW, "", "/a/b.htm", "q=1", "http://new/a/b.htm?q=1"),
    ('destination="http://new/x/"', "", "/a b", "", "http://new/x/a%20b"),
    ('destination="/x?y=1"', "", "/a", "q=1", "/x?y=1/a&q=1"),
    (NEW + ' exactDestination="true"', "", "/a", "q=1", "http://new"),
    ('destination="http://new$V$Q" exactDestination="true"', "", "/é", "q=1",
     "http://new/%C3%A9?q=1"),
    ('destination="http://new$V?u=$P" exactDestination="true"', "", "/a", "q=1",
     "http://new/a?u=q=1"),
    ('destination="http://new$S$Q" exactDestination="true"', "", "/a", "", "http://new/a"),
    (NEW + ' childOnly="true"', "", "/a.htm", "", "http://new/a.htm"),
    (NEW + ' childOnly="true"', "", "/sub/a.htm", "", None),
    ('exactDestination="true"', add("*.php", "/default.htm"), "/a/b.PHP", "q", "/default.htm"),
    ('exactDestination="true"', add("*.php", "/default.htm"), "/a/b.htm", "", None),
    ('exactDestination="true"', add("/*/x/*.php", "/$1/$0.html$Q"), "/a/x/b.php", "q=1",
     "/b/a.html?q=1"),
    ('exactDestination="true"', add("old.htm", "/$9new.htm"), "/a/old.htm", "", "/new.htm"),
    ('exactDestination="true"', add("?.htm", "/one"), "/ab.htm", "", None),
    (NEW, add("/keep/*", "!"), "/keep/a", "", None),
    (NEW, add("/keep/*", "!"), "/a", "", "http://new/a"),
    ('destination="!"', "", "/a", "", None),
    ('destination=""', "", "/a", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "items", "path", "query", "location"), TABLE)
def test_destinations(tmp_path, attributes, items, path, query, location):
    """The destination with its variables, and what is appended to it."""
    site = Site(tmp_path, section(attributes, items) + ECHO_HANDLER)
    answer = site.ask(path, query)
    assert answer.headers().get("location") == location
    assert answer.status == (200 if location is None else 302)


STATUSES = [("Permanent", 301), ("Found", 302), ("Temporary", 307), ("PermRedirect", 308)]


@pytest.mark.parametrize(("name", "status"), STATUSES)
def test_statuses(tmp_path, name, status):
    """httpResponseStatus is the status of the answer."""
    site = Site(tmp_path, section(f'{NEW} httpResponseStatus="{name}"') + ECHO_HANDLER)
    assert site.ask("/a").status == status


def test_the_folder_it_was_written_for(tmp_path):
    """What follows a folder's path is appended, there and below, and nothing is redirected else."""
    site = Site(
        tmp_path,
        ECHO_HANDLER,
        files=["old/deep/a.htm"],
        web_configs={
            "old": section('destination="/new" httpResponseStatus="Permanent"'),
            "old/deep": '<httpRedirect childOnly="true" />',
            "old/off": '<httpRedirect enabled="false" />',
        },
    )
    assert site.location("/old/b.htm") == "/new/b.htm"
    assert site.location("/old/deep/a.htm") is None  # childOnly, of the folder above
    assert site.location("/old/off/a.htm") is None
    assert site.seen("/b") == "|/b|"


def test_where_it_is_off_there_is_no_step(tmp_path):
    """A disabled section takes no place in a call list."""
    site = Site(tmp_path, f'<httpRedirect enabled="false" {NEW} />' + ECHO_HANDLER)
    [application] = list(site.server.applications)
    steps = [step for run in application.calls.head for step in run.steps]
    names = {step.registration.name for step in steps if step.registration}
    assert "HttpRedirectionModule" not in names
