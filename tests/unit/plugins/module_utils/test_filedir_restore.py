# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The restore of a filedir is killed before and after every single change that it makes, and must come back."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _beneath,
    _filedir_restore,
    _filedir_switch,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    ExistsError,
    IntegrityError,
    NotFoundError,
    UsageError,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir_place import DirectFiledir
from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir_restore import (
    Difference,
    parse_mode,
    parse_owner,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir_source import location, open_source
from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir_switch import FiledirSwitch, arrange
from ansible_collections.moodleclaude.backup.plugins.module_utils._place import DirectPlace

ATTRIBUTES = {"uid": os.geteuid(), "gid": os.getegid(), "file_mode": 0o640, "folder_mode": 0o2750}


def blob(text):
    """Return (relative path, content) of a blob."""
    data = text.encode()
    return location(hashlib.sha1(data).hexdigest().encode()).decode(), data


def blob_in(prefix, number=0):
    """Return the number-th blob whose name begins with the prefix."""
    found = (blob(str(count)) for count in range(1 << 30))
    return next(one for one in found if one[0].replace("/", "").startswith(prefix) and not (number := number - 1) + 1)


# Blobs that share folders with others, and blobs that do not.
RIGHT, NEW_FOLDER, NEW_BESIDE = blob_in("00"), blob_in("7f"), blob_in("00", 7)
WRONG, SURPLUS, LATER, VANISHED = blob_in("10"), blob_in("20"), blob_in("30"), blob_in("40")
WANTED = dict([RIGHT, NEW_FOLDER, NEW_BESIDE, WRONG, VANISHED])
LIVE = dict([RIGHT, (WRONG[0], b"damaged"), SURPLUS, VANISHED],
            **{"warning.txt": b"Do not touch", "aa/bb/%s.tmp" % ("a" * 40): b"half", "unknown": b"?"})


def fill(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def write_list(path, names):
    lines = sorted("%s  ../../pools/s/filedir/%s\n" % (name[6:], name) for name in names)
    path.write_text("".join(lines))


def state(folder):
    """Return everything in a folder but empty folders: {relative path: content}."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def folders(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()}


@pytest.fixture(autouse=True)
def _few_prefixes(monkeypatch):
    """Nothing here is in other folders, and hundreds of transactions are faster so."""
    for module in (_filedir_restore, _filedir_switch):
        monkeypatch.setattr(module, "PREFIXES", [b"00", b"10", b"20", b"30", b"40", b"7f"])


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class FragilePlace(DirectPlace):
    """Dies before its count-th change."""

    def __init__(self, root, count):
        super().__init__(root)
        self.left = count

    def tick(self):
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1

    def make(self, path):
        self.tick()
        super().make(path)

    def _rename(self, *args):
        self.tick()
        DirectPlace._rename(*args)

    def write(self, path, data):
        if data or path.endswith(b"plan"):  # most of the 256 files of a kind are empty
            self.tick()
            super().write(path, data[: len(data) // 2])
            self.tick()
        super().write(path, data)

    def remove(self, path):
        for name in self.names(path)[::2]:
            self.tick()
            super().remove(path + b"/" + name)
        self.tick()
        super().remove(path)

    def sync(self):
        """The disk is not what is tested here."""


class FragileFiledir(DirectFiledir):
    def __init__(self, root, count=None):
        super().__init__(root)
        self.place = FragilePlace(root, count)

    def _rename(self, *args):
        self.place.tick()
        DirectFiledir._rename(*args)

    def _mark(self, *args):
        self.place.tick()
        DirectFiledir._mark(*args)

    def _write(self, *args):
        self.place.tick()
        super()._write(*args)
        self.place.tick()


class Bed:
    """A filedir with its old content, a pool, a list, and transactions."""

    def __init__(self, folder, live=None):
        self.base = folder
        self.live, self.pool, self.src = folder / "filedir", folder / "pool", folder / "filedir.sha1"
        self.live.mkdir(parents=True)
        self.pool.mkdir()
        fill(self.live, LIVE if live is None else live)
        (self.live / "50/51").mkdir(parents=True)  # an empty folder stays
        fill(self.pool, WANTED)
        write_list(self.src, WANTED)
        self.before, self.folders = state(self.live), folders(self.live)
        self._opened = []

    def work(self, count=None):
        root = _beneath.open_root(str(self.live))
        self._opened.append(root)
        return FiledirSwitch(FragileFiledir(root, count), "t1")

    def prepare(self, count=None, check=True):
        work, source = self.work(count), open_source(str(self.src), str(self.pool))
        with open(self.base / "todo", "w+b") as todo, open(self.base / "wanted", "w+b") as wanted:
            difference = Difference(todo, wanted)
            folder = work.begin({
                "paths": None, "keep": [], "made": False, "attributes": ATTRIBUTES,
                "src": os.fsencode(self.src), "pool": os.fsencode(self.pool)})
            difference.find(work.files, source, check)
            work.keep_wanted(wanted)
            work.files.write(folder, source.contents(difference.to_write()), ATTRIBUTES)
        work.prepared()
        return difference

    def prepared(self):
        self.prepare()
        return self

    def check_new(self):
        others = {name: data for name, data in self.before.items() if len(name) != 46}
        assert state(self.live) == {**WANTED, **others}

    def check_old(self):
        assert state(self.live) == self.before
        assert folders(self.live) == self.folders

    def close(self):
        while self._opened:
            os.close(self._opened.pop())


@pytest.fixture
def bed(tmp_path):
    made = Bed(tmp_path / "bed")
    yield made
    made.close()


def kill_points(folder, action, start=0):
    """Yield the Bed of every point at which an action, given (Bed, count of changes until death), can be killed."""
    count = start
    while True:
        bed = Bed(folder / ("bed%d" % count))
        try:
            action(bed, count)
        except Killed:
            yield bed
            bed.close()
            shutil.rmtree(bed.base)
            count += 1
        else:
            bed.close()
            assert count > 3, "nothing was killed"
            return


# --- forward and back -------------------------------------------------------------------------------------------


def test_forward(bed):
    counts = bed.prepare().counts
    size = sum(len(data) for _name, data in (WRONG, NEW_FOLDER, NEW_BESIDE))
    assert counts == {"written": 3, "written_bytes": size, "right": 2, "surplus": 1, "wrong": 1}
    inode = (bed.live / RIGHT[0]).stat().st_ino
    assert {name: data for name, data in state(bed.live).items() if not name.startswith(".moodle")} == bed.before
    work = bed.work()
    assert work.due("switch") and work.switch() is True
    assert not work.due("switch") and work.switch() is False
    assert {name for name in os.listdir(bed.live) if name.startswith(".moodle")} == {
        ".moodle_backup_t1-blobs_live", ".moodle_backup_t1-blobs_old"}
    assert work.commit() is True
    assert work.commit() is False and not work.due("commit")
    bed.check_new()
    assert (bed.live / RIGHT[0]).stat().st_ino == inode, "what is right is left alone"
    for name, _data in (NEW_BESIDE, NEW_FOLDER, WRONG):
        found = (bed.live / name).stat()
        assert found.st_mode & 0o7777 == 0o640 and found.st_nlink == 1
        assert found.st_ino != (bed.pool / name).stat().st_ino
    assert (bed.live / NEW_FOLDER[0]).parent.stat().st_mode & 0o7777 == 0o2750
    assert (bed.live / NEW_FOLDER[0]).parent.parent.stat().st_mode & 0o7777 == 0o2750


def test_back_after_switch(bed):
    bed.prepared().work().switch()
    assert bed.work().rollback()["changed"] is True
    bed.check_old()
    assert bed.work().rollback()["changed"] is False


def test_the_folders_own_time_comes_back(tmp_path):
    """Also if the switch was killed, once it has begun to move blobs, or the rollback."""
    moved = 0

    def switch(bed, count):
        bed.prepared()
        os.utime(bed.live, ns=(5, 5))
        bed.work(count).switch()

    for bed in kill_points(tmp_path, switch):
        begun = "old" in bed.work().present()
        bed.work().rollback()
        assert not begun or bed.live.stat().st_mtime_ns == 5
        moved += begun

    def back(bed, count):
        switch(bed, None)
        assert bed.live.stat().st_mtime_ns == 5
        bed.work(count).rollback()
        assert bed.live.stat().st_mtime_ns == 5

    for bed in kill_points(tmp_path, back):
        if "old" in bed.work().present():
            bed.work().rollback()
            assert bed.live.stat().st_mtime_ns == 5
            moved += 1
    assert moved > 10


def test_sizes_alone(bed):
    """Without the check, a file of the right size is not read."""
    damaged = bytes(len(RIGHT[1]))
    (bed.live / RIGHT[0]).write_bytes(damaged)
    assert bed.prepare(check=False).counts["wrong"] == 1
    assert bed.prepare(check=True).counts["wrong"] == 2


def test_empty_filedir(tmp_path):
    bed = Bed(tmp_path / "bed", live={})
    shutil.rmtree(bed.live / "50")
    bed.before, bed.folders = {}, set()
    assert bed.prepare().counts["written"] == len(WANTED)
    bed.work().switch()
    assert bed.work().rollback()["changed"]
    bed.check_old()
    bed.prepare()
    bed.work().switch()
    bed.work().commit()
    bed.check_new()


def test_what_the_site_does_between_prepare_and_switch(bed):
    """It removes a blob that was right, and stores one that is in no list and one that was prepared."""
    bed.prepare()
    (bed.live / VANISHED[0]).unlink()
    fill(bed.live, dict([LATER, NEW_FOLDER]))
    bed.before = state(bed.live)
    bed.before = {name: data for name, data in bed.before.items() if not name.startswith(".moodle")}
    bed.folders = {name for name in folders(bed.live) if not name.startswith(".moodle")}
    bed.work().switch()
    assert (bed.live / VANISHED[0]).read_bytes() == VANISHED[1]
    assert not (bed.live / LATER[0]).exists()
    bed.work().rollback()
    bed.check_old()
    bed.prepare()
    bed.work().switch()
    bed.work().commit()
    bed.check_new()


def test_vanished_blob_that_is_nowhere_else(bed):
    bed.prepare()
    (bed.live / VANISHED[0]).unlink()
    (bed.pool / VANISHED[0]).unlink()
    with pytest.raises(IntegrityError, match=VANISHED[0]):
        bed.work().switch()
    bed.work().rollback()
    del bed.before[VANISHED[0]]
    bed.check_old()


def test_what_the_site_does_after_the_switch(bed):
    """A blob that came is removed, with its folder, and one that went is stored again."""
    bed.prepared().work().switch()
    shutil.rmtree((bed.live / NEW_FOLDER[0]).parent)
    (bed.live / WRONG[0]).unlink()
    fill(bed.live, dict([SURPLUS]))
    bed.work().rollback()
    bed.check_old()


# --- killed -----------------------------------------------------------------------------------------------------


def test_killed_while_preparing(tmp_path):
    for bed in kill_points(tmp_path, lambda bed, count: bed.prepare(count)):
        assert "new" not in bed.work().present()
        with pytest.raises(NotFoundError):
            bed.work().switch()
        bed.work().rollback()
        bed.check_old()


def test_killed_while_switching_and_rolled_back(tmp_path):
    for bed in kill_points(tmp_path, lambda bed, count: bed.prepared().work(count).switch()):
        with pytest.raises(UsageError, match="not been switched"):
            bed.work().commit()
        bed.work().rollback()
        bed.check_old()


def test_killed_while_switching_and_continued(tmp_path):
    for bed in kill_points(tmp_path, lambda bed, count: bed.prepared().work(count).switch()):
        assert bed.work().switch() is True
        bed.work().commit()
        bed.check_new()


def _remove_wrong(bed):
    """The site removes the blob that came in the place of a wrong one."""
    (bed.live / WRONG[0]).unlink()


@pytest.mark.parametrize("meanwhile", [lambda bed: None, _remove_wrong])
def test_killed_while_rolling_back(tmp_path, meanwhile):
    def action(bed, count):
        bed.prepared().work().switch()
        meanwhile(bed)
        bed.work(count).rollback()

    refused = 0
    for bed in kill_points(tmp_path, action):
        present = bed.work().present()
        if "new" in present and (bed.live / ".moodle_backup_t1-blobs_new" / "undone").exists():
            refused += 1
            with pytest.raises(UsageError, match="being rolled back"):
                bed.work().switch()
        if "new" in present:
            with pytest.raises(UsageError):
                bed.work().commit()
        bed.work().rollback()
        bed.check_old()
    assert refused


def test_killed_while_committing(tmp_path):
    """A commit that began cannot be undone: rollback finishes it and says so."""

    def action(bed, count):
        bed.prepared().work().switch()
        bed.work(count).commit()

    for bed in kill_points(tmp_path, action):
        present = bed.work().present()
        outcome = bed.work().rollback()
        if "old" in present:
            bed.check_old()
        else:
            assert outcome["committed"] or "live" not in present
            bed.check_new()


def test_killed_while_fetching_what_vanished(tmp_path):
    def action(bed, count):
        bed.prepare()
        (bed.live / VANISHED[0]).unlink()
        bed.work(count).switch()

    for bed in kill_points(tmp_path, action):
        bed.work().switch()
        bed.work().commit()
        bed.check_new()


# --- refused ----------------------------------------------------------------------------------------------------


def test_wrong_blob_in_the_pool(bed):
    (bed.pool / NEW_BESIDE[0]).write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match=NEW_BESIDE[0]) as caught:
        bed.prepare()
    assert "Verify the backup" in caught.value.describe()
    with pytest.raises(NotFoundError):
        bed.work().switch()
    bed.work().rollback()
    bed.check_old()


def test_shared_blocks_are_checked_too(bed, monkeypatch):
    """Where the file system shares the blocks of a copy, the copy is read."""
    def clone(_self, source, target):
        os.copy_file_range(source.fileno(), target.fileno(), 1 << 20, 0, 0)
        return True

    monkeypatch.setattr(DirectFiledir, "_clone", clone)
    bed.prepare()
    bed.work().switch()
    assert contents_of(bed.live, WANTED) == WANTED
    bed.work().rollback()
    (bed.pool / NEW_BESIDE[0]).write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match=NEW_BESIDE[0]):
        bed.prepare()


def contents_of(folder, names):
    return {name: (folder / name).read_bytes() for name in names}


def test_pool_is_not_needed_for_what_is_right(bed):
    (bed.pool / RIGHT[0]).unlink()
    bed.prepare()
    (bed.pool / WRONG[0]).unlink()
    with pytest.raises(IntegrityError, match=WRONG[0]):
        bed.prepare()


def test_link_in_the_pool(bed):
    (bed.pool / NEW_BESIDE[0]).rename(bed.base / "elsewhere")
    (bed.pool / NEW_BESIDE[0]).symlink_to(bed.base / "elsewhere")
    with pytest.raises(OSError):
        bed.prepare()


@pytest.mark.parametrize("where", ["00", "00/%s" % RIGHT[0][3:5]])
def test_links_for_folders(bed, where):
    """A link is not followed, at no time."""
    outside = bed.base / "outside"

    def link():
        (bed.live / where).rename(outside)
        (bed.live / where).symlink_to(outside)

    bed.prepare()
    link()
    content = state(outside)
    with pytest.raises(UsageError, match="link"):
        bed.work().switch()
    bed.work().rollback()
    with pytest.raises(UsageError, match="link"):
        bed.prepare()
    assert state(outside) == content


def test_link_for_a_blob(bed):
    outside = bed.base / "outside"
    (bed.live / RIGHT[0]).rename(outside)
    (bed.live / RIGHT[0]).symlink_to(outside)
    assert bed.prepare().counts["wrong"] == 2
    bed.work().switch()
    assert not (bed.live / RIGHT[0]).is_symlink() and outside.read_bytes() == RIGHT[1]
    bed.work().rollback()
    assert (bed.live / RIGHT[0]).is_symlink()


def test_folder_made_while_switching(tmp_path):
    """A site that was not stopped may have made a folder that was to come as a whole."""
    refused = 0
    for bed in kill_points(tmp_path, lambda bed, count: bed.prepared().work(count).switch()):
        if "old" in bed.work().present() and not (bed.live / "7f").exists():
            fill(bed.live, {"7f/00/%s" % ("7f00" + "0" * 36): b"upload"})
            with pytest.raises(ExistsError, match="7f"):
                bed.work().switch()
            bed.work().rollback()
            bed.before["7f/00/%s" % ("7f00" + "0" * 36)] = b"upload"
            assert state(bed.live) == bed.before
            refused += 1
    assert refused


def test_transactions_do_not_mix(bed):
    bed.prepare()
    other = FiledirSwitch(bed.work().files, "t2")
    with pytest.raises(ExistsError, match="not finished"):
        other.begin({})
    bed.work().switch()
    with pytest.raises(ExistsError, match="switched already"):
        bed.prepare()


# --- lists and archives -----------------------------------------------------------------------------------------


def write_archive(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def names_of(source):
    return [name for _prefix, names in source.groups() for name in names]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive(bed, mode):
    write_archive(bed.src, sorted(WANTED.items()), mode)
    source = open_source(str(bed.src), None)
    assert [location(name).decode() for name in names_of(source)] == sorted(WANTED)
    bed.prepare()
    (bed.live / VANISHED[0]).unlink()
    shutil.rmtree(bed.pool)
    bed.work().switch()
    bed.work().commit()
    bed.check_new()


def test_wrong_blob_in_an_archive(bed):
    write_archive(bed.src, sorted({**WANTED, NEW_FOLDER[0]: b"damaged"}.items()))
    with pytest.raises(IntegrityError, match=NEW_FOLDER[0]):
        bed.prepare()


@pytest.mark.parametrize("files", [
    [("./config.php", b"")], [("00/11/%s" % ("a" * 40), b"")],
    sorted(WANTED.items(), reverse=True),
])
def test_other_archives(tmp_path, files):
    write_archive(tmp_path / "a", files)
    with pytest.raises(IntegrityError, match="no archive of a filedir|not sorted"):
        names_of(open_source(str(tmp_path / "a"), None))


def test_archive_that_was_cut(tmp_path):
    write_archive(tmp_path / "a", sorted(WANTED.items()))
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:1500])
    with pytest.raises(IntegrityError):
        names_of(open_source(str(tmp_path / "a"), None))


A = "a" * 40
GOOD = "%s  ../../pools/s/filedir/aa/aa/%s\n" % (A, A)


@pytest.mark.parametrize("text", [
    "x", GOOD + GOOD, GOOD.replace("aa/aa/", "aa/ab/"), GOOD.replace(A, "b" * 40, 1), GOOD.upper(),
    GOOD.replace("  ", " "), GOOD + "\n", GOOD + "%s  aa/aa/%s\n" % ("9" * 40, "9" * 40),
    GOOD + "%s  x/99/99/%s\n" % ("9" * 40, "9" * 40),
])
def test_lists_that_are_none(tmp_path, text):
    (tmp_path / "list").write_text(text)
    with pytest.raises(IntegrityError, match="list"):
        names_of(open_source(str(tmp_path / "list"), str(tmp_path)))


def test_lists_that_are_some(tmp_path):
    for text, count in (("", 0), (GOOD, 1), (GOOD.replace("../../pools/s/filedir/", ""), 1), (GOOD.strip("\n"), 1)):
        (tmp_path / "list").write_text(text)
        assert len(names_of(open_source(str(tmp_path / "list"), str(tmp_path)))) == count


def test_sources_that_are_missing(tmp_path):
    (tmp_path / "list").write_text(GOOD)
    with pytest.raises(NotFoundError):
        open_source(str(tmp_path / "nothing"), None)
    with pytest.raises(UsageError, match="pool"):
        open_source(str(tmp_path / "list"), None)
    with pytest.raises(NotFoundError, match="pool"):
        open_source(str(tmp_path / "list"), str(tmp_path / "nothing"))


class _Nothing:
    """An empty filedir."""

    def listing(self, _folder, _prefix):
        return None


def test_memory_does_not_grow_with_the_list(tmp_path, monkeypatch):
    prefixes = [b"%02x" % number for number in range(256)]
    monkeypatch.setattr(_filedir_restore, "PREFIXES", prefixes)
    with open(tmp_path / "list", "wb") as handle:
        for number in range(100_000):
            name = b"%08x%032d" % (number * 42949, number)
            handle.write(b"%s  %s\n" % (name, location(name)))
    source = open_source(str(tmp_path / "list"), str(tmp_path))
    monkeypatch.setattr(source, "size", lambda _name: 10)
    with open(tmp_path / "todo", "w+b") as todo, open(tmp_path / "wanted", "w+b") as wanted:
        difference = Difference(todo, wanted)
        tracemalloc.start()
        difference.find(_Nothing(), source, True)
        assert sum(1 for _name in difference.to_write()) == 100_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert difference.counts["written_bytes"] == 1_000_000
    assert peak < 1 << 20


# --- pure -------------------------------------------------------------------------------------------------------

NAMES = st.sets(st.sampled_from([b"00" + second + bytes([48 + number]) * 36
                                 for second in (b"00", b"01", b"02") for number in range(3)]))


def listing(names, empty=False):
    """Return names as DirectFiledir.listing gives them; empty: with an empty folder beside."""
    found = {b"01": {}} if empty else {}
    for name in names:
        found.setdefault(name[2:4], {})[name] = 1
    return found or None


@given(NAMES, NAMES, NAMES, st.booleans())
def test_arrange(wanted, live, new, empty):
    """What is arranged makes the filedir what is wanted, and nothing is in the way of what comes."""
    new &= wanted
    aside, moves, missing = arrange(b"00", wanted, listing(live, empty), listing(new))
    left = {location(name) for name in live} - set(aside)
    there = {b"00", *(path[:5] for path in map(location, live))} if live else set()
    there |= {b"00", b"00/01"} if empty else set()
    come = set()
    for path in moves:
        assert path not in there and path not in left
        come |= {location(name) for name in new if (location(name) + b"/").startswith(path + b"/")}
    assert come == {location(name) for name in new}
    assert left | come | set(map(location, missing)) == set(map(location, wanted))
    assert set(aside) <= {location(name) for name in live}


@pytest.mark.parametrize(("value", "wanted"), [(None, None), ("33:34", (33, 34)), ([33, "34"], (33, 34))])
def test_owner(value, wanted):
    assert parse_owner(value) == wanted


@pytest.mark.parametrize("value", ["33", "www-data:www-data", [1], "1:2:3", [1, -2], 33])
def test_wrong_owner(value):
    with pytest.raises(UsageError, match="number"):
        parse_owner(value)


@pytest.mark.parametrize(("value", "wanted"), [(None, None), ("0660", 0o660), ("02770", 0o2770), (432, 0o660)])
def test_mode(value, wanted):
    assert parse_mode(value, "file_mode") == wanted


@pytest.mark.parametrize("value", ["u+x", "0888", "77777", -1, 65536, ""])
def test_wrong_mode(value):
    with pytest.raises(UsageError, match="file_mode"):
        parse_mode(value, "file_mode")
