"""The program's own log (logs/was.log, or stderr in the foreground): an event name plus fields.

One line an event, `time level process event field=value …`. Names are declared here, in one table,
so that a name in the code that is not in the table is a defect a test finds. Descriptors are
O_APPEND files or the terminal, one write(2) a line: processes share the file without a lock, and
no line depends on another process being alive.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Literal

__all__ = ["EVENTS", "log", "log_exception", "set_process", "text_of", "to_text"]

# event name -> level
EVENTS: dict[str, Literal["info", "warning", "error"]] = {
    "manager_started": "info",
    "manager_stopping": "info",
    "manager_waiting": "info",
    "manager_stopped": "info",
    "manager_failed": "error",
    "ready": "info",
    "reload_started": "info",
    "reload_completed": "info",
    "reload_failed": "error",
    "config_error": "error",
    "web_config_changed": "info",
    "rewrite_skipped": "warning",
    "config_no_effect": "warning",
    "history_failed": "warning",
    "site_refused": "error",
    "state_not_written": "error",
    "pool_state": "info",
    "pool_disabled": "error",
    "worker_spawned": "info",
    "worker_spawn_failed": "error",
    "packages_passed_over": "warning",
    "worker_ready": "info",
    "worker_resumed": "info",
    "worker_stopping": "info",
    "worker_suspended": "info",
    "warm_up_completed": "info",
    "worker_drained": "info",
    "manager_took_over": "info",
    "manager_died": "warning",
    "manager_brought_back": "info",
    "supervisor_started": "info",
    "supervisor_died": "warning",
    "upgrade_started": "info",
    "upgrade_completed": "info",
    "upgrade_failed": "error",
    "worker_exited": "info",
    "exit_cut_short": "warning",
    "worker_died": "warning",
    "worker_killed": "warning",
    "worker_faulty": "error",
    "worker_orphaned": "warning",
    "orphan_ended": "info",
    "action_started": "info",
    "action_failed": "error",
    "worker_unhealthy": "warning",
    "cpu_supervised": "warning",
    "groups_left": "warning",
    "pool_on_trial": "info",
    "pool_shut_out": "error",
    "worker_start_failed": "error",
    "recycle_started": "info",
    "recycle_completed": "info",
    "recycle_failed": "error",
    "process_not_made": "error",
    "listener_started": "info",
    "listener_died": "error",
    "listener_stopped": "info",
    "listener_error": "error",
    "template_started": "info",
    "template_died": "warning",
    "pump_tick_hit": "error",
    "request_taken_back": "info",
    "request_failed": "warning",
    "request_overdue": "warning",
    "request_excessive": "warning",
    "request_interrupted": "warning",
    "request_left": "warning",
    "application_left": "warning",
    "request_poisoned": "error",
    "request_trace": "info",
    "request_quarantined": "error",
    "log_dropped": "error",
    "logs_reopened": "info",
    "signal_ignored": "warning",
    "isolation_reduced": "warning",
    "content_unreadable": "error",
    "path_unusable": "warning",
    "connections_crowded": "warning",
    "message_without_end": "warning",
    "program_keeper_lost": "warning",
    "program_failed": "warning",
    "program_refused": "warning",
    "application_loaded": "info",
    "lifespan_unsupported": "info",
    "event_loop_blocked": "error",
    "event_loop_stopped": "warning",
    "event_loop_interrupted": "warning",
    "application_failed": "error",
    "application_error": "error",
    "child_failed": "error",
    "client_left": "info",
    "module_failed": "error",
    "module_not_loaded": "error",
    "module_refused": "error",
    "isapi_loaded": "info",
    "isapi_reloaded": "info",
    "isapi_failed": "error",
    "isapi_ending": "info",
    "admin_error": "warning",
    "unexpected_error": "error",
    "leadership_error": "error",
    "limit_lowered": "warning",
    "compression_elsewhere": "info",
    "footer_unreadable": "warning",
    "compression_failed": "warning",
}

_process = "was"
_fd = 2


def set_process(name: str, *, fd: int | None = None) -> None:
    """Name this process in its log lines; `fd` is where they go (default: stderr)."""
    global _process, _fd
    _process = name
    if fd is not None:
        _fd = fd


def to_text(value: object) -> str:
    """One field value on one line: bare where it can be, quoted where it must be."""
    text = str(value)
    if text and text.isprintable() and not any(c in ' "=' for c in text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def log(event: str, **fields: object) -> None:
    """Write one event. Never raises: a full disk or a closed stderr must not end a process."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    parts = [stamp, EVENTS[event], f"{_process}[{os.getpid()}]", event]
    parts += [f"{name}={to_text(value)}" for name, value in fields.items()]
    with suppress(OSError):
        os.write(_fd, (" ".join(parts) + "\n").encode("utf-8", "backslashreplace"))


def text_of(error: BaseException) -> str:
    """An exception's class and words: anybody's class, whose words may not be to be had."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except Exception as failure:  # noqa: BLE001 it must not take the place of what was raised
        return f"{name}: (its text raises {type(failure).__name__})"


def log_exception(event: str, error: BaseException, **fields: object) -> None:
    """Write one event, then the traceback of `error`, indented below it."""
    import traceback

    log(event, error=text_of(error), **fields)
    lines = "".join(traceback.format_exception(error)).splitlines()
    with suppress(OSError):
        os.write(_fd, "".join(f"    {line}\n" for line in lines).encode("utf-8", "replace"))
