"""Tries what it is asked to try and says how that went: "ok", or the name of the error."""

import ctypes
import errno
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl

PTRACE_SEIZE = 0x4206
SECRET = re.compile(rb"secret-of-[a-z]{3,20}")
PIECE = 1 << 20
LIBC = ctypes.CDLL(None)


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def application(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    body = json.dumps(globals()["do_" + query.pop("do")](**query)).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def do_attempt(what, target):
    try:
        ATTEMPTS[what](target)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "ok"


def _read(path):
    with Path(path).open("rb") as file:
        file.read(1)


def _write(path):
    with Path(path).open("ab") as file:
        file.write(b"x")


def _connect(path):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as client:
            try:
                client.connect(path)
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
            else:
                return


def _tcp(port):
    socket.create_connection(("127.0.0.1", int(port)), 5).close()


def _bind(port):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(port)))


def _trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_SEIZE, int(pid), None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


ATTEMPTS = {
    "read": _read,
    "write": _write,
    "list": os.listdir,
    "connect": _connect,
    "tcp": _tcp,
    "bind": _bind,
    "signal": lambda pid: os.kill(int(pid), 0),
    "trace": _trace,
}


def do_about():
    before = os.umask(0)
    os.umask(before)
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    return {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": os.getgroups(),
        "umask": before,
        "temporary": tempfile.gettempdir(),
        "environment": dict(os.environ),
        "status": {k: v for k, v in status.items() if k.startswith("Cap") or k == "NoNewPrivs"},
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "tasks": resource.getrlimit(resource.RLIMIT_NPROC)[1],
        "memory": resource.getrlimit(resource.RLIMIT_DATA)[1],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def do_secrets():
    """What looks like a secret anywhere in this process's memory."""
    found = set()
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, mode, *_ = line.split()
        if mode == "rw-p":
            begin, end = (int(part, 16) for part in where.split("-"))
            data = b"".join(read_memory(at, end) for at in range(begin, end, PIECE))
            found |= {match.decode() for match in SECRET.findall(data)}
    return sorted(found)


def read_memory(begin, end):
    """A piece of this process's memory; b"" where it has been given back meanwhile."""
    size = min(PIECE, end - begin)
    buffer = ctypes.create_string_buffer(size)
    ours, theirs = Vector(ctypes.addressof(buffer), size), Vector(begin, size)
    read = LIBC.process_vm_readv(
        os.getpid(), ctypes.byref(ours), 1, ctypes.byref(theirs), 1, ctypes.c_ulong(0)
    )
    return buffer.raw[: max(0, read)]


def do_child():
    """The identity of a program that was started from here."""
    code = "import os, tempfile; print(os.getuid(), tempfile.gettempdir())"
    return subprocess.check_output([sys.executable, "-c", code], text=True).split()
