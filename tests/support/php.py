"""PHP: php-cgi as a pool's own processes, php-fpm as a service of the machine."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.server import wait_for

# The opcode cache would have its lock in /tmp, which a pool does not share.
PHP_ARGUMENTS = "-d opcache.lockfile_path=${TMPDIR}"
PHP_CGI = f"/usr/bin/php-cgi|{PHP_ARGUMENTS}"


@contextmanager
def php_fpm() -> Iterator[str]:
    """php-fpm as a service of the machine would be; the path of its socket."""
    (program,) = Path("/usr/sbin").glob("php-fpm*")
    with tempfile.TemporaryDirectory(prefix="fpm-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "fpm.conf"
        file.write_text(
            f"[global]\nerror_log = {folder}/log\ndaemonize = no\n"
            f"[shop]\nlisten = {folder}/socket\nlisten.mode = 0666\n"
            "user = nobody\ngroup = nogroup\npm = static\npm.max_children = 2\n"
        )
        process = subprocess.Popen([program, "-y", file, "-n"])
        try:
            wait_for("php-fpm", (folder / "socket").exists)
            yield f"unix:{folder}/socket"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
