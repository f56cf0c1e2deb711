# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _backup_set,
    _hash_list,
    _listing,
    _lock,
    _notes,
    _pool,
)

METADATA = {
    "moodle": {"release": "4.5.6", "wwwroot": "https://school.example"}, "site": {"fullname": "My School"},
    "database": {"name": "moodle"}, "compose": {"project": "school"}, "containers": [{}, {}, {}], "mode": "hot",
}
NOW = 2_000_000_000.0


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


def make(root, name, stack="school", blobs=(), links=(), files=None, **metadata):
    """Make a backup with a file of its own, links to files of others, and a list of blobs."""
    folder = _backup_set.begin(root, stack, name, "me")["folder"]
    for file, content in (files or {"own.tar": name.encode() * 10}).items():
        with open(os.path.join(folder, file), "wb") as handle:
            handle.write(content)
    for link in links:
        os.link(link, os.path.join(folder, os.path.basename(link)))
    artefacts = [{"role": "database", "file": "own.tar", "server_version": "15.4"}]
    if blobs:
        artefacts.append(add_list(root, stack, folder, blobs))
    return _backup_set.publish(root, stack, name, "me", dict(METADATA, artefacts=artefacts, **metadata))["folder"]


def add_list(root, stack, folder, blobs):
    pool = _pool.Pool(root.pool(stack))
    names = sorted(hashlib.sha1(content).hexdigest() for content in blobs)
    with pool.writer() as writer:
        for content in blobs:
            writer.add(hashlib.sha1(content).hexdigest(), iter([content]))
    dest = os.path.join(folder, _hash_list.FILENAME)
    prefix = _hash_list.pool_prefix(pool.path, dest)
    text = "".join(_hash_list.render(name, prefix) for name in names)
    with open(dest, "w", encoding="ascii") as handle:
        handle.write(text)
    return {"role": "filedir", "file": _hash_list.FILENAME, "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "size": len(text), "files": len(blobs), "bytes": sum(map(len, blobs))}


def sizes(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def rows(root, **options):
    return {row["name"]: row for row in _listing.describe(root, NOW, **options)["backups"]}


def test_where_nothing_is_there_is_nothing(root):
    found = _listing.describe(root, NOW)
    assert (found["exists"], found["backups"], found["stacks"], found["size"]) == (False, [], [], 0)
    assert not os.path.exists(root.path)


def test_a_backup_is_described(root, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    make(root, "one", blobs=[b"a"])
    _notes.set_pinned(root, "one", NOW - 60, "the baseline")
    _notes.set_verified(root, "one", NOW - 120, "in full", [])
    _notes.set_copy(root, "one", "offsite", "rsync", "backup@host.example:/srv", NOW)
    (row,) = _listing.describe(root, NOW)["backups"]
    expected = {
        "number": 1, "name": "one", "stack": "school", "state": "complete", "reason": None, "newest": True,
        "database": "moodle", "database_version": "15.4", "moodle": "4.5.6", "site": "My School",
        "address": "https://school.example"}
    assert {key: row[key] for key in expected} == expected
    assert row["setup"] == {"kind": "compose", "project": "school", "containers": 3, "mode": "hot", "files": "pool"}
    assert row["pinned"] == {"reason": "the baseline", "time": "2033-05-18T09:02:20+05:30"}
    assert row["verified"] == {"time": "2033-05-18T09:01:20+05:30", "age": 120, "how": "in full", "ok": True,
                               "problems": []}
    assert row["copies"] == [{"name": "offsite", "kind": "rsync", "where": "backup@host.example:/srv",
                              "time": "2033-05-18T09:03:20+05:30"}]
    monkeypatch.undo()
    time.tzset()


def test_sizes_tell_what_it_takes_alone_and_what_comes_free(root):
    one = make(root, "one", blobs=[b"both" * 100, b"only one" * 100])
    two = make(root, "two", blobs=[b"both" * 100, b"only two" * 10], links=[os.path.join(one, "own.tar")],
               files={"other.tar": b"x" * 500})
    found = rows(root)
    shared = os.path.getsize(os.path.join(one, "own.tar"))
    assert found["one"]["size"] == sizes(one) + 400 + 800
    assert found["one"]["frees"] == sizes(one) - shared + 800
    assert found["two"]["size"] == sizes(two) + 400 + 80
    assert found["two"]["frees"] == sizes(two) - shared + 80
    everything = _listing.describe(root, NOW)
    (stack,) = everything["stacks"]
    assert stack["size"] == everything["size"] == sizes(one) + sizes(two) - shared + 400 + 800 + 80
    assert stack["pool"] == {"blobs": 3, "bytes": 400 + 800 + 80}


def test_a_self_contained_backup_needs_nothing_of_the_pool(root):
    begun = _backup_set.begin(root, "school", "one", "me")
    artefact = {"role": "filedir", "file": "filedir.tar.zst", "bytes": 10 ** 9}
    folder = _backup_set.publish(root, "school", begun["name"], "me", {"artefacts": [artefact]})["folder"]
    (row,) = rows(root).values()
    assert row["size"] == row["frees"] == sizes(folder) and row["setup"]["files"] == "self-contained"


def test_a_list_that_cannot_be_read_leaves_sizes_unknown(root):
    folder = make(root, "one", blobs=[b"a"])
    os.unlink(os.path.join(folder, _hash_list.FILENAME))
    assert rows(root)["one"]["frees"] is None


def test_numbers_count_the_backups_of_the_host_whatever_is_asked_for(root):
    for name, stack in (("one", "school"), ("two", "college"), ("three", "school")):
        make(root, name, stack)
    os.mkdir(os.path.join(root.backups, "holiday"))
    numbers = {name: row["number"] for name, row in rows(root).items()}
    assert numbers == {"one": 1, "two": 2, "three": 3, "holiday": None}
    assert {name: row["number"] for name, row in rows(root, stack="school").items()} == {"one": 1, "three": 3}
    assert list(rows(root, name="two")) == ["two"] and rows(root, name="four") == {}
    assert sorted(rows(root, name="latest")) == ["three", "two"]
    found = _listing.describe(root, NOW, stack="college")
    assert [stack["name"] for stack in found["stacks"]] == ["college"] and found["count"] == 1
    assert [stack["count"] for stack in _listing.describe(root, NOW)["stacks"]] == [1, 2]


def test_the_newest_good_one_is_neither_damaged_nor_incomplete(root):
    make(root, "good")
    make(root, "lacking", complete=False, incomplete=["files"])
    make(root, "bad")
    _notes.set_verified(root, "bad", 1.0, "in full", [{"path": "own.tar", "problem": "damaged"}])
    (stack,) = _listing.describe(root, NOW)["stacks"]
    assert stack["newest"]["name"] == "good" and stack["states"] == {"complete": 1, "incomplete": 1, "damaged": 1}
    assert [name for name, row in rows(root).items() if row["newest"]] == ["good"]


def test_a_stack_shows_its_jobs_and_what_is_at_work(root):
    make(root, "one")
    _notes.set_outcome(root, "school", "backup", NOW - 30, True, "made one", 1.5)
    _notes.set_outcome(root, "school", "verify", NOW - 60, False, "x\n" * 5000)
    _backup_set.begin(root, "school", "two", "me")
    _backup_set.begin_restore(root, "college", "one", "me", "t1", {"x": 1})
    _backup_set.end_restore(root, "college", "me", finished=False)
    college, school = _listing.describe(root, NOW)["stacks"]
    assert school["at_work"] == "backup 'two'" and school["unfinished_restore"] is None
    assert school["outcomes"]["backup"]["message"] == "made one" and school["outcomes"]["backup"]["age"] == 30
    assert school["outcomes"]["verify"]["ok"] is False and len(school["outcomes"]["verify"]["message"]) == 300
    assert college["newest"] is None and college["unfinished_restore"] == "one"
    assert rows(root)["two"]["state"] == "partial" and rows(root)["two"]["alive"] is True


@pytest.mark.parametrize("document", [
    {"moodle": [], "site": "x", "database": 7, "compose": None, "containers": {}, "mode": [1], "page": {"title": {}}},
    {"moodle": {"release": float("inf"), "wwwroot": "\ud800\x1b[31m"}, "site": {"fullname": "x" * 10 ** 6}},
    {"artefacts": [{"file": "filedir.sha1", "role": "filedir", "bytes": "many"}]},
    {"artefacts": [{"file": "filedir.sha1", "role": ["filedir"], "sha256": "zz"}]},
    {"artefacts": [{"file": "filedir.sha1", "role": "filedir", "sha256": "../../x", "bytes": -1}]},
])
def test_any_metadata_can_be_shown(root, document):
    begun = _backup_set.begin(root, "school", "one", "me")
    _backup_set.publish(root, "school", begun["name"], "me", document)
    text = json.dumps(_listing.describe(root, NOW), allow_nan=False)
    assert "\x1b" not in text and "\\ud800" not in text and "\\u001b" not in text


def test_names_that_no_terminal_should_see_are_made_harmless(root):
    make(root, "one")
    for name in (b"\xff\xfe", b"two\nlines\x1b[2J", b"y" * 255):
        os.mkdir(os.path.join(root.backups.encode(), name))
    found = rows(root)
    assert set(found) == {"one", "??", "two lines?[2J", "y" * 255}
    json.dumps(list(found)).encode("utf-8")


def test_hundreds_of_backups_take_no_time(root):
    folder = make(root, "first", files={"file %d" % number: b"x" for number in range(15)})
    with open(os.path.join(folder, "backup.json"), encoding="utf-8") as handle:
        document = json.load(handle)
    for number in range(300):
        name = "backup_%d" % number
        path = os.path.join(root.backups, name)
        os.mkdir(path)
        for entry in os.scandir(folder):
            if entry.name != "backup.json":
                os.link(entry.path, os.path.join(path, entry.name))
        with open(os.path.join(path, "backup.json"), "w", encoding="utf-8") as handle:
            json.dump(dict(document, name=name), handle)
    began = time.process_time()
    assert _listing.describe(root, NOW)["count"] == 301
    assert time.process_time() - began < 1.5
