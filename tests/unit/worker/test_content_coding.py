"""Accept-Encoding against the configured schemes, and MIME types against the configured types."""

import gzip
import zlib

import pytest

from was.config.model import CompressionScheme, CompressionType
from was.worker.compression.content_coding import (
    Chooser,
    TypeTable,
    coded_fields,
    weakened,
    with_vary,
)
from was.worker.compression.cpu_gate import SAMPLE_S, CpuGate
from was.worker.compression.encoders import codings
from was.worker.compression.hit_frequency import HitFrequency

SCHEMES = {name: name for name in ("br", "gzip")}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("GZIP ; Q=1", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "br"),
        ("*;q=0.5, br;q=0", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("identity;q=0.8, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("deflate", None),
        ("gzip;q=nonsense", None),
        ("gzip;q=nan", None),
        ("gzip;q=-1", None),
        ("gzip;q=9", None),
        ("", None),
        (",;,", None),
    ],
)
def test_the_coding_a_client_gets(text, chosen):
    """The heaviest that both know, the first of equals; never one of weight 0."""
    chooser = Chooser(SCHEMES)
    assert chooser.choose(text) == chosen
    assert chooser.choose(text) == chosen  # also from memory


@pytest.mark.parametrize(
    ("content_type", "is_compressed"),
    [
        ("text/plain", True),
        ("Text/HTML; charset=UTF-8", True),
        ("text/csv", False),
        ("application/json", False),
        ("application/json; charset=utf-8", True),
        ("image/png", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_the_types(content_type, is_compressed):
    """The entry that fits best decides, wherever it stands in the list."""
    table = TypeTable(
        [
            CompressionType(mime_type="*/*", enabled=False),
            CompressionType(mime_type="text/*", enabled=True),
            CompressionType(mime_type="text/csv", enabled=False),
            CompressionType(mime_type="application/json;charset=utf-8", enabled=True),
        ]
    )
    assert table.has_any()
    assert table.is_compressed(content_type) is is_compressed
    assert not TypeTable([CompressionType(mime_type="*/*", enabled=False)]).has_any()


def test_validators_and_vary():
    """A coded form has a weak validator; Vary names a field once and keeps its star."""
    assert weakened('"x"') == 'W/"x"' == weakened('W/"x"')
    assert with_vary([]) == "Accept-Encoding"
    assert with_vary(["Cookie, accept-encoding"]) == "Cookie, accept-encoding"
    assert with_vary(["A", "B"]) == "A, B, Accept-Encoding"
    assert with_vary(["*"]) == "*"


def test_the_fields_of_a_coded_body():
    """Its coding, the weakened validator, no sum of other bytes, and what others' place is for."""
    fields = [("ETag", '"x"'), ("Repr-Digest", "sha-256=:AA==:"), ("content-md5", "AA==")]
    fields += [("cache-control", "no-cache"), ("A", "b")]
    assert coded_fields(fields, "br", [("Cache-Control", "max-age=1")]) == [
        ("ETag", 'W/"x"'),
        ("A", "b"),
        ("Content-Encoding", "br"),
        ("Cache-Control", "max-age=1"),
    ]


def decoded(name, data):
    if name == "gzip":
        return gzip.decompress(data)
    if name == "deflate":
        return zlib.decompress(data)
    if name == "br":
        import brotli

        return brotli.decompress(data)
    from backports import zstd

    return zstd.decompress(data)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("level", [0, 10])
def test_every_scheme_gives_back_what_it_took(name, level):
    """At both ends of the levels, with flushes between."""
    scheme = CompressionScheme(
        name=name, static_compression_level=level, dynamic_compression_level=level
    )
    (coding,) = codings((scheme,), is_static=True).values()
    data = b"".join(b"line %d\n" % number for number in range(5000))
    encoder = coding.encoder()
    coded = encoder.encode(data) + encoder.finish()
    assert decoded(name, coded) == data
    assert len(coded) < len(data) / 2
    encoder = coding.encoder()
    pieces = [encoder.encode(b"a" * 10), encoder.flush(), encoder.encode(b"b"), encoder.finish()]
    assert decoded(name, b"".join(pieces)) == b"a" * 10 + b"b"
    assert b"".join(pieces[:2])


def test_schemes_not_wanted_or_unknown_are_left_out():
    """doStaticCompression and doDynamicCompression of a scheme; a name that nobody knows."""
    schemes = (
        CompressionScheme(name="GZip", do_static_compression=False),
        CompressionScheme(name="br", do_dynamic_compression=False),
        CompressionScheme(name="lzma"),
    )
    assert list(codings(schemes, is_static=True)) == ["br"]
    assert list(codings(schemes, is_static=False)) == ["gzip"]


def test_compression_rests_while_processors_are_busy():
    """Off at the upper usage, on again at the lower one; a sample every 30 s."""
    now, ticks = [0.0], [(0, 0)]
    gate = CpuGate(90, 50, clock=lambda: now[0], read=lambda: ticks[0])
    assert gate.is_open()

    def after(busy):
        now[0] += SAMPLE_S
        ticks[0] = (ticks[0][0] + busy, ticks[0][1] + 100)
        return gate.is_open()

    assert after(89)
    assert not after(90)
    ticks[0] = (ticks[0][0], ticks[0][1] + 1000)
    assert not gate.is_open()  # no sample before its time
    ticks[0] = (ticks[0][0], ticks[0][1] - 1000)
    assert not after(51)
    assert after(50)
    assert CpuGate(100, 50, read=lambda: 1 / 0).is_open()


def test_frequent_hits():
    """The threshold's hit within the period is the first frequent one."""
    now = [0.0]
    frequency = HitFrequency(2, 10.0, clock=lambda: now[0])
    assert not frequency.hit("/a")
    assert not frequency.hit("/b")
    assert frequency.hit("/a")
    now[0] = 10.5
    assert not frequency.hit("/a")
    assert frequency.hit("/a")
