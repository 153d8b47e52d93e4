"""How responses are compressed and cached: httpCompression, urlCompression and caching.

Import these names from was.config.model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec

from was.config.choices import CacheLocation, CachePolicy

__all__ = [
    "CODINGS",
    "CacheProfile",
    "Caching",
    "CompressionScheme",
    "CompressionType",
    "HttpCompression",
    "UrlCompression",
    "library_of",
]

# Schemes that can be had, with the modules of which one must be there; the first found is used.
CODINGS: dict[str, tuple[str, ...]] = {
    "gzip": ("zlib",),
    "deflate": ("zlib",),
    "br": ("brotli",),
    "zstd": ("compression.zstd", "backports.zstd"),
}


@cache
def library_of(scheme: str) -> str | None:
    """The module that does a scheme's work; "" where none is installed, None: no such scheme."""
    names = CODINGS.get(scheme.lower())
    if names is None:
        return None
    return next((name for name in names if _is_there(name)), "")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # not even the package above it
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionScheme:
    """A coding that may be used; `dll` is IIS's, the work is done by `library_of(name)`."""

    name: str
    do_static_compression: bool = True
    do_dynamic_compression: bool = True
    static_compression_level: int = 7
    dynamic_compression_level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionType:
    """A MIME type, `type/*` or `*/*`, and whether it is compressed."""

    mime_type: str
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCompression:
    """`httpCompression`: what is compressed how, and when not; sizes in bytes, disk in MB."""

    directory: str = ""
    send_cache_headers: bool = False
    expires_header: str = "Wed, 01 Jan 1997 12:00:00 GMT"
    cache_control_header: str = "max-age=86400"
    do_disk_space_limiting: bool = True
    max_disk_space_usage: int = 100
    min_file_size_for_comp: int = 2700
    no_compression_for_http10: bool = True
    no_compression_for_proxies: bool = True
    no_compression_for_range: bool = True
    static_compression_ignore_hit_frequency: bool = False
    static_compression_disable_cpu_usage: int = 100
    static_compression_enable_cpu_usage: int = 50
    dynamic_compression_disable_cpu_usage: int = 90
    dynamic_compression_enable_cpu_usage: int = 50
    dynamic_compression_buffer_limit: int = 65536
    schemes: tuple[CompressionScheme, ...] = field(default=(), metadata={"xml": "."})
    static_types: tuple[CompressionType, ...] = ()
    dynamic_types: tuple[CompressionType, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlCompression:
    """`urlCompression`: which kinds of compression are used at a path."""

    do_static_compression: bool = True
    do_dynamic_compression: bool = True
    dynamic_compression_before_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheProfile:
    """What is kept of responses to URLs with an extension; lists are separated by ; or commas."""

    extension: str
    policy: CachePolicy = CachePolicy.DONT_CACHE
    duration_s: float = 30.0
    location: CacheLocation = CacheLocation.SERVER
    vary_by_headers: str = ""
    vary_by_query_string: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """`caching`: the output cache; max_cache_size in MB (0: half of the memory available)."""

    enabled: bool = True
    max_cache_size: int = 0
    max_response_size: int = 262144
    profiles: tuple[CacheProfile, ...] = ()
