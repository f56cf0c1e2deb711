# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transaction is killed before and after every single change that it makes, and must come back from there."""

from __future__ import annotations

import os

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _beneath
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import ExistsError, NotFoundError, UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._place import DirectPlace
from ansible_collections.moodleclaude.backup.plugins.module_utils._switch import Switch, owner_of

OLD = {"both": "old", "gone": "old", "dir/a": "old", "dir/kept": "kept", "dir/sub/b": "old", "other/x": "old"}
NEW = {"both": "new", "fresh": "new", "dir/a": "new", "dir/sub": "now a file", "made/by/archive": "new",
       "other": "file"}


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class FragilePlace(DirectPlace):
    """Dies before its count-th change. Renames and removals count one by one, as a real kill would find them."""

    def __init__(self, root, count=None):
        super().__init__(root)
        self.left = count
        self.changes = 0

    def _tick(self):
        self.changes += 1
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1

    def make(self, path):
        self._tick()
        super().make(path)

    def _rename(self, *args):
        self._tick()
        DirectPlace._rename(*args)

    def copy_attributes(self, source, target):
        self._tick()
        super().copy_attributes(source, target)

    def write(self, path, data):
        self._tick()
        super().write(path, data[: len(data) // 2])
        self._tick()
        super().write(path, data)

    def remove(self, path):
        # Half of what is there goes first.
        for name in self.names(path)[::2]:
            self._tick()
            super().remove(path + b"/" + name)
        self._tick()
        super().remove(path)

    def remove_if_empty(self, path):
        self._tick()
        super().remove_if_empty(path)

    def sync(self):
        """The disk is not what is tested here."""


def fill(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def texts(folder):
    """Return the content of all files in a folder: {relative path: text}."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def state(folder):
    """Return what is in a folder and the attributes of its folders, times of the root included."""
    found = {".": (folder.stat().st_mode, folder.stat().st_mtime_ns)}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = path.stat().st_mode if path.is_dir() else path.read_text()
    return found


class Bed:
    """A tree with its old content, and transactions on it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        fill(folder, OLD)
        (folder / "dir").chmod(0o711)
        folder.chmod(0o750)
        os.utime(folder, ns=(0, 1_500_000_000 * 10**9))
        self.before = state(folder)

    def switch(self, count=None):
        return Switch(FragilePlace(_beneath.open_root(str(self.folder)), count), "t1")

    def prepare(self, work, plan):
        inner = self.folder / work.begin(plan).decode()
        fill(inner, NEW)
        (inner / "dir").chmod(0o770)
        inner.chmod(0o755)
        os.utime(inner, ns=(0, 1_600_000_000 * 10**9))
        work.prepared()


def plan(paths=None, keep=()):
    return {"paths": paths, "keep": list(keep), "made": False}


PLANS = {
    "whole": plan(),
    "keep": plan(keep=[b"dir/k*"]),
    "paths": plan(paths=[b"both", b"dir/a", b"made/by/archive", b"fresh"]),
    "paths and keep": plan(paths=[b"dir", b"made"], keep=[b"dir/kept"]),
}


def expected(name, before):
    """Return the state after a switch with one of PLANS."""
    if name == "whole":
        files, times = dict(NEW), True
    elif name == "keep":
        files, times = dict(NEW, **{"dir/kept": "kept"}), True
    elif name == "paths":
        files = dict(OLD, **{key: NEW[key] for key in ("both", "dir/a", "made/by/archive", "fresh")})
        times = False
    else:
        files = {key: text for key, text in OLD.items() if not key.startswith("dir/")}
        files.update({"dir/a": "new", "dir/sub": "now a file", "dir/kept": "kept", "made/by/archive": "new"})
        times = False
    return files, times


def check_new(bed, name):
    files, root = expected(name, bed.before)
    assert texts(bed.folder) == files
    assert bed.folder.stat().st_mode & 0o777 == (0o755 if root else 0o750)
    if root:
        assert bed.folder.stat().st_mtime_ns == 1_600_000_000 * 10**9
    if name != "paths":
        assert (bed.folder / "dir").stat().st_mode & 0o777 == 0o770


def same_but_root_time(one, two):
    return {**one, ".": one["."][0]} == {**two, ".": two["."][0]}


@pytest.mark.parametrize("name", PLANS)
def test_forward(tmp_path, name):
    bed = Bed(tmp_path / "tree")
    work = bed.switch()
    bed.prepare(work, dict(PLANS[name]))
    assert {key: value for key, value in state(bed.folder).items() if not key.startswith(".moodle")} == bed.before
    assert work.due("switch")
    assert work.switch() is True
    assert work.switch() is False and not work.due("switch")
    assert work.commit() is True
    assert work.commit() is False and not work.due("commit")
    check_new(bed, name)


@pytest.mark.parametrize("name", PLANS)
def test_back_after_switch(tmp_path, name):
    bed = Bed(tmp_path / "tree")
    work = bed.switch()
    bed.prepare(work, dict(PLANS[name]))
    work.switch()
    (bed.folder / "by the site").write_text("made after the switch")
    assert work.rollback()["changed"] is True
    left = {} if PLANS[name]["paths"] is None else {"by the site": "made after the switch"}
    if left:
        assert same_but_root_time(state(bed.folder), {**bed.before, **left})
    else:
        assert state(bed.folder) == bed.before
    assert work.rollback()["changed"] is False


def kill_points(folder, action):
    """Yield the Bed of every point at which an action, given (Bed, count of changes until death), can be killed."""
    folder.mkdir()
    count = 0
    while True:
        bed = Bed(folder / ("tree%d" % count))
        try:
            action(bed, count)
        except Killed:
            yield bed
            count += 1
        else:
            assert count > 3, "nothing was killed"
            return


def prepared(bed, name):
    bed.prepare(bed.switch(), dict(PLANS[name]))
    return bed


@pytest.mark.parametrize("name", PLANS)
def test_killed_while_preparing(tmp_path, name):
    for bed in kill_points(tmp_path / "x", lambda bed, count: bed.prepare(bed.switch(count), dict(PLANS[name]))):
        assert "new" not in bed.switch().present()
        with pytest.raises(NotFoundError):
            bed.switch().switch()
        bed.switch().rollback()
        assert same_but_root_time(state(bed.folder), bed.before)
        prepared(bed, name).switch().switch()
        bed.switch().commit()
        check_new(bed, name)


@pytest.mark.parametrize("name", PLANS)
def test_killed_while_switching(tmp_path, name):
    """Rolled back from every point it is as before; continued from every point it is switched."""
    def action(bed, count):
        prepared(bed, name).switch(count).switch()

    for bed in kill_points(tmp_path / "back", action):
        if bed.switch().due("switch"):
            with pytest.raises(UsageError, match="not been switched"):
                bed.switch().commit()
        bed.switch().rollback()
        assert same_but_root_time(state(bed.folder), bed.before)
    for bed in kill_points(tmp_path / "on", action):
        bed.switch().switch()
        bed.switch().commit()
        check_new(bed, name)


@pytest.mark.parametrize("name", PLANS)
def test_rollback_killed_while_rolling_back(tmp_path, name):
    def action(bed, count):
        prepared(bed, name).switch().switch()
        bed.switch(count).rollback()

    for bed in kill_points(tmp_path / "x", action):
        bed.switch().rollback()
        assert same_but_root_time(state(bed.folder), bed.before)


@pytest.mark.parametrize("name", PLANS)
def test_killed_while_committing(tmp_path, name):
    """A commit that began cannot be undone: rollback finishes it and says so."""

    def action(bed, count):
        prepared(bed, name).switch().switch()
        bed.switch(count).commit()

    for bed in kill_points(tmp_path / "x", action):
        present = bed.switch().present()
        outcome = bed.switch().rollback()
        if "old" in present:
            assert same_but_root_time(state(bed.folder), bed.before)
        else:
            assert outcome["committed"] or "live" not in present
            assert {key for key in state(bed.folder) if key.startswith(".moodle")} == set()
            files, _root = expected(name, bed.before)
            assert texts(bed.folder) == files


def test_mount_points_stay(tmp_path):
    """Entries that are mounts stay where they are, at the top and deeper, whatever the archive has of that name."""
    bed = Bed(tmp_path / "tree")
    inodes = [(bed.folder / name).stat().st_ino for name in ("gone", "dir/sub", "dir/sub/b")]
    work = bed.switch()
    with pytest.raises(UsageError, match="no folder in the archive"):
        bed.prepare(work, plan())
        work.switch([b"gone", b"dir/sub/b"])
    work.rollback()
    inner = bed.folder / work.begin(plan()).decode()
    fill(inner, {"gone": "stub", "dir/a": "new", "dir/sub/b": "stub", "dir/sub/c": "new"})
    work.prepared()
    work.switch([b"gone", b"dir/sub/b"])
    work.commit()
    assert texts(bed.folder) == {
        "gone": "old", "dir/a": "new", "dir/sub/b": "old", "dir/sub/c": "new"}
    assert [(bed.folder / name).stat().st_ino for name in ("gone", "dir/sub", "dir/sub/b")] == inodes


def test_transactions_do_not_mix(tmp_path):
    bed = Bed(tmp_path / "tree")
    place = bed.switch().place
    prepared(bed, "whole")
    with pytest.raises(ExistsError, match="not finished") as caught:
        Switch(place, "t2").begin(plan())
    assert "phase=rollback and transaction=t1" in caught.value.describe()
    assert Switch(place, "t2").rollback()["changed"] is False
    bed.switch().switch()
    with pytest.raises(ExistsError, match="switched already"):
        bed.switch().begin(plan())
    # Single files of the same transaction have folders of their own.
    one, two = Switch(place, "t1", b"one"), Switch(place, "t1", b"two")
    assert len({one.new, two.new, bed.switch().new}) == 3
    assert {owner_of(work.new) for work in (one, two)} == {"t1"}


@pytest.mark.parametrize("name", ["", "A", "a-b", "../x", "a" * 33, "a_b", "ä"])
def test_names_of_transactions(tmp_path, name):
    with pytest.raises(UsageError):
        Switch(DirectPlace(_beneath.open_root(str(tmp_path))), name)


@pytest.mark.parametrize(
    "name", [b".moodle_backup_", b".moodle_backup_x", b".moodle_backup__new", b"x_new", b".moodle_backup_a_b"],
)
def test_owner_of_other_names(name):
    assert owner_of(name) is None
