"""IWpfSettings: limits of the worker's pool as modules may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.interfaces.hresult import ERROR_NOT_FOUND, HResultError

if TYPE_CHECKING:
    from was.config.model import AppPool

__all__ = ["WorkerProcessSettings"]


class WorkerProcessSettings:
    """Of one pool, as they are now; times in seconds, 0 is off."""

    def __init__(self, pool: AppPool) -> None:
        restart = pool.recycling.periodic_restart
        self._values = {
            "IDLE_TIMEOUT": int(pool.process_model.idle_timeout_s),
            "PERIODIC_RESTART_TIME": int(restart.time_s),
            "PERIODIC_RESTART_REQUESTS": restart.requests,
            "PERIODIC_RESTART_MEMORY": restart.memory,
            "PERIODIC_RESTART_PRIVATE_MEMORY": restart.private_memory,
            "PING_INTERVAL": int(pool.process_model.ping_interval_s),
            "SHUTDOWN_TIME_LIMIT": int(pool.process_model.shutdown_time_limit_s),
            "STARTUP_TIME_LIMIT": int(pool.process_model.startup_time_limit_s),
        }

    def get_dword_property(self, name: str) -> int:
        """A limit by its name. HResultError: ERROR_NOT_FOUND."""
        value = self._values.get(name)
        if value is None:
            raise HResultError(ERROR_NOT_FOUND, f"no setting '{name}'")
        return value
