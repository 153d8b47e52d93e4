"""Request logs of sites, as applicationHost.config describes them.

Import these names from was.config.model, which holds the other half of the model and the rules
both follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from was.config.choices import LogField, LogFormat, LogPeriod

__all__ = ["CustomLogField", "LogFile"]

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
    directory: str = "%WAS_HOME%/logs"
    period: LogPeriod = LogPeriod.DAILY
    truncate_size: int = 20971520
    local_time_rollover: bool = False
    custom_log_plugin_clsid: str = ""
    log_ext_file_flags: frozenset[LogField] = _DEFAULT_LOG_FIELDS
    max_custom_field_length: int = field(
        default=4096, metadata={"xml": "customFields/maxCustomFieldLength"}
    )
    custom_fields: tuple[CustomLogField, ...] = ()
