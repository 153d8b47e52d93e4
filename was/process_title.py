"""What lists of processes call us."""

from __future__ import annotations

import setproctitle

__all__ = ["set_title"]


def set_title(role: str, about: object) -> None:
    """`was: ROLE ABOUT` in place of the command line; the program's name is `was-` and one word.

    A blank in that name (comm of proc(5)) and os.fork() of Python 3.12 and later reads another
    column of /proc/self/stat for the number of threads, and warns of them where there is one.
    """
    setproctitle.setproctitle(f"was: {role} {about}".rstrip())
    setproctitle.setthreadtitle(f"was-{role.partition(' ')[0]}")
