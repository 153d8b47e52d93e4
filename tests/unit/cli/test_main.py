"""The command line as a whole: cheap to start, clear when it fails."""

import json
import os
import signal
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from was.cli.main import COMMANDS, cli

HEAVY = ("zmq", "asyncio", "was.config", "was.manager", "was.listener", "was.worker", "psutil")


def test_every_command_is_there():
    """Each name of the table leads to a command with help."""
    for name in COMMANDS:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"Usage: cli {name}")


def _commands(command, name="was"):
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            yield from _commands(command.get_command(context, part), f"{name} {part}")


@pytest.mark.parametrize(("name", "command"), list(_commands(cli)))
def test_the_help_is_whole_sentences(name, command):
    """No line of a list of commands is cut off, and no option goes without a word."""
    text = CliRunner().invoke(command, ["--help"]).output
    cut = [line for line in text.splitlines() if line.startswith("  ") and line.endswith("...")]
    assert not cut, name
    options = [part for part in command.params if isinstance(part, click.Option)]
    assert not [part.name for part in options if not part.hidden and not part.help], name


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["list", "sites"], ["stop"]])
def test_a_light_command_imports_nothing_heavy(tmp_path, arguments):
    """Operators script these: no zmq, no event loop, no configuration system."""
    program = (
        "import sys\n"
        "from was.cli.main import main\n"
        "sys.argv[1:] = sys.argv[2:]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "names = {n for n in sys.modules}\n"
        "print('MODULES', *sorted(names))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "was", *arguments],
        env={"WAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stdout.rpartition("MODULES")[2].split()
    loaded = [m for m in modules if m in HEAVY or m.startswith(tuple(f"{h}." for h in HEAVY))]
    assert loaded == []


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["list"], ["list", "x"], ["start", "site"], ["status", "--x"]]
)
def test_wrong_usage_is_exit_code_2(run, arguments):
    """What the command line cannot understand is 2, not 1."""
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "config", "/section:x"], "edited in its files"),
        (["unlock", "config"], "edited in its files"),
        (["add", "site", "/name:x"], "edited in config/applicationHost.config"),
        (["delete", "apppool", "x"], "edited in config/applicationHost.config"),
        (["backup"], "config/history"),
        (["help"], "--help"),
        (["list", "apppools", "/apppool.name:Shop"], "appcmd's form; here: Shop"),
        (["recycle", "apppool", "/apppool.name:Shop"], "appcmd's form; here: Shop"),
        (["stop", "site", "/site.name:S"], "appcmd's form; here: S"),
        (["list", "apppools", "/state:Started"], "appcmd's form; here: a NAME, or what `--json`"),
    ],
)
def test_what_appcmd_would_do_is_said_to_be_elsewhere(run, arguments, says):
    """Who knows IIS's tools reads where to go, and not only that there is no such thing."""
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert says in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["strat"], "No such command 'strat'; did you mean 'start'?"),
        (["nonsense"], "No such command 'nonsense'."),
        (["app:app", "-w", "4"], "`was run app:app` serves an application."),
        (["list", "pools"], "'pools' is none of site, app, vdir, apppool, "),
        (["list", "pools"], "did you mean 'apppool'?"),
        (["list", "workers"], "did you mean 'wp'?"),
        (["list", "reqests"], "did you mean 'request'?"),
        (["recycle", "shop"], "write `was recycle apppool shop`"),
        (["start", "shop"], "write `was start apppool shop`"),
        (["stop", "shop"], "write `was stop apppool shop`"),
        (["restart", "apppool", "shop"], "`was recycle apppool NAME` replaces"),
        (["reload", "shop"], "`was recycle apppool NAME` takes changed code"),
        (["start", "--daemon"], "No such option '--daemon': write --detach."),
        (["start", "-w", "4"], '<processModel maxProcesses="4" />'),
        (["stop", "--force"], "write --now"),
    ],
)
def test_a_mistyped_word_is_put_right(run, arguments, says):
    """The line says what to type, not only that this is none."""
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert says in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stop", "apppool", "shop", "--now"], "--now is of the server"),
        (["start", "site", "shop", "--detach"], "--detach and --engine are of the server"),
        (["start", "site", "shop", "--engine", "auto"], "--detach and --engine are of the server"),
        (["load", "http://127.0.0.1:1/", "--rate", "nan"], "'nan' is no number of times a second"),
        (["chaos", "kill", "--rate", "inf"], "'inf' is no number of times a second"),
        (["chaos", "kill", "--rate", "-1"], "'-1' is no number of times a second"),
        (["upgrade", "--timeout", "-1"], "'-1' is no time"),
    ],
)
def test_an_option_that_could_not_be_kept_is_refused(run, manager, arguments, says):
    """Nobody is asked for anything: what was meant would not be what is done."""
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert manager.asked == []


def test_options_of_other_servers_lead_to_run():
    """uWSGI has no commands: all that it knows stands behind its name."""
    refused = CliRunner().invoke(cli, ["--http", ":9090", "--wsgi-file", "app.py"])
    assert refused.exit_code == 2
    assert "No such option '--http': `was run MODULE:CALLABLE`" in refused.stderr
    assert "Did you mean '--version'?" in CliRunner().invoke(cli, ["--verion"]).stderr


def test_an_early_ctrl_c_is_no_traceback(tmp_path):
    """While the command is still being imported it ends as any program that Ctrl-C ends."""
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def _ended_by_ctrl_c(path, *arguments):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was", *arguments],
        env={**os.environ, "PYTHONPATH": str(path)},
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_ctrl_c_before_the_manager_listens_to_it_is_no_word(tmp_path, run, home):
    """Neither `start` nor `run` has begun anything by then: they end as by an earlier one."""
    assert run("init", str(home.path)).exit_code == 0
    (tmp_path / "psutil.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    assert _ended_by_ctrl_c(tmp_path, "--home", str(home.path), "start")
    (tmp_path / "app.py").write_text("import os, signal\nos.kill(os.getppid(), signal.SIGINT)\n")
    assert _ended_by_ctrl_c(tmp_path, "run", "app")


def test_what_an_encoding_has_no_sign_for_is_escaped(tmp_path):
    """A name of the configuration, an old locale: the line is there all the same."""
    home = tmp_path / "h\u0151me"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was", "--home", str(home), "status"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert str(home).replace("\u0151", "\\u0151") in done.stdout


@pytest.mark.parametrize("argument", ["--help", "sdk"])
def test_output_that_cannot_be_written_is_one_line(argument):
    """A full disk behind the command: exit code 1, no traceback, no word of Python's."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "was", argument],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "was: No space left on device\n")


def test_a_home_that_is_none_cannot_be_started(run, home):
    """`start` without a configuration says how to get one."""
    result = run("start")
    assert result.exit_code == 1
    assert result.stderr == (
        f"was: no home at {home.path}: `was init {home.path}` makes one,"
        " --home or WAS_HOME names another\n"
    )


def test_a_folder_that_is_no_home_is_said_to_be_none(run, home):
    """Most often --home was forgotten: "not running" would send somebody to start a server."""
    for arguments in (["list", "sites"], ["recycle", "apppool", "Shop"], ["reload"]):
        result = run(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert result.stderr.startswith(f"was: no home at {home.path}: ")
    assert f"no home at {home.path}" in run("status").stdout
    assert run("status").exit_code == 3


def test_an_error_of_the_system_is_one_line(run, home):
    """No permission, no space, a file in the way: the reason and the path, no traceback."""
    home.path.parent.joinpath("home").write_text("a file")
    result = run("config", "validate")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_a_candidate_is_validated_as_the_home_s(run, home, tmp_path):
    """--home says where its relative folders lie; without it that is above its own."""
    (home.path / "www").mkdir(parents=True)
    file = tmp_path / "candidate.config"
    file.write_text(
        """<configuration><system.applicationHost>
        <applicationPools><add name="p" /></applicationPools>
        <sites><site name="S" id="1"><application path="/" applicationPool="p">
          <virtualDirectory path="/" physicalPath="www" /></application></site></sites>
        </system.applicationHost></configuration>"""
    )
    assert run("config", "validate", str(file)).stderr == ""
    alone = CliRunner().invoke(cli, ["config", "validate", str(file)])
    assert f"there is no folder '{tmp_path.parent}/www'" in alone.stderr


def test_a_web_config_is_validated_by_itself(run, tmp_path):
    """What is locked above it, or listed there already, another command tells: it is named."""
    file = tmp_path / "web.config"
    file.write_text("<configuration><system.webServer /></configuration>")
    result = run("config", "validate", str(file))
    assert result.exit_code == 0
    assert result.stdout.startswith("valid by itself; `was config show ")


def test_all_errors_of_a_configuration_are_shown(run, home):
    """`config validate` reports each fault with file, line and column, and ends with 1."""
    file = home.config_file
    file.parent.mkdir(parents=True)
    file.write_text(
        "<configuration>\n<system.applicationHost>\n<applicationPools>\n"
        '<add name="a" queueLength="x" />\n<add name="b" nonsense="1" />\n'
        "</applicationPools>\n</system.applicationHost>\n</configuration>\n"
    )
    result = run("config", "validate", str(file))
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.split(":")[2] for line in lines if line.startswith("error")] == ["4", "5"]


def test_a_list_of_one_name(manager, run):
    """The pool's own workers and no others, whatever the case; a name that nothing has is said."""
    rows = [{"pid": 1, "app_pool": "Shop"}, {"pid": 2, "app_pool": "Blog"}]
    manager.answers["list"] = {"ok": True, "result": rows}
    assert json.loads(run("list", "wp", "shop", "--json").stdout) == rows[:1]
    pools = [{"name": "Shop", "app_pool": "Blog"}]  # both a pool and a worker of another one
    manager.answers["list"] = {"ok": True, "result": pools}
    assert run("list", "wps", "shop").stdout == "no wps\n"
    assert run("list", "apppool", "SHOP", "--json").stdout == json.dumps(pools, indent=2) + "\n"
    for kind in ("apppool", "wps", "requests"):
        refused = run("list", kind, "Sho")
        said = (refused.exit_code, refused.stdout, refused.stderr)
        assert said == (1, "", "was: there is no application pool 'Sho'\n")
    manager.answers["list"] = {"ok": True, "result": [{"name": "S", "site": "S"}]}
    assert run("list", "apps", "T").stderr == "was: there is no site 'T'\n"


def test_modules_and_reservations_of_unknown_names_are_errors(manager, home, run):
    """As of pools and sites: exit code 1 and one line, also for who wants JSON."""
    manager.answers["list"] = {"ok": True, "result": [{"name": "UriCacheModule"}]}
    for form in ((), ("--json",)):
        refused = run("list", "module", "Uri", *form)
        said = (refused.exit_code, refused.stdout, refused.stderr)
        assert said == (1, "", "was: there is no module 'Uri'\n")
    home.config_file.parent.mkdir(parents=True)
    home.config_file.write_text("<configuration />\n")
    refused = run("list", "urlacl", "http://+:80/x/")
    assert refused.exit_code == 1
    assert refused.stderr == "was: there is no reservation of 'http://+:80/x/'\n"


def test_an_empty_list_says_so(manager, run):
    """No line of nothing: `no requests`, and [] with --json."""
    manager.answers["list"] = {"ok": True, "result": []}
    assert run("list", "requests").stdout == "no requests\n"
    assert run("list", "request", "--json").stdout == "[]\n"
