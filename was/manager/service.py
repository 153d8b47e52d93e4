"""Starting and ending the manager: the lock, the home's folders, the first words and the last."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable

from was import faults
from was.clock import SystemClock, time_scale
from was.errors import ConfigErrors, HomeError
from was.ipc.descriptors import listen_control, take_output
from was.ipc.endpoints import Home
from was.log import log, log_exception, set_process
from was.manager import process
from was.manager.admin import AdminServer
from was.manager.configuration import ConfigurationReader
from was.manager.control import ControlServer
from was.manager.events import EventLog
from was.manager.inbox import (
    SIGNALS,
    MessageArrived,
    PeerFaulty,
    PeerGone,
    SignalArrived,
)
from was.manager.kept_sockets import take_inherited
from was.manager.manager import Manager
from was.manager.notify import Notifier, take_sockets
from was.manager.server import Configuration, Options, Server
from was.manager.state_files import Counters, StateFiles, write_atomically
from was.process_title import set_title

__all__ = ["run_manager"]


def run_manager(
    home: Home,
    options: Options,
    *,
    detach_notify_fd: int | None = None,
    load: Callable[[Home], Configuration] | None = None,
) -> int:
    """Be this home's manager until told to stop; the exit status.

    `detach_notify_fd` gets one line of JSON, {"ok": true, "urls": […]} when every site answers or
    {"ok": false, "errors": […]}, and is closed. In the foreground the same goes to standard output
    as `ready` and the URLs, and the errors to standard error.
    """
    if not options.is_command_line:
        # Listener and workers are other users, who have to get through to their sockets: the modes
        # that we give are meant as they are, also by a root with the umask 077.
        os.umask(0o022)
    read = load or ConfigurationReader().read
    notifier = Notifier.from_environment(os.environ)
    given = [*take_sockets(os.environ), *take_inherited()]
    tell = _Teller(is_foreground=not options.is_detached, notify_fd=detach_notify_fd)
    try:
        process.insist_on_system_calls()
        lock = _lock(home)
    except (HomeError, OSError) as error:
        return tell.failed([_reason(error)])
    output, reopen = _open_output(home, is_foreground=not options.is_detached)
    set_process("manager", fd=output)
    set_title("manager", home.path)
    try:
        scale = time_scale(home.path)
        faults.arm(home.path)
        configuration = read(home)
        # Whoever says something before the loop listens is heard when it does: folders and sockets
        # that are just being made are not left behind.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

        async def serve() -> int:
            process.become_subreaper()
            process.raise_descriptor_limit()
            server = _make_server(home, configuration, options, scale, output, notifier)
            manager = Manager(server, lambda: read(home), tell.ready, reopen)
            manager.sites.give(given)
            return await _serve(manager, tell)

        return asyncio.run(serve())
    except ConfigErrors as errors:
        return tell.failed([str(error) for error in errors.errors])
    except (HomeError, OSError) as error:
        return tell.failed([_reason(error)])
    except ValueError as error:
        log_exception("manager_failed", error)
        return tell.failed([str(error)])
    finally:
        lock.release()


def _lock(home: Home) -> process.ManagerLock:
    """The home is ours, and there is a place for what we write."""
    for folder in (home.run, home.logs, home.state):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return process.ManagerLock(home.lock_file)


class _Teller:
    """Says to whoever started us how it went, once."""

    def __init__(self, *, is_foreground: bool, notify_fd: int | None) -> None:
        self._is_foreground = is_foreground
        self._notify_fd = notify_fd

    def ready(self, urls: list[str]) -> None:
        """All sites answer."""
        self._notify({"ok": True, "urls": urls})
        if self._is_foreground:
            _write(1, ["ready", *urls])

    def failed(self, errors: list[str]) -> int:
        """It did not start."""
        if self._is_foreground:
            # Here the log is the terminal too: a person needs each error once, and plain.
            _write(2, [f"was: {error}" for error in errors])
        else:
            for line in errors:
                log("manager_failed", error=line)
        self._notify({"ok": False, "errors": errors})
        return 1

    def _notify(self, message: dict[str, object]) -> None:
        if self._notify_fd is not None:
            _write(self._notify_fd, [json.dumps(message)])
            os.close(self._notify_fd)
            self._notify_fd = None


def _reason(error: HomeError | OSError) -> str:
    if isinstance(error, HomeError):
        return str(error)
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _write(fd: int, lines: list[str]) -> None:
    # Whoever started us may have gone.
    with contextlib.suppress(OSError):
        os.write(fd, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))


def _open_output(home: Home, *, is_foreground: bool) -> tuple[int, Callable[[], bool]]:
    """Where our processes log, and how to open it anew; the terminal cannot be."""
    if is_foreground:
        return sys.stderr.fileno(), lambda: False
    path = home.own_log

    def opened() -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    output = opened()

    def reopen() -> bool:
        fd = opened()
        os.dup2(fd, output, inheritable=False)
        take_output(fd)
        os.close(fd)
        return True

    return output, reopen


async def _serve(manager: Manager, tell: _Teller) -> int:
    """From the first socket to the last; the exit status."""
    server = manager.server
    for warning in server.config.warnings:
        log("config_no_effect", warning=warning)
    _hear_signals(server)
    control = _open_control(server)
    admin = AdminServer(server.home, server.folder, server.inbox)
    try:
        await admin.open()
        _write_pid(server.home)
        log("manager_started", home=server.home.path)
        await manager.adoption.take_over()
        # Only now: its end would be told again and again until somebody hears it, and descriptors
        # have numbers that another one gets.
        manager.supervisor.adopt()
        kept = manager.supervisor.take_sockets(is_needed=manager.adoption.peer is None)
        manager.sites.give(kept)
        refused = manager.sites.bind()
        if refused and manager.adoption.peer is None:
            return tell.failed(refused)
        for line in refused:  # what ran before goes on
            log("site_refused", error=line)
        manager.begin()
        status = await manager.run()
        if not manager.is_ready:
            tell.failed([manager.failed_start or "stopped before it was ready"])
        return status
    finally:
        await admin.close()
        control.close()
        manager.sites.close()
        manager.reloading.close()
        is_tried_again = manager.supervisor.is_staying
        manager.supervisor.end()
        _clean_up(server, with_folder=not is_tried_again)
        process.kill_descendants(os.getpid())
        process.reap()
        manager.processors.close()
        _ignore_signals(server)
        log("manager_stopped")


def _make_server(
    home: Home,
    configuration: Configuration,
    options: Options,
    scale: float,
    output: int,
    notifier: Notifier,
) -> Server:
    files = StateFiles(home)
    if options.is_command_line:
        environment = process.command_line_environment(os.environ)
    else:
        is_testing = (home.run / "testing").exists()
        environment = process.child_environment(os.environ, is_testing=is_testing)
    server = Server(
        home=home,
        folder=home.make_sockets(),
        clock=SystemClock(scale),
        time_scale=scale,
        options=options,
        environment=environment,
        output=output,
        files=files,
        counters=Counters(files),
        events=EventLog(home.logs),
        configuration=configuration,
        loop=asyncio.get_running_loop(),
        inbox=asyncio.Queue(),
        notifier=notifier,
    )
    server.isolation.open(configuration.config)
    return server


def _hear_signals(server: Server) -> None:
    for number in SIGNALS:
        server.loop.add_signal_handler(number, server.inbox.put_nowait, SignalArrived(number))
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # since we began, or since an upgrade did


def _ignore_signals(server: Server) -> None:
    """Who asks once more now, impatient, does not spoil an end that is as good as done."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        server.loop.remove_signal_handler(number)


def _open_control(server: Server) -> ControlServer:
    tell = server.inbox.put_nowait
    return ControlServer(
        server.loop,
        listen_control(server.folder.control),
        lambda peer, message, fds: tell(MessageArrived(peer, message, fds)),
        lambda peer, detail: tell(PeerFaulty(peer, detail)),
        lambda peer: tell(PeerGone(peer)),
    )


def _write_pid(home: Home) -> None:
    """For people and scripts; who asks us finds us by the lock and the socket."""
    try:
        write_atomically(home.pid_file, f"{os.getpid()}\n".encode())
    except OSError as error:
        log("state_not_written", file=home.pid_file, error=error)


def _clean_up(server: Server, *, with_folder: bool) -> None:
    """`with_folder`: nobody is left who has a door in it."""
    home = server.home
    server.files.remove_processes()
    home.pid_file.unlink(missing_ok=True)
    if with_folder:
        (home.run / "sockets").unlink(missing_ok=True)
        shutil.rmtree(server.folder.path, ignore_errors=True)
