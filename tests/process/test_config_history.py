"""configHistory while the server runs: each change of the file is kept; trouble stops nobody."""

from contextlib import suppress

from harness.server import wait_for
from support.pools import calm_pool
from support.running import place, simple_config
from support.wire import get

SETTINGS = "<system.applicationHost><configHistory {}/></system.applicationHost><!-- a comment -->"


def _kept(folder):
    kept = {}
    for file in sorted(folder.glob("CFGHISTORY_*/applicationHost.config")):
        with suppress(FileNotFoundError):  # it was the oldest
            kept[file.parent.name] = file.read_text()
    return kept


def test_what_a_person_changes_is_kept_every_period(start_server):
    """The file as it was at the start, then each version that a look finds; the oldest go."""
    extra = SETTINGS.format('maxHistories="2" ')
    text = simple_config("hello:application", pool=calm_pool(), extra=extra)
    running = start_server(text, place("hello.py"), time_scale=600)
    folder = running.home / "config" / "history"
    wait_for("the first history", lambda: list(_kept(folder)) == ["CFGHISTORY_0000000001"])
    file = running.home / "config" / "applicationHost.config"
    good = file.read_text()
    assert _kept(folder)["CFGHISTORY_0000000001"] == good
    for number in (2, 3):
        text = good.replace("a comment", f"comment {number}")
        # As editors do: a look must not find it half written.
        new = file.with_name("new")
        new.write_text(text)
        new.rename(file)
        name = f"CFGHISTORY_{number:010}"
        wait_for(name, lambda name=name: name in _kept(folder))
        assert _kept(folder)[name] == text
    wait_for("the end of the oldest", lambda: len(_kept(folder)) == 2)


def test_a_shorter_period_is_in_force_as_it_is_saved(start_server):
    """Nobody waits for the end of the longer one."""
    extra = SETTINGS.format('period="40.00:00:00" ')
    text = simple_config("hello:application", pool=calm_pool(), extra=extra)
    running = start_server(text, place("hello.py"), time_scale=600)
    folder = running.home / "config" / "history"
    wait_for("the first history", lambda: list(_kept(folder)) == ["CFGHISTORY_0000000001"])
    file = running.home / "config" / "applicationHost.config"
    new = file.with_name("new")
    new.write_text(file.read_text().replace("40.00:00:00", "00:02:00"))
    new.rename(file)
    wait_for("the second", lambda: "CFGHISTORY_0000000002" in _kept(folder))


def test_a_history_that_cannot_be_kept_is_a_warning(start_server):
    """The server starts and answers; the reason is in the log, once."""
    extra = SETTINGS.format('path="/dev/null/history" period="00:00:10" ')
    running = start_server(
        simple_config("hello:application", pool=calm_pool(), extra=extra),
        place("hello.py"),
        time_scale=100,
    )

    def warnings():
        return running.server.log_text().count(" history_failed ")

    wait_for("the warning", warnings)
    assert get(running.port()).status == 200
    assert warnings() == 1
