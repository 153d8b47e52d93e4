"""What the usual FastCGI request takes: one piece out, one answer in, variables encoded ahead."""

from itertools import product
from types import SimpleNamespace

import pytest

from was.worker.fastcgi import records
from was.worker.fastcgi.parameters import MOST, Parameters
from was.worker.fastcgi.records import RecordError, RecordReader, RecordType

END = records.encode(RecordType.END_REQUEST, 1, b"\0\0\0\0\0\0\0\0")


def output(data: bytes, number: int = 1) -> bytes:
    return records.stream(RecordType.STDOUT, number, data)


@pytest.mark.parametrize("number", records.IDS)
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("body", [b"", b"a=1", b"x" * 70000])
def test_a_whole_request_is_the_records_of_one(number, keep, body):
    """The same as record by record, in their order, whatever the lengths."""
    for parameters in (records.encode_pairs({b"A": b"b" * n}) for n in (0, 200, 70000)):
        pieces = [
            records.begin_request(number, records.Role.RESPONDER, records.FLAG_KEEP_CONN * keep),
            records.stream(RecordType.PARAMS, number, parameters),
            records.stream(RecordType.PARAMS, number, b""),
            records.stream(RecordType.STDIN, number, body) if body else b"",
            records.stream(RecordType.STDIN, number, b""),
        ]
        assert records.whole_request(number, parameters, body, keep=keep) == b"".join(pieces)


def test_a_whole_answer_is_known_by_its_end():
    """Any number of STDOUT records and END_REQUEST; with less of it there is more to come."""
    data = output(b"Status: 200\r\n\r\n") + output(b"x" * 70000) + output(b"") + END
    assert records.whole_answer(1, data) == (b"Status: 200\r\n\r\n" + b"x" * 70000, 0)
    for length in (*range(60), len(data) - 9, len(data) - 1):
        assert records.whole_answer(1, data[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        records.stream(RecordType.STDERR, 1, b"a complaint") + END,
        output(b"x", 2) + END,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        records.encode(RecordType.END_REQUEST, 1, b""),
        output(b"x") + END + output(b"more") + END,
    ],
)
def test_what_is_not_an_answer_alone_is_for_others_to_read(data):
    """Complaints, others' records, other protocols, an end that is too short or is none."""
    with pytest.raises(RecordError):
        records.whole_answer(1, data)


class Application:
    """As much of one as the variables need."""

    id, pool, physical_path = "/LM/W3SVC/1/ROOT", "Pool", "/srv/app"
    site = SimpleNamespace(site_id=1)


def make_context(path="/a.php", path_info="", port=1000, fields=(), **more):
    message = SimpleNamespace(
        remote_addr="192.0.2.1",
        remote_port=port,
        local_addr="192.0.2.2",
        local_port=80,
        secure=False,
        target=path,
        attempt=1,
        id=255,
        version=11,
        body_length=0,
        head_number=more.get("head_number", 0),
    )
    whole = path + path_info
    context = SimpleNamespace(
        message=message,
        path=whole,
        path_info=path_info,
        path_info_at=len(path),
        script_name=path,
        physical_path="/srv/app" + whole,
        map_path=lambda url: "/srv/app" + url,
        query="",
        method="GET",
        user=None,
        variables=None,
        child=None,
        calls=SimpleNamespace(map_path=()),
        fields=list(fields),
        head_number=0,
    )
    vars(context).update(more)
    return context


def read(parameters: Parameters, context) -> dict[bytes, bytes]:
    return records.decode_pairs(parameters.encode(context))


def test_shared_pieces_are_those_of_the_request():
    """The second request of a connection, another path, another client: each has its own."""
    parameters = Parameters(Application())
    first = read(parameters, make_context())
    assert first == read(parameters, make_context())
    assert (first[b"SCRIPT_FILENAME"], first[b"REMOTE_PORT"]) == (b"/srv/app/a.php", b"1000")
    other = read(parameters, make_context("/b.php", "/more", 1001))
    assert (other[b"SCRIPT_NAME"], other[b"PATH_INFO"]) == (b"/b.php", b"/more")
    assert other[b"PATH_TRANSLATED"] == b"/srv/app/more"
    assert other[b"REMOTE_PORT"] == b"1001"
    assert b"PATH_TRANSLATED" not in read(parameters, make_context("/b.php/more"))


def test_where_modules_map_paths_no_path_is_remembered():
    """MAP_PATH may answer otherwise for the next request of the same path."""
    parameters = Parameters(Application())
    for folder in (b"/one", b"/two"):
        context = make_context(
            map_path=lambda url, folder=folder: folder.decode() + url,
            calls=SimpleNamespace(map_path=("a module",)),
        )
        assert read(parameters, context)[b"SCRIPT_FILENAME"] == folder + b"/a.php"


HOST = [("Host", "example.org")]


def test_a_head_that_comes_again_is_found_by_its_number():
    """Another connection, script or attempt of it has its own variables; what changed, too."""
    parameters = Parameters(Application())
    seen = [
        make_context(fields=HOST, head_number=7),
        make_context(fields=HOST, head_number=7, port=1001),
        make_context("/a", ".php", fields=HOST, head_number=7),
        make_context("/b.php", fields=HOST, head_number=8),
    ]
    changed = make_context("/c.php", fields=HOST)
    changed.message.head_number = 7  # the context says 0: a module has changed something
    again = make_context(fields=HOST, head_number=7)
    again.message.attempt = 2
    for context in (*seen, changed, again) * 2:
        assert read(parameters, context) == parameters._variables.whole(context)
    assert len(parameters._of_head) == 4


def test_what_is_not_the_heads_is_not_kept_with_it():
    """The address that stands for a host, and what a module maps a path to."""
    parameters = Parameters(Application())
    for address in ("192.0.2.2", "192.0.2.3"):
        context = make_context(head_number=7)
        context.message.local_addr = address
        assert read(parameters, context)[b"SERVER_NAME"] == address.encode()
    for folder in (b"/one", b"/two"):
        context = make_context(
            fields=HOST,
            head_number=8,
            map_path=lambda url, folder=folder: folder.decode() + url,
            calls=SimpleNamespace(map_path=("a module",)),
        )
        assert read(parameters, context)[b"SCRIPT_FILENAME"] == folder + b"/a.php"
    assert parameters._of_head == {}


def test_a_field_never_stands_for_what_the_server_knows():
    """A client's `Url` is no HTTP_URL; fields that come twice are joined, Host names the server."""
    fields = [("Host", "example.org:8080"), ("Url", "/other"), ("A", "1"), ("a", "2")]
    found = read(Parameters(Application()), make_context(fields=fields))
    assert found[b"HTTP_URL"] == b"/a.php"
    assert found[b"HTTP_A"] == b"1, 2"
    assert (found[b"SERVER_NAME"], found[b"HTTP_HOST"]) == (b"example.org", b"example.org:8080")


def test_without_a_host_the_address_names_the_server():
    """HTTP/1.0 may have none."""
    assert read(Parameters(Application()), make_context())[b"SERVER_NAME"] == b"192.0.2.2"


def test_variables_of_modules_are_in_all_the_same():
    """SetServerVariable, None to take one away."""
    context = make_context(variables={"EXTRA": "1", "URL": None})
    found = read(Parameters(Application()), context)
    assert found[b"EXTRA"] == b"1"
    assert b"URL" not in found


def test_many_paths_do_not_fill_the_memory():
    """Clients may ask for as many as they like."""
    parameters = Parameters(Application())
    for number in range(1, MOST + 10):
        context = make_context(f"/{number}.php", port=number, fields=HOST, head_number=number)
        parameters.encode(context)
    assert len(parameters._of_path) <= MOST
    assert len(parameters._of_connection) <= MOST
    assert len(parameters._of_line) <= MOST
    assert 0 < len(parameters._of_head) <= MOST


def test_long_pieces_are_not_kept():
    """Nor may a few of them fill it."""
    parameters = Parameters(Application())
    long = "x" * 8000
    context = make_context("/" + long, fields=[*HOST, ("Cookie", long)], head_number=7)
    assert read(parameters, context)[b"HTTP_COOKIE"] == long.encode()
    caches = (parameters._of_path, parameters._of_line, parameters._of_fields, parameters._of_head)
    assert caches == ({}, {}, {}, {})


LINES = [("GET", 0), ("POST", 0), ("POST", 5), ("POST", -1)]
FIELDS = [
    (),
    (("Host", "example.org"),),
    (("Host", "example.org"), ("Content-Length", "0")),
    (("Content-Length", "5"), ("X-A", "1"), ("x-a", "2")),
]


@pytest.mark.parametrize("user", [None, SimpleNamespace(remote_user_name="")])
@pytest.mark.parametrize("fields", FIELDS)
def test_in_pieces_they_are_what_they_are_as_a_whole(fields, user):
    """Encoded for the first time, or found among those of other requests."""
    parameters = Parameters(Application())
    for number, (query, (method, length)) in enumerate(product(("", "a=1", ""), LINES)):
        context = make_context(fields=fields, method=method, query=query, user=user)
        context.message.body_length = length
        context.message.id = number
        assert read(parameters, context) == parameters._variables.whole(context)


def test_a_reader_finds_the_same_records():
    """What a thread reads is what the quick way reads."""
    data = output(b"a") + END
    assert [r.type for r in RecordReader().feed(data)] == [
        RecordType.STDOUT,
        RecordType.END_REQUEST,
    ]
