"""When listener, template and supervisor are started anew."""

from was.manager.respawn import Respawn


def test_one_that_had_come_to_work_is_replaced_at_once():
    """Its end is no failed start, and those before it are forgotten."""
    respawn = Respawn()
    respawn.started()
    respawn.died(1.0)
    respawn.started()
    assert respawn.at is None
    respawn.worked()
    respawn.died(2.0)
    assert (respawn.at, respawn.failed_starts) == (2.0, 0)


def test_one_that_never_comes_to_work_is_tried_later_each_time():
    """However well an earlier one had worked."""
    respawn = Respawn()
    respawn.started()
    respawn.worked()
    delays = []
    for _ in range(3):
        respawn.started()
        respawn.died(10.0)
        delays.append(respawn.at - 10.0)
    assert 0 < delays[0] < delays[1] < delays[2]
    assert respawn.failed_starts == 3
