"""Says what its worker has imported."""

import sys


def application(environ, start_response):
    names = {name.split(".")[0] for name in sys.modules}
    foreign = names - set(sys.stdlib_module_names) - {"__main__", "imports"}
    heavy = {"asyncio", "ssl", "multiprocessing", "email"} & names
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(sorted(foreign)).encode(), b"\n", " ".join(sorted(heavy)).encode()]
