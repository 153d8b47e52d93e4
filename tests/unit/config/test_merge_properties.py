"""Folding levels one by one equals a naive reference; locks are kept on every way of delegation.

The reference knows nothing of Merged: it looks at all levels at once, attribute by attribute and
key by key, and asks for each thing that is said whether anybody above has forbidden it.
"""

from hypothesis import event, given, settings
from hypothesis import strategies as st

from was.config.foundation import foundation
from was.config.locks import Modes
from was.config.merge import merge
from was.config.model import Application, Site, VirtualDirectory
from was.config.parse import parse
from was.config.paths import PathTree, Source, State
from was.config.validate import read_level
from was.config.views import Viewer
from was.errors import ConfigErrors

DOCUMENT = "system.webServer/defaultDocument"
KEYS = ("a", "b", "c", "d", "e")

# ── what a level may say ────────────────────────────────────────────────────────────────────────

names = st.sets(st.sampled_from(["enabled", "add", "remove", "clear", "files", "*"]), max_size=2)
locks = st.fixed_dictionaries(
    {},
    optional={
        "lockAttributes": names,
        "lockAllAttributesExcept": names,
        "lockElements": names,
        "lockAllElementsExcept": names,
        "lockItem": st.booleans(),
    },
)
few_locks = st.integers(0, 7).flatmap(lambda n: locks if n == 7 else st.just({}))
add = st.tuples(st.just("add"), st.sampled_from(KEYS), st.integers(0, 5).map(lambda n: n == 5))
directive = st.one_of(
    add,
    add,
    st.tuples(st.just("remove"), st.sampled_from(KEYS), st.just(False)),
    st.tuples(st.just("clear"), st.just(""), st.just(False)),
)
files = st.tuples(few_locks, st.lists(directive, min_size=1, max_size=3))
level = st.fixed_dictionaries(
    {
        "enabled": st.sampled_from([None, None, True, False]),
        "locks": few_locks,
        "files": st.integers(0, 5).flatmap(lambda n: files if n else st.none()),
        # Another part of the file before: what that has locked does not concern it.
        "is_same_file": st.sampled_from([False, False, False, True]),
    }
)


def _attributes(found):
    text = ""
    for name, value in found.items():
        shown = str(value).lower() if isinstance(value, bool) else ",".join(sorted(value))
        text += f' {name}="{shown}"'
    return text


def _document(said):
    """One level as XML: `files` puts what is new in front."""
    enabled = "" if said["enabled"] is None else f' enabled="{str(said["enabled"]).lower()}"'
    inner = ""
    if said["files"] is not None:
        own, directives = said["files"]
        for what, key, is_locked in directives:
            lock = ' lockItem="true"' if is_locked else ""
            inner += "<clear />" if what == "clear" else f'<{what} value="{key}"{lock} />'
        inner = f"<files{_attributes(own)}>{inner}</files>"
    return f"<defaultDocument{enabled}{_attributes(said['locks'])}>{inner}</defaultDocument>"


def _element(said, number):
    base, errors = foundation(), []
    web = f"<system.webServer>{_document(said)}</system.webServer>"
    root = parse(f"<configuration>{web}</configuration>".encode(), f"level {number}")
    found = read_level(root, base.schema, base.declarations, errors, is_server=True)
    assert errors == []
    return found.scopes_at("")[0].sections[DOCUMENT]


def _depths(levels):
    depths = []
    for said in levels:
        before = depths[-1] if depths else -1
        depths.append(before if depths and said["is_same_file"] else before + 1)
    return depths


def _fold(levels):
    merged, errors = None, []
    for depth, said in zip(_depths(levels), levels, strict=True):
        merged = merge(merged, _element(said, depth), DOCUMENT, errors, depth=depth)
    return merged, errors


# ── the reference ───────────────────────────────────────────────────────────────────────────────


def _forbids(lock_set, name, is_element):
    some = "lockElements" if is_element else "lockAttributes"
    rest = "lockAllElementsExcept" if is_element else "lockAllAttributesExcept"
    if some in lock_set and ("*" in lock_set[some] or name in lock_set[some]):
        return True
    return rest in lock_set and "*" not in lock_set[rest] and name not in lock_set[rest]


def _is_faulty(levels):
    """Whether any level says what one above has locked, or adds what is there."""
    items = []  # (key, depth of the lock or None), in no order
    depths = _depths(levels)
    for depth, said in zip(depths, levels, strict=True):
        above = [other for d, other in zip(depths, levels, strict=True) if d < depth]
        if any(other["locks"].get("lockItem") for other in above):
            return True
        if said["enabled"] is not None and any(
            _forbids(other["locks"], "enabled", False) for other in above
        ):
            return True
        if said["files"] is None:
            continue
        if any(_forbids(other["locks"], "files", True) for other in above):
            return True
        held = [other["files"][0] for other in above if other["files"] is not None]
        if any(lock.get("lockItem") for lock in held):
            return True
        for what, key, is_locked in said["files"][1]:
            if any(_forbids(lock, what, True) for lock in held):
                return True
            if what == "clear":
                if any(by is not None and by < depth for _, by in items):
                    return True
                items = []
            elif what == "remove":
                if any(k == key and by is not None and by < depth for k, by in items):
                    return True
                items = [i for i in items if i[0] != key]
            else:
                if any(k == key for k, _ in items):
                    return True
                items.append((key, depth if is_locked else None))
    return False


def _enabled(levels):
    said = [one["enabled"] for one in levels if one["enabled"] is not None]
    return said[-1] if said else None


def _files(levels):
    """Each level's own come before all that it inherits, in the order of their adds."""
    found = []
    for said in levels:
        own = []
        for what, key, _ in said["files"][1] if said["files"] is not None else ():
            if what == "clear":
                own, found = [], []
            elif what == "remove":
                own, found = [k for k in own if k != key], [k for k in found if k != key]
            else:
                own.append(key)
        found = own + found
    return found


@settings(max_examples=400)
@given(st.lists(level, min_size=2, max_size=4))
def test_folding_equals_the_reference(levels):
    """Same values in the same order, or a fault in both."""
    merged, errors = _fold(levels)
    is_faulty = _is_faulty(levels)
    event(f"faulty: {is_faulty}")
    assert bool(errors) == is_faulty, errors
    if not errors:
        assert merged.values.get("enabled") == _enabled(levels)
        files = merged.elements.get("files")
        keys = [] if files is None else [item.values["value"] for item in files.items.values()]
        event(f"keys {len(keys)}")
        assert keys == _files(levels)


@given(st.lists(level, min_size=1, max_size=3), st.integers(0, 3))
def test_an_empty_level_changes_nothing(levels, at):
    """Wherever it is put."""
    empty = {"enabled": None, "locks": {}, "files": None, "is_same_file": False}
    before, errors = _fold(levels)
    if errors or any("lockItem" in said["locks"] for said in levels):
        return  # a locked element may not be named at all
    if any(said["is_same_file"] for said in levels):
        return  # it would come between two parts of one file
    after, errors = _fold([*levels[:at], empty, *levels[at:]])
    assert not errors
    viewer, schema = Viewer("/", {}), foundation().schema[DOCUMENT]
    assert viewer.section(after, schema) == viewer.section(before, schema)


# ── delegation of whole sections ────────────────────────────────────────────────────────────────

SECTIONS = ("directoryBrowse", "urlCompression", "defaultDocument")
FOLDERS = ("", "a", "a/b")
scope = st.fixed_dictionaries(
    {
        "path": st.sampled_from(FOLDERS),
        "mode": st.sampled_from(["Inherit", "Inherit", "Allow", "Deny"]),
        "section": st.sampled_from(SECTIONS),
    }
)
scopes = st.lists(scope, max_size=3, unique_by=lambda s: (s["path"], s["section"]))


@st.composite
def trees(draw):
    """Files of the server, the site, and the folders a and a/b; and the server's own modes."""
    denied = draw(st.sets(st.sampled_from(SECTIONS)))
    return denied, [draw(scopes) for _ in range(4)]


# Where each file stands, as a path of the site; the server's speaks of the site as "S".
STANDS = (None, "", "a", "a/b")


def _file_text(said, number):
    text = ""
    for one in said:
        path = one["path"] if number else f"S/{one['path']}".rstrip("/")
        web = f"<system.webServer><{one['section']} /></system.webServer>"
        text += f'<location path="{path}" overrideMode="{one["mode"]}">{web}</location>'
    return f"<configuration>{text}</configuration>"


class _Files:
    """The web.config files of a site in /S, without a disk."""

    def __init__(self, texts):
        self.texts = texts

    def is_folder(self, path):
        return path in ("/S/a", "/S/a/b")

    def read_level(self, file, outer):
        folder = str(file.parent)
        number = {"/S": 1, "/S/a": 2, "/S/a/b": 3}[folder]
        errors = []
        root = parse(self.texts[number].encode(), str(file))
        schema = foundation().schema
        found = read_level(root, schema, outer.declarations, errors, is_server=False)
        if errors:
            raise ConfigErrors(errors)
        return found


def _open_sections(denied):
    base = foundation()
    modes = Modes(base.declarations)
    paths = [f"system.webServer/{name}" for name in denied]
    return State(base.sections, modes.after(paths, "Deny", 0))


def _place(denied, files, path):
    texts = [_file_text(said, number) for number, said in enumerate(files)]
    errors = []
    base = foundation()
    root = parse(texts[0].encode(), "server")
    server = read_level(root, base.schema, base.declarations, errors, is_server=True)
    assert errors == []
    directory = VirtualDirectory(path="/", physical_path="/S")
    application = Application(path="/", virtual_directories=(directory,))
    site = Site(name="S", id=1, applications=(application,))
    state = _open_sections(denied)
    tree = PathTree(site, Source(server, "", 0), state, _Files(texts))
    return tree.node(path)


def _violates(denied, files, path):
    """Whether some file on the way to `path` uses what a file above it has closed there.

    Goes through all places on the way, and at each through the files from the outside in.
    """
    closed = dict.fromkeys(denied, 0)  # section -> depth of the file that closed it
    places = [p for p in FOLDERS if path == p or path.startswith(f"{p}/") or p == ""]
    for place in places:
        for depth, stands in enumerate(STANDS):
            if stands is not None and not (
                place == stands or stands == "" or place.startswith(f"{stands}/")
            ):
                continue
            relative = place if stands in (None, "") else place[len(stands) + 1 :]
            for one in files[depth]:
                if one["path"] != relative:
                    continue
                section = one["section"]
                if closed.get(section, depth) < depth:
                    return True
                if one["mode"] == "Deny":
                    closed[section] = depth
                elif one["mode"] == "Allow":
                    closed.pop(section, None)
    return False


@settings(max_examples=300)
@given(trees(), st.sampled_from(FOLDERS))
def test_no_way_of_delegation_gets_around_a_lock(tree, path):
    """A path is refused exactly where the reference finds a violation on the way to it."""
    denied, files = tree
    node = _place(denied, files, path)
    expected = _violates(denied, files, path)
    event(f"violates: {expected}")
    assert bool(node.errors) == expected, node.errors
