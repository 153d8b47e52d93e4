"""The real template with a worker that serves nothing.

What the worker does is in the environment variable FAKE of its pool: "" = becomes ready; "crash" =
ends at once; "refuse" = WorkerStartFailed; "silent" = never ready; "served" = says it has finished
a request. SIGTERM and StopWorker end it.
"""

import os
import signal
import struct
import sys
import types

import was.worker
from was.ipc import worker_control as wc
from was.ipc.codec import decode_manager_to_worker, encode
from was.ipc.descriptors import ControlSocket


def introduce(fork: wc.Fork) -> ControlSocket:
    if os.environ.get("FAKE", "") == "crash":
        os._exit(3)
    end = ControlSocket.connect(fork.control)
    end.send(encode(wc.WorkerHello(fork.worker_id, os.getpid())), [os.pidfd_open(os.getpid())])
    return end


def run(fork: wc.Fork, end: ControlSocket) -> None:
    behaviour = os.environ.get("FAKE", "")
    signal.signal(signal.SIGTERM, lambda _n, _f: os._exit(0))
    while True:
        received = end.recv()
        if received is None:
            os._exit(0)
        content, fds = received
        match decode_manager_to_worker(content):
            case wc.WorkerWelcome():
                if behaviour == "served":
                    os.pwrite(fds[0], struct.pack("=Q", 7), 3 * 8)
                if behaviour == "refuse":
                    end.send(encode(wc.WorkerStartFailed(fork.worker_id, "no such module")))
                elif behaviour != "silent":
                    end.send(encode(wc.WorkerReady(fork.worker_id)))
            case wc.Ping(nonce=nonce):
                end.send(encode(wc.Pong(nonce)))
            case wc.StopWorker():
                os._exit(0)
            case _:
                pass


fake = types.ModuleType("was.worker.main")
fake.introduce, fake.run = introduce, run
sys.modules["was.worker.main"] = fake
was.worker.main = fake

from was.manager.template import main  # noqa: E402 after its worker was replaced

sys.exit(main(sys.argv[1:]))
