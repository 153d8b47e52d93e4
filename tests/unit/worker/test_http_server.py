"""IHttpServer as a module has it: events, caches, fragments, monitors, its own replacement."""

import dataclasses
import queue
import socket
import sys
import threading
import types

import pytest
from fake_exchange import make_server

from was.worker.caches.data import CacheSpecificData
from was.worker.caches.keys import CacheKey, CacheOperation
from was.worker.calls.registration import GlobalModule
from was.worker.global_modules.providers import CustomNotificationProvider
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import GL_CONTINUE, GL_HANDLED, GlobalNotification

GL = GlobalNotification
FILE_NOT_FOUND, PATH_NOT_FOUND = 0x80070002, 0x80070003
INVALID_PARAMETER, NOT_SUPPORTED = 0x80070057, 0x80070032
E_NOTIMPL, E_INVALIDARG, E_FAIL = 0x80004001, 0x80070057, 0x80004005
NOT_FOUND, ALREADY_EXISTS, INVALID_HANDLE = 0x80070490, 0x800700B7, 0x80070006


class Listening(GlobalModule):
    """Calls the test's function of the event's name, if there is one."""

    def __init__(self, **methods):
        self.heard = []
        for bit in GL:
            name = f"on_global_{bit.name.lower()}"
            setattr(self, name, self._method(bit.name.lower(), methods.get(bit.name.lower())))

    def _method(self, name, answer):
        def method(provider):
            self.heard.append(name)
            return GL_CONTINUE if answer is None else answer(provider)

        return method


@pytest.fixture
def serve(tmp_path):
    """A worker's server whose one module is the Listening given; (WorkerServer, IHttpServer)."""
    servers = []

    def make(module):
        image = types.ModuleType("listening_image")
        given = []

        def register_module(version, info, http_server):
            given.append(http_server)
            info.set_global_notifications(module, sum(GL))

        image.register_module = register_module
        sys.modules["listening_image"] = image
        entry = '<globalModules><add name="L" image="listening_image" /></globalModules>'
        server = make_server(tmp_path, global_modules=entry)
        servers.append(server)
        return server, given[0]

    yield make
    for server in servers:
        server.stop()
    sys.modules.pop("listening_image", None)


def error_of(call, *arguments):
    with pytest.raises(HResultError) as caught:
        call(*arguments)
    return caught.value.hresult


def test_custom_notification(serve):
    """The provider that was given arrives, and whether anybody handled it comes back."""

    class Mine(CustomNotificationProvider):
        payload = None

    def answer(provider):
        provider.payload = provider.query_notification_type()
        return GL_HANDLED

    _, http = serve(Listening(custom_notification=answer))
    mine = Mine("example.notice")
    assert http.notify_custom_notification(mine) is GL_HANDLED
    assert mine.payload == "example.notice"


def test_announced_changes(serve):
    """notify_configuration_change and notify_file_change raise the events; without a monitor."""
    found = []
    module = Listening(
        configuration_change=lambda p: found.append(p.change_path),
        file_change=lambda p: found.append((p.file_name, p.file_monitor)),
    )
    _, http = serve(module)
    http.notify_configuration_change("MACHINE/WEBROOT/APPHOST/main")
    http.notify_file_change("/some/file")
    assert found == ["MACHINE/WEBROOT/APPHOST/main", ("/some/file", None)]


def test_queries(serve):
    """The first result counts; without one the answer is E_NOTIMPL."""

    def answer(provider):
        if provider.function_name == "ADD":
            text = str(sum(map(int, provider.function_parameters.split()))).encode()
            provider.resize_output_buffer(len(text), 0)[:] = text
            provider.set_result(len(text))
            return GL_HANDLED
        return GL_CONTINUE

    _, http = serve(Listening(rsca_query=answer))
    assert http.query("ADD", "1 2 39") == (b"42", 0)
    assert http.query("OTHER", "") == (b"", E_NOTIMPL)


def test_an_answer_is_bounded(serve):
    """What no administrator reads is not sent: ERROR_INSUFFICIENT_BUFFER."""

    def answer(provider):
        provider.get_output_buffer(2 << 20)
        provider.set_result(2 << 20)
        return GL_HANDLED

    _, http = serve(Listening(rsca_query=answer))
    assert http.query("", "") == (b"", 0x8007007A)


def test_output_buffer_of_a_query(serve):
    """It grows on demand, keeps what is to be kept, and refuses to keep more than there is."""
    found = []

    def answer(provider):
        provider.get_output_buffer(4)[:] = b"abcd"
        found.append(bytes(provider.resize_output_buffer(6, 2)))
        found.append(error_of(provider.resize_output_buffer, 1, 2))
        found.append(error_of(provider.set_result, 7))
        return GL_HANDLED

    _, http = serve(Listening(rsca_query=answer))
    assert http.query("", "") == (b"", E_NOTIMPL)
    assert found == [b"ab\0\0\0\0", E_INVALIDARG, E_INVALIDARG]


def test_cache_operations_reach_the_owner_of_the_cache(serve):
    """GL_CACHE_OPERATION carries operation, key and record; what was found comes back."""
    key = CacheKey("MINE", ("a",))
    stored = {}

    def answer(provider):
        if provider.cache_key.cache_name != "MINE":
            return GL_CONTINUE
        if provider.cache_operation is CacheOperation.ADD:
            stored[provider.cache_key] = provider.cache_record
        elif provider.cache_operation is CacheOperation.RETRIEVE:
            provider.set_cache_record(stored.get(provider.cache_key))
        else:
            provider.set_error_status(0x80004005)
        return GL_HANDLED

    _, http = serve(Listening(cache_operation=answer))
    record = CacheSpecificData(key)
    assert http.do_cache_operation(CacheOperation.RETRIEVE, key) is None
    http.do_cache_operation(CacheOperation.ADD, key, record)
    assert http.do_cache_operation(CacheOperation.RETRIEVE, CacheKey("MINE", ("a",))) is record
    assert http.do_cache_operation(CacheOperation.RETRIEVE, CacheKey("NOBODYS", ())) is None
    assert error_of(http.do_cache_operation, CacheOperation.DELETE, key) == 0x80004005


def test_unhealthy(serve):
    """GL_HEALTH_CHECK, then a successor is asked for; reporting within the event does not go
    round in circles."""
    asked = []
    module = Listening(health_check=lambda _: http.report_unhealthy("within"))
    server, http = serve(module)
    server.http.ask_for_recycle = lambda reason, detail: asked.append((reason, detail))
    http.report_unhealthy("broken", 0x80004005)
    assert module.heard.count("health_check") == 1
    assert [detail for _, detail in asked] == ["within", "broken (0x80004005)"]
    http.report_unhealthy("again")
    assert module.heard.count("health_check") == 2


def test_recycling(serve):
    """The process, or an application by its configuration path; one that is not here is refused."""
    asked = []
    server, http = serve(Listening())
    server.http.ask_for_recycle = lambda reason, detail: asked.append(detail)
    http.recycle_process("enough")
    http.recycle_application("MACHINE/WEBROOT/APPHOST/Main/")
    assert asked == ["enough", "application MACHINE/WEBROOT/APPHOST/Main/"]
    assert error_of(http.recycle_application, "MACHINE/WEBROOT/APPHOST/none") == FILE_NOT_FOUND


def test_a_worker_waits_for_applications_that_warm_up(serve):
    """begin_application_warmup keeps a starting worker from its requests until the end that
    belongs to it; query_is_warming_up tells."""
    seen = []
    server, _ = serve(Listening())
    (application,) = server.applications
    assert not application.query_is_warming_up()
    application.begin_application_warmup()

    def warm_up():
        server.warm_up()
        seen.append("warm")

    thread = threading.Thread(target=warm_up)
    thread.start()
    thread.join(0.05)
    assert application.query_is_warming_up()
    assert seen == []
    application.end_application_warmup()
    thread.join(60)
    assert seen == ["warm"]
    assert not application.query_is_warming_up()
    application.end_application_warmup()
    assert not application.query_is_warming_up()


def test_preload_requests(serve, tmp_path):
    """A module makes requests of an application with preloadEnabled: any URL, any user, each once;
    a context that it does not run ends with the event."""
    from was.worker.interfaces.user import HttpUser

    found = []
    stored = Stored()

    def preload(provider):
        context = provider.create_context()
        context.request.set_url("/a.txt")
        found.append(provider.execute_request(context, HttpUser("me")))
        found.append(error_of(provider.execute_request, context))
        missing = provider.create_context()
        missing.request.set_url("/none.txt")
        found.append(provider.execute_request(missing))
        unused = provider.create_context()
        unused.module_context_container.set_module_context(stored, 1)
        found.append(provider.is_process_recycled())

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("file")
    server, _ = serve(Listening(application_preload=preload))
    (application,) = server.applications
    server.warm_up()
    assert found == []
    application.config = dataclasses.replace(application.config, preload_enabled=True)
    server.warm_up()
    assert found == [200, INVALID_PARAMETER, 404, False]
    assert stored.ended == 1


def test_fragments(serve):
    """By name, replaced by the same name, with IIS's errors for unknown ones."""
    _, http = serve(Listening())
    http.add_fragment_to_cache(b"one", "a")
    http.add_fragment_to_cache(b"two", "a")
    assert http.read_fragment_from_cache("a") == b"two"
    http.remove_fragment_from_cache("a")
    assert error_of(http.read_fragment_from_cache, "a") == PATH_NOT_FOUND
    assert error_of(http.remove_fragment_from_cache, "a") == FILE_NOT_FOUND
    assert error_of(http.add_fragment_to_cache, b"", "") == INVALID_PARAMETER


def test_what_it_is(serve, tmp_path):
    """Names, preconditions, interfaces, limits of the pool."""
    _, http = serve(Listening())
    assert http.app_pool_name == "pool"
    assert http.app_pool_config_file == tmp_path / "config" / "applicationHost.config"
    assert http.satisfies_precondition("integratedMode,bitness64")
    assert not http.satisfies_precondition("bitness32")
    assert http.get_extended_interface(1) is http
    assert error_of(http.get_extended_interface, 2) == INVALID_PARAMETER
    assert not http.is_command_line_launch
    settings = http.worker_process_settings
    assert settings.get_dword_property("IDLE_TIMEOUT") == 1200
    assert error_of(settings.get_dword_property, "COLOUR") == NOT_FOUND


def test_perf_counters(serve):
    """Of the server and of each site; a counter does not go below 0."""
    server, http = serve(Listening())
    (application,) = server.applications
    counters = http.perf_counter_info
    assert application.site.perf_counter_info is not counters
    assert counters.increment_counter(7) == 1
    assert counters.increment_counter(7, 5) == 6
    assert counters.decrement_counter(7, 2) == 4
    assert counters.decrement_counter(7, 9) == 0
    counters.set_counter(8, 3)
    assert counters.all_counters() == {7: 0, 8: 3}
    assert counters.get_counter(9) == 0


def test_threads_that_block(serve):
    """Counted, between 0 and 256."""
    _, http = serve(Listening())
    assert http.decrement_thread_count() == 0
    assert [http.increment_thread_count() for _ in range(300)][-1] == 256
    assert http.decrement_thread_count() == 255


def test_descriptors_of_modules(serve):
    """A routine is called each time its descriptor can be read, on another thread; what it raises
    ends nothing. After dissociate it is not called."""
    _, http = serve(Listening())
    calls: queue.Queue[tuple[bytes, bool]] = queue.Queue()
    main = threading.current_thread()
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def routine(fd):
            calls.put((ours.recv(10), threading.current_thread() is main))
            raise RuntimeError("broken")

        http.associate_with_thread_pool(ours.fileno(), routine)
        assert error_of(http.associate_with_thread_pool, ours.fileno(), routine) == ALREADY_EXISTS
        for word in (b"one", b"two"):
            theirs.send(word)
            assert calls.get(timeout=60) == (word, False)
        http.dissociate_from_thread_pool(ours.fileno())
        theirs.send(b"three")
        with open(__file__) as file:
            bad = error_of(http.associate_with_thread_pool, file.fileno(), routine)
        assert bad == INVALID_HANDLE
        http.dissociate_from_thread_pool(ours.fileno())
    assert calls.empty()


def test_what_is_not_here(serve):
    """No response is cached outside the worker, no request has properties: ERROR_NOT_SUPPORTED."""
    _, http = serve(Listening())
    assert error_of(http.query_request_property, 1, 2) == NOT_SUPPORTED
    assert error_of(http.flush_kernel_cache, "http://x/") == NOT_SUPPORTED


class Stored:
    def __init__(self):
        self.ended = 0

    def cleanup_stored_context(self):
        self.ended += 1


def test_contexts_are_set_once(serve):
    """ERROR_ALREADY_ASSIGNED for a second one, the same too; ERROR_INVALID_PARAMETER for none."""
    _, http = serve(Listening())
    container, stored = http.dispense_container(), Stored()
    container.set_module_context(stored, 1)
    assert error_of(container.set_module_context, stored, 1) == 0x80070055
    assert error_of(container.set_module_context, Stored(), 1) == 0x80070055
    assert error_of(container.set_module_context, None, 2) == INVALID_PARAMETER
    container.set_module_context(Stored(), 2)
    container.release_container()


def test_an_end_is_told_once_whoever_comes_meanwhile():
    """Contexts that are set while the container ends are told too, each exactly once."""
    from was.worker.interfaces.stored_contexts import ModuleContextContainer

    for _ in range(50):
        container = ModuleContextContainer()
        contexts = [Stored() for _ in range(8)]
        barrier = threading.Barrier(5)

        def put(mine, container=container, barrier=barrier, contexts=contexts):
            barrier.wait()
            for number in mine:
                container.set_module_context(contexts[number], number)

        def end(container=container, barrier=barrier):
            barrier.wait()
            container.cleanup()

        threads = [threading.Thread(target=put, args=[(n, n + 4)]) for n in range(4)]
        threads.append(threading.Thread(target=end))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [context.ended for context in contexts] == [1] * 8


def test_dispensed_containers_end_when_they_are_released(serve):
    """Once, and what is attached afterwards is told at once."""
    _, http = serve(Listening())
    container, first, late = http.dispense_container(), Stored(), Stored()
    container.set_module_context(first, 1)
    container.release_container()
    container.release_container()
    container.set_module_context(late, 1)
    assert (first.ended, late.ended) == (1, 1)
    assert container.get_module_context(1) is None


def test_file_monitors(serve, tmp_path):
    """A monitored file, there or not, and a monitored folder tell of changes; a file beside does
    not. A monitor that was dereferenced is silent, and its stored contexts are told once."""
    changed = []
    _, http = serve(Listening(file_change=lambda p: changed.append((p.file_name, p.file_monitor))))
    folder = tmp_path / "watched"
    folder.mkdir()
    file = tmp_path / "file"
    of_file = http.register_file_change_monitor(str(file))
    of_folder = http.register_file_change_monitor(str(folder))
    stored = Stored()
    of_file.module_context_container.set_module_context(stored, 1)
    (tmp_path / "beside").write_text("x")
    file.write_text("x")
    (folder / "new").write_text("x")
    http.tell_file_changes()
    assert sorted(changed, key=str) == sorted(
        [(str(file), of_file), (str(folder / "new"), of_folder)], key=str
    )
    changed.clear()
    of_file.dereference_file_monitor()
    of_file.dereference_file_monitor()
    file.write_text("y")
    http.tell_file_changes()
    assert changed == []
    assert stored.ended == 1


def test_a_monitor_needs_a_folder(serve, tmp_path):
    """The path is absolute, and its folder is there."""
    _, http = serve(Listening())
    monitor = http.register_file_change_monitor
    assert error_of(monitor, "relative") == INVALID_PARAMETER
    assert error_of(monitor, str(tmp_path / "none" / "file")) == PATH_NOT_FOUND
    assert http.monitors.fd == -1 or http.monitors.changes() == []


def test_a_monitored_folder_that_comes_later(serve, tmp_path):
    """A folder that goes and stays away for a while is watched when it is there again."""
    changed = []
    server, http = serve(Listening(file_change=lambda p: changed.append(p.file_name)))
    folder = tmp_path / "watched"
    folder.mkdir()
    file = folder / "file"
    http.register_file_change_monitor(str(file))
    folder.rmdir()
    http.tell_file_changes()
    http.tell_file_changes()
    assert changed == [str(folder)]
    changed.clear()
    folder.mkdir()
    http.tell_file_changes()
    assert changed == [str(file)]  # it may have come meanwhile
    file.write_text("x")
    http.tell_file_changes()
    assert changed[1:] == [str(file)]
    server.stop()
    assert error_of(http.register_file_change_monitor, str(file)) == E_FAIL


def test_a_monitored_folder_that_goes(serve, tmp_path):
    """Its end is told, and a folder that comes in its place is watched."""
    changed = []
    _, http = serve(Listening(file_change=lambda p: changed.append(p.file_name)))
    folder = tmp_path / "watched"
    folder.mkdir()
    http.register_file_change_monitor(str(folder))
    folder.rmdir()
    folder.mkdir()
    http.tell_file_changes()
    assert str(folder) in changed
    changed.clear()
    (folder / "new").write_text("x")
    http.tell_file_changes()
    assert changed == [str(folder / "new")]
