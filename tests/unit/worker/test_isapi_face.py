"""What extensions import as `isapi`, and the parts of ISAPI that need no request."""

import contextlib
import subprocess
import sys
import textwrap
import threading

import pytest
from fake_exchange import ask, make_request, make_server
from hypothesis import example, given
from hypothesis import strategies as st

from was.worker.isapi.errors import ServerFunctionError
from was.worker.isapi.header_text import parse_header_block, parse_status
from was.worker.isapi.neighbours import pywintypes, win32file
from was.worker.isapi.site_paths import normalize

ALLOW = """<security><isapiCgiRestriction notListedIsapisAllowed="true" /></security>
<handlers><add name="x" path="*" verb="*" modules="IsapiModule" scriptProcessor="{}" /></handlers>
"""


@pytest.fixture
def serve(tmp_path):
    """A server whose site is one extension in Python, given as text."""
    (tmp_path / "site").mkdir()
    numbers = iter(range(100))

    def make(text: str):
        name = f"extension{id(tmp_path)}_{next(numbers)}"
        file = tmp_path / "site" / f"{name}.py"
        file.write_text(textwrap.dedent(text))
        return make_server(tmp_path, ALLOW.format(file)), file

    return make


def test_the_names_of_a_module_are_one_module(serve):
    """`isapi` and ours: an error has one class, whoever imports it."""
    server, _ = serve("""
        import isapi, isapi.simple, isapi.isapicon, isapi.install, isapi.threaded_extension
        import win32event, winerror, win32traceutil, win32api, win32con
        import sys
        assert hasattr(sys, "isapidllhandle")
        class Extension(isapi.simple.SimpleExtension):
            def HttpExtensionProc(self, ecb):
                try:
                    ecb.GetServerVariable("NO_SUCH_NAME")
                except isapi.ExtensionError as error:
                    assert error.errno == winerror.ERROR_INVALID_INDEX
                    assert win32api.FormatMessage(error.errno) == "ERROR_INVALID_INDEX"
                    assert win32api.GetModuleFileName(sys.isapidllhandle) == __file__
                    ecb.SendResponseHeaders("200 OK", "X-A: b\\r\\n\\r\\n")
                return 1
        __ExtensionFactory__ = Extension
    """)
    exchange = ask(server)
    assert (exchange.status, exchange.headers()["x-a"]) == (200, "b")


def test_an_extension_has_itself_reloaded(serve):
    """InternalReloadException: another object of the changed source answers the same call."""
    text = """
        import isapi
        class Extension(isapi.simple.SimpleExtension if hasattr(isapi, "simple") else object):
            answer = {answer!r}
            def GetExtensionVersion(self, vi): pass
            def TerminateExtension(self, status): pass
            def HttpExtensionProc(self, ecb):
                if ecb.QueryString == b"reload" and self.answer == "old":
                    raise isapi.InternalReloadException
                ecb.write(self.answer)
                return 1
        def __ExtensionFactory__(): return Extension()
    """
    server, file = serve(text.format(answer="old"))
    assert ask(server).body == b"old"
    file.write_text(textwrap.dedent(text.format(answer="newer")))
    assert ask(server, query="reload").body == b"newer"
    assert ask(server).body == b"newer"


@pytest.mark.parametrize("status", [0, 1, 2])
def test_each_success_ends_the_request_once(serve, status):
    """SUCCESS, KEEP_CONN, and the 0 that old extensions return."""
    server, _ = serve(f"""
        class Extension:
            def GetExtensionVersion(self, vi): vi.ExtensionDesc = "x"
            def HttpExtensionProc(self, ecb):
                ecb.write(b"a")
                return {status}
            def TerminateExtension(self, status): pass
        __ExtensionFactory__ = Extension
    """)
    exchange = ask(server)
    assert (exchange.status, exchange.body, exchange.ends) == (200, b"a", 1)


def test_done_from_any_thread_at_any_time_ends_the_request_once(serve):
    """Before the return, after it, and both at once: one END."""
    server, _ = serve("""
        import threading
        class Extension:
            def GetExtensionVersion(self, vi): return 1
            def TerminateExtension(self, status): pass
            def HttpExtensionProc(self, ecb):
                def answer():
                    ecb.write(b"a")
                    ecb.DoneWithSession()
                thread = threading.Thread(target=answer)
                thread.start()
                if ecb.QueryString == b"wait":
                    thread.join()
                return 3
        __ExtensionFactory__ = Extension
    """)
    for turn in range(60):
        from fake_exchange import FakeExchange

        exchange = FakeExchange(make_request(query="wait" if turn % 2 else ""))
        ended = threading.Event()
        end = exchange._end
        exchange._end = lambda *a, end=end, ended=ended: (end(*a), ended.set())
        server.handle(exchange)
        assert ended.wait(60)
        assert (exchange.ends, exchange.body) == (1, b"a")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("200 OK", (200, "OK")),
        ("", (200, "OK")),
        ("HTTP/1.1 404 No", (404, "No")),
        ("503", (503, "")),
    ],
)
def test_status_lines(text, answer):
    """With and without the version and the reason."""
    assert parse_status(text) == answer


@pytest.mark.parametrize("text", ["OK", "20 OK", "100 Continue", "600 X", "200 a\nb"])
def test_wrong_status_lines(text):
    """87."""
    with pytest.raises(ServerFunctionError) as error:
        parse_status(text)
    assert error.value.number == 87


@given(
    st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,9}", fullmatch=True), st.just("v"))), st.text()
)
def test_a_header_block_is_read_up_to_its_empty_line(fields, body):
    """Whatever follows it is body, untouched."""
    text = "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n" + body
    assert parse_header_block(text) == (fields, body)


@given(st.text())
def test_any_text_is_a_block_or_an_error(text):
    """No other exception comes out."""
    with contextlib.suppress(ServerFunctionError):
        parse_header_block(text)


@example("a/..")
@given(st.text(alphabet="/.ab%2eE5c\\?", max_size=20))
def test_normalized_urls_have_no_dots_and_stay_as_they_are(url):
    """A path below the root, and normalizing it again changes nothing that is not encoded."""
    path = normalize(url)
    assert path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))
    if "%" not in path and "?" not in path and "\\" not in path:
        assert normalize(path) == path


def test_a_completion_port_is_a_queue():
    """Posts come out in order; a wait that ends without one says so; a wrong port is an error."""
    port = win32file.CreateIoCompletionPort(win32file.INVALID_HANDLE_VALUE, None, 0, 0)
    item = pywintypes.OVERLAPPED()
    win32file.PostQueuedCompletionStatus(port, 1, 2, item)
    assert win32file.GetQueuedCompletionStatus(port, 10) == (0, 1, 2, item)
    assert win32file.GetQueuedCompletionStatus(port, 0)[0] == 258
    win32file.CloseHandle(port)
    with pytest.raises(pywintypes.error):
        win32file.GetQueuedCompletionStatus(port, 0)


def test_an_extensions_script_prints_its_configuration(tmp_path):
    """`python -m was.worker.isapi x.py install`: mappings, filter and restriction."""
    script = tmp_path / "x.py"
    script.write_text(
        textwrap.dedent("""
        from isapi.install import *
        if __name__ == "__main__":
            params = ISAPIParameters(ServerName="Shop")
            maps = [ScriptMapParams(Extension="*", Flags=0), ScriptMapParams(Extension=".px")]
            params.VirtualDirs = [VirtualDirParameters(Name="/a/b", ScriptMaps=maps)]
            params.Filters = [FilterParameters(Name="f")]
            HandleCommandLine(params)
        """)
    )
    command = [sys.executable, "-m", "was.worker.isapi", str(script), "install"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '<location path="Shop/a/b">' in said
    assert f'path="*" verb="*" modules="IsapiModule" scriptProcessor="{script}"' in said
    assert 'path="*.px" verb="*"' in said
    assert f'<filter name="f" path="{script}" />' in said
    assert f'<add path="{script}" allowed="true" />' in said


def test_an_extensions_script_has_hooks_options_and_arguments_of_its_own(tmp_path):
    """Each hook is called with what it belongs to; `remove` prints what is to go."""
    script = tmp_path / "y.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from optparse import OptionParser
        from isapi.install import *

        def say(name):
            return lambda part, options, *more: print(
                name, type(part).__name__, options.word, len(more), file=sys.stderr
            )

        def rename(directory, options):
            directory.Name = options.word

        def status(options, log, argument):
            "Says how things are"
            log(1, f"{argument}: well")

        parser = OptionParser("")
        parser.add_option("", "--word", action="store")
        params = ISAPIParameters(PostInstall=say("all"), PreRemove=say("going"), Ours=1)
        params.VirtualDirs = [
            VirtualDirParameters(
                Name="/", ScriptMaps=[ScriptMapParams(Extension="*", Flags=0)],
                PreInstall=rename, PostInstall=say("directory"),
            )
        ]
        HandleCommandLine(params, opt_parser=parser, custom_arg_handlers={"status": status})
        """)
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "was.worker.isapi", str(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("--word", "below", "--server", "Shop")
    assert done.returncode == 0, done.stderr
    assert '<location path="Shop/below">' in done.stdout
    assert "directory VirtualDirParameters below 1\nall ISAPIParameters below 0\n" in done.stderr
    gone = run("remove", "--word", "w")
    assert "to be taken out" in gone.stdout
    # The root stays what the site makes it: no accessPolicy.
    assert '<location path="Default Web Site">' in gone.stdout
    assert "<handlers>" in gone.stdout
    assert "going ISAPIParameters w 0" in gone.stderr
    assert run("status").stderr == "status: well\n"
    assert run("-q", "status").stderr == ""
    assert "Says how things are" in run("--help").stdout
    assert run("nonsense").returncode == 2
