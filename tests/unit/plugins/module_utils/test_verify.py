# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _hash_list, _lock, _pool, _verify

CONTENTS = [b"%d" % number for number in range(40)]
NAMES = sorted(hashlib.sha1(content).hexdigest() for content in CONTENTS)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


@pytest.fixture
def pool(root):
    pool = _pool.Pool(os.path.join(root.path, "pools", "school", "filedir"))
    with pool.writer() as writer:
        for content in CONTENTS:
            writer.add(hashlib.sha1(content).hexdigest(), iter([content]))
    return pool


@pytest.fixture
def backup(root, pool):
    """The folder of a backup with a list and an archive."""
    folder = _backup_set.begin(root, "school", "one", "me")["folder"]
    with open(os.path.join(folder, "code.tar"), "wb") as handle:
        handle.write(b"code")
    dest = os.path.join(folder, _hash_list.FILENAME)
    prefix = _hash_list.pool_prefix(pool.path, dest)
    with open(dest, "w") as handle:
        handle.writelines(_hash_list.render(name, prefix) for name in NAMES)
    return _backup_set.publish(root, "school", "one", "me", {})["folder"]


def spoil(pool, name):
    path = pool.path_of(name)
    state = os.stat(path)
    os.chmod(path, 0o600)
    with open(path, "r+b") as handle:
        handle.write(b"x")
    os.chmod(path, 0o400)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def path_in_list(name):
    return "../../pools/school/filedir/%s/%s/%s" % (name[:2], name[2:4], name)


def seal_again(folder):
    """Write the manifest anew, as somebody who changed a file on purpose would."""
    with open(os.path.join(folder, "backup_manifest.txt"), "w") as handle:
        handle.writelines("%s  %s\n" % (digest, name) for name, digest in sorted(_verify.checksum_tree(folder).items()))


def test_a_whole_backup_counts_its_blobs(backup, pool):
    assert _backup_set.verify(backup) == []
    assert _verify.check(backup).count == 3 + len(NAMES)
    size = sum(entry.stat().st_size for entry in os.scandir(backup) if entry.name != "backup_manifest.txt")
    assert _verify.check(backup).bytes == size + sum(map(len, CONTENTS))
    assert not os.path.exists(pool.record.path)


def test_each_wrong_blob_is_named_and_recorded(backup, pool):
    spoil(pool, NAMES[0])
    spoil(pool, NAMES[20])
    os.unlink(pool.path_of(NAMES[39]))
    assert _backup_set.verify(backup) == [
        {"path": path_in_list(NAMES[0]), "problem": "damaged"},
        {"path": path_in_list(NAMES[20]), "problem": "damaged"},
        {"path": path_in_list(NAMES[39]), "problem": "missing"},
    ]
    assert pool.record.read() == {"blobs": [NAMES[0], NAMES[20]], "files": {}}
    assert _verify.check(backup).blobs == {NAMES[0]: "damaged", NAMES[20]: "damaged", NAMES[39]: "missing"}


def test_what_is_right_again_is_taken_out_of_the_record(backup, pool):
    archive = os.path.join(backup, "code.tar")
    digest = hashlib.sha256(b"code").hexdigest()
    with open(archive, "wb") as handle:
        handle.write(b"c0de")
    spoil(pool, NAMES[5])
    _backup_set.verify(backup)
    assert pool.record.read() == {"blobs": [NAMES[5]], "files": {digest: "code.tar"}}
    with open(archive, "wb") as handle:
        handle.write(b"code")
    later = _pool.Pool(pool.path)
    with later.writer() as writer:
        content = next(one for one in CONTENTS if hashlib.sha1(one).hexdigest() == NAMES[5])
        writer.add(NAMES[5], iter([content]))
    assert _backup_set.verify(backup) == []
    assert not os.path.exists(pool.record.path)


def test_in_check_mode_nothing_is_recorded(backup, pool):
    spoil(pool, NAMES[5])
    assert len(_backup_set.verify(backup, record=False)) == 1
    assert not os.path.exists(pool.record.path)


@pytest.mark.parametrize("change", [
    lambda line: line.replace("pools/school/", "pools/other/"),
    lambda line: line.replace("../../pools/school/filedir/", "../../pools/school/filedir/../filedir/"),
    lambda line: line.replace("../../pools", "/etc/../root/pools"),
    lambda line: line[:-1],
    lambda line: "",
])
def test_a_list_that_leads_elsewhere_is_damaged_even_if_its_checksum_is_right(backup, change):
    path = os.path.join(backup, _hash_list.FILENAME)
    with open(path) as handle:
        lines = handle.readlines()
    lines[-1] = change(lines[-1]) or "\n"
    with open(path, "w") as handle:
        handle.writelines(lines)
    seal_again(backup)
    assert _backup_set.verify(backup) == [{"path": _hash_list.FILENAME, "problem": "damaged"}]


def test_a_changed_list_is_reported_once(backup):
    with open(os.path.join(backup, _hash_list.FILENAME), "a") as handle:
        handle.write("x\n")
    assert _backup_set.verify(backup) == [{"path": _hash_list.FILENAME, "problem": "damaged"}]


def test_very_many_problems_are_counted(backup, pool, monkeypatch):
    monkeypatch.setattr(_verify, "_REPORTED", 3)
    monkeypatch.setattr(_verify, "_BATCH", 7)
    shutil.rmtree(pool.path)
    problems = _backup_set.verify(backup)
    assert [problem["path"] for problem in problems[:3]] == [path_in_list(name) for name in NAMES[:3]]
    assert problems[3:] == [{"path": _hash_list.FILENAME, "problem": "37 more missing or damaged"}]


def test_a_backup_alone_elsewhere_leaves_no_folder_behind(backup, tmp_path):
    alone = tmp_path / "media" / "usb" / "one"
    shutil.copytree(backup, alone)
    (alone / "code.tar").write_bytes(b"c0de")
    assert len(_backup_set.verify(str(alone))) == 1 + len(NAMES)
    assert sorted(os.listdir(tmp_path / "media")) == ["usb"]


def test_what_is_shared_is_not_read_again(root, backup):
    folder = _backup_set.begin(root, "school", "two", "me")["folder"]
    os.link(os.path.join(backup, "code.tar"), os.path.join(folder, "code.tar"))
    with open(os.path.join(folder, "own.tar"), "wb") as handle:
        handle.write(b"own")
    trusted = {"code.tar": "a" * 64, "own.tar": "b" * 64}
    made = _backup_set.publish(root, "school", "two", "me", {}, shared=trusted)
    with open(os.path.join(made["folder"], "backup_manifest.txt")) as handle:
        manifest = dict(reversed(line.split()) for line in handle)
    # The second one has no other name, so it is its own and is read.
    assert (manifest["code.tar"], manifest["own.tar"]) == ("a" * 64, hashlib.sha256(b"own").hexdigest())
    assert json.load(open(os.path.join(made["folder"], "backup.json")))["stack"] == "school"
