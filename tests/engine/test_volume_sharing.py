# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""volume_archive on the real engine: a tree that did not change shares the archive of an earlier backup."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time

import pytest
from odd_tree import make_odd_tree

OLD_ENOUGH = 2.1  # seconds after which a change is told from the next one
RECORD = ("size", "raw_size", "sha256", "files", "fingerprint")


def record(result):
    """What a backup keeps of an archive, as a later one is told of it."""
    return dict({key: result[key] for key in RECORD}, path=result["dest"])


def in_container(engine, name, *argv):
    return engine.run(name, list(argv), user="0")[1]


@pytest.fixture
def estimate(engine):
    """A function that asks how many bytes an archive may take."""
    from ansible_collections.moodleclaude.backup.plugins.module_utils._tree import ARCHIVE

    def ask(**args):
        params = {name: option.get("default") for name, option in ARCHIVE.options.items()}
        return ARCHIVE.estimate(engine, dict(params, **args))

    return ask


@pytest.fixture
def archived(ok, tmp_path):
    """A function that archives a tree into a folder of its own and returns the result."""

    def run(word, **args):
        (tmp_path / word).mkdir(exist_ok=True)
        return ok("volume_archive", dest=str(tmp_path / word / "tree"), **args)

    return run


@contextlib.contextmanager
def kept_young(path):
    """Make a link, and change its times all the while: a busy machine may be slow to look at it."""
    os.symlink("nowhere", path)
    ended = threading.Event()

    def touch():
        while not ended.wait(0.1):
            os.utime(path, follow_symlinks=False)

    toucher = threading.Thread(target=touch)
    toucher.start()
    try:
        yield
    finally:
        ended.set()
        toucher.join()


def test_a_volume_that_did_not_change(archived, volume, estimate, tmp_path):
    name, folder = volume("data")
    make_odd_tree(folder)
    with open(os.path.join(folder, "random"), "wb") as handle:
        handle.write(os.urandom(1 << 20))
    with kept_young(os.path.join(folder, "link that is young")):
        young = archived("young", volume=name)
    assert young["fingerprint"] is None and young["shared"] is False
    assert 1 << 20 < young["tree_size"] < 2 << 20
    time.sleep(OLD_ENOUGH)
    one = archived("one", volume=name, earlier=[record(young)])
    assert one["shared"] is False and len(one["fingerprint"]) == 64
    assert estimate(volume=name, earlier=[record(one)]) == 0
    two = archived("two", volume=name, earlier=[record(young), record(one)])
    assert two["shared"] is True and two["changed"]
    assert record(two) == dict(record(one), path=two["dest"])
    assert os.path.samefile(one["dest"], two["dest"])
    # Any of them can go.
    os.unlink(one["dest"])
    subprocess.run(["tar", "--zstd", "-tf", two["dest"]], check=True, stdout=subprocess.DEVNULL)
    three = archived("three", volume=name, earlier=[record(one), record(two)])
    assert three["shared"] is True
    # Another compression or another choice is another archive.
    assert archived("gzip", volume=name, earlier=[record(two)], compression="gzip")["shared"] is False
    assert archived("part", volume=name, earlier=[record(two)], exclude=["cache/*"])["shared"] is False
    # Over an older file, which may be the very same one.
    for _time in range(2):
        assert archived("gzip", volume=name, earlier=[record(two)], overwrite=True)["shared"] is True
        assert os.listdir(tmp_path / "gzip") == ["tree"]
    found = os.stat(os.path.join(folder, "owned"))
    with open(os.path.join(folder, "owned"), "wb") as handle:
        handle.write(b"CONTENT")
    os.utime(os.path.join(folder, "owned"), ns=(found.st_atime_ns, found.st_mtime_ns))
    time.sleep(OLD_ENOUGH)
    size = estimate(volume=name, earlier=[record(two)])
    changed = archived("changed", volume=name, earlier=[record(two)])
    assert changed["shared"] is False and changed["fingerprint"] not in (None, two["fingerprint"])
    assert changed["size"] * 0.8 < size < changed["size"] * 1.5
    content = subprocess.run(["tar", "--zstd", "-xOf", changed["dest"], "./owned"], capture_output=True, check=True)
    assert content.stdout == b"CONTENT"


def test_an_archive_that_cannot_be_shared(archived, volume, small_disk, ok):
    """On another file system, and damaged: then it is written anew."""
    name, folder = volume("data")
    with open(os.path.join(folder, "file"), "wb") as handle:
        handle.write(b"1")
    time.sleep(OLD_ENOUGH)
    one = archived("one", volume=name)
    result = ok("volume_archive", volume=name, dest=str(small_disk / "tree"), earlier=[record(one)])
    assert result["shared"] is False and result["sha256"] == one["sha256"]
    with open(one["dest"], "ab") as handle:
        handle.write(b"longer")
    two = archived("two", volume=name, earlier=[record(one)])
    assert two["shared"] is False and two["sha256"] == one["sha256"]


def test_wherever_the_tree_lies(engine, archived, container, volume, debian, tmp_path, estimate):
    """A bind mount, a single file, some paths, and a writable layer, whose files keep their numbers over a restart."""
    data, folder = volume("data")
    web = container("web", debian, [data + ":/var/www/html/data"])
    in_container(engine, web, "sh", "-ec", (
        "cd /etc/apache2; echo 1 >> apache2.conf; mkdir new; echo 2 > new/file; rm envvars; mv ports.conf conf-enabled/"))
    make_odd_tree(folder)
    time.sleep(OLD_ENOUGH)
    places = {
        "bind": {"path": folder},
        "file": {"volume": data, "path": "owned"},
        "parts": {"volume": data, "paths": ["odd folders", "cache/inner"]},
        "layer": {"container": web, "path": "/etc/apache2"},
        "code": {"container": web, "path": "/var/www"},
    }
    first = {word: archived(word, **where) for word, where in places.items()}
    assert all(result["shared"] is False for result in first.values())

    def again(suffix):
        return {word: archived(word + suffix, earlier=[record(first[word])], **where)["shared"]
                for word, where in places.items()}

    assert again("-again") == dict.fromkeys(places, True)
    engine.stop(web, 0)
    engine.start(web)
    assert again("-restarted") == dict.fromkeys(places, True)
    in_container(engine, web, "sh", "-c", "echo 3 > /etc/apache2/new/file")
    os.chmod(os.path.join(folder, "cache", "inner", "file"), 0o600)
    time.sleep(OLD_ENOUGH)
    assert again("-changed") == {"bind": False, "file": True, "parts": False, "layer": False, "code": True}


def test_through_the_api_nothing_is_known(archived, volume, debian, estimate):
    name, folder = volume("data")
    with open(os.path.join(folder, "file"), "wb") as handle:
        handle.write(os.urandom(1 << 20))
    time.sleep(OLD_ENOUGH)
    direct = archived("direct", volume=name)
    way = {"volume": name, "transport": "api", "image": debian}
    result = archived("api", earlier=[record(direct)], **way)
    assert result["fingerprint"] is None and result["shared"] is False and result["tree_size"] is None
    assert 1 << 20 <= estimate(**way) < 2 << 20
    assert estimate(earlier=[record(direct)], **way) == direct["size"]


def test_thirty_thousand_files_take_no_time(archived, volume):
    name, folder = volume("data")
    for number in range(30):
        os.mkdir(os.path.join(folder, str(number)))
        for other in range(1000):
            os.close(os.open(os.path.join(folder, str(number), str(other)), os.O_CREAT | os.O_WRONLY, 0o600))
    time.sleep(OLD_ENOUGH)
    one = archived("one", volume=name)
    started = time.monotonic()
    assert archived("two", volume=name, earlier=[record(one)])["shared"] is True
    # Most of it is the start of the program.
    assert time.monotonic() - started < 3


def test_a_tree_that_nobody_has_written_to_is_not_compared(archived, volume, ok, tmp_path):
    """Its fingerprint is enough: an archive that holds something else is not even looked at. Any change tells."""
    name, folder = volume("data")
    make_odd_tree(folder)
    time.sleep(OLD_ENOUGH)
    one = archived("one", volume=name, exclude=["cache/*"])
    subprocess.run(["tar", "-cf", tmp_path / "other", "-C", "/etc/apt", "."], check=True)
    asked = {"volume": name, "src": str(tmp_path / "other"), "compare": True, "exclude": ["cache/*"],
             "keep": ["cache/*"]}
    assert ok("volume_restore", fingerprint=one["fingerprint"], **asked)["different"] is False
    assert ok("volume_restore", **asked)["different"] is True
    assert ok("volume_restore", fingerprint=one["fingerprint"], **dict(asked, exclude=[]))["different"] is True
    with open(os.path.join(folder, "owned"), "ab") as handle:
        handle.write(b"more")
    assert ok("volume_restore", fingerprint=one["fingerprint"], **asked)["different"] is True
    time.sleep(OLD_ENOUGH)
    assert ok("volume_restore", fingerprint=one["fingerprint"], **asked)["different"] is True
