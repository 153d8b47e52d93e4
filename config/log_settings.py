"""Request logs as applicationHost.config describes them: of each site, or one for all.

Import these names from was.config.model, which holds the other half of the model and the rules
both follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from was.config.choices import CentralLogMode, LogField, LogFormat, LogPeriod

__all__ = ["CentralBinaryLogFile", "CentralLog", "CentralW3CLogFile", "CustomLogField", "LogFile"]

_DEFAULT_LOG_FIELDS = frozenset(LogField) - {
    LogField.SITE_NAME,
    LogField.COMPUTER_NAME,
    LogField.BYTES_SENT,
    LogField.BYTES_RECV,
    LogField.COOKIE,
    LogField.PROTOCOL_VERSION,
    LogField.HOST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomLogField:
    """A further column of a request log; source_type: RequestHeader, ResponseHeader …"""

    log_field_name: str
    source_name: str
    source_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """`site/logFile`: the request log of a site."""

    enabled: bool = True
    log_format: LogFormat = LogFormat.W3C
    log_target_w3c: frozenset[str] = field(
        default=frozenset({"File"}), metadata={"xml": "logTargetW3C"}
    )
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False
    log_site_id: bool = True
    flush_by_entry_count_w3c_log: int = field(
        default=0, metadata={"xml": "flushByEntryCountW3CLog"}
    )
    max_log_line_length: int = 65536
    custom_log_plugin_clsid: str = ""
    log_ext_file_flags: frozenset[LogField] = _DEFAULT_LOG_FIELDS
    max_custom_field_length: int = field(
        default=4096, metadata={"xml": "customFields/maxCustomFieldLength"}
    )
    custom_fields: tuple[CustomLogField, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralBinaryLogFile:
    """The binary log of all sites together."""

    enabled: bool = False
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralW3CLogFile:
    """The W3C log of all sites together."""

    enabled: bool = True
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False
    log_ext_file_flags: frozenset[LogField] = _DEFAULT_LOG_FIELDS | {LogField.SITE_NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralLog:
    """`system.applicationHost/log`."""

    log_in_utf8: bool = field(default=True, metadata={"xml": "logInUTF8"})
    central_log_file_mode: CentralLogMode = CentralLogMode.SITE
    central_binary_log_file: CentralBinaryLogFile = CentralBinaryLogFile()
    central_w3c_log_file: CentralW3CLogFile = field(
        default=CentralW3CLogFile(), metadata={"xml": "centralW3CLogFile"}
    )
