"""CustomLoggingModule: logFormat="Custom" hands requests to a plug-in."""

import subprocess
import sys

import pytest
from harness.server import wait_for
from support.running import place, run_server, simple_config
from support.wire import get


def _config(reference, log_format="Custom"):
    log_file = f'<logFile logFormat="{log_format}" customLogPluginClsid="{reference}" />'
    return simple_config("own_log:application").replace("</site>", f"{log_file}</site>")


def test_the_plug_in_is_given_each_request_and_there_is_no_other_log():
    """It sees the request with its outcome; what it raises costs nobody the answer."""
    with run_server(_config("own_log:Plug"), place("own_log.py")) as running:
        running.allowed_errors.append("module_failed")
        assert get(running.port(), "/none").status == 404
        assert get(running.port(), "/fails").status == 200

        def logged(line: str) -> bool:  # soon after the answer
            return line in get(running.port(), "/").text.splitlines()

        wait_for("the first line", lambda: logged("Site GET /none 404"))
        wait_for("its own line", lambda: logged("Site GET / 200"))
        assert running.server.command("stop").returncode == 0  # what is to be written is now
        assert not list(running.home.glob("logs/W3SVC1/*.log"))


def test_a_plug_in_that_does_not_load_is_said():
    """The site's requests are answered 500, with the reason in the log."""
    with run_server(_config("own_log:Nobody"), place("own_log.py")) as running:
        running.allowed_errors += ["application_failed", "module_refused"]
        assert get(running.port(), "/").status == 500
        log = running.home / "logs" / "pools" / "Pool.log"
        line = "the log plug-in own_log:Nobody does not load"
        wait_for("the reason", lambda: line in log.read_text())


@pytest.mark.parametrize(("log_format", "is_said"), [("NCSA", True), ("Custom", False)])
def test_formats_without_effect_are_said(tmp_path, log_format, is_said):
    """`was config validate` names what is accepted and does nothing."""
    file = tmp_path / "applicationHost.config"
    file.write_text(_config("own_log:Plug", log_format).replace("{home}", str(tmp_path)))
    command = [sys.executable, "-P", "-m", "was", "config", "validate", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("logFormat: no effect here" in done.stdout + done.stderr) is is_said
