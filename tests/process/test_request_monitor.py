"""RequestMonitorModule: a worker tells which requests run in it."""

import json
import threading

from harness.server import wait_for
from support.pools import calm_pool
from support.running import place, simple_config
from support.wire import get


def test_get_requests(start_server):
    """The request that runs, and where it is in the pipeline; nothing when it has ended."""
    config = simple_config("gates:application", pool=calm_pool())
    running = start_server(config, place("gates.py"))
    (pid,) = running.workers(count=1)
    port = running.port()

    def requests():
        answer = running.server.command("query", "wp", str(pid), "GetRequests")
        assert answer.returncode == 0
        return json.loads(answer.stdout)

    assert requests() == []
    client = threading.Thread(target=get, args=[port, "/held?gate=a"])
    client.start()
    data = running.folder() / "data"
    wait_for("the gate", (data / "a.reached").exists)
    (request,) = requests()
    assert request["Url"] == "/held?gate=a"
    assert request["Verb"] == "GET"
    assert request["LocalPort"] == port
    assert request["PipelineState"] == "EXECUTE_REQUEST_HANDLER"
    assert request["CurrentModule"] == "WsgiModule"
    (data / "a.open").touch()
    client.join()
    wait_for("its end", lambda: requests() == [])
