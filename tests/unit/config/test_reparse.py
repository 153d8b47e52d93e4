"""What is taken from the configuration before is what would have been read: nothing else shows."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was.config.files import load_server
from was.config.parse import parse
from was.config.reparse import reparse
from was.errors import ConfigErrors

SITES = "".join(
    f"""      <site name="S{n}" id="{n + 1}">
        <application path="/" applicationPool="p{n % 2}">
          <virtualDirectory path="/" physicalPath="www{n}" /></application>
        <bindings>
          <binding protocol="http" bindingInformation="*:80:s{n}.example" />
        </bindings>
        <limits connectionTimeout="00:01:00" /><!-- \u00e9 -->
        <traceFailedRequestsLogging enabled="true" />
      </site>
"""
    for n in range(12)
)
TEXT = f"""<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <system.applicationHost>
    <applicationPools><add name="p0" /><add name="p1" queueLength="50">
      <environmentVariables><add name="A" value="1" /></environmentVariables></add>
    </applicationPools>
    <sites>
{SITES}      <siteDefaults><limits maxConnections="7" /></siteDefaults>
      <applicationDefaults preloadEnabled="true" />
    </sites>
  </system.applicationHost>
  <location path="S1">
    <system.webServer>
      <httpErrors errorMode="Custom">
        <remove statusCode="404" />
        <error statusCode="404" path="x.htm" />
      </httpErrors>
      <rewrite><rules><rule name="r"><match url="a" /><conditions>
        <add input="a" pattern="b" /><add input="a" pattern="b" /></conditions></rule></rules>
      </rewrite>
    </system.webServer>
  </location>
</configuration>
"""
VALUES = (
    "00:01:00",
    "*:80:s3.example",
    "www5",
    'id="7"',
    "p1",
    "Custom",
    "404",
    "true",
    "S4",
    "x.htm",
)


def shape(node):
    """A tree with every place in it."""
    places = (node.line, node.column, node.start, node.end, node.text_line, node.text_column)
    return (node.name, node.attributes, places, [shape(child) for child in node.children])


def identities(node):
    return {id(node)}.union(*(identities(child) for child in node.children))


def outcome(file, before=None):
    """(what is in force, what is remarked) or the faults, as texts."""
    try:
        loaded = load_server(file, environment={}, before=before)
    except ConfigErrors as error:
        return None, [(str(e), e.hresult) for e in error.errors]
    views = [
        loaded.settings(site, site.applications[0]).sections for site in loaded.config.sites[:3]
    ]
    places = [(site.file, site.line) for site in loaded.config.sites]
    return loaded, (loaded.config, views, places, shape(loaded.level.root))


def changed(text, edits):
    for where, length, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + length :]
    return text


EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 12),
        st.one_of(
            st.sampled_from(["", "1", "<a/>", '"', "\n", "<!--", "-->", "é", "/>", "</site>", "x"]),
            st.text("ab19 <>/\"='\n", max_size=6),
        ),
    ),
    min_size=1,
    max_size=2,
)


@settings(max_examples=150, deadline=None)
@given(edits=EDITS)
def test_a_tree_made_of_the_old_one_is_the_tree_of_the_new_text(edits):
    """Whatever has changed: the same tags at the same places, or no answer."""
    before, after = TEXT.encode(), changed(TEXT, edits).encode()
    old = parse(before, "f")
    known = reparse(old, before, after)
    if known is not None:
        known.settle()
        assert shape(known.root) == shape(parse(after, "f"))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(VALUES), st.integers(0, 11), st.sampled_from(["9", "00:02:00", ""])
        ),
        min_size=1,
        max_size=4,
    )
)
def test_configurations_in_a_row_are_those_that_are_read_afresh(tmp_path_factory, steps):
    """Values, views, lines, remarks and faults, good files and bad ones in any order."""
    file = tmp_path_factory.mktemp("home") / "applicationHost.config"
    file.write_text(TEXT)
    before, _ = outcome(file)
    text = TEXT
    for old, nth, new in steps:
        at = -1
        for _ in range(nth % max(1, text.count(old)) + 1):
            at = text.find(old, at + 1)
        if at < 0:
            continue
        candidate = text[:at] + new + text[at + len(old) :]
        file.write_text(candidate)
        again, seen = outcome(file, before)
        _, fresh = outcome(file)
        assert seen == fresh
        if again is not None:
            text, before = candidate, again


@pytest.fixture
def loaded(tmp_path):
    file = tmp_path / "config" / "applicationHost.config"
    file.parent.mkdir()
    file.write_text(TEXT)
    return load_server(file, environment={})


def rewrite(loaded, old, new, **more):
    assert old in TEXT
    loaded.path.write_text(TEXT.replace(old, new, 1))
    return load_server(loaded.path, **{"environment": {}, "before": loaded, **more})


def test_what_did_not_change_is_the_same_object(loaded):
    """Sites and pools beside the changed one, and nothing of the changed one."""
    old = loaded.config
    root = identities(loaded.level.root)
    again = rewrite(loaded, 'name="S3" id="4"', 'name="S3" id="40"')
    for one, other in itertools.zip_longest(old.sites, again.config.sites):
        assert (one is other) == (one.name != "S3")
    assert again.config.sites[3].id == 40
    assert len(identities(again.level.root) - root) <= 12


def test_a_change_that_moves_lines_is_read_whole(loaded):
    """A line that is told later must be the right one."""
    again = rewrite(loaded, 'name="S3" id="4"', 'name="S3"\n id="4"')
    assert [s.line for s in again.config.sites[2:5]] == [
        loaded.config.sites[2].line,
        loaded.config.sites[3].line,
        loaded.config.sites[4].line + 1,
    ]


def test_another_default_reaches_every_site(loaded):
    """What an item takes from elsewhere is looked at again."""
    again = rewrite(loaded, 'maxConnections="7"', 'maxConnections="8"')
    assert {s.limits.max_connections for s in again.config.sites} == {8}


def test_a_pool_that_goes_is_missed_by_each_site_that_names_it(loaded):
    """Faults of sites that did not change are found as ever."""
    with pytest.raises(ConfigErrors) as caught:
        rewrite(loaded, 'name="p1" queueLength', 'name="p9" queueLength')
    assert len(caught.value.errors) == 6


def test_another_environment_or_home_makes_all_anew(loaded, tmp_path):
    """Paths depend on them."""
    again = rewrite(loaded, "www3", "www4", home=tmp_path / "elsewhere")
    assert again.config.sites[0].applications[0].physical_path == f"{tmp_path}/elsewhere/www0"


def test_after_a_broken_file_the_good_one_is_taken_up_again(loaded):
    """What a refused file shares with the one in force does no harm to it."""
    with pytest.raises(ConfigErrors):
        rewrite(loaded, 'physicalPath="www5"', 'physicalPath="www5" nonsense=""')
    again = rewrite(loaded, 'physicalPath="www5"', 'physicalPath="www50000"')
    assert shape(again.level.root) == shape(parse(loaded.path.read_bytes(), str(loaded.path)))
    assert again.config.sites[0] is loaded.config.sites[0]


def test_a_file_of_another_encoding_is_read_whole():
    """Pieces of it could not be read alone."""
    before, after = (t.encode("utf-16") for t in ("<a><b>1</b></a>", "<a><b>2</b></a>"))
    assert reparse(parse(before, "f"), before, after) is None
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><a><b>{}</b></a>'
    before, after = (latin.format(t).encode("latin-1") for t in "é1")
    assert reparse(parse(before, "f"), before, after) is None


@settings(max_examples=40, deadline=None)
@given(
    old=st.sampled_from(["www5", "00:01:00", 'maxConnections="7"', 'value="1"', "Custom", "404"]),
    new=st.sampled_from(["9", "00:02:00", 'maxConnections="8"', 'value="2"', "Detailed"]),
)
def test_a_pools_part_is_that_of_a_file_read_afresh(tmp_path_factory, old, new):
    """Also where a site, a default, a pool or a location of it has changed."""
    file = tmp_path_factory.mktemp("home") / "applicationHost.config"
    file.write_text(TEXT)
    before = load_server(file, environment={})
    parts = [before.reduced(pool) for pool in ("p0", "p1")]
    file.write_text(TEXT.replace(old, new, 1))
    try:
        fresh = load_server(file, environment={})
    except ConfigErrors:
        return
    again = load_server(file, environment={}, before=before)
    assert [again.reduced(pool) for pool in ("p0", "p1")] == [
        fresh.reduced(pool) for pool in ("p0", "p1")
    ]
    assert [before.reduced(pool) for pool in ("p0", "p1")] == parts


def test_the_part_of_a_pool_that_nothing_concerns_is_not_written_again(loaded):
    """S3 is p1's: the part of p0 is the very same."""
    parts = [loaded.reduced(pool) for pool in ("p0", "p1")]
    again = rewrite(loaded, "www3", "www30")
    assert again.reduced("p0") is parts[0]
    assert again.reduced("p1") != parts[1]
