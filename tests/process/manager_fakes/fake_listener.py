"""A listener that speaks the control protocol and moves no request.

It attaches every worker at once, drains by SIGTERM, and sends whatever files in `home/run/orders`
ask for: a file's name is `demand-POOL` (or `further-POOL`). It is not ready while there is a file
`home/listener-waits`.
"""

import os
import select
import signal
import sys
from pathlib import Path

from was.ipc import listener_control as lc
from was.ipc.codec import decode_manager_to_listener, encode
from was.ipc.descriptors import ControlSocket


def main() -> None:
    end = ControlSocket.connect(sys.argv[sys.argv.index("--control") + 1])
    end.send(encode(lc.ListenerHello(os.getpid())))
    epoch, orders, pids, count = 0, None, {}, 0
    waits, is_bound = None, False
    watched = {}
    while True:
        ready, _, _ = select.select([end.sock, *watched], [], [], 0.01)
        for pidfd in [fd for fd in ready if fd is not end.sock]:
            worker_id = watched.pop(pidfd)
            os.close(pidfd)
            end.send(encode(lc.WorkerDeathSettled(worker_id, [], 0)))
        if orders is not None and orders.is_dir():
            for order in sorted(orders.iterdir()):
                kind, _, pool = order.name.partition("-")
                order.unlink()
                end.send(encode(lc.DemandStart(pool, kind == "further")))
        if is_bound and not waits.exists():
            end.send(encode(lc.ListenerReady(epoch, count)))
            count, is_bound = 0, False
        if end.sock not in ready:
            continue
        received = end.recv()
        if received is None:
            return
        content, fds = received
        match decode_manager_to_listener(content):
            case lc.ListenerWelcome(epoch=number, settings=settings):
                epoch, orders = number, Path(settings.home) / "run" / "orders"
                waits = Path(settings.home) / "listener-waits"
            case lc.SetSockets(sockets=sockets, more=more):
                count += len(sockets)
                is_bound = not more
            case lc.AddWorker(worker_id=worker_id, pid=pid):
                pids[worker_id] = pid
                watched[fds[0]] = worker_id
                fds = fds[1:]
                end.send(encode(lc.WorkerAttached(worker_id)))
            case lc.ActivateWorker(replaces=replaces):
                for old in replaces:
                    drain(end, pids, old)
            case lc.DrainWorker(worker_id=worker_id):
                drain(end, pids, worker_id)
            case lc.QueryListener(query_id=query_id):
                end.send(encode(lc.ListenerReport(query_id, [], [], [], 0, {})))
            case lc.StopListener():
                end.send(encode(lc.ListenerDrained()))
                return
            case _:
                pass
        for fd in fds:
            os.close(fd)


def drain(end: ControlSocket, pids: dict[int, int], worker_id: int) -> None:
    if worker_id in pids:
        end.send(encode(lc.WorkerDrained(worker_id)))
        os.kill(pids[worker_id], signal.SIGTERM)


main()
