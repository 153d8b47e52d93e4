"""The manager's commands, each carried out by the part of the listener that it is about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.ipc.descriptors import take_output
from was.ipc.listener_control import (
    AbandonWorker,
    ActivateWorker,
    AddWorker,
    ChangeRoutes,
    ChangeSettings,
    DescriptorsLost,
    DrainWorker,
    ExpectUrls,
    ListenerWelcome,
    ManagerToListener,
    QueryListener,
    ReopenLogs,
    SetPools,
    SetRoutes,
    SetSockets,
    SocketsRefused,
    StopListener,
    SuspendWorker,
    WorkerSuspended,
)
from was.listener import elsewhere, worker_deaths
from was.listener.incarnation import Incarnation
from was.listener.report import make_report
from was.log import log

if TYPE_CHECKING:
    from was.ipc.served import SiteRoute
    from was.listener.broker import PoolBroker
    from was.listener.service import ListenerService

__all__ = ["obey"]


def obey(service: ListenerService, command: ManagerToListener, descriptors: list[int]) -> None:
    """Carry a command out; the descriptors that came along are ours from now on."""
    match command:
        case ListenerWelcome():
            service.welcome(command)
        case SetPools():
            service.set_pools(command.pools)
        case ChangeSettings():
            service.change_settings(command.settings)
        case SetRoutes(sites):
            _set_routes(service, sites)
        case ChangeRoutes(sites, gone):
            _change_routes(service, sites, gone)
        case SetSockets():
            service.listening.collect(command.sockets, descriptors)
            if not command.more:
                _accept(service)
        case AddWorker() if len(descriptors) == 2:
            _add_worker(service, command, descriptors)
        case AddWorker():
            for fd in descriptors:
                os.close(fd)
            _ask_again(service, is_of_sockets=False)
        case ActivateWorker(worker_id, replaces):
            for pool in _pools_of(service, worker_id):
                pool.activate(worker_id, replaces)
        case DrainWorker(worker_id):
            for pool in _pools_of(service, worker_id):
                pool.drain(worker_id, graceful=command.drain)
        case SuspendWorker(worker_id):
            quiet = [pool.suspend(worker_id) for pool in _pools_of(service, worker_id)]
            service.manager.tell(WorkerSuspended(worker_id, is_quiet=any(quiet)))
        case AbandonWorker(worker_id):
            for pool in _pools_of(service, worker_id):
                worker_deaths.on_death(pool, pool.workers[worker_id])
        case ExpectUrls():
            service.programs.urls.expect(command.urls)
        case SocketsRefused():
            service.programs.urls.sockets_changed(command.refused)
        case ReopenLogs():
            _reopen_logs(service, descriptors)
        case StopListener():
            if command.drain:
                service.leaving.begin(service.scaled(command.patience_s))
            else:
                service.leaving.finish()
        case QueryListener():
            report = make_report(service, command.query_id, with_requests=command.with_requests)
            service.manager.tell(report)


def _accept(service: ListenerService) -> None:
    if service.listening.is_short:
        service.listening.forget_collected()  # those that are there stay
        _ask_again(service, is_of_sockets=True)
    else:
        service.accept()


def _ask_again(service: ListenerService, *, is_of_sockets: bool) -> None:
    """This process had no room for the descriptors of a command."""
    log("listener_error", detail="no descriptor is left for what the manager says")
    service.manager.tell(DescriptorsLost(is_of_sockets))


def _set_routes(service: ListenerService, sites: list[SiteRoute]) -> None:
    service.routes.configure(sites, service.pools, service.scaled)
    _routes_changed(service)
    if service.records.logs is not None:
        service.records.logs.configure({site.id: site.log for site in sites})


def _change_routes(service: ListenerService, sites: list[SiteRoute], gone: list[int]) -> None:
    service.routes.change(sites, gone, service.pools, service.scaled)
    _routes_changed(service)
    if service.records.logs is not None:
        service.records.logs.change({site.id: site.log for site in sites}, gone)


def _routes_changed(service: ListenerService) -> None:
    for pool in list(service.pools.values()):
        elsewhere.routes_changed(pool)


def _pools_of(service: ListenerService, worker_id: int) -> list[PoolBroker]:
    return [pool for pool in service.pools.values() if worker_id in pool.workers]


def _add_worker(service: ListenerService, command: AddWorker, descriptors: list[int]) -> None:
    pool = service.pools.get(command.pool)
    if pool is None or command.worker_id in pool.workers:
        for fd in descriptors:
            os.close(fd)
        return
    pidfd, scoreboard_fd = descriptors
    pool.add_worker(
        Incarnation(
            command.worker_id,
            command.pid,
            command.identity,
            command.slots,
            pidfd,
            scoreboard_fd,
            command.first_row,
            command.reserve,
        )
    )


def _reopen_logs(service: ListenerService, descriptors: list[int]) -> None:
    for fd in descriptors:
        take_output(fd)
        os.close(fd)
    if service.records.logs is not None:
        service.records.logs.reopen()
    log("logs_reopened")
