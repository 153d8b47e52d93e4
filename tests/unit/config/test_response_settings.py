"""httpCompression, urlCompression and caching as the worker sees them, and what is said of them."""

import pytest

from was.config import semantics
from was.config.model import CompressionScheme, CompressionType


def test_defaults(home, at):
    """IIS's: files are compressed by gzip, what applications answer is not until switched on."""
    settings = at(home.server())
    compression = settings.http_compression
    assert compression.schemes == (CompressionScheme(name="gzip"),)
    assert compression.min_file_size_for_comp == 2700
    assert CompressionType(mime_type="text/*", enabled=True) in compression.static_types
    assert settings.url_compression.do_static_compression
    assert not settings.url_compression.do_dynamic_compression
    names = [module.name for module in settings.modules]
    assert names.index("DynamicCompressionModule") < names.index("StaticCompressionModule")


@pytest.mark.parametrize(
    ("scheme", "remarks"),
    [
        ("br", []),
        ("lzma", ["scheme lzma: no effect here"]),
        ("zstd", ["scheme zstd: its library is not installed (extra `compression`), not used"]),
    ],
)
def test_schemes_that_cannot_be_used_are_said(home, monkeypatch, scheme, remarks):
    """With file and line; the configuration holds all the same."""
    libraries = {"br": "brotli", "zstd": ""}
    monkeypatch.setattr(semantics, "library_of", libraries.get)
    loaded = home.server(web=f'<httpCompression><scheme name="{scheme}" /></httpCompression>')
    assert [w.partition(": ")[2] for w in loaded.config.warnings] == remarks


def test_a_directory_of_windows_is_said(home):
    """IIS's own file names one."""
    web = '<httpCompression directory="%SystemDrive%\\inetpub\\temp" />'
    (warning,) = home.server(web=web).config.warnings
    assert warning.endswith("httpCompression/@directory: the pool's own temporary folder is used")


@pytest.mark.parametrize(
    ("status", "mode", "is_said"),
    [
        (401, "ExecuteURL", True),
        (401, "File", False),
        (404, "ExecuteURL", False),
    ],
)
def test_a_page_that_keeps_everybody_from_logging_in_is_said(home, status, mode, is_said):
    """ExecuteURL answers a 401 with the page's own status, and without a challenge."""
    entry = f'<error statusCode="{status}" path="/e.htm" responseMode="{mode}" />'
    warnings = home.server(web=f"<httpErrors>{entry}</httpErrors>").config.warnings
    assert ["nobody is asked to log in" in warning for warning in warnings] == [True] * is_said
