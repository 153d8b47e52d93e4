"""The same request again and again, byte for byte: each is a request of its own."""

import http.client
import json

from harness.server import wait_for
from support.files import whole_lines
from support.running import asgi_config, place, run_server

ASKS = 6


def ask(port, client, number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=client)
    for _ in range(number):
        connection.request("GET", "/greedy?q=1", headers={"TE": "trailers", "X-One": "1"})
        answer = connection.getresponse()
        assert answer.status == 200
        yield json.loads(answer.read())
    connection.close()


def test_an_application_may_change_what_it_was_given(tmp_path):
    """The next request sees no change of its scope; clients and log lines are each one's own."""
    with run_server(asgi_config("asgi_kinds:application"), place("asgi_kinds.py")) as running:
        port = running.port()
        clients = [("127.0.0.1", 0), ("127.0.0.9", 0)]
        seen = [(c[0], s) for c in clients for s in ask(port, c, ASKS)]
        assert {json.dumps(scope["given"]) for _, scope in seen} == {
            json.dumps(seen[0][1]["given"])
        }
        assert ["x-one", "1"] in seen[0][1]["given"]["headers"]
        assert "http.response.trailers" in seen[0][1]["given"]["extensions"]
        assert [scope["client"] for _, scope in seen] == [address for address, _ in seen]
        folder = running.home / "logs" / "W3SVC1"

        def lines():
            found = [line for file in folder.glob("u_ex*.log") for line in whole_lines(file)]
            return [line.split() for line in found if " /greedy q=1 " in line]

        wait_for("all log lines", lambda: len(lines()) == len(clients) * ASKS)
        assert [words.count("127.0.0.9") for words in lines()] == [0] * ASKS + [1] * ASKS
