"""The reader of responses that `was load` uses."""

from was.load.response_reader import MalformedResponseError, ResponseReader

__all__ = ["MalformedResponseError", "ResponseReader"]
