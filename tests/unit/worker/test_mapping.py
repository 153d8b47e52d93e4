"""Handler mapping: which entry answers."""

import stat

import pytest

from was.config.model import Handler, HandlerAccess, RequireAccess, ResourceType
from was.worker.access import make_check
from was.worker.calls.preconditions import is_satisfied
from was.worker.mapping import HandlerMapper, Match, ScriptMapInfo


def find(handler, path, verb="GET", prefix=0, mode=0):
    found = HandlerMapper((ScriptMapInfo(handler),), prefix).find(verb, path, lambda _at: mode)
    return found.path_info_at if isinstance(found, Match) else None


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*", "/anything/at/all", True),
        ("*.cgi", "/x.cgi", True),
        ("*.CGI", "/dir/x.cgi", True),
        ("*.cgi", "/x.cgi/more", False),
        ("*.cgi", "/xcgi", False),
        ("*.", "/dir.d/name", True),
        ("*.", "/name.x", False),
        ("app.py", "/deep/APP.py", True),
        ("app.py", "/app.pyx", False),
        ("api/*", "/app/api/x", True),
        ("api/*", "/app/API/", True),
        ("api/*", "/app/apix", False),
        ("api/*", "/app/x/api/y", False),
        ("/app/api/*", "/app/api/x", True),
        ("/api/*", "/app/api/x", False),
        ("*.a, *.b", "/x.b", True),
        ("a*z.txt", "/abcz.txt", True),
        ("a?.txt", "/ab.txt", False),
    ],
)
def test_patterns(pattern, path, fits):
    """Names are compared with the last segment, paths below the application or from the root."""
    handler = Handler(name="h", path=pattern, verb="*")
    assert (find(handler, path, prefix=4) is not None) == fits


def test_path_info_begins_behind_the_segment_that_fits():
    """Only where the entry allows it."""
    handler = Handler(name="h", path="*.cgi", verb="*", allow_path_info=True)
    assert find(handler, "/app/x.cgi/a/b", prefix=4) == len("/app/x.cgi")
    assert find(handler, "/app/x.cgi", prefix=4) == len("/app/x.cgi")
    assert find(handler, "/app/x.txt/a", prefix=4) is None


def test_verbs_are_a_list_and_case_sensitive():
    """As in IIS."""
    handler = Handler(name="h", path="*", verb="GET, POST")
    assert find(handler, "/", "POST") is not None
    assert find(handler, "/", "post") is None
    assert find(handler, "/", "PUT") is None


@pytest.mark.parametrize(
    ("kind", "mode", "fits"),
    [
        (ResourceType.FILE, stat.S_IFREG, True),
        (ResourceType.FILE, stat.S_IFDIR, False),
        (ResourceType.FILE, 0, False),
        (ResourceType.DIRECTORY, stat.S_IFDIR, True),
        (ResourceType.DIRECTORY, stat.S_IFREG, False),
        (ResourceType.EITHER, stat.S_IFREG, True),
        (ResourceType.EITHER, 0, False),
        (ResourceType.UNSPECIFIED, 0, True),
    ],
)
def test_resource_types(kind, mode, fits):
    """What must exist on disk."""
    handler = Handler(name="h", path="*", verb="*", resource_type=kind)
    assert (find(handler, "/x", mode=mode) is not None) == fits


def test_a_first_entry_that_fits_everything_is_found_without_looking():
    """The usual case of an application with one WSGI handler."""
    handler = Handler(name="h", path="*", verb="*")

    def never():
        raise AssertionError

    mapper = HandlerMapper((ScriptMapInfo(handler),), 0)
    assert mapper.find("X", "/", never) is mapper.always


@pytest.mark.parametrize(
    ("required", "policy", "refused"),
    [
        (RequireAccess.NONE, "", 0),
        (RequireAccess.READ, "Read", 0),
        (RequireAccess.READ, "Script", 2),
        (RequireAccess.WRITE, "Read", 3),
        (RequireAccess.SCRIPT, "Read", 1),
        (RequireAccess.SCRIPT, "Execute", 0),
        (RequireAccess.EXECUTE, "Script", 1),
    ],
)
def test_access(required, policy, refused):
    """403.1 execute or script, 403.2 read, 403.3 write; no step where nothing can be refused."""
    rights = frozenset(HandlerAccess(name) for name in policy.split(",") if name)
    assert (make_check(required, rights) is None) == (refused == 0)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("integratedMode", True),
        ("integratedMode,bitness64", True),
        ("bitness32", False),
        ("classicMode", False),
        ("managedHandler", False),
        ("runtimeVersionv4.0", False),
        ("appPoolName=a;b", True),
        ("appPoolName=c", False),
    ],
)
def test_preconditions(text, holds):
    """All terms must hold; there is no managed code here."""
    assert is_satisfied(text, "b") == holds


def test_the_file_before_path_info_is_what_must_be_there():
    """resourceType File with allowPathInfo: the part that the pattern fits is looked at."""
    asked = []
    mapper = HandlerMapper(
        (
            ScriptMapInfo(
                Handler(
                    name="a",
                    path="*.cgi",
                    verb="*",
                    resource_type=ResourceType.FILE,
                    allow_path_info=True,
                )
            ),
        ),
        0,
    )
    found = mapper.find("GET", "/a.cgi/b/c", lambda at: asked.append(at) or stat.S_IFREG)
    assert isinstance(found, Match)
    assert (asked, found.path_info_at) == ([6], 6)
