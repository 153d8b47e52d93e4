"""The caches FILE, URI and TOKEN: what is kept, how long, and that what goes is told once."""

import os
import random
import sys
import threading
import types

import pytest
from fake_exchange import FakeExchange, ask, make_request, make_server

from was.config.password_hash import hash_password
from was.worker.caches.data import CacheSpecificData
from was.worker.caches.keys import (
    FILE_CACHE,
    CacheKey,
    CacheOperation,
    FileKey,
    TokenKey,
    UriKey,
)
from was.worker.caches.object_cache import ROUND_S, ObjectCache
from was.worker.calls.registration import HttpModule
from was.worker.global_modules.providers import CacheProvider
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import CONTINUE, GL_CONTINUE, GL_HANDLED, RequestNotification
from was.worker.security.tokens import Token

FILE_NOT_FOUND, ACCESS_DENIED, E_FAIL = 0x80070002, 0x80070005, 0x80004005
LOGON_FAILURE, PATH_NOT_FOUND, INVALID_DATA = 0x8007052E, 0x80070003, 0x8007000D
SERVER = "MACHINE/WEBROOT/APPHOST"


class Record(CacheSpecificData):
    """Counts its ends."""

    def __init__(self, key):
        super().__init__(key)
        self.ended = 0

    def release(self):
        self.ended += 1


class Stored:
    def __init__(self):
        self.ended = 0

    def cleanup_stored_context(self):
        self.ended += 1


def error_of(call, *arguments, **named):
    with pytest.raises(HResultError) as caught:
        call(*arguments, **named)
    return caught.value.hresult


class Clock:
    time = 0.0

    def __call__(self):
        return self.time


def operate(cache, operation, key, record=None):
    provider = CacheProvider(operation, key, record, None)
    return cache.operate(provider), provider.cache_record


def put(cache, key):
    """A record that the cache alone holds."""
    record = Record(key)
    operate(cache, CacheOperation.ADD, key, record)
    record.dereference_cache_data()
    return record


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


def test_keys():
    """Files are equal by path and flushed by prefix, URLs by site and URL, tokens by user and
    method and never by prefix; keys of different kinds are strangers."""
    assert FileKey("/a/b").get_is_equal(FileKey("/a/b"))
    assert FileKey("/a/").get_is_prefix(FileKey("/a/b"))
    assert not FileKey("/a/b").get_is_prefix(FileKey("/a/"))
    assert UriKey(1, "x", "/u").get_is_equal(UriKey(1, "y", "/u"))
    assert not UriKey(1, "x", "/u").get_is_equal(UriKey(2, "x", "/u"))
    assert not UriKey(1, "x", "/").get_is_prefix(UriKey(11, "x", "/u"))
    assert TokenKey("u", 8, b"1").get_is_equal(TokenKey("u", 8, b"2"))
    assert not TokenKey("u", 8, b"").get_is_equal(TokenKey("u", 3, b""))
    assert not TokenKey("u", 8, b"").get_is_prefix(TokenKey("u", 8, b""))
    assert not FileKey("/a").get_is_equal(CacheKey("OTHER", ("/a",)))
    assert FileKey("/a").hash == FileKey("/a").hash < 1 << 32


# ── entries ─────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_ends_with_its_last_reference():
    """Once; its stored contexts are told, and nobody gets a reference any more."""
    record, stored = Record(FileKey("/a")), Stored()
    record.module_context_container.set_module_context(stored, 1)
    assert record.reference_cache_data()
    record.dereference_cache_data()
    assert (record.ended, stored.ended) == (0, 0)
    record.dereference_cache_data()
    record.dereference_cache_data()
    assert (record.ended, stored.ended) == (1, 1)
    assert not record.reference_cache_data()


def test_time_to_live():
    """Two at birth, 0 is expired, reset begins anew."""
    record = Record(FileKey("/a"))
    assert not record.decrement_ttl()
    record.reset_ttl()
    assert not record.decrement_ttl()
    assert record.decrement_ttl()


# ── the cache ───────────────────────────────────────────────────────────────────────────────────


def test_a_cache_handles_its_own():
    """What has another cache's name is passed on; what is found comes with a reference."""
    cache = ObjectCache(FILE_CACHE, 4)
    key = FileKey("/a")
    assert operate(cache, CacheOperation.RETRIEVE, UriKey(1, "x", "/a")) == (GL_CONTINUE, None)
    assert operate(cache, CacheOperation.RETRIEVE, key) == (GL_HANDLED, None)
    record = put(cache, key)
    assert operate(cache, CacheOperation.RETRIEVE, FileKey("/a")) == (GL_HANDLED, record)
    operate(cache, CacheOperation.DELETE, key)
    assert record.is_flushed
    assert record.ended == 0  # the reference from RETRIEVE
    record.dereference_cache_data()
    assert record.ended == 1


def test_flushing_by_prefix_and_enumeration():
    """FLUSH_PREFIX drops what the key is a prefix of; ENUM shows all that is there."""
    seen = []

    class Seeing(FileKey):
        def enum(self, record):
            seen.append(record.cache_key.path)

    cache = ObjectCache(FILE_CACHE, 10)
    below, beside = put(cache, FileKey("/a/b")), put(cache, FileKey("/ab"))
    operate(cache, CacheOperation.FLUSH_PREFIX, FileKey("/a/"))
    assert (below.ended, beside.ended) == (1, 0)
    operate(cache, CacheOperation.ENUM, Seeing("/"))
    assert seen == ["/ab"]
    cache.flush()
    assert beside.ended == 1
    assert len(cache) == 0


def test_a_cache_is_bounded_and_forgets_what_nobody_asks_for():
    """The oldest goes beyond the bound; two rounds without a question are too many."""
    clock = Clock()
    cache = ObjectCache(FILE_CACHE, 2, now=clock)
    first, asked, idle = (put(cache, FileKey(name)) for name in ("/1", "/2", "/3"))
    assert first.ended == 1
    for _ in range(3):
        clock.time += ROUND_S
        _, found = operate(cache, CacheOperation.RETRIEVE, FileKey("/2"))
        assert found is asked
        found.dereference_cache_data()
    assert (asked.ended, idle.ended) == (0, 1)


def test_a_second_add_replaces_the_first():
    """The first is flushed, and ends when nobody holds it."""
    cache = ObjectCache(FILE_CACHE, 2)
    first, second = put(cache, FileKey("/1")), put(cache, FileKey("/1"))
    assert (first.ended, second.ended, len(cache)) == (1, 0, 1)


def test_counts_hold_whoever_comes_when():
    """Threads that add, retrieve, drop and flush at once: at the end nobody holds anything, and
    every record has ended exactly once."""
    cache = ObjectCache(FILE_CACHE, 3)
    keys = [FileKey(f"/{n}") for n in range(5)]
    records = []

    def work(seed):
        chance = random.Random(seed)
        for _ in range(300):
            key = chance.choice(keys)
            match chance.randrange(5):
                case 0 | 1:
                    records.append(put(cache, key))
                case 2 | 3:
                    _, found = operate(cache, CacheOperation.RETRIEVE, key)
                    if found is not None:
                        assert found.ended == 0
                        found.dereference_cache_data()
                case _:
                    operate(cache, CacheOperation.FLUSH_PREFIX, key)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.flush()
    assert {record.ended for record in records} == {1}


# ── files ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def server(tmp_path):
    made = make_server(tmp_path)
    yield made
    made.stop()


def test_file_info(server, tmp_path):
    """What IHttpFileInfo tells of a file: size, bytes, handle, tag, times, attributes."""
    path = tmp_path / ".file"
    path.write_bytes(b"content")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    path.chmod(0o444)
    info = server.http.get_file_info(str(path))
    assert (info.size, info.file_buffer, info.file_path) == (7, b"content", str(path))
    assert os.pread(info.file_handle, 99, 0) == b"content"
    assert info.last_modified_string == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert info.last_modified_time == (1_000_000_000 + 11_644_473_600) * 10**7
    assert info.attributes == 0x1 | 0x2
    assert info.http_cache_allowed == (True, 0)
    assert info.etag.startswith('"')
    fd = info.file_handle
    info.dereference_cache_data()
    os.fstat(fd)  # the cache holds it
    server.stop()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_files_are_cached_until_they_change(server, tmp_path):
    """The same object for the same file; another one as soon as another content is there."""
    path = tmp_path / "file"
    path.write_text("one")
    first = server.http.get_file_info(str(path))
    assert server.http.get_file_info(str(path)) is first
    path.write_text("another")
    assert first.check_if_file_has_changed()
    second = server.http.get_file_info(str(path))
    assert second is not first
    assert second.file_buffer == b"another"
    assert server.http.get_file_info(str(path), cache=False) is not second
    assert first.file_buffer == b"one"


def test_a_change_that_is_announced_drops_the_file(server, tmp_path):
    """GL_FILE_CHANGE: of the file, or of the folder that it lies in."""
    path = tmp_path / "file"
    path.write_text("one")
    for name in (str(path), str(tmp_path)):
        info = server.http.get_file_info(str(path))
        server.http.notify_file_change(name)
        assert info.is_flushed
        info.dereference_cache_data()


def test_file_errors(server, tmp_path):
    """Missing, not readable by the user who asks, no file at all, and after the end."""
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0o600)
    os.mkfifo(tmp_path / "fifo")
    get = server.http.get_file_info
    stranger = Token("stranger", 64000, 64000, ())
    assert error_of(get, str(tmp_path / "none")) == FILE_NOT_FOUND
    assert error_of(get, "nul\0") == FILE_NOT_FOUND
    assert error_of(get, str(path), stranger) == ACCESS_DENIED
    assert error_of(get, str(tmp_path / "fifo")) == E_FAIL
    path.chmod(0o640)
    member = Token("member", 64000, 64000, (os.stat(path).st_gid,))
    assert get(str(path), member).size == 1
    folder = get(str(tmp_path))
    assert (folder.file_handle, folder.attributes & 0x10) == (-1, 0x10)
    server.stop()
    assert error_of(get, str(path)) == E_FAIL


def test_change_notification(server, tmp_path):
    """While the file is kept, a change of the path given is told."""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("x")
    info = server.http.get_file_info(str(path), change_notification_path=str(other))
    other.write_text("y")
    assert [name for name, _ in server.http.monitors.changes()] == [str(other)]
    info.dereference_cache_data()
    server.http.notify_file_change(str(path))
    other.write_text("z")
    assert server.http.monitors.changes() == []


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────


def test_tokens(tmp_path):
    """A right password gives an entry, cached by user and method; a wrong one, an unknown user and
    a disabled one are refused alike. Other users, other configuration: checked anew."""
    users = (
        "<security><authentication><users>"
        f'<add name="Root" passwordHash="{hash_password("right")}" />'
        f'<add name="off" enabled="false" passwordHash="{hash_password("right")}" />'
        "</users></authentication></security>"
    )
    server = make_server(tmp_path, users)
    get = server.http.get_token
    entry = get("root", "right")
    assert entry.primary_token.user_name == "Root"
    assert entry.impersonation_token is entry.primary_token
    assert get("ROOT", "right") is entry
    assert get("root", "right", 3) is not entry
    for name, password in (("root", "wrong"), ("nobody-here", "right"), ("off", "right")):
        assert error_of(get, name, password) == LOGON_FAILURE
    assert get("root", "right") is entry
    server.http.notify_configuration_change(SERVER)
    assert get("root", "right") is not entry
    server.stop()


def test_a_token_of_the_system(monkeypatch):
    """Ids and groups come from the system's user database; a name it does not know has none."""
    from was.worker.security.tokens import process_token, token_of

    assert token_of("root").uid == 0
    assert token_of("root").sid == "S-1-22-1-0"
    assert token_of("no such user").uid == -1
    assert token_of("no such user").sid == ""
    assert process_token().uid == os.getuid()


# ── what a request asks for ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def requests(tmp_path):
    """A server whose one request module is the function given."""

    def make(look, web_server=""):
        class Module(HttpModule):
            def on_begin_request(self, context, provider):
                look(context)
                return CONTINUE

        class Factory:
            def get_http_module(self, allocator):
                return Module()

            def terminate(self):
                pass

        image = types.ModuleType("asking_image")
        image.register_module = lambda v, info, s: info.set_request_notifications(
            Factory(), RequestNotification.BEGIN_REQUEST, 0
        )
        sys.modules["asking_image"] = image
        entry = '<globalModules><add name="Asking" image="asking_image" /></globalModules>'
        modules = '<modules><add name="Asking" /></modules>'
        return make_server(tmp_path, modules + web_server, global_modules=entry)

    yield make
    sys.modules.pop("asking_image", None)


def test_objects_of_a_request(requests, tmp_path):
    """url_info, metadata and file_info: one object a request each; stored contexts of file and URL
    last longer than the request, and are told once: when the entry is flushed and the last request
    that holds it has ended. Those of the metadata are told when the configuration changes."""
    stored = {}
    seen = []

    def look(context):
        held = {"url": context.url_info, "meta": context.metadata, "file": context.file_info}
        assert context.url_info is held["url"]
        assert context.metadata is held["meta"]
        seen.append(held["meta"].meta_path)
        for name, item in held.items():
            if item.module_context_container.get_module_context(1) is None:
                stored[name] = Stored()
                item.module_context_container.set_module_context(stored[name], 1)
        assert held["file"].vr_path == held["meta"].vr_path == str(tmp_path / "site")

    server = requests(look)
    (tmp_path / "site" / "a.txt").write_text("file")
    for _ in range(2):
        assert ask(server, path="/a.txt").body == b"file"
    assert seen == ["/LM/W3SVC/1/ROOT/a.txt"] * 2
    assert {name: s.ended for name, s in stored.items()} == {"url": 0, "meta": 0, "file": 0}
    before = dict(stored)
    server.configuration_changed()
    assert {name: s.ended for name, s in before.items()} == {"url": 1, "meta": 1, "file": 0}
    ask(server, path="/a.txt")
    server.stop()
    assert {name: s.ended for name, s in {**stored, **before}.items()}.values()
    assert all(s.ended == 1 for s in [*stored.values(), *before.values()])


def test_what_a_request_holds_stays_to_its_end(requests, tmp_path):
    """A change of the configuration within a request ends its objects only after the request."""
    stored = Stored()
    during = []

    def look(context):
        context.metadata.module_context_container.set_module_context(stored, 1)
        server.configuration_changed()
        during.append(stored.ended)

    server = requests(look)
    ask(server)
    assert (during, stored.ended) == ([0], 1)
    server.stop()


def test_frequently_hit_urls(requests):
    """A URL that has been asked for twice within ten seconds is hit frequently; the numbers are
    serverRuntime's."""
    found = []
    server = requests(
        lambda context: found.append(context.url_info.is_frequently_hit()),
        '<serverRuntime frequentHitThreshold="3" />',
    )
    for path in ("/a", "/a", "/b", "/a"):
        server.handle(FakeExchange(make_request(path=path)))
    assert found == [False, False, False, True]
    server.stop()


def test_hits_are_counted_within_the_period():
    """A period without hits begins anew."""
    from was.worker.caches.url_info import UrlInfo

    clock = Clock()
    info = UrlInfo(UriKey(1, "x", "/"), 2, 10.0, now=clock)
    info.hit()
    clock.time = 11.0
    info.hit()
    assert not info.is_frequently_hit()
    clock.time = 12.0
    info.hit()
    assert info.is_frequently_hit()
    clock.time = 22.0
    assert not info.is_frequently_hit()


def test_a_missing_file_has_no_info(requests):
    """GetFileInfo: NULL."""
    found = []
    server = requests(lambda context: found.append(context.file_info))
    server.handle(FakeExchange(make_request(path="/none.txt")))
    assert found == [None]
    server.stop()


# ── configuration ───────────────────────────────────────────────────────────────────────────────


def test_get_metadata_by_site_and_url(server, tmp_path):
    """IReferencedMetadataInfo: held until it is dereferenced, whatever the configuration does."""
    metadata, stored = server.http.get_metadata("MAIN", "/x"), Stored()
    metadata.module_context_container.set_module_context(stored, 1)
    server.configuration_changed()
    assert stored.ended == 0
    metadata.reference_metadata()
    metadata.dereference_metadata()
    metadata.dereference_metadata()
    assert stored.ended == 1
    assert error_of(server.http.get_metadata, "none", "/") == FILE_NOT_FOUND


def test_the_user_of_a_virtual_directory(tmp_path):
    """GetVrToken: whom the directory is to be reached as."""
    directory = f'<virtualDirectory path="/v" physicalPath="{tmp_path}" userName="root" />'
    server = make_server(tmp_path, vdirs=directory)
    token = server.http.get_metadata("main", "/v/x").vr_token
    assert token.primary_token.uid == 0
    assert server.http.get_metadata("main", "/x").vr_token is None
    assert server.http.get_metadata("main", "/v/x").vr_path == str(tmp_path)
    server.stop()


def test_admin_manager(tmp_path):
    """Any section, as it is in force at the server, or at a path with what its web.config says."""
    server = make_server(tmp_path, '<directoryBrowse enabled="false" />')
    folder = tmp_path / "site" / "sub"
    folder.mkdir()
    (folder / "web.config").write_text(
        '<configuration><system.webServer><directoryBrowse enabled="true" /></system.webServer>'
        "</configuration>"
    )
    get = server.http.admin_manager.get_admin_section
    section = "system.webServer/directoryBrowse"
    assert get(section)["enabled"] is False
    assert get(section, f"{SERVER}/Main/sub")["enabled"] is True
    assert get("system.applicationHost/sites").items[0]["name"] == "main"
    assert error_of(get, "no/section") == FILE_NOT_FOUND
    assert error_of(get, section, f"{SERVER}/none") == PATH_NOT_FOUND
    assert error_of(get, section, "elsewhere") == PATH_NOT_FOUND
    (folder / "web.config").write_text("<broken")
    server.applications.loaded.forget()
    assert error_of(get, section, f"{SERVER}/main/sub") == INVALID_DATA
    server.stop()
