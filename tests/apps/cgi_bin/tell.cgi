#!/usr/bin/python3
"""Tells environment, arguments, folder and input as JSON."""

import json
import os
import sys

told = {
    "environment": dict(os.environ),
    "arguments": sys.argv[1:],
    "folder": os.getcwd(),
    "input": len(sys.stdin.buffer.read()),
    "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
    "session": os.getsid(0) == os.getpid(),
}
print("Content-Type: application/json\n")
print(json.dumps(told))
