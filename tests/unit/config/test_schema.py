"""The schema and the built-in level say what IIS's documentation says (schema_facts.txt)."""

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.parse import parse
from was.config.schema import AttributeSchema, build_schema
from was.config.validate import read_level
from was.config.values import InvalidValueError, fill_defaults, format_value, parse_value

HERE = Path(__file__).parent
FOLDER = Path(__file__).resolve().parents[3] / "config" / "schema"
WEB = "system.webServer/"

# The sections of a default server by what they allow (overrideModeDefault, allowDefinition).
REGISTRY = {
    ("Deny", "AppHostOnly"): """
        system.applicationHost/{applicationPools configHistory customMetadata listenerAdapters log
        serviceAutoStartProviders sites webLimits}
        system.webServer/{fastCgi globalModules security/isapiCgiRestriction rewrite/globalRules
        proxy diskCache} webFarms""",
    ("Deny", "MachineToApplication"): "system.webServer/{isapiFilters modules}",
    ("Deny", "Everywhere"): """
        system.webServer/{asp cgi handlers httpLogging httpTracing odbcLogging serverRuntime
        serverSideInclude webSocket security/access security/applicationDependencies
        security/authentication/anonymousAuthentication security/authentication/basicAuthentication
        security/authentication/clientCertificateMappingAuthentication
        security/authentication/digestAuthentication
        security/authentication/iisClientCertificateMappingAuthentication
        security/authentication/windowsAuthentication security/authentication/users
        security/ipSecurity security/dynamicIpSecurity
        tracing/traceProviderDefinitions webdav/globalSettings webdav/authoring
        webdav/authoringRules rewrite/allowedServerVariables}""",
    ("Allow", "MachineToApplication"): "system.webServer/{applicationInitialization}",
    ("Allow", "Everywhere"): """
        system.webServer/{caching defaultDocument directoryBrowse httpCompression httpErrors
        httpProtocol httpRedirect security/authorization security/requestFiltering staticContent
        tracing/traceFailedRequests urlCompression validation rewrite/rules rewrite/outboundRules
        rewrite/providers rewrite/rewriteMaps}""",
}


def documents(*, ours):
    files = sorted(FOLDER.glob("*_schema.xml"))
    return [parse(f.read_bytes(), f.name) for f in files if ours or f.name != "was_schema.xml"]


def schema_of(*, ours=False):
    schema = build_schema(documents(ours=ours))
    fill_defaults(schema.values())
    return schema


def builtin_level():
    errors = []
    root = parse((FOLDER / "builtin.xml").read_bytes(), "builtin.xml")
    level = read_level(root, schema_of(ours=True), {}, errors, is_server=True)
    assert errors == []
    return level


def facts():
    """[(path, [line, …]), …] of schema_facts.txt."""
    found = []
    for line in (HERE / "schema_facts.txt").read_text().splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), []))
        elif line and not line.startswith("#"):
            found[-1][1].append(line)
    return found


FACTS = facts()


def element_at(schema, path):
    """The section, element or item that a path leads to."""
    name = max((s for s in schema if path == s or path.startswith(s + "/")), key=len)
    element = schema[name]
    for step in path[len(name) :].strip("/").split("/") if path != name else []:
        if element.collection is not None and step in element.collection.add:
            element = element.collection.item
        else:
            element = element.elements[step]
    return element


def attribute_of(line):
    """A line of schema_facts.txt as an AttributeSchema."""
    line, _, choices = line.partition(" {")
    name, kind, default, *words = shlex.split(line.replace("\\", "\\\\"))
    pairs = (c.rsplit(" ", 1) for c in choices.rstrip("}").split(", ") if c)
    fact = AttributeSchema(name, kind, default=None if default == "-" else default)
    fact.choices = {n: int(v) for n, v in pairs}
    fact.required = "required" in words
    fact.unique_key, fact.combined_key = "key" in words, "combined" in words
    fact.expanded, fact.encrypted = "expanded" in words, "encrypted" in words
    fact.case_sensitive = "case" in words
    bounds = [w for w in words if ".." in w]
    if bounds:
        low, high, step = re.fullmatch(r"(-?\d+)\.\.(\d+)(?:/(\d+))?", bounds[0]).groups()
        is_time = kind == "timeSpan"
        fact.validation = "timeSpanRange" if is_time else "integerRange"
        parts = [low, high, *([step or "1"] if is_time else [])]
        fact.parameter = ",".join(parts + (["exclude"] if "not" in words else []))
    return fact


@pytest.mark.parametrize(("path", "lines"), FACTS, ids=[path for path, _ in FACTS])
def test_attributes_are_those_of_iis(path, lines):
    """Names, types, defaults, keys, ranges, enums and flags, and no attribute more or less."""
    element = element_at(schema_of(), path)
    known = {line.split()[0]: attribute_of(line) for line in lines}
    assert set(element.attributes) == set(known)
    for name, fact in known.items():
        real = element.attributes[name]
        for part in ("type", "required", "unique_key", "combined_key", "expanded", "encrypted"):
            assert getattr(real, part) == getattr(fact, part), (name, part)
        assert real.choices == fact.choices, name
        if fact.is_key or fact.case_sensitive:
            assert real.case_sensitive == fact.case_sensitive, name
        if fact.validation:
            assert (real.validation, real.parameter) == (fact.validation, fact.parameter), name
        elif real.type in ("uint", "int", "int64", "timeSpan"):
            assert not real.validation, name
        if fact.default:
            assert element.defaults[name] == parse_value(real, fact.default), name
        elif not fact.required:
            assert element.defaults[name] in ("", False, 0), name


def test_every_section_of_iis_is_there_with_all_its_parts():
    """What the facts list exists; what has a schema is declared, and what is declared is read."""
    level = builtin_level()
    schema = schema_of(ours=True)
    assert set(schema) <= set(level.declarations)
    of_dotnet = {n for n in level.declarations if n not in schema}
    assert not [
        n for n in of_dotnet if n.startswith(("system.webServer", "system.applicationHost"))
    ]
    assert {"system.web", "runtime", "connectionStrings", "appSettings"} <= of_dotnet


def test_the_registry_of_sections_is_that_of_a_default_server():
    """Which sections may be set where, as IIS's own applicationHost.config declares them."""
    declarations = builtin_level().declarations
    listed = set()
    for (mode, definition), text in REGISTRY.items():
        names = []
        for prefix, inside, alone in re.findall(r"(\S+/)\{([^}]*)\}|(\S+)", text):
            names += [prefix + name for name in inside.split()] or [alone]
        for name in names:
            found = declarations[name]
            assert (found.override_mode_default, found.allow_definition) == (mode, definition), name
        listed.update(names)
    others = {n for n in declarations if n.startswith("system.") and "/" in n} - listed
    extensions = {WEB + n for n in ("aspNetCore", "httpPlatform", "iisnode")}
    assert others - extensions == {
        "system.applicationHost/home",
        "system.applicationHost/identities",
        "system.applicationHost/urlReservations",
    }


def test_the_built_in_level_opens_handlers_and_modules_as_aspnet_does():
    """Both stand in a location tag for the level itself with overrideMode="Allow"."""
    own, opened = builtin_level().scopes_at("")
    assert set(opened.sections) == {WEB + "handlers", WEB + "modules"}
    assert (opened.path, opened.override_mode) == ("", "Allow")
    assert not set(own.sections) & set(opened.sections)
    modules = opened.sections[WEB + "modules"].directives
    assert all(d.element.locks == {"lockItem": "true"} for d in modules)
    locks = {p: s.locks.get("lockAttributes") for p, s in own.sections.items() if s.locks}
    assert locks == {
        WEB + "httpErrors": "allowAbsolutePathsWhenDelegated,defaultPath",
        WEB + "staticContent": "isDocFooterFileName",
    }


def test_the_built_in_level_has_the_lists_that_iis_ships():
    """Counts and samples of MIME types, error pages, trace providers, compression and modules."""
    sections = {p: s for scope in builtin_level().scopes_at("") for p, s in scope.sections.items()}

    def keys(path, element=None):
        section = sections[WEB + path]
        section = section.elements[element] if element else section
        return [d.element.values for d in section.directives]

    types = {v["fileExtension"]: v["mimeType"] for v in keys("staticContent")}
    assert len(types) == 378
    assert (types[".js"], types[".wasm"]) == ("application/javascript", "application/wasm")
    assert [v["statusCode"] for v in keys("httpErrors")] == [
        401, 403, 404, 405, 406, 412, 500, 501, 502,
    ]  # fmt: skip
    assert [v["value"] for v in keys("defaultDocument", "files")] == [
        "Default.htm", "Default.asp", "index.htm", "index.html", "iisstart.htm",
    ]  # fmt: skip
    providers = sections[WEB + "tracing/traceProviderDefinitions"].directives
    assert [d.element.values["name"] for d in providers] == [
        "WWW Server", "ASP", "ISAPI Extension", "ASPNET",
    ]  # fmt: skip
    areas = providers[0].element.elements["areas"].directives
    assert sum(int(str(d.element.values["value"])) for d in areas) == 24574
    static = {v["mimeType"]: v["enabled"] for v in keys("httpCompression", "staticTypes")}
    assert static["image/svg+xml"] is True
    assert static["*/*"] is False
    images = {v["name"]: v["image"] for v in keys("globalModules")}
    assert images["StaticFileModule"] == "was.worker.modules.static_file"
    assert str(images["WebDAVModule"]).endswith("webdav.dll")
    assert keys("security/authorization") == [{"accessType": "Allow", "users": "*"}]


def schema_from(text):
    return build_schema([parse(text.encode(), "t")])


def test_attributes_that_are_not_declared_may_be_allowed():
    """allowUnrecognizedAttributes keeps them as text."""
    schema = schema_from(
        """<configSchema><sectionSchema name="s"><collection addElement="add"
        allowUnrecognizedAttributes="true">
        <attribute name="name" type="string" isUniqueKey="true" />
        </collection></sectionSchema></configSchema>"""
    )
    fill_defaults(schema.values())
    text = b"""<configuration><configSections><section name="s" /></configSections>
      <s><add name="n" other="o" /></s></configuration>"""
    errors = []
    level = read_level(parse(text, "t"), schema, {}, errors, is_server=True)
    assert errors == []
    (item,) = level.scopes_at("")[0].sections["s"].directives
    assert item.element.values == {"name": "n", "other": "o"}


def test_one_collection_may_have_several_names_for_add():
    """As allow and deny of .NET's authorization: both add, in file order."""
    schema = schema_from(
        """<configSchema><sectionSchema name="s"><collection addElement="allow,deny">
        <attribute name="users" type="string" /></collection></sectionSchema></configSchema>"""
    )
    fill_defaults(schema.values())
    text = b"""<configuration><configSections><section name="s" /></configSections>
      <s><deny users="?" /><allow users="*" /></s></configuration>"""
    errors = []
    level = read_level(parse(text, "t"), schema, {}, errors, is_server=True)
    assert errors == []
    directives = level.scopes_at("")[0].sections["s"].directives
    assert [d.element.name for d in directives] == ["deny", "allow"]


@pytest.mark.parametrize(
    ("kind", "more", "text", "value"),
    [
        ("uint", {"allow_infinite": True}, "Infinite", 4294967295),
        ("int64", {"allow_infinite": True}, "Infinite", 2**63 - 1),
        ("timeSpan", {"allow_infinite": True}, "Infinite", 922337203685.4775807),
        ("uint", {"display_hex": True}, "0xFF", 255),
        ("uint", {}, "255", 255),
        ("bool", {}, "true", True),
        ("timeSpan", {}, "1.05:00:00", 104400.0),
        ("timeSpan", {}, "00:00:00.1000000", 0.1),
        ("timeSpan", {"time_format": "seconds"}, "90", 90.0),
        ("timeSpan", {"time_format": "minutes"}, "20", 1200.0),
        ("flags", {"choices": {"None": 0, "A": 1, "B": 2}}, "A, B", frozenset("AB")),
        ("flags", {"choices": {"None": 0, "A": 1}}, "None", frozenset()),
        ("flags", {"choices": {"A": 1}}, "", frozenset()),
        ("string", {}, "x", "x"),
    ],
)
def test_a_value_is_written_as_it_is_read(kind, more, text, value):
    """Infinite, hexadecimal, time spans of three forms, flags in the order of the schema."""
    schema = AttributeSchema("x", kind, **more)
    assert parse_value(schema, text) == value
    assert format_value(schema, value) == text


def test_infinite_is_a_value_only_where_it_is_allowed():
    """Elsewhere it is no number."""
    with pytest.raises(InvalidValueError):
        parse_value(AttributeSchema("x", "uint"), "Infinite")


ATTRIBUTES = [
    attribute
    for path, _ in FACTS
    for attribute in element_at(schema_of(), path).attributes.values()
]


@given(data=st.data())
def test_every_value_of_every_attribute_survives_being_written(data):
    """format_value and parse_value are inverse for whatever an attribute accepts."""
    attribute = data.draw(st.sampled_from(ATTRIBUTES))
    texts = st.one_of(
        st.sampled_from(["0", "1", "true", "False", "00:01:00", "1.00:00:00", "None", "a,b"]),
        st.sampled_from([*attribute.choices, "x"]),
        st.integers(-10, 2**33).map(str),
        st.text(max_size=5),
    )
    try:
        value = parse_value(attribute, data.draw(texts))
    except InvalidValueError:
        return
    assert parse_value(attribute, format_value(attribute, value)) == value
