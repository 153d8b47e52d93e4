"""Begins processes and threads of its own; what they do is in the file `done` of its folder."""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

DONE = Path(__file__).parent / "data" / "done"
GO = Path(__file__).parent / "data" / "go"
executor = ThreadPoolExecutor(1)


def say(what):
    with DONE.open("a") as file:
        file.write(f"{what}\n")


def wait_for_go():
    while not GO.exists():
        time.sleep(0.01)


def task():
    wait_for_go()
    say("task")


def thread():
    wait_for_go()
    say("thread")


def for_ever():
    threading.Event().wait()


def terminated():
    """How a process of multiprocessing ends that is asked to."""
    process = get_context("fork").Process(target=for_ever)
    process.start()
    process.terminate()
    process.join()
    return process.exitcode


def interrupted():
    """How a program ends that gets SIGINT."""
    code = "print(1, flush=True); import threading; threading.Event().wait()"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with program:
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
        return program.wait()


def grandchild():
    """A child that has a file, and a child of its own: whether that one still has the file."""
    child = os.fork()
    if child == 0:
        low = [os.open(os.devnull, os.O_WRONLY) for _ in range(3)]
        grandchild = os.fork()
        if grandchild == 0:
            for fd in low:
                os.fstat(fd)
            os._exit(7)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended_by(end):
    """The status of a child that comes back from the application, or calls the server."""
    child = os.fork()
    if child == 0:
        end()
        return "the child's answer"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left():
    return ended_by(lambda: sys.exit(3))


def failed():
    return ended_by(lambda: int("no number"))


def strayed():
    return ended_by(lambda: None)


def begin_task():
    executor.submit(task)


def begin_thread():
    threading.Thread(target=thread).start()


def begin_endless():
    threading.Thread(target=for_ever, name="endless").start()


atexit.register(say, "exit function")


def application(environ, start_response):
    what = globals()[environ["PATH_INFO"][1:]]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(what()).encode()]
