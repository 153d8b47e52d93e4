"""ConfigurationWatch and Storm: when the configuration is read again."""

import os
import select

import pytest

from was.manager.watching import LONGEST_S, QUIET_S, ConfigurationWatch, Storm, stamp


def test_a_storm_is_over_at_its_first_quiet_moment():
    """QUIET_S after the last change, once."""
    storm = Storm()
    assert storm.next_deadline() is None
    for now in (10.0, 10.1, 10.2):
        storm.touched(now)
    assert not storm.is_over(10.2 + QUIET_S - 0.01)
    assert storm.is_over(10.2 + QUIET_S)
    assert not storm.is_over(20.0)
    assert storm.next_deadline() is None


def test_a_storm_without_a_quiet_moment_is_acted_on_all_the_same():
    """LONGEST_S after its first change; what comes later is a storm of its own."""
    storm, now = Storm(), 0.0
    while not storm.is_over(now):
        storm.touched(now)
        now += QUIET_S / 4
        assert now <= LONGEST_S + QUIET_S
    assert now >= LONGEST_S
    storm.touched(now)
    assert storm.is_over(now + QUIET_S)


class _Loop:
    def __init__(self):
        self.told = 0
        self.fd, self.call = -1, None

    def add_reader(self, fd, call):
        self.fd, self.call = fd, call

    def told_within(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            self.call()
        told, self.told = self.told, 0
        return told > 0


@pytest.fixture
def loop():
    return _Loop()


@pytest.fixture
def watch(loop):
    def tell():
        loop.told += 1

    made = ConfigurationWatch(loop.add_reader, tell)
    yield made
    made.close(lambda _fd: None)


def _look_at(watch, *files):
    watch.look_at({file: stamp(file) for file in files})


def test_a_replaced_file_has_changed_and_its_neighbour_is_none_of_our_business(
    watch, loop, tmp_path
):
    """Told for both, since a folder is watched; changed only where a file of ours has."""
    file = tmp_path / "applicationHost.config"
    file.write_text("1")
    _look_at(watch, file)
    (tmp_path / "notes").write_text("x")
    assert loop.told_within(5)
    assert not watch.has_changed()
    new = tmp_path / "new"
    new.write_text("2")
    os.replace(new, file)
    assert loop.told_within(5)
    assert watch.has_changed()
    assert not watch.has_changed()
    file.unlink()
    assert watch.has_changed()


def test_links_on_the_way_are_watched(watch, loop, tmp_path):
    """A configuration that is swapped by turning a link, as container platforms do."""
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c").write_text(name)
    (tmp_path / "data").symlink_to("v1")
    config = tmp_path / "config"
    config.mkdir()
    (config / "c").symlink_to("../data/c")
    _look_at(watch, config / "c")
    turned = tmp_path / "turned"
    turned.symlink_to("v2")
    os.replace(turned, tmp_path / "data")
    assert loop.told_within(5)
    assert watch.has_changed()
    (tmp_path / "v1" / "c").write_text("in the old place")
    watch.look_at({config / "c": stamp(config / "c")})
    while loop.told_within(0):
        pass
    (tmp_path / "v2" / "c").write_text("in the new place")
    assert loop.told_within(5)
    assert watch.has_changed()


def test_a_file_that_changed_while_it_was_read_has_changed(watch, tmp_path):
    """The stamp is taken before the reading."""
    file = tmp_path / "c"
    file.write_text("1")
    before = stamp(file)
    file.write_text("22")
    watch.look_at({file: before})
    assert watch.has_changed()


def test_a_link_that_leads_to_itself_is_a_file_that_is_not_there(watch, tmp_path):
    """No endless walk."""
    (tmp_path / "c").symlink_to("c")
    _look_at(watch, tmp_path / "c")
    assert not watch.has_changed()


def test_a_look_that_only_asks_leaves_the_change_to_who_acts(watch, tmp_path):
    """`differs` says so again and again, `has_changed` once, and then nobody."""
    file = tmp_path / "applicationHost.config"
    file.write_text("1")
    _look_at(watch, file)
    assert not watch.differs()
    file.write_text("22")
    assert [watch.differs(), watch.differs(), watch.has_changed()] == [True] * 3
    assert [watch.differs(), watch.has_changed()] == [False] * 2
