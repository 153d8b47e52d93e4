"""Merging: the rules one by one, and folding against a reference that knows nothing of sharing."""

from hypothesis import given
from hypothesis import strategies as st

from was.config.merge import Merged, merge
from was.config.parse import parse
from was.config.schema import build_schema
from was.config.validate import read_level
from was.config.values import fill_defaults

SCHEMA_TEXT = b"""<configSchema>
<sectionSchema name="g/s">
  <attribute name="a" type="uint" defaultValue="0" />
  <attribute name="b" type="uint" defaultValue="0" />
  <element name="e"><attribute name="c" type="uint" defaultValue="0" /></element>
  <element name="first">
    <collection addElement="add" removeElement="remove" clearElement="clear" mergeAppend="false">
      <attribute name="k" type="string" isUniqueKey="true" required="true" />
      <attribute name="v" type="string" defaultValue="" />
    </collection>
  </element>
  <collection addElement="add" removeElement="remove" clearElement="clear">
    <attribute name="k" type="string" isUniqueKey="true" required="true" />
    <attribute name="v" type="string" defaultValue="" />
  </collection>
</sectionSchema></configSchema>"""

SCHEMA = build_schema([parse(SCHEMA_TEXT, "s.xml")])
fill_defaults(SCHEMA.values())
DECLARED = (
    '<configSections><sectionGroup name="g"><section name="s"/></sectionGroup></configSections>'
)


def element(attributes="", inner="", schema=SCHEMA):
    text = f"<configuration>{DECLARED}<g><s {attributes}>{inner}</s></g></configuration>"
    errors = []
    level = read_level(parse(text.encode(), "f"), schema, {}, errors, is_server=True)
    assert errors == []
    return level.scopes[""][0].sections["g/s"]


def fold(*levels):
    errors = []
    merged = None
    for level in levels:
        merged = merge(merged, level, "g/s", errors)
    return merged, [e.message for e in errors]


def keys(merged: Merged):
    return [item.values["k"] for item in merged.items.values()]


def test_the_deepest_explicit_attribute_wins():
    """Attribute by attribute, in the section and in its elements."""
    merged, _ = fold(
        element('a="1" b="1"', '<e c="1"/>'), element('b="2"'), element("", '<e c="3"/>')
    )
    assert merged.values == {"a": 1, "b": 2}
    assert merged.elements["e"].values == {"c": 3}


def test_items_are_appended_or_come_first():
    """A deeper level's items come last, or before all inherited ones with mergeAppend=false."""
    outer = element("", '<add k="x"/><add k="y"/><first><add k="x"/><add k="y"/></first>')
    inner = element("", '<add k="1"/><add k="2"/><first><add k="1"/><add k="2"/></first>')
    merged, _ = fold(outer, inner)
    assert keys(merged) == ["x", "y", "1", "2"]
    assert keys(merged.elements["first"]) == ["1", "2", "x", "y"]


def test_directives_work_in_file_order():
    """clear drops what came before it, also of its own level; remove one key; re-adding is fine."""
    outer = element("", '<add k="x" v="1"/><add k="y"/>')
    merged, messages = fold(outer, element("", '<remove k="X"/><add k="x" v="2"/>'))
    assert messages == []
    assert keys(merged) == ["y", "x"]
    merged, _ = fold(outer, element("", '<add k="1"/><clear/><add k="2"/>'))
    assert keys(merged) == ["2"]
    merged, _ = fold(outer, element("", '<remove k="nothing"/>'))
    assert keys(merged) == ["x", "y"]


def test_a_key_twice_is_an_error_at_the_second():
    """In one level or two, in IIS's words; keys ignore case unless the schema says otherwise."""
    expected = (
        "Cannot add duplicate collection entry of type 'add' "
        "with unique key attribute 'k' set to 'X'"
    )
    assert fold(element("", '<add k="x"/><add k="X"/>'))[1] == [expected]
    assert fold(element("", '<add k="x"/>'), element("", '<add k="X"/>'))[1] == [expected]


def test_an_item_of_the_built_in_level_may_be_stated_again():
    """IIS's own file repeats what is built in here; it replaces, and only one level above."""
    base = merge(None, element("", '<add k="x"/><add k="y"/>'), "g/s", [])
    errors = []
    merged = merge(base, element("", '<add k="x" v="new"/>'), "g/s", errors, may_restate=True)
    assert errors == []
    assert keys(merged) == ["y", "x"]
    merge(merged, element("", '<add k="y"/>'), "g/s", errors)
    assert len(errors) == 1


def test_each_of_several_unique_keys_is_unique_and_free_again_after_a_remove():
    """A second unique key is taken by its item and given back with it."""
    text = b"""<configSchema><sectionSchema name="g/s">
      <collection addElement="add" removeElement="remove" clearElement="clear">
      <attribute name="k" type="string" isUniqueKey="true" required="true" />
      <attribute name="id" type="uint" isUniqueKey="true" required="true" />
      </collection></sectionSchema></configSchema>"""
    schema = build_schema([parse(text, "s.xml")])
    fill_defaults(schema.values())
    taken = fold(element("", '<add k="x" id="1"/><add k="y" id="1"/>', schema))[1]
    assert taken[0].endswith("with unique key attribute 'id' set to '1'")
    for free in ('<remove k="x" id="1"/>', "<clear/>"):
        inner = f'<add k="x" id="1"/>{free}<add k="y" id="1"/>'
        assert fold(element("", inner, schema))[1] == []


def test_a_level_never_changes_what_it_was_folded_into():
    """A Merged is shared by every site that inherits it."""
    base, _ = fold(element('a="1"', '<add k="x"/><e c="1"/>'))
    before = (dict(base.values), keys(base), base.elements["e"].values["c"])
    merge(base, element('a="2"', '<clear/><add k="z"/><e c="2"/>'), "g/s", [])
    assert (dict(base.values), keys(base), base.elements["e"].values["c"]) == before


NAMES = st.sampled_from("pqrs")
STEP = st.one_of(
    st.tuples(st.just("add"), NAMES, st.sampled_from("12")),
    st.tuples(st.just("remove"), NAMES, st.just("")),
    st.tuples(st.just("clear"), st.just(""), st.just("")),
)
LEVEL = st.tuples(
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 9)), st.lists(STEP, max_size=6)
)


def as_element(level):
    attributes, steps = level
    tags = []
    for name, key, value in steps:
        tags.append(
            "<clear/>"
            if name == "clear"
            else f'<{name} k="{key}"' + (f' v="{value}"' if value else "") + "/>"
        )
    inner = "".join(tags)
    text = " ".join(f'{k}="{v}"' for k, v in attributes.items())
    return element(text, f"{inner}<first>{inner}</first>")


def reference(levels):
    """The rules on plain lists: no sharing, no dictionaries of items."""
    attributes, last, first = {}, [], []
    for values, steps in levels:
        attributes.update(values)
        own_last, own_first = [], []
        for name, key, value in steps:
            if name == "clear":
                last, first, own_last, own_first = [], [], [], []
            elif name == "remove":
                last, first, own_last, own_first = (
                    [i for i in items if i[0] != key]
                    for items in (last, first, own_last, own_first)
                )
            else:
                if all(i[0] != key for i in last + own_last):
                    own_last.append((key, value))
                if all(i[0] != key for i in first + own_first):
                    own_first.append((key, value))
        last, first = last + own_last, own_first + first
    return attributes, last, first


def pairs(merged):
    return [(i.values["k"], i.values.get("v", "")) for i in merged.items.values()]


@given(st.lists(LEVEL, min_size=1, max_size=4))
def test_folding_levels_one_by_one_equals_the_reference(levels):
    """Whatever the levels say, in whatever order."""
    merged, _ = fold(*[as_element(level) for level in levels])
    attributes, last, first = reference(levels)
    assert merged.values == attributes
    assert pairs(merged) == last
    assert pairs(merged.elements["first"]) == first


@given(st.lists(LEVEL, min_size=1, max_size=3))
def test_an_empty_level_changes_nothing(levels):
    """Neither values nor items nor their order; what it inherits is the same object."""
    merged, _ = fold(*[as_element(level) for level in levels])
    errors = []
    again = merge(merged, element(), "g/s", errors)
    assert errors == []
    assert (again.values, pairs(again)) == (merged.values, pairs(merged))
    assert again.items is merged.items
    assert again.elements is merged.elements
