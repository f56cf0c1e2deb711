# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import concurrent.futures
import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _pool
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError, StorageError

CONTENTS = [b"", b"one", b"two" * 100_000]


def sha1(content):
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def pool(tmp_path):
    return _pool.Pool(str(tmp_path / "pools" / "school" / "filedir"))


def add(pool, *contents):
    with pool.writer() as writer:
        for content in contents:
            assert writer.add(sha1(content), iter([content[:1], content[1:]])) == len(content)


def files(pool):
    return sorted(os.path.join(base, name) for base, _folders, names in os.walk(pool.path) for name in names)


def overwrite(pool, content, other):
    path = pool.path_of(sha1(content))
    os.chmod(path, 0o600)
    with open(path, "wb") as handle:
        handle.write(other)


def flip_silently(pool, content):
    """Change one bit as a failing disk does: neither size nor mode nor time tells."""
    path, other = pool.path_of(sha1(content)), bytes([content[0] ^ 1]) + content[1:]
    state = os.stat(path)
    overwrite(pool, content, other)
    os.chmod(path, stat.S_IMODE(state.st_mode))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_blobs_are_stored_under_their_names_for_root_alone(pool):
    add(pool, *CONTENTS)
    assert files(pool) == sorted(pool.path_of(sha1(content)) for content in CONTENTS)
    for content in CONTENTS:
        path = pool.path_of(sha1(content))
        with open(path, "rb") as handle:
            assert handle.read() == content
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o400
        assert pool.has(sha1(content), len(content)) and pool.size(sha1(content)) == len(content)
        assert b"".join(pool.chunks(sha1(content))) == content
    for base, _folders, _files in os.walk(os.path.dirname(os.path.dirname(pool.path))):
        assert stat.S_IMODE(os.stat(base).st_mode) == 0o700


@given(content=st.binary(max_size=40), name=st.binary(max_size=40))
def test_only_the_right_content_is_accepted(tmp_path_factory, content, name):
    pool = _pool.Pool(str(tmp_path_factory.mktemp("p") / "filedir"))
    with pool.writer() as writer:
        stored = writer.add(sha1(name), iter([content]))
    assert stored == (len(content) if content == name else None)
    assert pool.state(sha1(name)) == (_pool.RIGHT if content == name else _pool.ABSENT)


@pytest.mark.parametrize("change", [
    lambda path: os.chmod(path, 0o600),
    os.utime,
    lambda path: os.truncate(path, 1),
    lambda path: (os.unlink(path), os.symlink("/etc/hostname", path)),
])
def test_what_was_touched_is_doubtful(pool, change):
    add(pool, b"one")
    change(pool.path_of(sha1(b"one")))
    assert pool.state(sha1(b"one"), 3) == _pool.DOUBTFUL


def test_another_size_is_doubtful(pool):
    add(pool, b"one")
    assert pool.state(sha1(b"one"), 4) == _pool.DOUBTFUL and pool.state(sha1(b"one"), 3) == _pool.RIGHT


def test_what_was_touched_without_harm_is_right_again(pool):
    add(pool, b"one")
    os.utime(pool.path_of(sha1(b"one")))
    assert pool.settle(sha1(b"one")) is True
    assert pool.state(sha1(b"one")) == _pool.RIGHT
    pool.save_record()
    assert not os.path.exists(pool.record.path)


def test_a_link_in_the_pool_is_not_followed(pool, tmp_path):
    add(pool, b"one")
    os.unlink(pool.path_of(sha1(b"one")))
    (tmp_path / "elsewhere").write_bytes(b"one")
    os.symlink(tmp_path / "elsewhere", pool.path_of(sha1(b"one")))
    assert pool.settle(sha1(b"one")) is False


def test_a_damaged_blob_stays_in_the_record_until_it_is_replaced(pool):
    add(pool, b"one", b"two")
    flip_silently(pool, b"one")
    assert pool.has(sha1(b"one"))  # a stat cannot see it
    pool.record.update(wrong=[sha1(b"one")])
    assert json.loads(open(pool.record.path).read()) == {"blobs": [sha1(b"one")], "files": {}}

    later = _pool.Pool(pool.path)
    assert later.state(sha1(b"one")) == _pool.DOUBTFUL and later.has(sha1(b"two"))
    assert later.settle(sha1(b"one")) is False
    later.save_record()
    assert later.record.read()["blobs"] == [sha1(b"one")]
    add(later, b"one")
    later.save_record()
    assert later.is_right(sha1(b"one")) and not os.path.exists(pool.record.path)


def test_the_record_keeps_what_others_write(pool):
    pool.record.update(wrong=["a"], wrong_files={"1": "x.tar"})
    pool.record.update(wrong=["b"], right=["c"])
    assert pool.record.read() == {"blobs": ["a", "b"], "files": {"1": "x.tar"}}
    pool.record.update(right=["a"], right_files={"1", "2"})
    assert pool.record.read() == {"blobs": ["b"], "files": {}}


def test_many_writers_of_the_record_lose_nothing(pool):
    names = ["%040x" % number for number in range(60)]
    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda name: _pool.DamagedRecord(pool.record.path).update(wrong=[name]), names))
    assert pool.record.read()["blobs"] == names


def test_a_record_without_news_is_not_written(pool):
    pool.record.update(right=["a"], right_files=["1"])
    assert not os.path.exists(os.path.dirname(pool.record.path))


def test_a_record_that_cannot_be_read_is_not_taken_for_an_empty_one(pool):
    pool.record.update(wrong=["a"])
    with open(pool.record.path, "w") as handle:
        handle.write('{"blobs": ')
    with pytest.raises(IntegrityError, match="damaged.json cannot be read"):
        _pool.Pool(pool.path)


def test_a_reader_that_fails_leaves_nothing(pool):
    def broken():
        yield b"on"
        raise OSError(5, "Input/output error")

    with pool.writer() as writer:
        with pytest.raises(OSError, match="Input/output error"):
            writer.add(sha1(b"one"), broken())
        assert writer.add(sha1(b"two"), iter([b"two"])) == 3
    assert files(pool) == [pool.path_of(sha1(b"two"))]
    assert [name for name in os.listdir(pool.path) if name.startswith(".")] == []


def test_an_interrupted_writer_publishes_nothing_more(pool):
    with pytest.raises(KeyboardInterrupt), pool.writer() as writer:
        writer.add(sha1(b"one"), iter([b"one"]))
        raise KeyboardInterrupt
    assert files(pool) == []


def test_nothing_has_its_name_before_it_is_on_disk(pool, monkeypatch):
    seen = []
    real = _pool.sync_file_system

    def watched(fd):
        real(fd)
        seen.append(len([path for path in files(pool) if "/.new_" not in path]))

    monkeypatch.setattr(_pool, "sync_file_system", watched)
    monkeypatch.setattr(_pool, "_BATCH_BLOBS", 2)
    add(pool, b"1", b"2", b"3")
    # Two are synced and renamed, then the third one, and in the end the names.
    assert seen == [0, 2, 3]


def test_threads_share_a_writer(pool, monkeypatch):
    monkeypatch.setattr(_pool, "_BATCH_BLOBS", 7)
    contents = [b"%d" % number for number in range(300)]
    with pool.writer() as writer, concurrent.futures.ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda content: writer.add(sha1(content), iter([content])), contents))
    assert len(files(pool)) == 300 and all(pool.is_right(sha1(content)) for content in contents)


def test_two_writers_may_store_the_same(pool):
    with pool.writer() as one, pool.writer() as two:
        one.add(sha1(b"one"), iter([b"one"]))
        two.add(sha1(b"one"), iter([b"one"]))
        two.add(sha1(b"two"), iter([b"two"]))
    assert len(files(pool)) == 2 and pool.is_right(sha1(b"one"))


_KILLED = """
import hashlib, os, sys
from ansible_collections.moodleclaude.backup.plugins.module_utils import _pool
_pool._BATCH_BLOBS = 3
with _pool.Pool(sys.argv[1]).writer() as writer:
    for number in range(100):
        content = b"%d" % number
        def chunks():
            yield content
            if number == 7:
                print("now", flush=True)
                sys.stdin.read()
        writer.add(hashlib.sha1(content).hexdigest(), chunks())
"""


def test_a_killed_writer_leaves_whole_blobs_and_the_next_one_tidies_up(pool):
    with subprocess.Popen([sys.executable, "-c", _KILLED, pool.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))) as process:
        assert process.stdout.readline() == b"now\n"
        with pool.writer():  # one that lives keeps its own
            assert len([name for name in os.listdir(pool.path) if name.startswith(".new_")]) == 2
        process.send_signal(signal.SIGKILL)
    left = [name for name in os.listdir(pool.path) if name.startswith(".new_")]
    assert len(left) == 1 and len(os.listdir(os.path.join(pool.path, left[0]))) == 2
    add(pool, b"new")
    names = [os.path.basename(path) for path in files(pool)]
    assert sorted(names) == sorted([sha1(b"new"), *(sha1(b"%d" % number) for number in range(6))])
    assert all(pool.is_right(name) for name in names)


def test_a_pool_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    pool = _pool.Pool(str(tmp_path / "file" / "filedir"))
    with pytest.raises(StorageError, match="The pool .*file/filedir cannot be written"), pool.writer():
        pass


def test_waiting_is_told_of_every_byte(pool):
    content, told = b"x" * (3 * _pool.CHUNK + 5), []
    add(pool, content)
    assert pool.is_right(sha1(content), told.append) and sum(told) == len(content)


def test_the_lock_of_the_record_is_given_back(pool):
    pool.record.update(wrong=["a"])
    with open(pool.record.path, "w") as handle:
        handle.write("x")
    with pytest.raises(IntegrityError):
        pool.record.update(wrong=["b"])
    os.unlink(pool.record.path)
    done = threading.Thread(target=pool.record.update, args=(["b"],), daemon=True)
    done.start()
    done.join(10)
    assert pool.record.read()["blobs"] == ["b"]


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_file_is_adopted_if_it_is_what_its_name_says(pool, tmp_path, monkeypatch, other_disk):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(CONTENTS[2])
    bad.write_bytes(b"c" + CONTENTS[2][1:])
    inode, rename = good.stat().st_ino, os.rename

    def refuse(source, target):
        if other_disk and source == str(good):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(_pool.os, "rename", refuse)
    with pool.writer() as writer:
        assert writer.adopt(sha1(CONTENTS[2]), str(bad)) is None
        assert writer.adopt(sha1(CONTENTS[2]), str(good)) == len(CONTENTS[2])
    assert pool.has(sha1(CONTENTS[2])) and pool.is_right(sha1(CONTENTS[2])) and bad.exists()
    assert (os.stat(pool.path_of(sha1(CONTENTS[2]))).st_ino == inode) is not other_disk
    assert len(files(pool)) == 1
