"""Application pools as applicationHost.config describes them, and ours beside IIS's own elements.

Import these names from was.config.model, which holds the other half of the model and the rules
both follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from was.config.choices import (
    CpuAction,
    IdentityType,
    IdleTimeoutAction,
    LoadBalancerCapabilities,
    RecycleReason,
    Replay,
    StartMode,
)

__all__ = [
    "AppPool",
    "Cpu",
    "Failure",
    "PeriodicRestart",
    "PoolIsolation",
    "PoolPython",
    "PoolRequests",
    "ProcessModel",
    "Recycling",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessModel:
    """`processModel`: identity, idling, pings and the time limits of a pool's workers."""

    identity_type: IdentityType = IdentityType.APPLICATION_POOL_IDENTITY
    user_name: str = ""
    password: str = field(default="", repr=False)
    set_profile_environment: bool = True
    manual_group_membership: bool = False
    idle_timeout_s: float = 1200.0
    idle_timeout_action: IdleTimeoutAction = IdleTimeoutAction.TERMINATE
    max_processes: int = 1
    shutdown_time_limit_s: float = 90.0
    startup_time_limit_s: float = 90.0
    pinging_enabled: bool = True
    ping_interval_s: float = 30.0
    ping_response_time_s: float = 90.0
    log_event_on_process_model: frozenset[str] = frozenset({"IdleTimeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicRestart:
    """`recycling/periodicRestart`; 0 switches a rule off, memory is in KB.

    `schedule` holds times of day in seconds since local midnight.
    """

    memory: int = 0
    private_memory: int = 0
    requests: int = 0
    time_s: float = 104400.0
    schedule: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """`recycling`: when workers are replaced, and which reasons are logged."""

    disallow_overlapping_rotation: bool = False
    disallow_rotation_on_config_change: bool = False
    log_event_on_recycle: frozenset[RecycleReason] = frozenset(RecycleReason)
    periodic_restart: PeriodicRestart = PeriodicRestart()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`failure`: rapid-fail protection and what is done with a failed worker."""

    load_balancer_capabilities: LoadBalancerCapabilities = LoadBalancerCapabilities.HTTP_LEVEL
    orphan_worker_process: bool = False
    orphan_action_exe: str = ""
    orphan_action_params: str = ""
    rapid_fail_protection: bool = True
    rapid_fail_protection_interval_s: float = 300.0
    rapid_fail_protection_max_crashes: int = 5
    auto_shutdown_exe: str = ""
    auto_shutdown_params: str = ""
    rapid_fail_protection_retry_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """`cpu`: limit in 1/1000 of a percent over all processes of the pool, 0 = off."""

    limit: int = 0
    action: CpuAction = CpuAction.NO_ACTION
    reset_interval_s: float = 300.0
    smp_affinitized: bool = False
    smp_processor_affinity_mask: int = 4294967295
    smp_processor_affinity_mask2: int = 4294967295


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequests:
    """`requests` (ours): limits of a request, what is replayed, how much is held in memory."""

    time_limit_s: float = 110.0
    idle_time_limit_s: float = 0.0
    queue_time_limit_s: float = 30.0
    replay: Replay = Replay.SAFE
    max_replays: int = 1
    poison_crashes: int = 2
    commit_buffer: int = 65536
    body_spool: int = 65536
    max_spool: int = 1073741824
    response_spool: int = 262144
    streaming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPython:
    """`python` (ours): which interpreter runs the pool, and how many requests at a time."""

    virtual_environment: str = ""
    interpreter: str = ""
    threads: int = 32
    concurrency: int = 256
    reload_on_change: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolIsolation:
    """`isolation` (ours): what a worker may reach, and how much; `;` between folders and names.

    `umask` is octal ("" = 0027, or as it is for LocalSystem), 0 in a limit means none, `*` any
    port, "" no port.
    """

    sandbox: bool = True
    writable: str = ""
    readable: str = ""
    supplementary_groups: str = ""
    umask: str = ""
    max_tasks: int = 4096
    max_open_files: int = 65536
    max_memory: int = 0  # KB of each process
    max_core_size: int = 0
    connect_ports: str = "*"
    bind_ports: str = "*"

    @property
    def writable_paths(self) -> tuple[str, ...]:
        """The folders of `writable`, one each."""
        return _parts(self.writable)

    @property
    def readable_paths(self) -> tuple[str, ...]:
        """The folders of `readable`, one each."""
        return _parts(self.readable)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of `supplementaryGroups`."""
        return _parts(self.supplementary_groups)

    @property
    def umask_bits(self) -> int:
        """The umask as a number, -1 when none is given; ValueError for what is none."""
        bits = int(self.umask, 8) if self.umask else -1
        if bits > 0o777 or (self.umask and bits < 0):
            raise ValueError(f"'{self.umask}' is no umask")
        return bits

    def ports(self, text: str) -> tuple[int, ...] | None:
        """The ports of `connectPorts` or `bindPorts`, None for any; ValueError for others."""
        if text.strip() == "*":
            return None
        numbers = tuple([int(part) for part in _parts(text)])
        for number in numbers:
            if not 0 <= number <= 65535:
                raise ValueError(f"{number} is no port")
        return numbers


def _parts(text: str) -> tuple[str, ...]:
    return tuple([part.strip() for part in text.split(";") if part.strip()])


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPool:
    """One application pool, complete with the values of applicationPoolDefaults."""

    name: str
    queue_length: int = 1000
    auto_start: bool = True
    start_mode: StartMode = StartMode.ON_DEMAND
    enable_configuration_override: bool = True
    process_model: ProcessModel = ProcessModel()
    recycling: Recycling = Recycling()
    failure: Failure = Failure()
    cpu: Cpu = Cpu()
    environment_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    requests: PoolRequests = PoolRequests()
    python: PoolPython = PoolPython()
    isolation: PoolIsolation = PoolIsolation()
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
