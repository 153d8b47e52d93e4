from collections.abc import Callable, Iterator

import pytest
from support.listener_rig import Rig


@pytest.fixture
def make_rig(tmp_path) -> Iterator[Callable[..., Rig]]:
    """Make listeners without sockets; each must end with nothing kept for its clients."""
    made = []

    def make(**options) -> Rig:
        made.append(Rig(tmp_path, **options))
        return made[-1]

    yield make
    for rig in made:
        held = [w.incarnation for w in rig.workers]
        rig.close()
        assert rig.service.connections == set()
        assert rig.pool.account.held_bytes == 0
        assert rig.service.spool_memory.held_bytes == 0
        assert rig.service.spool_memory.held_descriptors == 0
        assert [w for w in held if w.outstanding] == []
