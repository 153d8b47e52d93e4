"""What is the same in every configuration is made once a process; what differs never is."""

from pathlib import Path

from was.config.files import load_text
from was.config.model import PathSettings

SITE = b"""<configuration><system.applicationHost>
<applicationPools><add name="P" /></applicationPools>
<sites><site name="S" id="1"><application path="/" applicationPool="P">
<virtualDirectory path="/" physicalPath="/srv" /></application>
<bindings><binding protocol="http" bindingInformation="127.0.0.1:80:" /></bindings></site></sites>
</system.applicationHost>%s</configuration>"""
DIRECTORY = "system.webServer/directoryBrowse"
ERRORS = "system.webServer/httpErrors"
COMPRESSION = "system.webServer/httpCompression"


def _settings(home: str, more: bytes = b"") -> PathSettings:
    loaded = load_text(SITE % more, Path(home))
    site = loaded.config.sites[0]
    return loaded.settings(site, site.applications[0])


def test_a_section_that_nobody_has_written_is_one_object_for_all():
    """Its view, and the typed one."""
    one, other = _settings("/a"), _settings("/b")
    assert one.section(DIRECTORY) is other.section(DIRECTORY)
    assert one.static_content is other.static_content
    assert one.modules is other.modules


def test_what_a_file_says_is_its_own():
    """The next configuration has nothing of it."""
    more = b'<system.webServer><directoryBrowse enabled="true" /></system.webServer>'
    assert _settings("/a", more).section(DIRECTORY)["enabled"] is True
    assert _settings("/a", more).directory_browse.enabled
    assert _settings("/a").section(DIRECTORY)["enabled"] is False
    assert not _settings("/a").directory_browse.enabled


def test_what_depends_on_the_home_is_made_for_each():
    """A folder below the home is another one for another home."""
    one, other = _settings("/a"), _settings("/b")
    folders = [s.section(COMPRESSION)["directory"] for s in (one, other)]
    assert folders[0] != folders[1]
    assert str(folders[0]).startswith("/a/")
    assert str(folders[1]).startswith("/b/")
    assert one.http_compression.directory == folders[0]
    assert other.http_compression.directory == folders[1]
