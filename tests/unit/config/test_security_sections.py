"""Sections of who may come in: what has no effect is kept and said, what cannot be is refused."""

import pytest

from was.config.files import validate

AUTHENTICATION = "system.webServer/security/authentication/"


def security(inner):
    return f"<security>{inner}</security>"


KEPT = [
    ("windowsAuthentication", '<windowsAuthentication enabled="true" />'),
    (
        "clientCertificateMappingAuthentication",
        '<clientCertificateMappingAuthentication enabled="true" />',
    ),
    (
        "iisClientCertificateMappingAuthentication",
        '<iisClientCertificateMappingAuthentication enabled="true"><oneToOneMappings>'
        '<add certificate="MIIB" userName="u" /></oneToOneMappings>'
        "</iisClientCertificateMappingAuthentication>",
    ),
]


@pytest.mark.parametrize(("name", "text"), KEPT)
def test_what_needs_windows_or_tls_is_kept_and_said(home, name, text):
    """The section is in force as written, and validate says that nothing acts on it."""
    loaded = home.server(web=security(f"<authentication>{text}</authentication>"))
    assert loaded.section(AUTHENTICATION + name)["enabled"] is True
    assert any(f"{AUTHENTICATION}{name}: no effect here" in w for w in loaded.config.warnings)


SAID = [
    ('<authentication><basicAuthentication logonMethod="Batch" /></authentication>', "logonMethod"),
    ('<authentication><anonymousAuthentication userName="x" /></authentication>', "userName"),
    ('<authorization bypassLoginPages="false" />', "bypassLoginPages"),
    ('<requestFiltering><verbs applyToWebDAV="false" /></requestFiltering>', "applyToWebDAV"),
    ('<authorization><add accessType="Deny" verbs="PUT" /></authorization>', "about nobody"),
]


@pytest.mark.parametrize(("text", "said"), SAID)
def test_attributes_without_effect_are_said(home, text, said):
    """Each in a line of its own; nothing is said of the others."""
    warnings = home.server(web=security(text)).config.warnings
    assert [w for w in warnings if said in w] == list(warnings) != []


def test_whose_identity_a_request_has(home):
    """authenticatedUserOverride: a worker is always its pool's user."""
    web = '<serverRuntime authenticatedUserOverride="UseWorkerProcessUser" />'
    [warning] = home.server(web=web).config.warnings
    assert "authenticatedUserOverride: no effect here" in warning


ACTING = """<authentication><basicAuthentication enabled="true" realm="r" defaultLogonDomain="d" />
  <digestAuthentication enabled="true" realm="r" /></authentication>
  <authorization><add accessType="Deny" users="?" /></authorization>
  <ipSecurity enableReverseDns="true" allowUnlisted="false" enableProxyMode="true"
    denyAction="NotFound"><add ipAddress="10.0.0.1" /></ipSecurity>
  <dynamicIpSecurity denyAction="NotFound" enableProxyMode="true" enableLoggingOnlyMode="true">
    <denyByConcurrentRequests enabled="true" /><denyByRequestRate enabled="true" />
  </dynamicIpSecurity>
  <requestFiltering allowDoubleEscaping="true" removeServerHeader="true" />"""


def test_what_acts_is_not_said_to_have_no_effect(home):
    """None of these is reported."""
    assert home.server(web=security(ACTING)).config.warnings == ()


def test_every_fault_has_its_place(home):
    """File, line and section of each entry that could never hold; all at once."""
    bad = '<ipSecurity><add ipAddress="1.2.3" /></ipSecurity>\n<authentication><users>' \
          '<add name="a:b" /></users></authentication>'  # fmt: skip
    with pytest.raises(Exception, match=r"1\.2\.3") as caught:
        home.server(web=security(bad))
    errors = caught.value.errors
    sections = [e.section.rpartition("security/")[2] for e in errors]
    assert sorted(sections) == ["authentication/users", "ipSecurity"]
    assert all(e.line and e.file.endswith("applicationHost.config") for e in errors)
    assert len(validate(home.file).errors) == 2
