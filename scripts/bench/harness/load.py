"""The load client of the tests and benchmarks is the one of `was load`."""

from was.load.client import Load, request_bytes, run_load, run_load_async

__all__ = ["Load", "request_bytes", "run_load", "run_load_async"]
