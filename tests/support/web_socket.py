"""A WebSocket client that is not ours, and patient."""

from functools import partial

from websockets.sync.client import connect as _connect

from support.wire import LIMIT_S

connect = partial(_connect, open_timeout=LIMIT_S, close_timeout=LIMIT_S)
