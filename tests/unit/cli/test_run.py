"""`was run`: what becomes of its arguments."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from was.cli.application_check import interface_of
from was.cli.other_servers import HINTS
from was.cli.run import Address, command, configuration, parse_bind
from was.config.files import load_server


@pytest.mark.parametrize(
    ("text", "address", "binding"),
    [
        ("127.0.0.1:8000", Address("127.0.0.1", 8000), "127.0.0.1:8000:"),
        ("localhost:80", Address("127.0.0.1", 80), "127.0.0.1:80:"),
        ("8000", Address("", 8000), "*:8000:"),
        (":8000", Address("", 8000), "*:8000:"),
        ("0.0.0.0:0", Address("", 0), "*:0:"),
        ("[::1]:8000", Address("::1", 8000), "[::1]:8000:"),
    ],
)
def test_an_address_is_written_as_people_write_it(text, address, binding):
    """HOST:PORT, PORT alone, and IPv6 in brackets."""
    assert parse_bind(text) == address
    assert address.binding_information == binding


@pytest.mark.parametrize(
    "text", ["", "host", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:80", "host:80"]
)
def test_what_is_no_address_is_wrong_usage(text):
    """A bad --bind is exit code 2, before anything starts."""
    with pytest.raises(click.UsageError):
        parse_bind(text)


def test_a_unix_socket_is_refused_by_name():
    """Who is used to one learns that there is none, not that it is no address."""
    with pytest.raises(click.UsageError, match="Unix sockets are not served"):
        parse_bind("unix:/run/app.sock")


def test_an_address_that_is_given_twice_is_served_once(tmp_path):
    """A second --bind of the same address is no second binding, which would be an error."""
    addresses = [parse_bind("8000"), parse_bind(":8000")]
    assert configuration("m:app", tmp_path, addresses, 1, 2).count("<binding ") == 1


def test_the_configuration_says_what_was_asked_for(tmp_path):
    """Processes, threads, folder and address arrive, quoted as XML wants it."""
    folder = tmp_path / 'a & "b"'
    folder.mkdir()
    file = tmp_path / "config" / "applicationHost.config"
    file.parent.mkdir()
    addresses = [Address("127.0.0.1", 0), Address("::1", 8000)]
    file.write_text(configuration("m:app", folder, addresses, 3, 5, reload=True))
    server = load_server(file).config
    pool = server.app_pools["run"]
    assert (pool.process_model.max_processes, pool.python.threads) == (3, 5)
    assert pool.python.reload_on_change
    assert pool.process_model.idle_timeout_s == 0
    assert pool.recycling.periodic_restart.time_s == 0
    assert pool.start_mode.value == "AlwaysRunning"
    assert server.web_limits.managerless_limit_s == 10
    (site,) = server.sites
    assert site.applications[0].physical_path == str(folder)
    assert [b.binding_information for b in site.bindings] == ["127.0.0.1:0:", "[::1]:8000:"]
    assert server.warnings == ()


def test_port_and_concurrency_come_from_the_environment(run, monkeypatch, tmp_path):
    """PORT serves all addresses, WEB_CONCURRENCY sets the processes; the home is gone after."""
    seen = {}

    def fake_manager(home, options):
        seen["text"] = home.config_file.read_text()
        seen["home"] = home.path
        seen["options"] = options
        return 0

    monkeypatch.setattr("was.manager.service.run_manager", fake_manager)
    monkeypatch.setenv("PORT", "1234")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    (tmp_path / "mod.py").write_text("def app(environ, start_response): ...\n")
    result = run("run", "mod", "--app-dir", str(tmp_path), "--engine", "h11")
    assert result.exit_code == 0, result.output
    assert 'bindingInformation="*:1234:"' in seen["text"]
    assert 'maxProcesses="4"' in seen["text"]
    assert 'scriptProcessor="mod:app"' in seen["text"]
    assert seen["options"].engine == "h11"
    assert not seen["home"].exists()


def test_a_folder_that_no_configuration_can_name_is_refused(run, tmp_path):
    """Bytes that are no UTF-8: one line that shows them, before anything starts."""
    folder = os.fsencode(tmp_path) + b"/l\xe4tin"
    os.mkdir(folder)
    refused = run("run", "mod", "--app-dir", os.fsdecode(folder))
    assert refused.exit_code == 1
    assert "must be UTF-8" in refused.stderr
    assert "l\\udce4tin" in refused.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "abc"), ("PORT", "99999"), ("WEB_CONCURRENCY", "x"), ("WEB_CONCURRENCY", "0")],
)
def test_what_the_environment_has_wrong_is_named(run, monkeypatch, name, value):
    """The variable is named: nobody wrote an option that could be."""
    monkeypatch.setenv(name, value)
    refused = run("run", "mod")
    assert refused.exit_code == 2
    assert f"{name} in the environment is {value!r}" in refused.stderr


def test_it_takes_no_home(run):
    """The server has a home of its own, so none can be given."""
    refused = run("run", "mod", "--home", "h")
    assert refused.exit_code == 2
    assert "--home" not in run("run", "--help").stdout


@pytest.mark.parametrize(
    ("line", "option", "says"),
    [
        ("-c gunicorn.conf.py mod:app", "-c", "`was init` makes a home"),
        ("-cgunicorn.conf.py mod:app", "-c", "`was init` makes a home"),
        ("-w 2 -D mod:app", "-D", "`was start --detach`"),
        ("--timeout=30 mod:app", "--timeout", "timeLimit"),
        ("--graceful-timeout 30 mod:app", "--graceful-timeout", "shutdownTimeLimit"),
        ("-b :80 -k uvicorn.workers.UvicornWorker mod:app", "-k", "--interface"),
        ("mod:app --host 0.0.0.0 --port 80", "--host", "--bind [HOST:]PORT"),
        ("mod:app --root-path /api", "--root-path", '<application path="/shop">'),
        ("mod:app --proxy-headers", "--proxy-headers", "X-Forwarded-*"),
        ("mod:app --uds /run/app.sock", "--uds", "Unix sockets are not served"),
        ("--http :8000 --wsgi-file mod.py --master", "--http", "--bind [HOST:]PORT"),
        ("--module mod:app --master", "--module", "without an option"),
    ],
)
def test_an_option_of_another_server_is_refused_with_what_does_it_here(run, line, option, says):
    """One line, and exit code 2: what would not be done is not accepted."""
    refused = run("run", *line.split())
    assert refused.exit_code == 2
    (error,) = [text for text in refused.stderr.splitlines() if text.startswith("Error: ")]
    assert error.startswith(f"Error: No such option '{option}': ")
    assert says in error


def test_an_option_that_nobody_knows_is_click_s_to_refuse(run):
    """And none of ours is among those of others."""
    refused = run("run", "--acces-log", "mod")
    assert (refused.exit_code, "--access-log" in refused.stderr) == (2, True)
    ours = {name for option in command.params for name in option.opts}
    assert ours & HINTS.keys() == set()


def test_the_callable_must_be_named_or_usual():
    """MODULE:CALLABLE is an argument of `run`."""
    assert "MODULE:CALLABLE" in command.get_usage(click.Context(command, info_name="run"))


@pytest.mark.parametrize(
    ("source", "spec", "complaint"),
    [
        ("def app(e, s): ...", "mod:app", ""),
        ("class A:\n app = staticmethod(print)", "mod:A.app", ""),
        ("", "nowhere:app", "no module 'nowhere' in {folder}"),
        (
            "import nowhere",
            "mod:app",
            "mod cannot be imported: No module named 'nowhere' (mod.py, line 2)",
        ),
        (
            "1/0",
            "mod:app",
            "mod cannot be imported: ZeroDivisionError: division by zero (mod.py, line 2)",
        ),
        (
            "import json\njson.loads('')",
            "mod:app",
            "mod cannot be imported: JSONDecodeError:"
            " Expecting value: line 1 column 1 (char 0) (mod.py, line 3)",
        ),
        (
            "def f(:",
            "mod:app",
            "mod cannot be imported: SyntaxError: invalid syntax (mod.py, line 2)",
        ),
        (
            "raise SystemExit(0)",
            "mod:app",
            "mod cannot be imported: SystemExit: 0 (mod.py, line 2)",
        ),
        ("", "mod:app", "mod has no 'app'"),
        ("app = 3", "mod:app", "mod:app is not callable"),
        ("", "mod.py:app", "'mod.py' is a file; its module is 'mod'"),
        ("", "./pkg/mod.py:app", "'./pkg/mod.py' is a file; its module is 'pkg.mod'"),
        ("", "./mod", "'./mod' is a file; its module is 'mod'"),
        ("", "../mod.py:app", "'../mod.py' is a file; its module is 'mod', --app-dir .."),
        ("", "/a b/c/mod.py", "'/a b/c/mod.py' is a file; its module is 'mod', --app-dir '/a b/c'"),
        ("def make(): return lambda e, s: []", "mod:make()", ""),
        ("def make(x, *, y): return lambda e, s: [x, y]", "mod:make('a', y={'b': -1})", ""),
        (
            "def make(x): ...",
            "mod:make(open('f'))",
            "mod:make(open('f')): a factory takes literals only, as in 'mod:make(1, a=\"b\")'",
        ),
        (
            "def make(): ...",
            "mod:make",
            "mod:make takes neither (environ, start_response) nor (scope, receive, send);"
            " a factory is given as 'mod:make()'",
        ),
        (
            "def make(): 1/0",
            "mod:make()",
            "mod:make() failed: ZeroDivisionError: division by zero (mod.py, line 2)",
        ),
        ("def make(): ...", "mod:make()", "mod:make() made a NoneType, which is not callable"),
        (
            "import select; del select.poll\ndef application(environ, start_response): ...",
            "mod:application",
            "the application replaces Python's threads (monkey patching, as by gevent or "
            "eventlet): requests run in threads here, and it must do without",
        ),
    ],
)
def test_an_application_that_cannot_be_served_is_refused_in_one_line(
    tmp_path: Path, source, spec, complaint
):
    """What is wrong with the application shows before a server starts."""
    (tmp_path / "mod.py").write_text(f"print('noise')\n{source}\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was.cli.application_check", spec, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == (complaint.format(folder=tmp_path) or f"wsgi {spec}")
    assert done.returncode == (1 if complaint else 0)


@pytest.mark.parametrize("name", ["was", "isapi", "zmq", "msgspec"])
def test_a_name_that_is_reserved_in_workers_is_refused(tmp_path, name):
    """There it would be the server's own module, and each request 500."""
    (tmp_path / f"{name}.py").write_text("application = print")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was.cli.application_check", name, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == f"{name!r} is a module of the server's: yours needs another name\n"


@pytest.mark.parametrize(("source", "name"), [("app = print", "app"), ("", "application")])
def test_a_module_is_imported_once_to_find_its_callable(tmp_path, source, name):
    """Its import may be slow, and have effects; the first usual name is the one that is missed."""
    (tmp_path / "mod.py").write_text(f"open('seen', 'a').write('x')\n{source}\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was.cli.application_check", "mod", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "seen").read_text() == "x"
    assert done.stdout == (f"wsgi mod:{name}\n" if source else f"mod has no {name!r}\n")


@pytest.mark.parametrize(
    ("source", "interface"),
    [
        ("def app(environ, start_response): ...", "wsgi"),
        ("async def app(scope, receive, send): ...", "asgi"),
        ("class A:\n async def __call__(self, scope, receive, send): ...\napp = A()", "asgi"),
        ("class A:\n def __call__(self, environ, start_response): ...\napp = A()", "wsgi"),
        ("def app(scope, receive, send): return other(scope, receive, send)", "asgi"),
        ("import functools\nasync def a(s, r, t): ...\napp = functools.partial(a)", "asgi"),
        ("app = print", "wsgi"),
    ],
)
def test_the_interface_is_seen_from_the_callable(source, interface):
    """A coroutine function, or three arguments: ASGI; all else is WSGI."""
    names: dict[str, object] = {}
    exec(source, names)
    assert interface_of(names["app"]) == interface
