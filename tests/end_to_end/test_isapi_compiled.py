"""Compiled ISAPI extensions: C built with the headers of `was sdk`, in a real worker."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.isapi import (
    SAMPLES,
    SOURCES,
    compile_extension,
    isapi_config,
    isapi_handler,
    place_files,
)
from support.running import run_server
from support.wire import Wire, get


def prepare(home: Path) -> None:
    """The probe, the sample, and files that cannot be extensions."""
    place_files(SOURCES / "face.py", compiled=(SOURCES / "probe.c", SAMPLES / "luhn.c"))(home)
    folder = home / "sites" / "app"
    (folder / "plain.txt").write_text("a static file")
    (folder / "ä.txt").write_text("a name in UTF-8")
    (folder / "windows.dll").write_bytes(b"MZ" + bytes(100))
    other = bytearray((folder / "luhn.so").read_bytes())
    other[18:20] = (183 if other[18] == 62 else 62).to_bytes(2, "little")
    (folder / "other.so").write_bytes(other)
    empty = home / "empty.c"
    empty.write_text("int nothing;\n")
    subprocess.run(["cc", "-shared", "-o", folder / "empty.so", empty], check=True)
    (folder / "direct.dll").write_bytes((folder / "luhn.so").read_bytes())


@pytest.fixture(scope="module")
def running():
    """One server for all tests of this file."""
    names = ("windows.dll", "other.so", "empty.so", "none.so")
    config = isapi_config(
        isapi_handler("probe", "probe.so"),
        isapi_handler("luhn", "luhn.so"),
        *(isapi_handler(f"bad-{name.partition('.')[0]}", name) for name in names),
        isapi_handler("*", "probe.so", 'resourceType="Unspecified" requireAccess="None" '),
    ).replace("<handlers>", '<handlers accessPolicy="Read, Script, Execute">')
    with run_server(config, prepare) as server:
        server.allow("isapi_failed")
        get(server.port(), "/luhn")  # its worker has come
        yield server


def test_the_sample_answers_as_its_twin_in_python_does(running):
    """GET with a query, POST with a body."""
    assert get(running.port(), "/luhn?number=4111111111111111").text == "valid\n"
    with Wire(running.port()) as wire:
        assert wire.request("/luhn", "POST", b"number=4111111111111112").text == "not valid\n"
        assert wire.request("/luhn", "POST", b"number=378282246310005").text == "valid\n"


def test_the_control_block(running):
    """Its size, and what its strings say of a script map; the log data goes into the log."""
    with Wire(running.port()) as wire:
        answer = wire.request("/probe?block=1", "POST", b"abc", {"Content-Type": "text/x"})
    assert answer.field("x-c") == "yes"
    assert answer.text.splitlines() == [
        "size 192",
        "version 80000",
        "method POST",
        "query block=1",
        "info /probe",
        f"translated {running.folder()}/probe",
        "type text/x",
        "total 3",
        "available 3",
    ]

    def logged() -> bool:
        logs = list((running.home / "logs").rglob("u_ex*.log"))
        return any("block=1&logged=yes" in log.read_text() for log in logs)

    wait_for("the log", logged)


def test_errors_of_server_functions_are_the_last_error(running):
    """122 with the needed size, 1413, 87 for a wrong ConnID and an unknown function."""
    assert get(running.port(), "/probe?variables").text.splitlines() == [
        "small 0 122 9",
        "large 1 9 HTTP/1.1",
        "unknown 0 1413",
        "wrong connection 0 87",
        "wide 1 8 off",
        "no function 0 87",
        "not here 0 50",
    ]


@pytest.mark.parametrize("size", [0, 100, 49152, 49153, 400_000])
def test_a_body_of_any_length(running, size):
    """What was preloaded, then ReadClient until all is there."""
    body = bytes(n % 253 for n in range(size))
    with Wire(running.port()) as wire:
        assert wire.request("/probe?echo", "POST", body).body == body


def test_support_functions_that_answer_at_once(running):
    """Paths, the connection, tokens, tracing, and the status of no child."""
    folder = running.folder()
    assert get(running.port(), "/probe?functions").text.splitlines() == [
        "normalized /b c/d",
        f"mapped {folder}/some/file.txt 1",
        f"mapped ex {folder}/some/file.txt 205 0 14",
        "keep 1 connected 1 process 0 token 1",
        "trace 0 abortive 1",
        "exec status 0 87",
    ]


def test_the_older_header_function_closes_the_connection(running):
    """HSE_REQ_SEND_RESPONSE_HEADER: what follows the empty line is body; no keep-alive."""
    answer = get(running.port(), "/probe?old")
    assert (answer.status, answer.text, answer.will_close) == (203, "body after the headers", True)


def test_a_vector_of_memory_and_file(running):
    """In order, each from its offset."""
    assert get(running.port(), "/probe?vector").text == "head:ELF:tail"


def test_paths_that_an_extension_gives_are_utf_8(running):
    """As those are that it gets: what it maps or executes is the file of that name."""
    file = f"{running.folder()}/\N{LATIN SMALL LETTER A WITH DIAERESIS}"
    assert get(running.port(), "/%C3%A4.probe?utf8").text == f"{file}.probe"
    assert get(running.port(), "/probe?child8").text == "a name in UTF-8"


def test_a_vector_that_cannot_be_sent_leaves_the_headers_to_the_extension(running):
    """87 for NULL, 6 for what is no file; the extension answers otherwise."""
    answer = get(running.port(), "/probe?bad_vectors")
    assert (answer.status, answer.text) == (200, "87 6")


def test_a_child_by_a_wide_url_has_a_user_of_a_wide_name(running):
    """EXEC_UNICODE_URL with its own structures."""
    assert get(running.port(), "/probe?wide_child").text == "zoe"


def test_a_child_has_a_method_and_a_user_that_can_be(running):
    """87 for a method that is no token, 6 for a token that the server has not given out."""
    assert get(running.port(), "/probe?bad_children").text == "87 6"


def test_a_redirect_ends_at_the_nul(running):
    """Also where its size is the buffer's."""
    answer = get(running.port(), "/probe?redirect")
    assert (answer.status, answer.field("location")) == (302, "/there")


def test_a_custom_error_is_the_servers(running):
    """Status and sub-status, the page by the custom error module."""
    answer = get(running.port(), "/probe?custom")
    assert answer.status == 403
    assert "403.4" in answer.text
    assert "<td>IsapiModule</td>" in answer.text


def test_error_without_an_answer_is_500(running):
    """HSE_STATUS_ERROR."""
    assert get(running.port(), "/probe?error").status == 500


def test_a_thread_of_the_extensions_answers_after_pending(running):
    """DONE_WITH_SESSION from a thread that the server does not know."""
    assert get(running.port(), "/probe?pending").text == "from a thread of mine"


def test_a_block_whose_request_has_ended_is_refused(running):
    """A second DONE_WITH_SESSION, and a write after it: 87, and the process goes on."""
    port = running.port()
    assert get(port, "/probe?again").text == "once"
    line = "again 0 87 0 87\n"
    wait_for("the second call", lambda: line in get(port, "/probe?lifecycle").text)


def test_asynchronous_reads(running):
    """Without a completion routine 87; with it one callback for each read."""
    with Wire(running.port()) as wire:
        answer = wire.request("/probe?read", "POST", bytes(100_000))
    assert answer.text == f"read {100_000 - 49152} error 0"


def test_a_client_may_be_given_up_while_it_is_read(start_server):
    """CLOSE_CONNECTION and CANCEL_IO end the read that waits, with 64 and 995; then the connection.

    The client is given no answer.
    """
    pool = Pool("Pool", {}, {"requests": {"streaming": "true"}})
    config = isapi_config(isapi_handler("probe", "probe.so"), pool=pool)
    server = start_server(config, prepare)
    for query in ("lose+close", "lose+cancel"):
        with Wire(server.port()) as wire:
            wire.send_request(f"/probe?{query}", "POST", b"part", {"Content-Length": "100000"})
            assert wire.read_some() == b""
    said = get(server.port(), "/probe?lifecycle").text
    assert "close: 0 bytes, error 64\n" in said
    assert "cancel: 0 bytes, error 995\n" in said


def test_a_file_is_transmitted(running):
    """A descriptor as HANDLE; the callback comes once it may be closed."""
    answer = get(running.port(), "/probe?transmit")
    assert len(answer.body) == 5003
    assert (answer.body[1:4], answer.body[-3:]) == (b"ELF", b"END")


def test_a_child_request_answers(running):
    """EXEC_URL of another URL of the site."""
    assert get(running.port(), "/probe?child").text == "valid\n"


def test_a_wildcard_extension_passes_a_request_on(running):
    """IGNORE_CURRENT_INTERCEPTOR: the next handler answers the same URL, 404 included."""
    assert get(running.port(), "/plain.txt").text == "a static file"
    assert get(running.port(), "/nothing.txt").status == 404


def test_a_library_is_asked_for_by_its_own_path(running):
    """ISAPI-dll: the URL names the file; what follows it is PATH_INFO."""
    # The wildcard passes it on to the handler of *.dll.
    assert get(running.port(), "/direct.dll?number=18").text == "valid\n"
    assert get(running.port(), "/direct.dll/more?number=18").text == "valid\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("windows", "a Windows DLL"),
        ("other", "this machine is"),
        ("empty", "does not export GetExtensionVersion"),
        ("none", "the file is not there"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_error(running, name, reason):
    """500 with the file and the reason, again and again, and the worker lives."""
    before = running.workers()
    for _ in range(2):
        answer = get(running.port(), f"/bad-{name}")
        assert answer.status == 500
        assert reason in answer.text
        assert f"{running.folder()}/{name}." in answer.text
    assert running.workers() == before


def test_a_file_without_read_permission(start_server):
    """The error says who may not read it."""
    if os.geteuid() != 0:
        return  # the pool runs as whoever runs the tests, who may read it

    def hidden(home: Path) -> None:
        place_files(compiled=(SAMPLES / "luhn.c",))(home)
        (home / "sites" / "app" / "luhn.so").chmod(0o000)

    running = start_server(isapi_config(isapi_handler("luhn", "luhn.so")), hidden)
    running.allow("isapi_failed", "content_unreadable")
    answer = get(running.port(), "/luhn?number=18")
    assert answer.status == 500
    assert "may not read it" in answer.text


def test_entry_points_are_called_in_order_and_the_end_is_told(start_server):
    """DllMain 1, GetExtensionVersion, then 2 for other threads; TerminateExtension 2, DllMain 0."""
    running = start_server(
        isapi_config(isapi_handler("probe", "probe.so")),
        place_files(compiled=(SOURCES / "probe.c",)),
    )
    text = get(running.port(), "/probe?lifecycle").text
    assert text.startswith("DllMain 1 h\nGetExtensionVersion\n")
    assert running.server.stop() == 0
    log = (running.home / "logs" / "pools" / "Pool.log").read_text()
    assert log.index("probe: TerminateExtension 2") < log.index("probe: DllMain 0")


def test_a_thread_is_announced_at_its_first_call_and_at_its_end(tmp_path, capfd):
    """DllMain 2 once, then 3, on that thread; nothing of the one that has loaded the library."""
    from was.worker.isapi.native_library import NativeLibrary

    library = NativeLibrary(str(compile_extension(SOURCES / "probe.c", tmp_path / "probe.so")))
    library.attach_process()
    library.attach_thread()

    def call_twice() -> None:
        library.attach_thread()
        library.attach_thread()

    thread = threading.Thread(target=call_twice)
    thread.start()
    thread.join()
    library.detach_process()
    said = capfd.readouterr().err.splitlines()
    assert said == [f"probe: DllMain {reason}" for reason in (2, 3, 0)]


def test_the_headers_lay_structures_out_as_the_server_does(tmp_path):
    """Every structure of both headers: size and offsets, in C and in ctypes."""
    import ctypes

    from was.worker.isapi import native_filter_types, native_types

    structures = {
        name: kind
        for name, kind in {**vars(native_types), **vars(native_filter_types)}.items()
        if isinstance(kind, type) and issubclass(kind, ctypes.Structure)
    }
    lines = [
        f'printf("{name} {field} %zu\\n", offsetof({name}, {field}));'
        for name, kind in structures.items()
        for field, *_ in kind._fields_
    ]
    lines += [f'printf("{name} size %zu\\n", sizeof({name}));' for name in structures]
    source = tmp_path / "layout.c"
    source.write_text(
        '#include "httpext.h"\n#include "httpfilt.h"\nint main(void) {'
        + "\n".join(lines)
        + "return 0;}\n"
    )
    program = compile_extension(source, tmp_path / "layout", "-pie", "-fPIE")
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    found = {tuple(line.split()[:2]): int(line.split()[2]) for line in said.splitlines()}
    assert len(found) > 80
    for (name, field), value in found.items():
        kind = structures[name]
        ours = ctypes.sizeof(kind) if field == "size" else getattr(kind, field).offset
        assert (name, field, value) == (name, field, ours)


def test_was_sdk_names_the_folder_of_headers_that_c_and_cpp_accept():
    """Both headers at once, without a warning; and what sources for Windows use besides."""
    folder = subprocess.run(
        [sys.executable, "-m", "was", "sdk"], capture_output=True, text=True, check=True
    ).stdout.strip()
    source = """
        #include "httpext.h"
        #include "httpfilt.h"
        static CRITICAL_SECTION section;
        HRESULT use(void);
        HRESULT use(void) {
            static LONG count;
            InitializeCriticalSection(&section);
            EnterCriticalSection(&section);
            EnterCriticalSection(&section);
            LeaveCriticalSection(&section);
            LeaveCriticalSection(&section);
            DeleteCriticalSection(&section);
            if (FAILED(E_FAIL) && InterlockedIncrement(&count) == 1)
                SetLastError(ERROR_LOGON_FAILURE);
            return HRESULT_FROM_WIN32(GetLastError());
        }
    """
    for language in ("c", "c++"):
        subprocess.run(
            ["cc", "-x", language, "-Wall", "-Werror", "-fsyntax-only", "-I", folder, "-"],
            input=source,
            text=True,
            check=True,
        )
