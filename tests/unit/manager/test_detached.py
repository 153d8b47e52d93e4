"""The supervisor, in so far as it needs no manager."""

import errno
import os
from types import SimpleNamespace

import pytest

from was.manager import detached, process
from was.manager.detached import _Supervisor


class EndedError(Exception):
    """There is no next round."""


def test_a_manager_that_there_is_no_room_for_is_tried_again(tmp_path, monkeypatch):
    """A fork that the machine refuses ends nothing: it is made a little later."""
    home = SimpleNamespace(
        run=tmp_path, lock_file=tmp_path / "manager.lock", own_log=tmp_path / "none" / "was.log"
    )
    supervisor = _Supervisor(home, ["/bin/was"], store=None)
    tries, waits = [], []

    def spawn(*_arguments):
        tries.append(len(waits))
        if len(tries) == 3:
            raise EndedError
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(process, "spawn", spawn)
    monkeypatch.setattr(detached, "log", lambda *_words, **_fields: None)
    monkeypatch.setattr(supervisor, "_wait", lambda _manager, limit_s: waits.append(limit_s))
    with pytest.raises(EndedError):
        supervisor.run(None)
    assert tries == [0, 1, 2]
    assert 0 < waits[0] < waits[1]
