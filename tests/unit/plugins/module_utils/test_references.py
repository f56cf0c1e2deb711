# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _catalog, _lock, _references
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError, StorageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._hash_list import render
from ansible_collections.moodleclaude.backup.plugins.module_utils._pool import Pool

PREFIX = "../../pools/school/filedir/"
CONTENTS = [b"x" * number for number in range(24)]  # what blobs may hold, so their sizes differ


def sha1(content):
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return make_root(tmp_path / "root")


def make_root(path):
    root = _backup_set.Root(str(path), lock_timeout=60)
    root.prepare()
    return root


def add_blobs(root, contents, stack="school"):
    os.makedirs(root.pool(stack), exist_ok=True)
    for content in contents:
        path = Pool(root.pool(stack)).path_of(sha1(content))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as handle:
            handle.write(content)


def add_backup(root, name, contents, stack="school"):
    """Make a backup's folder as the catalog sees it; what does not matter here is left out."""
    add_blobs(root, contents, stack)
    folder = root.folder(name)
    os.mkdir(folder)
    text = "".join(render(one, PREFIX) for one in sorted(map(sha1, contents)))
    files = {"filedir.sha1": text, "backup_manifest.txt": "", "backup.json": json.dumps({
        "name": name, "stack": stack, "created": time.time(), "format": 2,
        "artefacts": [{"role": "filedir", "file": "filedir.sha1", "sha256": hashlib.sha256(text.encode()).hexdigest()}],
    })}
    for file, content in files.items():
        with open(os.path.join(folder, file), "w", encoding="utf-8") as handle:
            handle.write(content)


def entries(root, stack="school"):
    return [entry for entry in _catalog.backups(root) if entry["stack"] == stack]


def refresh(root, **options):
    return _references.refresh(root, "school", entries(root), **options)


def expected(backups):
    """What refresh() must return. :param backups: {name: contents of its blobs}."""
    everything = set().union(*backups.values()) if backups else set()
    own = {name: sum(len(one) for one in contents
                     if not any(one in others for other, others in backups.items() if other != name))
           for name, contents in backups.items()}
    return {"own": own, "blobs": len(everything), "bytes": sum(map(len, everything)), "unreadable": {}}


def check(root, backups):
    assert refresh(root) == expected(backups)
    everything = sorted((sha1(one), len(one)) for one in set().union(*backups.values(), set()))
    assert list(_references.blobs(root, "school")) == everything
    assert list(_references.needed(root, "school")) == [name for name, _size in everything]


def files(root, stack="school"):
    folder = os.path.join(root.path, "pools", stack)
    return {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder) if name != "filedir"}


def test_where_nothing_is_nothing_is_needed_and_nothing_is_written(root):
    assert refresh(root) == {"own": {}, "blobs": 0, "bytes": 0, "unreadable": {}}
    assert list(_references.blobs(root, "school")) == [] and list(_references.needed(root, "school")) == []
    assert not os.path.exists(os.path.join(root.path, "pools"))


@settings(max_examples=60)
@given(st.lists(st.one_of(
    st.tuples(st.just("add"), st.sets(st.sampled_from(CONTENTS), max_size=12)),
    st.tuples(st.just("again"), st.integers(0, 9)),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("depart"), st.integers(0, 9)),
    st.tuples(st.just("refresh"), st.booleans()),
), max_size=12), st.sampled_from([1, 2, 64]))
def test_it_is_what_counting_from_the_beginning_finds(tmp_path_factory, steps, at_once):
    root, backups, number = make_root(tmp_path_factory.mktemp("r") / "root"), {}, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_references, "_AT_ONCE", at_once)
        for step, value in steps:
            number += 1
            existing = sorted(backups)[value % len(backups)] if backups and isinstance(value, int) else None
            if step == "add" or step == "again" and existing:
                backups["b%d" % number] = value if step == "add" else backups[existing]
                add_backup(root, "b%d" % number, backups["b%d" % number])
            elif step == "refresh":
                assert refresh(root, save=value) == expected(backups)
            elif existing:
                del backups[existing]
                leaving = os.path.join(root.backups, ".removed_" + existing)
                os.rename(root.folder(existing), leaving)
                if step == "depart":
                    assert refresh(root, departed=[leaving]) == expected(backups)
                shutil.rmtree(leaving)
        check(root, backups)
        again = files(root) if backups else {}
        check(root, backups)
        assert again == (files(root) if backups else {})


def test_a_backup_more_or_less_is_one_pass_and_the_rest_is_not_read(root, monkeypatch):
    for number in range(6):
        add_backup(root, "b%d" % number, CONTENTS[number:number + 4])
    refresh(root)
    read = []
    real = _references._Lines
    monkeypatch.setattr(_references, "_Lines", lambda handle, path: read.append(path) or real(handle, path))
    refresh(root)
    assert read == []
    add_backup(root, "b6", CONTENTS[6:10])
    add_backup(root, "same", CONTENTS[0:4])  # a list that is known needs no pass
    refresh(root)
    assert sorted(read) == [os.path.join(root.folder("b6"), "filedir.sha1"), "the index"]
    leaving = os.path.join(root.backups, ".removed_b3")
    os.rename(root.folder("b3"), leaving)
    del read[:]
    refresh(root, departed=[leaving])
    assert sorted(read) == [os.path.join(leaving, "filedir.sha1"), "the index"]
    shutil.rmtree(leaving)
    check(root, {"same": CONTENTS[0:4], **{"b%d" % one: CONTENTS[one:one + 4] for one in (0, 1, 2, 4, 5, 6)}})


def test_it_begins_where_it_is_told(root):
    add_backup(root, "one", CONTENTS)
    names = sorted(map(sha1, CONTENTS))
    for start in ("", names[5], names[5][:3], "f" * 40):
        assert [name for name, _size in _references.blobs(root, "school", start)] == [
            name for name in names if name >= start]


def test_blobs_that_are_missing_are_needed_and_have_no_size(root):
    add_backup(root, "one", CONTENTS[3:6])
    os.unlink(Pool(root.pool("school")).path_of(sha1(CONTENTS[4])))
    assert refresh(root) == {"own": {"one": 8}, "blobs": 3, "bytes": 8, "unreadable": {}}
    assert dict(_references.blobs(root, "school"))[sha1(CONTENTS[4])] == 0
    add_backup(root, "two", CONTENTS[4:5])  # brings it back
    assert refresh(root) == expected({"one": CONTENTS[3:6], "two": CONTENTS[4:5]})


def test_backups_without_a_list_need_nothing(root):
    add_backup(root, "one", CONTENTS)
    os.mkdir(root.folder("alone"))
    entry = {"name": "alone", "path": root.folder("alone"), "backup": {"artefacts": [{"file": "filedir.tar.zst"}]}}
    assert _references.refresh(root, "school", [entry]) == {"own": {}, "blobs": 0, "bytes": 0, "unreadable": {}}


def test_a_list_that_the_metadata_does_not_know_counts_too(root):
    add_backup(root, "one", CONTENTS[:3])
    (entry,) = entries(root)
    entry["backup"]["artefacts"] = []
    assert _references.refresh(root, "school", [entry]) == expected({"one": CONTENTS[:3]})
    with open(os.path.join(entry["path"], "filedir.sha1"), "a", encoding="ascii") as handle:
        handle.write("rubbish\n")
    with pytest.raises(IntegrityError, match="backup one: Line 4 of .* is damaged"):
        _references.needed(root, "school", [entry])


@pytest.mark.parametrize("harm", ["flip", "cut", "unlink"])
def test_nothing_is_unneeded_while_a_list_cannot_be_read(root, harm):
    add_backup(root, "one", CONTENTS[:8])
    add_backup(root, "two", CONTENTS[4:12])
    path = os.path.join(root.folder("two"), "filedir.sha1")
    whole = open(path, "rb").read()
    if harm == "unlink":
        os.unlink(path)
    else:
        with open(path, "wb") as handle:
            handle.write(bytes([whole[0] ^ 1]) + whole[1:] if harm == "flip" else whole[:-95])
    found = refresh(root)
    problem = "filedir.sha1 is missing" if harm == "unlink" else "filedir.sha1 is damaged"
    assert found["unreadable"] == {"two": problem} and found["blobs"] == 8
    with pytest.raises(IntegrityError, match="school.*backup two: " + problem):
        _references.needed(root, "school")
    add_backup(root, "three", CONTENTS[4:12])  # another copy of the same list will do
    assert refresh(root)["unreadable"] == {}
    assert len(list(_references.needed(root, "school"))) == 12


def test_what_was_read_before_its_list_was_damaged_is_still_known(root):
    add_backup(root, "one", CONTENTS[:8])
    refresh(root)
    os.unlink(os.path.join(root.folder("one"), "filedir.sha1"))
    check(root, {"one": CONTENTS[:8]})


def damage(path, harm):
    with open(path, "rb") as handle:
        content = handle.read()
    changed = {"flip": content.replace(b" 1 ", b" 0 ", 1), "cut": content[:-60], "empty": b"", "text": b"[1, 2]"}
    with open(path, "wb") as handle:
        handle.write(changed[harm])


@pytest.mark.parametrize(("file", "harm"), [
    ("references", "flip"), ("references", "cut"), ("references", "empty"), ("references", "gone"),
    ("references.json", "cut"), ("references.json", "text"), ("references.json", "gone")])
def test_a_damaged_index_is_never_believed(root, file, harm):
    backups = {"one": CONTENTS[:8], "two": CONTENTS[4:12]}
    for name, contents in backups.items():
        add_backup(root, name, contents)
    refresh(root)
    path = os.path.join(root.path, "pools", "school", file)
    if harm == "gone":
        os.unlink(path)
    else:
        damage(path, harm)
    assert list(_references.needed(root, "school")) == sorted(map(sha1, CONTENTS[:12]))
    backups["three"] = CONTENTS[10:16]
    add_backup(root, "three", CONTENTS[10:16])
    check(root, backups)


def test_where_nothing_may_be_written_nothing_is(root, monkeypatch):
    add_backup(root, "one", CONTENTS[:8])
    before = files(root)
    assert refresh(root, save=False) == expected({"one": CONTENTS[:8]})
    assert files(root) == before == {}

    def full(_self, _data):
        raise StorageError("No space left on device")

    monkeypatch.setattr(_references.PartialFile, "write", full)
    check(root, {"one": CONTENTS[:8]})
    assert list(files(root)) == ["references.lock"]


def test_two_at_once_do_the_work_once(root):
    add_backup(root, "one", CONTENTS[:8])
    refresh(root)
    add_backup(root, "two", CONTENTS[4:12])
    lock = os.open(os.path.join(root.path, "pools", "school", "references.lock"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    pids = []
    for _number in range(2):
        pid = os.fork()
        if pid == 0:
            os.close(lock)
            os._exit(0 if refresh(root)["blobs"] == 12 else 1)
        pids.append(pid)
    time.sleep(0.2)
    assert refresh(root, save=False)["blobs"] == 12  # who only looks does not wait
    os.close(lock)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]
    check(root, {"one": CONTENTS[:8], "two": CONTENTS[4:12]})


def kill_after(name, nth):
    """Let this process be killed right after the nth call of a function of os that changes the disk."""
    real, left = getattr(os, name), [nth]

    def stop(*args, **options):
        done = real(*args, **options)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(os, name, stop)


def test_killed_at_any_moment_it_goes_on_right(root, monkeypatch):
    backups = {"b0": CONTENTS[:8]}
    add_backup(root, "b0", CONTENTS[:8])
    refresh(root)
    # Each call by which the disk is changed is one after which a process is killed.
    killed = 0
    for number, (name, nth) in enumerate(itertools.product(("open", "fsync", "rename"), (1, 2, 3, 4)), 1):
        contents = CONTENTS[number:number + 6]
        backups["b%d" % number] = contents
        add_backup(root, "b%d" % number, contents)
        pid = os.fork()
        if pid == 0:
            kill_after(name, nth)
            try:
                refresh(root)
            finally:
                os._exit(0)
        killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
        check(root, backups)
    assert killed == 10  # there are two renames
    assert sorted(files(root)) == ["references", "references.json", "references.lock"]
