"""The error families of the project, and what a waiting client is answered for each.

Whose fault an error is decides what happens next: a configuration error is the operator's, a
remote protocol error the peer's, a worker fault the worker's. OS errors are mapped to these at
one boundary, where they happen.
"""

from __future__ import annotations

__all__ = [
    "AdminError",
    "ConfigError",
    "ConfigErrors",
    "FileChangedError",
    "HomeError",
    "IllFormedMessageError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "SecretError",
    "WasError",
]


class WasError(Exception):
    """Base of every error that was raises on purpose; its text is one line for a person."""


_MAX_MESSAGE = 2000


class ConfigError(WasError):
    """One fault in a configuration file. You get these gathered in ConfigErrors, never alone.

    `file` is the path as opened, `line` and `column` are 1-based (0 = unknown), `section` is the
    slash path of the section ("" outside any), `hresult` is IIS's code for a 500.19 page. A
    `message` that repeats more of the file than a person reads is cut.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        section: str = "",
        hresult: int = 0x8007000D,
    ) -> None:
        if len(message) > _MAX_MESSAGE:
            message = f"{message[: _MAX_MESSAGE - 300]} … {message[-300:]}"
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.section = section
        self.hresult = hresult

    def __str__(self) -> str:
        where = ":".join(str(p) for p in (self.file, self.line or "", self.column or "") if p != "")
        section = f" [{self.section}]" if self.section else ""
        return f"{where}{section}: {self.message}" if where else f"{self.message}{section}"


class ConfigErrors(WasError):  # noqa: N818 it holds errors
    """All faults found in a configuration, at once. Nothing of that configuration is in force."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(str(e) for e in errors))
        self.errors = errors


class FileChangedError(WasError):
    """A file is not, or may not stay, what was read before it was to be written. Nothing was.

    You get this when an editor, or another writer of ours, was faster. Reading again and doing the
    change once more is the way out.
    """


class SecretError(WasError):
    """A secret cannot be encrypted or decrypted; the text says why, and never what it is.

    Whoever reads a file makes a ConfigError of it, with the place.
    """


class HomeError(WasError):
    """A home cannot be used: missing, already running, unreadable, not ours."""


class AdminError(WasError):
    """An administrative request cannot be carried out: unknown pool, wrong state, bad argument."""


class IllFormedMessageError(WasError):
    """A peer process sent bytes that are no message, or one that it may not send.

    From a worker this makes it faulty: it is replaced, and the death counts (WAS event 5127).
    """


class RemoteProtocolError(WasError):
    """The client broke HTTP. `status` is the answer, `reason` the HTTPERR reason.

    The reason also names the page among HTTP.SYS's own texts. The connection is closed after the
    answer.
    """

    def __init__(self, detail: str, *, status: int = 400, reason: str = "BadRequest") -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason


class LocalProtocolError(WasError):
    """We, or an application through us, tried to say something HTTP does not allow."""
