"""Pools that run as one user are kept apart by the sandbox alone."""

import json
from pathlib import Path
from urllib.parse import urlencode

from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from support.running import place
from support.wire import get

REFUSED = {"EACCES", "EPERM"}
SERVICE = {"processModel": {"identityType": "NetworkService"}}


def test_a_service_account_is_shared_and_the_sandbox_is_not(start_server):
    """NetworkService is one user; a pool still neither reads nor signals the other one."""
    pools, sites = [], []
    for name in ("first", "second"):
        data = {"writable": f"{{home}}/sites/{name}/data"}
        pools.append(Pool(name, {}, {**SERVICE, "isolation": data}))
        application = Application(
            "/", Path("{home}") / "sites" / name, name, (wsgi_handler("prober:application"),)
        )
        sites.append(Site(name, (application,)))

    def prepare(home: Path) -> None:
        place("prober.py", folder="first")(home)
        place("prober.py", folder="second")(home)

    running = start_server(application_host_config(pools, sites), prepare)

    def ask(site: str, **query: object):
        answer = get(running.port(site), "/?" + urlencode(query))
        assert answer.status == 200, answer.text
        return json.loads(answer.text)

    first, second = ask("first", do="about"), ask("second", do="about")
    assert first["uids"] == second["uids"]
    private = f"{running.home}/sites/second/data/private"
    assert ask("second", do="attempt", what="write", target=private) == "ok"
    shown = running.server.rows("apppools")[0]["isolation"]
    if shown["landlock"]:
        for target in (private, second["temporary"] + "/../applicationHost.config"):
            assert ask("first", do="attempt", what="read", target=target) in REFUSED, target
        assert ask("first", do="attempt", what="trace", target=second["pid"]) in REFUSED
        if shown["scopes"]:
            assert ask("first", do="attempt", what="signal", target=second["pid"]) in REFUSED
