"""UrlPrefix and binding text: one normal form each, and a sentence for what is none."""

from __future__ import annotations

import pytest

from was.config.urls import Bucket, UrlPrefix, canonical_ip, parse_prefix
from was.listener.bindings import Binding, parse_binding


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


@pytest.mark.parametrize(
    ("text", "binding", "prefix"),
    [
        ("*:80:", Binding("http", "", 80, ""), "http://*:80/"),
        (":80:", Binding("http", "", 80, ""), "http://*:80/"),
        ("*:80:WWW.x.com", Binding("http", "", 80, "www.x.com"), "http://www.x.com:80/"),
        ("192.0.2.1:80:", Binding("http", "192.0.2.1", 80, ""), "http://192.0.2.1:80/"),
        ("192.0.2.1:80:a", Binding("http", "192.0.2.1", 80, "a"), "http://a:80:192.0.2.1/"),
        ("[::1]:80:", Binding("http", "::1", 80, ""), "http://[::1]:80/"),
        ("*:8443:*.x.com", Binding("http", "", 8443, "*.x.com"), "http://*.x.com:8443/"),
        ("*:80:bücher.example", Binding("http", "", 80, "xn--bcher-kva.example"),
         "http://xn--bcher-kva.example:80/"),
    ],
)  # fmt: skip
def test_a_binding_is_read_and_registers_a_prefix(text, binding, prefix):
    """The table of bindings and prefixes holds, and a binding prints as text that reads back."""
    assert parse_binding(text) == binding
    assert str(binding.prefix()) == prefix
    assert parse_binding(str(binding)) == binding


def test_port_0_takes_the_real_port():
    """A binding to port 0 registers the port that the system chose."""
    binding = parse_binding("127.0.0.1:0:", "https")
    assert binding.prefix(41234) == UrlPrefix("https", "127.0.0.1", 41234)
    assert parse_binding("*:80:").prefix(41234).port == 80


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("80", "ip:port:host"), ("a:80:", "IP address"), ("*:x:", "port"), ("*:65536:", "port"),
        ("*:-1:", "port"), ("*::", "port"), ("*:²:", "port"), ("*:80:*", "must be a name"),
        ("*:80:+", "must be a name"), ("*:80:a/b", "host name"), ("*:80:a:b", "host name"),
        ("::1:80:", "binding"), ("[::1:80:", "binding"), ("*:80:a b", "host name"),
    ],
)  # fmt: skip
def test_a_bad_binding_is_refused_in_one_clear_sentence(text, says):
    """The error names the part that is wrong, and the binding."""
    with pytest.raises(ValueError, match=says) as caught:
        parse_binding(text)
    assert "\n" not in str(caught.value)


def test_only_http_bindings_have_prefixes():
    """net.tcp and the like are not for this listener."""
    with pytest.raises(ValueError, match=r"net\.tcp"):
        parse_binding("*:80:", "net.tcp")
