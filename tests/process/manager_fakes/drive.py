"""Runs a manager whose listener and workers are the fakes: drive.py HOME POOL=BEHAVIOUR…

A file `HOME/without-POOL` takes a pool from the configuration that the next reload reads.
"""

import sys
from pathlib import Path

from was.config.model import (
    Application,
    AppPool,
    Binding,
    LogFile,
    ServerConfig,
    Site,
    StartMode,
    VirtualDirectory,
)
from was.ipc.endpoints import Home
from was.manager.server import Configuration, Options, Programs
from was.manager.service import run_manager

HERE = Path(__file__).parent
home = Home(Path(sys.argv[1]))
port = 0
pools: dict[str, AppPool] = {}
for argument in sys.argv[2:]:
    name, _, behaviour = argument.partition("=")
    if name == "port":
        port = int(behaviour)
        continue
    mode = StartMode.ALWAYS_RUNNING if name.startswith("always") else StartMode.ON_DEMAND
    pools[name] = AppPool(name=name, start_mode=mode, environment_variables={"FAKE": behaviour})
root = VirtualDirectory(path="/", physical_path="/srv")
site = Site(
    name="site",
    id=1,
    log_file=LogFile(directory=str(home.logs)),
    bindings=(Binding(binding_information=f"127.0.0.1:{port}:", ip="127.0.0.1", port=port),),
    applications=(
        Application(path="/", application_pool=next(iter(pools)), virtual_directories=(root,)),
    ),
)


def load(_home: Home) -> Configuration:
    kept = {n: pool for n, pool in pools.items() if not (home.path / f"without-{n}").exists()}
    config = ServerConfig(home=str(home.path), app_pools=kept, sites=(site,))
    return Configuration(config, lambda _pool: b"<configuration/>")


python = (sys.executable, "-P")
sys.exit(
    run_manager(
        home,
        Options(
            programs=Programs(
                (*python, str(HERE / "fake_listener.py")), (*python, str(HERE / "fake_template.py"))
            )
        ),
        load=load,
    )
)
