"""A module that breaks the worker it is loaded in: none with it becomes ready."""

from was.worker.server import WorkerServer


def _fail(server):
    raise RuntimeError("no.such start")


WorkerServer.warm_up = _fail


def register_module(server_version, registration_info, http_server):
    """Nothing more is needed."""
