"""Changes in IIS's terms: where they land in the file, and that they mean just what was asked."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.changes import (
    AddItem,
    Clear,
    Item,
    Place,
    RemoveItem,
    ResetAttribute,
    Revert,
    SetAttribute,
)
from was.config.document import Document
from was.config.edit import Editor
from was.config.files import load_text
from was.config.foundation import foundation
from was.config.merge import merge
from was.config.parse import parse
from was.config.validate import read_level
from was.errors import ConfigErrors

SCHEMA = foundation().schema
WEB = "system.webServer/"
POOLS, SITES = "system.applicationHost/applicationPools", "system.applicationHost/sites"
BROWSE = Place(WEB + "directoryBrowse")
HEADERS = Place(WEB + "httpProtocol", "", ("customHeaders",))
HANDLERS = Place(WEB + "handlers")
SEGMENTS = Place(WEB + "security/requestFiltering", "", ("hiddenSegments",))


def edited(text, *changes, **more):
    editor = Editor(Document(text.encode(), "f"), SCHEMA, **more)
    for change in changes:
        editor.apply(change)
    return editor.to_bytes().decode()


def web(inner, more=""):
    return (
        f"<configuration>\n  <system.webServer>{inner}</system.webServer>{more}\n</configuration>"
    )


def error(text, *changes, **more):
    with pytest.raises(ConfigErrors) as caught:
        edited(text, *changes, **more)
    return caught.value.errors[0]


# ── where it lands ──────────────────────────────────────────────────────────────────────────────


def test_a_section_is_made_where_there_is_none():
    """Groups and sections come at the end, two spaces deep in a new file."""
    empty = '<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n</configuration>\n'
    assert edited(empty, SetAttribute(BROWSE, "enabled", "true")) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n  <system.webServer>\n'
        '    <directoryBrowse enabled="true" />\n  </system.webServer>\n</configuration>\n'
    )


def test_an_element_of_a_section_is_made_where_there_is_none():
    """Down to the item: a pool's recycling times."""
    place = Place(POOLS, "", (Item({"name": "P"}), "recycling", "periodicRestart"))
    text = """<configuration>
    <system.applicationHost>
        <applicationPools>
            <add name="p" />
        </applicationPools>
    </system.applicationHost>
</configuration>"""
    assert edited(text, SetAttribute(place, "time", "01:00:00")) == text.replace(
        '<add name="p" />',
        """<add name="p">
                <recycling>
                    <periodicRestart time="01:00:00" />
                </recycling>
            </add>""",
    )


def test_a_location_tag_is_made_for_its_path():
    """One that says nothing but its path; such a tag is used when there is one."""
    place = Place(BROWSE.section, "S/app")
    text = web("", '\n  <location path="s/APP" overrideMode="Deny"></location>')
    once = edited(text, SetAttribute(place, "enabled", "true"))
    assert once == text.replace(
        "</location>",
        '</location>\n  <location path="S/app">\n    <system.webServer>\n'
        '      <directoryBrowse enabled="true" />\n    </system.webServer>\n  </location>',
    )
    twice = edited(once, SetAttribute(Place(WEB + "caching", "s/app/"), "enabled", "false"))
    assert twice.count("<location") == 2
    assert '      <caching enabled="false" />\n    </system.webServer>\n  </location>' in twice


def test_a_section_is_found_in_whichever_group_or_location_tag_it_is():
    """A second group of that name, and location tags for the file's own path, count too."""
    for text in (
        web("<caching /></system.webServer><system.webServer><directoryBrowse />"),
        "<configuration><system.webServer /><location path='.' overrideMode='Allow'>"
        "<system.webServer><directoryBrowse /></system.webServer></location></configuration>",
    ):
        assert edited(text, SetAttribute(BROWSE, "enabled", "true")) == text.replace(
            "<directoryBrowse />", '<directoryBrowse enabled="true" />'
        )


LIST = """
    <handlers>
      <clear />
      <!-- first -->
      <add name="a" path="*" verb="*" />
      <add name="b" path="*" verb="*" />
    </handlers>
  """


@pytest.mark.parametrize(
    ("at", "before"),
    [(None, "    </h"), (2, "    </h"), (1, '      <add name="b"'), (0, "      <!--")],
)
def test_an_item_comes_last_or_before_the_one_with_its_number(at, before):
    """After what clears; comments stay with the item below them."""
    text = web(LIST)
    new = AddItem(HANDLERS, {"name": "n", "path": "x"}, at)
    assert edited(text, new) == text.replace(
        before, '      <add name="n" path="x" />\n' + before, 1
    )


def test_an_item_comes_after_the_remove_of_its_key():
    """Otherwise the remove would take it away again."""
    text = web(
        "<handlers><add name='a' path='1'/><remove name='n'/><add name='b' path='1'/></handlers>"
    )
    assert edited(text, AddItem(HANDLERS, {"name": "n"}, 0)) == text.replace(
        "<remove name='n'/>", "<remove name='n'/><add name=\"n\"/>"
    )


def test_of_several_tags_that_add_one_may_be_chosen():
    """authorization has add alone, configSections of ours none: a wrong one is refused."""
    assert 'file"' in error(web(""), AddItem(HANDLERS, {}, tag="file")).message.replace("'", '"')


def test_an_item_is_found_by_what_its_attributes_mean():
    """Keys ignore letter case where the schema says so, numbers are numbers, defaults count."""
    text = web("<httpErrors><error statusCode='404' path='a' /></httpErrors>")
    section = WEB + "httpErrors"
    place = Place(section, "", (Item({"statusCode": "0404", "subStatusCode": "-1"}),))
    assert edited(text, SetAttribute(place, "path", "b")) == text.replace("'a'", "'b'")
    assert error(
        text, SetAttribute(Place(section, "", (Item({"statusCode": "405"}),)), "path", "b")
    )


def test_an_item_of_this_file_is_deleted_an_inherited_one_removed():
    """By its key alone, before what the file adds."""
    text = web(LIST.replace("      <clear />\n", ""))
    assert edited(text, RemoveItem(HANDLERS, Item({"name": "b"}))) == text.replace(
        '\n      <add name="b" path="*" verb="*" />', ""
    )
    gone = edited(text, RemoveItem(HANDLERS, Item({"name": "c"})))
    assert gone == text.replace("      <!--", '      <remove name="c" />\n      <!--')
    more = edited(gone, RemoveItem(HANDLERS, Item({"name": "d"})))
    assert more == gone.replace(
        '<remove name="c" />', '<remove name="c" />\n      <remove name="d" />'
    )


def inherited_from(text):
    """What a file below would inherit from `text`."""
    errors = []
    declared = foundation().declarations
    level = read_level(parse(text.encode(), "f"), SCHEMA, declared, errors, is_server=True)
    assert not errors

    def answer(location, section):
        found = level.scopes_at("")[0].sections.get(section)
        return None if found is None else merge(None, found, section, errors)

    return answer


def test_what_is_not_there_cannot_be_removed():
    """Neither in this file nor inherited; removed already; cleared."""
    above = inherited_from(web('<handlers><add name="c" path="x" verb="*" /></handlers>'))
    there, other = (
        RemoveItem(HANDLERS, Item({"name": "c"})),
        RemoveItem(HANDLERS, Item({"name": "d"})),
    )
    assert '<remove name="c" />' in edited(web(""), there, inherited=above)
    for text in (
        web("<handlers><clear /></handlers>"),
        web('<handlers><remove name="c" /></handlers>'),
    ):
        fault = error(text, there, inherited=above)
        assert fault.message == "Cannot find requested collection element."
        assert fault.hresult == 0x80070490
    assert error(web(""), other, inherited=above)


def test_items_that_a_file_cannot_take_back_are_not_removed():
    """Sites have no `remove`: one of another level stays."""
    assert error(web(""), RemoveItem(Place(SITES), Item({"name": "S"})))


def test_a_changed_inherited_item_is_removed_and_said_again_whole():
    """As IIS does: an item cannot be overridden in part."""
    above = inherited_from(
        web('<handlers><add name="c" path="x" verb="GET" requireAccess="None" /></handlers>')
    )
    place = Place(HANDLERS.section, "", (Item({"name": "c"}),))
    text = edited(web("\n  "), SetAttribute(place, "verb", "*"), inherited=above)
    assert '<remove name="c" />' in text
    assert '<add name="c" path="x" verb="*" requireAccess="None" />' in text
    assert text.index("<remove") < text.index("<add")


def test_what_the_file_has_removed_is_inherited_no_more():
    """It can be neither changed nor removed again, however it is named."""
    above = inherited_from(web('<handlers><add name="c" path="x" verb="*" /></handlers>'))
    for gone in ('<remove name="c" />', "<clear />"):
        text = web(f"<handlers>{gone}</handlers>")
        for meant in ({"name": "c"}, {"path": "x"}):
            place = Place(HANDLERS.section, "", (Item(meant),))
            assert (
                "Cannot find"
                in error(text, SetAttribute(place, "verb", "GET"), inherited=above).message
            )
            assert (
                "Cannot find"
                in error(text, RemoveItem(HANDLERS, Item(meant)), inherited=above).message
            )


def test_what_is_inherited_is_asked_for_only_where_it_matters():
    """Reading levels costs time: a change of what is in the file needs none."""

    def nobody(location, section):
        raise AssertionError("asked")

    text = web('<handlers><add name="a" path="x" verb="*" /></handlers>')
    item = Item({"name": "a"})
    place = Place(HANDLERS.section, "", (item,))
    edited(
        text, SetAttribute(place, "verb", "GET"), AddItem(HANDLERS, {"name": "n"}), inherited=nobody
    )
    edited(
        text, RemoveItem(HANDLERS, item), SetAttribute(BROWSE, "enabled", "true"), inherited=nobody
    )


def test_clearing_leaves_one_directive():
    """What the file added or removed is of no use any more; comments stay."""
    text = web(LIST)
    assert edited(text, Clear(HANDLERS)) == web(
        "\n    <handlers>\n      <clear />\n      <!-- first -->\n    </handlers>\n  "
    )


def test_reverting_removes_all_that_the_file_says():
    """A section; its group stays, for it was there before."""
    text = web(LIST)
    assert edited(text, Revert(HANDLERS)) == web("\n  ")
    assert edited(text, Revert(BROWSE)) == text


def test_secrets_are_protected_on_their_way_in():
    """Attributes that the schema calls encrypted; an empty one is no secret."""
    place = Place(POOLS, "", (Item({"name": "p"}), "processModel"))
    text = "<configuration />"
    changes = [
        AddItem(Place(POOLS), {"name": "p"}),
        SetAttribute(place, "password", "geheim"),
        SetAttribute(place, "userName", "u"),
    ]
    result = edited(text, *changes, protect=lambda secret: f"<{len(secret)}>")
    assert 'password="&lt;6&gt;"' in result
    assert "geheim" not in result
    assert 'password=""' in edited(
        text, changes[0], SetAttribute(place, "password", ""), protect=lambda secret: "x"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (SetAttribute(Place("system.web/x"), "a", "b"), "Unrecognized element 'system.web/x'"),
        (SetAttribute(Place(WEB + "caching", "", ("x",)), "a", "b"), "Unrecognized element 'x'"),
        (AddItem(BROWSE, {}), "has no collection"),
        (Clear(Place(SITES)), "Unrecognized element 'clear'"),
        (SetAttribute(BROWSE, "enabled", "\x01"), "a character that XML has not"),
        (SetAttribute(Place(WEB + "rewrite/rules", "", (Item({}),)), "a", "b"), "Cannot find"),
        (RemoveItem(HANDLERS, Item({"path": "x"})), "Required attribute 'name'"),
        (SetAttribute(Place(SITES, "", (Item({"name": "S"}), Item({}))), "a", "b"), "Cannot find"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_section(change, said):
    """Before anything is asked of the reader."""
    fault = error(web(""), change)
    assert said in fault.message
    assert fault.section == change.place.section


def test_a_section_that_is_kept_in_another_file_is_not_edited_in_this_one():
    """configSource: the section's own file is the one to edit."""
    text = web('<handlers configSource="handlers.config" />')
    assert "handlers.config" in error(text, AddItem(HANDLERS, {"name": "n"})).message


# ── properties ──────────────────────────────────────────────────────────────────────────────────

GAPS = st.sampled_from(["", " ", "\n    ", "\r\n\t\t", "\n<!-- c -->\n  "])
SETTINGS = [
    (BROWSE, "enabled", ["true", "false"]),
    (Place(WEB + "caching"), "maxCacheSize", ["0", "77"]),
    (Place(WEB + "httpErrors"), "errorMode", ["Custom", "Detailed"]),
    (
        Place(WEB + "security/requestFiltering", "", ("requestLimits",)),
        "maxUrl",
        ["10", "4096"],
    ),
    (Place(WEB + "staticContent", "", ("clientCache",)), "cacheControlMaxAge", ["01:00:00"]),
]
ITEMS = [
    (HEADERS, {"name": "X-A", "value": "<1>"}),
    (HEADERS, {"name": "X-B", "value": ""}),
    (SEGMENTS, {"segment": "q"}),
    (Place(WEB + "defaultDocument", "", ("files",)), {"value": "zz.html"}),
]


@st.composite
def server_files(draw):
    """An applicationHost.config that says some things, in some layout, in some place."""

    def gap():
        return draw(GAPS)

    sections = [
        '<directoryBrowse enabled="false" />',
        "<caching/>",
        "<httpErrors existingResponse='Auto'></httpErrors>",
        f"<httpProtocol>{gap()}<customHeaders>{gap()}<clear/>{gap()}</customHeaders></httpProtocol>",
        f"<httpProtocol><customHeaders>{gap()}</customHeaders></httpProtocol>",
        "<httpProtocol />",
        f"<security>{gap()}<requestFiltering>{gap()}<hiddenSegments>{gap()}"
        f"<add segment='s' />{gap()}</hiddenSegments>{gap()}</requestFiltering></security>",
        f"<security>{gap()}</security>",
        f"<defaultDocument>{gap()}<files><add value='a.html' />{gap()}</files></defaultDocument>",
    ]
    chosen = draw(st.lists(st.sampled_from(sections), max_size=4, unique_by=lambda s: s[1:6]))
    body = "".join(gap() + section for section in chosen) + gap()
    group = f"<system.webServer>{body}</system.webServer>" if draw(st.booleans()) or chosen else ""
    return f"<configuration>{gap()}{group}{gap()}</configuration>"


@st.composite
def additions(draw):
    """A change and the one that takes it back."""
    if draw(st.booleans()):
        place, name, values = draw(st.sampled_from(SETTINGS))
        return SetAttribute(place, name, draw(st.sampled_from(values))), ResetAttribute(place, name)
    place, attributes = draw(st.sampled_from(ITEMS))
    at = draw(st.one_of(st.none(), st.integers(0, 3)))
    return AddItem(place, attributes, at), RemoveItem(place, Item(attributes))


def is_new(text, change):
    """Whether the file says nothing yet of what `change` would say."""
    if isinstance(change, AddItem):
        return True
    tag = Editor(Document(text.encode(), "f"), SCHEMA)._find(change.place).tag
    return tag is None or change.name not in tag.attributes


@given(server_files(), st.lists(additions(), min_size=1, max_size=5), st.data())
def test_what_is_added_and_taken_back_leaves_the_file_as_it_was(text, pairs, choice):
    """Set and reset, add and remove, in any order, in any layout: byte for byte."""
    pairs = list({repr(undo): (do, undo) for do, undo in pairs if is_new(text, do)}.values())
    undone = choice.draw(st.permutations([undo for _, undo in pairs]))
    assert edited(text, *[do for do, _ in pairs], *undone) == text


def in_force(text):
    """Every value in force in system.webServer, by its place."""
    server = load_text(text.encode(), Path("/h"))
    found = {}
    for path in SCHEMA:
        if path.startswith(WEB):
            collect(server.section(path), (path,), found)
    return found


def collect(view, where, found):
    for name, value in view.attributes.items():
        found[(*where, name)] = value
    for name, element in view.elements.items():
        collect(element, (*where, name), found)
    found[(*where, "#")] = [dict(item.attributes) for item in view.items]


@given(server_files(), additions())
def test_a_change_is_in_force_and_nothing_else_is_different(text, pair):
    """The value that was set, or the item that was added, and no other."""
    change, undo = pair
    before = in_force(text)
    changed = edited(text, change)
    after = in_force(changed)
    different = {where for where in after if after[where] != before[where]}
    steps = (change.place.section, *change.place.steps)
    if isinstance(change, SetAttribute):
        assert different <= {(*steps, change.name)}
        assert (
            change.name
            in Editor(Document(changed.encode(), "f"), SCHEMA)._find(change.place).tag.attributes
        )
    else:
        assert different == {(*steps, "#")}
        now, then = after[(*steps, "#")], before[(*steps, "#")]
        [new] = [item for item in now if item not in then]
        assert {n: str(v) for n, v in new.items() if n in change.attributes} == change.attributes
        assert [item for item in now if item != new] == then
    assert in_force(edited(changed, undo)) == before
