"""UrlPrefixes, one normal form each, or a sentence; paths in the form that all parts share."""

import posixpath
from itertools import product

import pytest

from was.config.urls import Bucket, canonical_ip, parse_prefix, tidy_path

PIECES = ("/", "\\", ".", "..", "a", "b.")


def test_a_tidy_path_is_that_of_the_standard_library_with_its_last_slash():
    """As posixpath reads it, but that a folder stays one; tidied again it is the same."""
    for pieces in product(PIECES, repeat=6):
        path = "/" + "".join(pieces)
        tidy = tidy_path(path)
        slashes = path.replace("\\", "/")
        expected = posixpath.normpath("/" + slashes.lstrip("/"))
        if expected != "/" and slashes.endswith(("/", "/.", "/..")):
            expected += "/"
        assert tidy == expected
        assert tidy_path(tidy) == tidy


@pytest.mark.parametrize(
    ("text", "normal", "bucket"),
    [
        ("http://+:80/", "http://+:80/", Bucket.STRONG),
        ("https://*:443/App/", "https://*:443/app/", Bucket.WEAK),
        ("http://WWW.x.com:80/", "http://www.x.com:80/", Bucket.HOST),
        ("http://*.X.com:80/", "http://*.x.com:80/", Bucket.HOST),
        ("http://192.0.2.1:80/", "http://192.0.2.1:80/", Bucket.IP_BOUND),
        ("http://192.0.2.1:80:192.0.2.1/", "http://192.0.2.1:80/", Bucket.IP_BOUND),
        ("http://[0:0::1]:80/", "http://[::1]:80/", Bucket.IP_BOUND),
        ("http://a:80:[0::1]/b/", "http://a:80:[::1]/b/", Bucket.HOST),
    ],
)
def test_a_prefix_has_one_normal_form(text, normal, bucket):
    """Texts that mean one prefix give equal values, which print as their normal form."""
    prefix = parse_prefix(text)
    assert (str(prefix), prefix.bucket) == (normal, bucket)
    assert parse_prefix(normal) == prefix


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "ftp://a:80/", "HTTP://a:80/", "http://a/", "http://a:0/", "http://a:080/",
        "http://a:65536/", "http://a:*/", "http://a:80/b", "http://a:80", "http://:80/",
        "http://a b:80/", "http://a..b:80/", "http://x.*.a:80/", "http://*.:80/", "http://a:80/?b/",
        "http://a:80:1.2.3/", "http://[::g]:80/", "http://-a:80/",
    ],
)  # fmt: skip
def test_what_is_no_prefix_is_refused(text):
    """Scheme, port and closing slash are mandatory; a wildcard is a whole host or first label."""
    with pytest.raises(ValueError, match=r"\S \S"):
        parse_prefix(text)


def test_an_application_extends_the_root_of_its_site():
    """`with_path` keeps the place and folds the path."""
    root = parse_prefix("http://a:80/")
    assert str(root.with_path("/App1")) == "http://a:80/app1/"
    assert root.with_path("/") == root


def test_addresses_have_one_form():
    """Brackets, zones and IPv4 in IPv6 dress do not make another address."""
    assert canonical_ip("[::1]") == canonical_ip("0:0:0:0:0:0:0:1") == "::1"
    assert canonical_ip("::ffff:192.0.2.1") == "192.0.2.1"
    assert canonical_ip("fe80::1%eth0") == "fe80::1"
    assert canonical_ip("a") == canonical_ip("") == canonical_ip("1.2.3") == ""
