# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import (
    _backup_set,
    _catalog,
    _damage,
    _hash_list,
    _json_file,
    _lock,
    _notes,
    _pool,
    _stream,
    _verification,
    _verify,
    _verify_parts,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    IntegrityError,
    NotFoundError,
    StorageError,
    UsageError,
)

SHARED = b"an image" * 1000


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


def make(root, name, stack="school", blobs=(), link=None, files=()):
    """Make a backup with files, a hard link to one of another backup, and a list of blobs."""
    folder = _backup_set.begin(root, stack, name, "me")["folder"]
    artefacts = []
    for file, content in dict(files or {"own.tar": name.encode() * 10}).items():
        artefacts.append(write(os.path.join(folder, file), content))
    if link:
        os.link(os.path.join(root.backups, link, "image.tar"), os.path.join(folder, "image.tar"))
        artefacts.append({"role": "images", "file": "image.tar", "size": len(SHARED),
                          "sha256": hashlib.sha256(SHARED).hexdigest()})
    if blobs:
        dest = os.path.join(folder, _hash_list.FILENAME)
        prefix = _hash_list.pool_prefix(root.pool(stack), dest)
        with _pool.Pool(root.pool(stack)).writer() as writer:
            for content in blobs:
                writer.add(sha1(content), iter([content]))
        text = "".join(_hash_list.render(one, prefix) for one in sorted(map(sha1, blobs)))
        artefacts.append(dict(write(dest, text.encode()), role="filedir", bytes=sum(map(len, blobs))))
    return _backup_set.publish(root, stack, name, "me", {"artefacts": artefacts})["folder"]


def write(path, content):
    with open(path, "wb") as handle:
        handle.write(content)
    return {"role": "data", "file": os.path.basename(path), "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest()}


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def blob(root, content, stack="school"):
    return _pool.Pool(root.pool(stack)).path_of(sha1(content))


def flip(path):
    """Change a bit as a bad disk does, which no stat shows."""
    state = os.stat(path)
    os.chmod(path, 0o600)
    with open(path, "r+b") as handle:
        first = handle.read(1)
        handle.seek(0)
        handle.write(bytes([first[0] ^ 1]))
    os.chmod(path, state.st_mode)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def fails(function, *arguments, **options):
    with pytest.raises(IntegrityError) as caught:
        function(*arguments, **options)
    return caught.value


def states(root):
    return {entry["name"]: entry["state"] for entry in _catalog.survey(root)}


def verified(root, name):
    return _notes.read(root, name).get("verified")


@pytest.fixture
def three(root):
    """Three backups that share an archive and blobs."""
    make(root, "one", files={"image.tar": SHARED}, blobs=[b"a" * 1000, b"b" * 2000])
    make(root, "two", link="one", blobs=[b"a" * 1000, b"c" * 300])
    make(root, "three", link="one")
    return root


def everything(root, *stacks):
    """Return how many bytes there are to read, each once."""
    sizes = {}
    for base, _folders, files in os.walk(root.path):
        for file in files:
            path = os.path.join(base, file)
            inside = os.path.relpath(path, root.path).split(os.sep)
            if file != "backup_manifest.txt" and (inside[0] == "backups" or "filedir" in inside):
                sizes[os.stat(path).st_ino] = os.path.getsize(path)
    return sum(sizes.values())


# --- one backup -----------------------------------------------------------------------------------------------------


def test_what_reading_has_found_is_noted(three):
    result = _verification.verify_one(three, "latest", "school")
    assert result["backup"]["name"] == "three" and result["files"] == 3 and result["damaged"] == []
    assert verified(three, "three")["ok"] is True and verified(three, "three")["how"] == "in full"
    outcome = _notes.outcomes(three, "school")["verify"]
    assert outcome["ok"] is True and outcome["message"] == result["stacks"][0]["message"]
    assert "Backup three of stack school is whole: 3 files in %s" % three.folder("three") in outcome["message"]


def test_in_check_mode_nothing_is_noted(three):
    flip(blob(three, b"a" * 1000))
    before = sorted(os.listdir(three.path))
    fails(_verification.verify_one, three, "one", None, record=False)
    fails(_verification.verify_parts, three, None, 3, record=False)
    assert sorted(os.listdir(three.path)) == before and not os.path.exists(three.path + "/pools/school/verify.json")
    assert set(states(three).values()) == {"complete"}


def test_a_damaged_archive_is_named_with_all_that_share_it(three):
    flip(os.path.join(three.folder("two"), "image.tar"))
    error = fails(_verification.verify_one, three, "one", None)
    assert error.details["problems"] == [{"path": "image.tar", "problem": "damaged"}]
    assert error.details["damaged"] == [{"path": "backups/one/image.tar", "problem": "damaged",
                                         "needed_by": ["one", "three", "two"], "good_copy": "no other copy is known"}]
    assert ("backups/one/image.tar (damaged), needed by one, three, two; good copy: no other copy is known"
            in error.describe())
    assert states(three) == {"one": "damaged", "two": "damaged", "three": "damaged"}
    assert verified(three, "two")["problems"] == [{"path": "image.tar", "problem": "damaged"}]
    assert verified(three, "two")["how"] == "partly" and verified(three, "one")["how"] == "in full"
    assert _notes.outcomes(three, "school")["verify"]["ok"] is False


def test_a_good_copy_in_another_backup_is_found_and_its_backup_stays_good(three):
    make(three, "own", stack="college", files={"photo.tar": SHARED})
    make(three, "mine", files={"image.tar": SHARED})
    flip(os.path.join(three.folder("one"), "image.tar"))
    (damaged,) = fails(_verification.verify_one, three, "one", None).details["damaged"]
    assert damaged["good_copy"] in ("backups/own/photo.tar", "backups/mine/image.tar")
    assert damaged["needed_by"] == ["one", "three", "two"]
    assert states(three) == {"one": "damaged", "two": "damaged", "three": "damaged", "own": "complete",
                             "mine": "complete"}


def test_a_copy_that_is_bad_too_is_no_good_copy(three):
    make(three, "mine", files={"image.tar": SHARED})
    flip(os.path.join(three.folder("mine"), "image.tar"))
    flip(os.path.join(three.folder("one"), "image.tar"))
    (damaged,) = fails(_verification.verify_one, three, "one", None).details["damaged"]
    assert damaged["good_copy"] == "no other copy is known"


def test_a_copy_elsewhere_is_the_next_best(three):
    _notes.set_copy(three, "two", "offsite", "rsync", "backup@host.example:/srv", 1.0)
    flip(os.path.join(three.folder("one"), "image.tar"))
    (damaged,) = fails(_verification.verify_one, three, "one", None).details["damaged"]
    assert damaged["good_copy"] == "copy offsite (rsync, backup@host.example:/srv) of backup two"


def test_damaged_and_missing_blobs_are_named_with_the_lists_that_need_them(three):
    flip(blob(three, b"a" * 1000))
    os.unlink(blob(three, b"b" * 2000))
    make(three, "clone", stack="college", blobs=[b"b" * 2000])
    error = fails(_verification.verify_one, three, "one", None)
    assert {one["path"].rpartition("/")[2]: (one["problem"], one["needed_by"], one["good_copy"])
            for one in error.details["damaged"]} == {
        sha1(b"a" * 1000): ("damaged", ["one", "two"], _damage._FROM_SITE),
        sha1(b"b" * 2000): ("missing", ["one"], os.path.relpath(blob(three, b"b" * 2000, "college"), three.path)),
    }
    assert states(three) == {"one": "damaged", "two": "damaged", "three": "complete", "clone": "complete"}
    inside = "../../" + os.path.relpath(blob(three, b"a" * 1000), three.path)
    assert verified(three, "two")["problems"] == [{"path": inside, "problem": "damaged"}]


def test_a_manifest_that_says_nothing_is_noted_too(three):
    with open(os.path.join(three.folder("one"), "backup_manifest.txt"), "w", encoding="utf-8") as handle:
        handle.write("x")
    fails(_verification.verify_one, three, "one", None)
    assert verified(three, "one")["ok"] is False and states(three)["one"] == "damaged"
    assert _notes.outcomes(three, "school")["verify"]["ok"] is False


def test_a_stranger_belongs_to_nobody(three):
    open(os.path.join(three.folder("one"), "stranger"), "w", encoding="utf-8").close()
    (damaged,) = fails(_verification.verify_one, three, "one", None).details["damaged"]
    assert damaged["needed_by"] == ["one"] and damaged["good_copy"].startswith("it does not belong to the backup")


@pytest.mark.parametrize("verify", [
    lambda root: _verification.verify_one(root, "one", None), lambda root: _verification.verify_parts(root, None, 1)])
def test_a_backup_cannot_be_removed_while_it_is_read(three, monkeypatch, verify):
    tried, real = [], _stream.sha256_of

    def read(path):
        fd = os.open(three.folder("one"), os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            tried.append("removed")
        except BlockingIOError:
            tried.append("kept")
        finally:
            os.close(fd)
        return real(path)

    monkeypatch.setattr(_verify, "sha256_of", read)
    monkeypatch.setattr(_verify_parts, "sha256_of", lambda path: read(path) if "/one/" in path else real(path))
    verify(three)
    assert set(tried) == {"kept"}


def test_what_was_repaired_counts_again(three):
    path = os.path.join(three.folder("one"), "image.tar")
    flip(path)
    fails(_verification.verify_one, three, "one", None)
    flip(path)
    for name in ("one", "two", "three"):
        _verification.verify_one(three, name, None)
    assert set(states(three).values()) == {"complete"}


@pytest.mark.parametrize(("number", "warnings"), [(errno.EROFS, 0), (errno.EACCES, 0), (errno.ENOSPC, 3)])
def test_where_nothing_can_be_noted_the_backup_is_verified_all_the_same(three, monkeypatch, number, warnings):
    def refuse(path, change):
        raise StorageError("no") from OSError(number, "no")

    monkeypatch.setattr(_json_file, "update", refuse)
    assert len(_verification.verify_one(three, "one", None)["warnings"]) == min(warnings, 2)
    assert len(_verification.verify_parts(three, None, 2)["warnings"]) == min(warnings, 2)


# --- in turns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_so_many_runs_read_every_byte_once(three, parts):
    make(three, "far", stack="college", blobs=[b"a" * 1000])
    results = [_verification.verify_parts(three, None, parts) for _number in range(parts)]
    assert sum(result["bytes_read"] for result in results) == everything(three)
    assert [stack["part"] for result in results for stack in result["stacks"] if stack["stack"] == "school"] == list(
        range(1, parts + 1))
    assert [result["stacks"][0]["round_ended"] for result in results] == [False] * (parts - 1) + [True]
    how = "in full" if parts == 1 else "in %d parts" % parts
    for name in ("one", "two", "three", "far"):
        assert verified(three, name)["ok"] is True and verified(three, name)["how"] == how
    assert not os.path.exists(os.path.join(three.path, "pools/school/verify.json"))
    assert _notes.outcomes(three, "college")["verify"]["ok"] is True


def test_a_stack_can_be_read_alone(three):
    make(three, "far", stack="college")
    assert [stack["stack"] for stack in _verification.verify_parts(three, "college", 1)["stacks"]] == ["college"]
    assert verified(three, "one") is None


def test_what_is_damaged_is_found_within_a_round(three):
    flip(os.path.join(three.folder("one"), "image.tar"))
    flip(blob(three, b"a" * 1000))
    os.unlink(blob(three, b"c" * 300))
    found = []
    for _number in range(4):
        try:
            _verification.verify_parts(three, None, 4)
        except IntegrityError as error:
            assert all("%(path)s (%(problem)s), needed" % one in error.describe() for one in error.details["damaged"])
            found += error.details["damaged"]
    assert {one["path"].rpartition("/")[2]: (one["problem"], one["needed_by"]) for one in found} == {
        "image.tar": ("damaged", ["one", "three", "two"]), sha1(b"a" * 1000): ("damaged", ["one", "two"]),
        sha1(b"c" * 300): ("missing", ["two"])}
    assert len(found) == 3
    assert set(states(three).values()) == {"damaged"}
    record = _pool.Pool(three.pool("school")).record.read()
    assert record == {"blobs": [sha1(b"a" * 1000)], "files": {hashlib.sha256(SHARED).hexdigest(): "image.tar"}}
    for name in ("one", "two", "three"):
        assert verified(three, name)["ok"] is False


def test_what_is_right_again_is_taken_out_of_the_record_and_counts(three):
    test_what_is_damaged_is_found_within_a_round(three)
    flip(os.path.join(three.folder("one"), "image.tar"))
    flip(blob(three, b"a" * 1000))
    with _pool.Pool(three.pool("school")).writer() as writer:
        writer.add(sha1(b"c" * 300), iter([b"c" * 300]))
    for _number in range(4):
        _verification.verify_parts(three, None, 4)
    assert set(states(three).values()) == {"complete"}
    assert not os.path.exists(os.path.join(three.path, "pools/school/damaged.json"))


@pytest.mark.parametrize(("spoil", "path", "problem"), [
    (lambda path: os.truncate(path, 100), "filedir.sha1", "damaged"),
    (os.unlink, "filedir.sha1", "missing"), (os.unlink, "image.tar", "missing"),
    (lambda path: os.truncate(path, 1), "image.tar", "damaged"), (shutil.rmtree, "", None),
    (lambda path: write(path + ".more", b"x"), "image.tar", "unknown"),
])
def test_what_a_look_shows_is_found_in_every_run(three, spoil, path, problem):
    _verification.verify_parts(three, None, 9)
    spoil(os.path.join(three.folder("two"), path))
    if problem is None:  # removed by somebody: it is no backup any more, and no damage
        _verification.verify_parts(three, None, 9)
        return
    for _number in range(2):
        error = fails(_verification.verify_parts, three, None, 9)
        named = [one for one in error.details["damaged"] if one["problem"] == problem]
        assert any("two" in one["needed_by"] for one in named)
    assert states(three)["two"] == "damaged"


def test_broken_backups_are_damage(three):
    os.unlink(os.path.join(three.folder("two"), "backup_manifest.txt"))
    with open(os.path.join(three.folder("three"), "backup.json"), "w", encoding="utf-8") as handle:
        handle.write("{")
    error = fails(_verification.verify_parts, three, None, 5)
    assert sorted(one["path"] for one in error.details["damaged"]) == ["backups/three", "backups/two"]
    assert "no stack is known of it: backups/three" in error.describe()


def test_only_backups_that_a_whole_round_has_seen_are_verified(three):
    _verification.verify_parts(three, None, 3)
    make(three, "new", blobs=[b"new"])
    _verification.verify_parts(three, None, 3)
    shutil.rmtree(three.folder("two"))
    make(three, "two")  # another one of that name
    result = _verification.verify_parts(three, None, 3)
    assert result["stacks"][0]["verified"] == ["one", "three"]
    assert verified(three, "new") is None and verified(three, "two") is None


def test_what_somebody_else_has_found_bad_meanwhile_stays_bad(three):
    _verification.verify_parts(three, None, 2)
    _notes.set_verified(three, "one", 4e9, "in full", [{"path": "image.tar", "problem": "damaged"}])
    assert _verification.verify_parts(three, None, 2)["stacks"][0]["verified"] == ["three", "two"]
    assert states(three)["one"] == "damaged"


def test_a_backup_that_is_removed_meanwhile_is_no_damage(three, monkeypatch):
    def gone(folder):
        shutil.rmtree(folder, ignore_errors=True)
        raise NotFoundError("gone")

    monkeypatch.setattr(_backup_set, "reading", gone)
    os.unlink(blob(three, b"b" * 2000))  # a clean-up has removed it with the only backup that needed it
    assert _verification.verify_parts(three, None, 1)["damaged"] == []
    assert not os.path.exists(os.path.join(three.path, "notes"))


def test_a_backup_that_is_removed_between_two_looks_is_none(three, monkeypatch):
    real = _catalog.survey

    def survey(root):
        found = real(root)
        shutil.rmtree(root.folder("two"), ignore_errors=True)
        return found

    monkeypatch.setattr(_catalog, "survey", survey)
    result = _verification.verify_parts(three, None, 1)
    assert result["damaged"] == [] and result["stacks"][0]["verified"] == ["one", "three"]
    assert verified(three, "two") is None


def test_two_runs_at_once_do_no_harm(three, monkeypatch):
    _verification.verify_parts(three, None, 4)
    path, real = os.path.join(three.path, "pools/school/verify.json"), _json_file.read
    before = [real(path)]
    _verification.verify_parts(three, None, 4)
    # One that has begun at the same time as the last one.
    monkeypatch.setattr(_json_file, "read", lambda other: before.pop() if other == path and before else real(other))
    _verification.verify_parts(three, None, 4)
    assert before == [] and real(path)["left"] == 2
    for left in (1, None):
        _verification.verify_parts(three, None, 4)
        assert real(path).get("left") == left


def test_very_many_bad_blobs_are_counted(three, monkeypatch):
    monkeypatch.setattr(_damage, "_NAMED", 1)
    shutil.rmtree(three.pool("school"))
    damaged = fails(_verification.verify_parts, three, None, 1).details["damaged"]
    assert [one["problem"] for one in damaged] == ["missing", "2 more missing or damaged"]
    assert damaged[1]["needed_by"] == ["one", "two"] and damaged[1]["path"] == "pools/school/filedir"
    assert states(three) == {"one": "damaged", "two": "damaged", "three": "complete"}


def test_what_cannot_be_is_refused(three):
    with pytest.raises(UsageError, match="parts is -1"):
        _verification.verify_parts(three, None, -1)
    with pytest.raises(NotFoundError, match="no backup of stack 'university'") as caught:
        _verification.verify_parts(three, "university", 1)
    assert caught.value.hint == "There are some of: school."
    with pytest.raises(NotFoundError, match="There is no backup in"):
        _verification.verify_parts(_backup_set.Root(three.path + "/none"), None, 1)


def test_few_of_many_are_named():
    many = [{"path": "p%d" % number, "problem": "damaged", "needed_by": ["b%d" % one for one in range(9)],
             "good_copy": "none"} for number in range(7)]
    text = _damage.say(many)
    assert "p4 (damaged)" in text and "p5" not in text and text.endswith("and 2 more")
    assert "needed by b0, b1, b2, b3, b4 and 4 more" in text


def test_later_parts_say_that_an_earlier_one_was_damaged(three):
    os.unlink(blob(three, b"b" * 2000))
    said = []
    for _number in range(20):  # more than there are things to read
        try:
            said.append(_verification.verify_parts(three, None, 20)["stacks"][0])
        except IntegrityError as error:
            said.append(error.details["stacks"][0])
    assert sum(1 for one in said if "is DAMAGED: pools/" in one["message"]) == 1
    assert said[-1]["bad"] == ["one"] and said[-1]["verified"] == ["three", "two"]
    assert said[-1]["message"].endswith(
        "but an earlier part of one was; with that all is read, and whole is: three, two")
