"""Says which Python runs it, and what it finds there."""

import json
import multiprocessing
import os
import subprocess
import sys

import mark  # of the virtual environment


def application(environ, start_response):
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    child = [sys.executable, "-c", "import mark; print(mark.NAME)"]
    spawned = multiprocessing.get_context("spawn").Process(target=os.getpid)
    spawned.start()
    spawned.join()
    facts = {
        "mark": mark.NAME,
        "file": mark.__file__,
        "child": subprocess.run(child, capture_output=True, text=True, check=False).stdout.strip(),
        "spawned": spawned.exitcode,
        "arguments": sys.argv,
        "prefix": sys.prefix,
        "executable": sys.executable,
        "was_executed": "was.worker.executed" in sys.orig_argv,
        "variable": os.environ.get("VIRTUAL_ENV"),
        "first_program": os.environ["PATH"].partition(":")[0],
        "pid": os.getpid(),
        "uid": os.getuid(),
        "no_new_privs": status["NoNewPrivs"].strip(),
        "life_is_closed_on_exec": not os.get_inheritable(3),
        "descriptors": [os.readlink(f"/proc/self/fd/{fd}") for fd in listed()],
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]


def listed():
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
