"""The command line's orders and questions, and their answers.

{"command": …} -> {"ok": true, "result": …} or {"ok": false, "error": one line, "kind": …}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from was.config.model import RecycleReason
from was.errors import AdminError
from was.ipc.worker_control import WorkerAnswer
from was.manager.inbox import AdminAsked
from was.manager.lists import OF_LISTENER, OF_MANAGER
from was.manager.pool import ApplicationPool
from was.manager.states import WorkerState
from was.manager.status import status

if TYPE_CHECKING:
    from was.manager.manager import Manager

__all__ = ["answer"]

_UNKNOWN = "unknown_object"
_STATE = "wrong_state"
_FAILED = "failed"
_USAGE = "usage"


class _RefusedError(AdminError):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Command:
    """One request of the command line, answered once."""

    def __init__(self, asked: AdminAsked) -> None:
        self.request = asked.request
        self._answer = asked.answer

    def text(self, key: str) -> str:
        """A part of the request; "" where it is not there."""
        return str(self.request.get(key) or "")

    def done(self, result: object = None) -> None:
        """It has happened."""
        self._settle({"ok": True, "result": result})

    def failed(self, text: str, kind: str = _FAILED) -> None:
        """It has not, or will not."""
        self._settle({"ok": False, "error": text, "kind": kind})

    def answer(self, make: Callable[[], object]) -> None:
        """With what `make` returns, or the reason for which it raises AdminError."""
        try:
            self.done(make())
        except AdminError as error:
            self.failed(str(error))

    def _settle(self, reply: dict[str, Any]) -> None:
        if not self._answer.done():
            self._answer.set_result(reply)


def answer(manager: Manager, asked: AdminAsked) -> None:
    """Answer now or when what was asked for has happened."""
    command = _Command(asked)
    try:
        name = asked.request.get("command")
        carry_out = _COMMANDS.get(name) if isinstance(name, str) else None
        if carry_out is None:
            raise _RefusedError(_USAGE, f"unknown command '{name}'")  # noqa: TRY301 one way out
        carry_out(manager, command)
    except _RefusedError as error:
        command.failed(str(error), error.kind)
    except AdminError as error:
        command.failed(str(error))
    except Exception as error:
        command.failed(f"{type(error).__name__}: {error}")
        raise


# ── questions ───────────────────────────────────────────────────────────────────────────────────


def _status(manager: Manager, command: _Command) -> None:
    manager.queries.ask_listener(lambda report: command.answer(lambda: status(manager, report)))


def _list(manager: Manager, command: _Command) -> None:
    word = command.text("object")
    kind = word.rstrip("s")
    if kind in OF_MANAGER:
        command.answer(lambda: OF_MANAGER[kind](manager))
    elif kind in OF_LISTENER:
        manager.queries.ask_listener(
            lambda report: command.answer(lambda: OF_LISTENER[kind](manager, report)),
            with_requests=kind == "request",
        )
    else:
        raise _RefusedError(_USAGE, f"there is no list of '{word}'")


def _query(manager: Manager, command: _Command) -> None:
    """GL_RSCA_QUERY in one worker."""
    pid = command.request.get("pid")
    handle = next((h for h in manager.workers.handles.values() if pid and h.pid == pid), None)
    pool = None if handle is None else manager.pool_of(handle.id)
    worker = None if handle is None or pool is None else pool.workers.get(handle.id)
    if handle is None or worker is None:
        raise _RefusedError(_UNKNOWN, f"there is no worker process {pid or ''}")
    if worker.state is WorkerState.SUSPENDED:
        raise _RefusedError(_STATE, f"worker process {pid} is suspended")

    def answered(answer: WorkerAnswer | None) -> None:
        if answer is None:
            command.failed(f"worker process {pid} does not answer")
        else:
            text = answer.data.decode("utf-8", "backslashreplace")
            command.done({"hresult": answer.hresult, "data": text})

    function, parameters = command.text("function"), command.text("parameters")
    manager.queries.ask_worker(handle, function, parameters, answered)


# ── orders ──────────────────────────────────────────────────────────────────────────────────────


def _recycle(manager: Manager, command: _Command) -> None:
    _refuse_if_stopping(manager)
    pool = _pool(manager, command.text("apppool"))
    if not pool.is_accepting:
        raise _RefusedError(_STATE, f"application pool '{pool.settings.name}' is stopped")
    now = manager.server.clock.monotonic()
    token = 0
    if command.request.get("wait"):
        token = manager.performer.new_token(
            lambda error: command.failed(error) if error else command.done()
        )
    manager.performer.perform(pool, pool.recycling.recycle(RecycleReason.ON_DEMAND, now, token))
    if not token:
        command.done()


def _start(manager: Manager, command: _Command) -> None:
    _set_started(manager, command, is_wanted=True)


def _stop(manager: Manager, command: _Command) -> None:
    _set_started(manager, command, is_wanted=False)


def _set_started(manager: Manager, command: _Command, *, is_wanted: bool) -> None:
    _refuse_if_stopping(manager)
    match command.text("object"):
        case "apppool":
            _set_pool_started(manager, command, is_wanted=is_wanted)
        case "site":
            _set_site_started(manager, command, is_wanted=is_wanted)
        case other:
            raise _RefusedError(_USAGE, f"'{other}' cannot be started or stopped")
    command.done()


def _set_pool_started(manager: Manager, command: _Command, *, is_wanted: bool) -> None:
    name = command.text("name")
    pool = _pool(manager, name)
    if is_wanted and pool.is_accepting:
        raise _RefusedError(_STATE, f"application pool '{name}' is started already")
    if not is_wanted and not (pool.is_accepting or pool.comes_back):
        raise _RefusedError(_STATE, f"application pool '{name}' is stopped already")
    now = manager.server.clock.monotonic()
    manager.performer.perform(pool, pool.start(now) if is_wanted else pool.stop(now))


def _set_site_started(manager: Manager, command: _Command, *, is_wanted: bool) -> None:
    name = command.text("name")
    sites = manager.server.config.sites
    site = next((site for site in sites if site.name.lower() == name.lower()), None)
    if site is None:
        raise _RefusedError(_UNKNOWN, f"there is no site '{name}'")
    if manager.sites.is_started(site) == is_wanted:
        word = "started" if is_wanted else "stopped"
        raise _RefusedError(_STATE, f"site '{name}' is {word} already")
    error = manager.sites.set_started(site, started=is_wanted)
    if error:
        raise _RefusedError(_FAILED, error)


def _refuse_if_stopping(manager: Manager) -> None:
    if manager.shutdown.has_begun:
        raise _RefusedError(_STATE, "the server is stopping")


def _pool(manager: Manager, name: str) -> ApplicationPool:
    wanted = name.lower()  # as IIS: no two differ in case alone
    pool = next((pool for n, pool in manager.pools.items() if n.lower() == wanted), None)
    if pool is None:
        raise _RefusedError(_UNKNOWN, f"there is no application pool '{name}'")
    return pool


def _reload(manager: Manager, command: _Command) -> None:
    errors = manager.reloading.reload()
    if errors:
        raise _RefusedError(_FAILED, "; ".join(errors))
    command.done({"warnings": [*manager.reloading.warnings, *manager.sites.cannot_listen()]})


def _upgrade(manager: Manager, command: _Command) -> None:
    manager.upgrade.begin()
    command.done()


def _reopen_logs(manager: Manager, command: _Command) -> None:
    manager.reopen_logs()
    command.done()


def _shutdown(manager: Manager, command: _Command) -> None:
    command.done()
    now = manager.server.clock.monotonic()
    if command.request.get("drain", True):
        manager.shutdown.begin(now)
    else:
        manager.shutdown.at_once(now)


_COMMANDS: dict[str, Callable[[Manager, _Command], None]] = {
    "status": _status,
    "list": _list,
    "query": _query,
    "recycle": _recycle,
    "start": _start,
    "stop": _stop,
    "reload": _reload,
    "upgrade": _upgrade,
    "reopen_logs": _reopen_logs,
    "shutdown": _shutdown,
}
