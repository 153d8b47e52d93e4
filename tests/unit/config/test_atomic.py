"""Writing a file of configuration: the old file or the new one, whatever happens to the writer."""

import errno
import os
import signal
import stat
import threading
from functools import partial
from itertools import count

import pytest

from was.config.atomic import Calls, Content, read_content, write_file
from was.errors import FileChangedError

OLD, NEW = b"<old />" * 1000, b"<new />" * 2000
UNTOUCHED = Content(OLD)


class Steps:
    """The real calls; `at` is asked before and after each, with its name and its number."""

    def __init__(self, at, part_bytes=None):
        self.at = at
        self.part_bytes = part_bytes
        self.count = 0

    def __getattr__(self, name):
        real = getattr(Calls, name)

        def call(*arguments, **more):
            if name == "write" and self.part_bytes:
                fd, data = arguments
                arguments = (fd, data[: self.part_bytes])
            self.count += 1
            self.at("before", name, self.count)
            number = self.count
            try:
                return real(*arguments, **more)
            finally:
                self.at("after", name, number)

        return call


def names(folder):
    return sorted(os.listdir(folder))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "applicationHost.config"
    path.write_bytes(OLD)
    return path


def killed(path, data, when, number, **more):
    """Write in a child that kills itself at that call; False when it got to the end."""

    def at(moment, name, step):
        if (moment, step) == (when, number):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            write_file(path, data, calls=Steps(at, part_bytes=5000), **more)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("expected", [None, UNTOUCHED], ids=["unchecked", "checked"])
def test_a_writer_killed_at_any_call_leaves_the_old_file_or_the_new_one(file, when, expected):
    """SIGKILL before and after every call; the next writer goes on and removes what was left."""
    seen = set()
    left_overs = 0
    number = 1
    while killed(file, NEW, when, number, expected=expected):
        content = file.read_bytes()
        assert content in (OLD, NEW)
        seen.add(content)
        left_overs += len(names(file.parent)) - 1
        write_file(file, OLD)
        assert names(file.parent) == [file.name]
        number += 1
    assert seen == {OLD, NEW}
    assert file.read_bytes() == NEW
    assert left_overs
    assert number > 12


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_new_file_is_there_whole_or_not_at_all(tmp_path, when):
    """The same for a file that did not exist."""
    path = tmp_path / "web.config"
    number = 1
    while killed(path, NEW, when, number, expected=Content(None)):
        assert read_content(path) in (Content(None), Content(NEW))
        path.unlink(missing_ok=True)
        number += 1
    assert read_content(path) == Content(NEW)


def test_every_failing_call_leaves_the_old_file_and_nothing_beside_it(file):
    """Whatever call fails: the error names the file, and nothing is lost or left."""
    for number in count(1):
        file.write_bytes(OLD)
        seen = {}
        try:
            write_file(file, NEW, calls=Steps(partial(fail_at, number, seen)))
        except OSError as error:
            named = error.filename
        else:
            named = str(file)
            if number not in seen:
                break
            # A file system without locks is no reason not to write.
            assert seen[number] == "flock"
        assert named == str(file)
        assert file.read_bytes() in (OLD, NEW)
        assert names(file.parent) == [file.name]
    assert number > 12


def fail_at(number, seen, moment, name, step):
    seen[step] = name
    # A descriptor is closed even where close says that something went wrong.
    if step == number and moment == ("after" if name == "close" else "before"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_full_disks_and_missing_rights_are_said_plainly(file, call, number):
    """The error is the system's, about the file that was meant and no temporary one."""

    def at(moment, name, step):
        if (moment, name) == ("before", call):
            raise OSError(number, os.strerror(number), "/some/temporary/name")

    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        write_file(file, NEW, calls=Steps(at))
    assert (caught.value.errno, caught.value.filename) == (number, str(file))
    assert file.read_bytes() == OLD
    assert names(file.parent) == [file.name]


def test_a_device_without_room_costs_nothing(tmp_path):
    """A write that gets only part of its bytes in goes on with the rest; /dev/full is no file."""
    path = tmp_path / "f"
    write_file(path, NEW, calls=Steps(lambda *_: None, part_bytes=7))
    assert path.read_bytes() == NEW
    with pytest.raises(OSError, match="/dev/full"):
        write_file(tmp_path / "/dev/full", NEW)


def test_mode_and_owner_stay(file):
    """A file that root alone may read stays so, whoever owns it."""
    os.chmod(file, 0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
    before = file.stat()
    write_file(file, NEW)
    after = file.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_a_mode_may_be_asked_for(file, tmp_path):
    """An explicit mode is the file's; a new file without one is 0644 whatever the umask."""
    write_file(file, NEW, mode=0o440)
    assert stat.S_IMODE(file.stat().st_mode) == 0o440
    previous = os.umask(0o077)
    try:
        write_file(tmp_path / "new", NEW)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644


def test_an_owner_that_cannot_be_kept_is_refused(file):
    """Who may not give a file to its owner may not replace it either."""

    class Other:
        st_mode, st_uid, st_gid = stat.S_IFREG | 0o644, 12345, 12345

    class Calls2(Steps):
        def fstat(self, fd):
            return Other if os.readlink(f"/proc/self/fd/{fd}").endswith("config") else os.fstat(fd)

        def fchown(self, *_):
            raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.raises(PermissionError, match="owner and group cannot be kept"):
        write_file(file, NEW, calls=Calls2(lambda *_: None))
    assert file.read_bytes() == OLD
    assert names(file.parent) == [file.name]


def test_the_file_is_never_more_open_than_before(file):
    """While it is being written the temporary file is its writer's alone."""
    os.chmod(file, 0o600)
    modes = []

    def at(moment, name, step):
        if name == "write":
            modes.extend(stat.S_IMODE((file.parent / n).stat().st_mode) for n in names(file.parent))

    write_file(file, NEW, calls=Steps(at))
    assert set(modes) == {0o600}


def test_a_symbolic_link_stays_and_its_target_is_replaced(file, tmp_path):
    """/etc/was/config may point elsewhere; a link that points nowhere makes its target."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "web.config"
    link.symlink_to(file)
    write_file(link, NEW, expected=UNTOUCHED)
    assert link.is_symlink()
    assert file.read_bytes() == NEW
    assert names(link.parent) == ["web.config"]
    other = tmp_path / "links" / "other"
    other.symlink_to("target")
    write_file(other, NEW)
    assert (tmp_path / "links" / "target").read_bytes() == NEW


def test_what_is_no_file_is_refused(tmp_path):
    """A folder, a link that leads to itself, a folder that is not there."""
    folder = tmp_path / "d"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_file(folder, b"x")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        write_file(loop, b"x")
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "none" / "f", b"x")
    assert names(tmp_path) == ["d", "loop"]


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(file):
    """Nor one that has come or gone since; the same content in another file is the same."""
    for expected in (Content(NEW), Content(None)):
        with pytest.raises(FileChangedError, match="changed since"):
            write_file(file, b"mine", expected=expected)
    assert file.read_bytes() == OLD
    other = file.with_name("other")
    other.write_bytes(OLD)
    other.rename(file)
    write_file(file, NEW, expected=UNTOUCHED)
    file.unlink()
    with pytest.raises(FileChangedError):
        write_file(file, b"mine", expected=Content(NEW))
    assert names(file.parent) == []


def test_a_change_in_the_last_moment_is_seen(file):
    """An editor that saves while ours is on its way to the disk wins."""

    def at(moment, name, step):
        if (moment, name) == ("before", "fsync"):
            file.write_bytes(b"by hand")

    with pytest.raises(FileChangedError):
        write_file(file, NEW, expected=UNTOUCHED, calls=Steps(at))
    assert file.read_bytes() == b"by hand"
    assert names(file.parent) == [file.name]


def test_two_writers_of_one_folder_take_turns(file):
    """The second is refused while the first is at work; one that expects nothing is not held up."""

    def at(moment, name, step):
        if (moment, name) == ("after", "write"):
            with pytest.raises(FileChangedError, match="another program"):
                write_file(file, b"second", expected=UNTOUCHED)
            write_file(file.with_name("other"), b"third")

    write_file(file, NEW, expected=UNTOUCHED, calls=Steps(at))
    assert file.read_bytes() == NEW
    assert names(file.parent) == [file.name, "other"]


def test_of_many_writers_none_loses_what_another_wrote(tmp_path):
    """Each adds its own line to what it read and tries again when it was too late."""
    path = tmp_path / "f"
    path.write_bytes(b"")
    mine = range(12)

    def add(number):
        while True:
            read = read_content(path)
            try:
                write_file(path, read.data + b"%d\n" % number, expected=read, is_durable=False)
            except FileChangedError:
                continue
            return

    threads = [threading.Thread(target=add, args=(n,)) for n in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(n) for n in path.read_text().split()) == list(mine)
    assert names(tmp_path) == ["f"]


def test_an_access_list_is_kept(file):
    """A POSIX access list that lets one more user in does so afterwards."""
    entries = bytes.fromhex(
        "0200000001000600ffffffff02000400d204000004000400ffffffff10000400ffffffff20000000ffffffff"
    )
    try:
        os.setxattr(file, "system.posix_acl_access", entries)
    except OSError:
        entries = None  # a file system without them
    write_file(file, NEW)
    if entries is not None:
        assert os.getxattr(file, "system.posix_acl_access") == entries
