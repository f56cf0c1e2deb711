# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""filedir_archive on the real engine: what the pool holds is right and complete, whatever the site does meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

DEBIAN = "moodleclaude-test/php-apache:latest"
WAYS = ["direct", "exec", "busybox", "archive"]


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def content_of(number):
    return b"content %d\n" % number * (1 + number % 30)


class Site:
    """A volume with filedir and trashdir, and the root of backups. ways: arguments that reach it by each transport."""

    def __init__(self, folder, root, ways):
        self.filedir, self.trashdir = os.path.join(folder, "filedir"), os.path.join(folder, "trashdir")
        os.mkdir(self.filedir)
        self.ways = ways
        self.root = root
        self.pool = str(root / "pools" / "school" / "filedir")
        self.backup = root / "backups" / "one"
        self.backup.mkdir(parents=True)
        self.dest = str(self.backup / "filedir.sha1")

    def path(self, name, folder=None):
        return os.path.join(folder or self.filedir, name[:2], name[2:4], name)

    def put(self, content, name=None, folder=None):
        """Store a content as Moodle does: under another name first. Return its SHA-1."""
        name = name or sha1(content)
        path = self.path(name, folder)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".tmp", "wb") as handle:
            handle.write(content)
        os.rename(path + ".tmp", path)
        return name

    def delete(self, name):
        """Move a blob to the trash as Moodle does."""
        os.makedirs(os.path.dirname(self.path(name, self.trashdir)), exist_ok=True)
        os.rename(self.path(name), self.path(name, self.trashdir))

    def pooled(self, name):
        return self.path(name, self.pool)

    def hashes(self, word, names):
        path = self.root / word
        path.write_text("".join(name + "\n" for name in sorted(names)))
        return str(path)

    def listed(self):
        """Check the list with sha1sum and return its names."""
        with open(self.dest) as handle:
            lines = handle.read().splitlines()
        assert lines == sorted(lines)
        if lines:
            done = subprocess.run(["sha1sum", "--strict", "--quiet", "-c", "filedir.sha1"], cwd=self.backup,
                                  capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return [line[:40] for line in lines]


@pytest.fixture
def site(engine, prefix, tmp_path, tiny, require_image):
    name = "%s-data" % prefix
    folder = engine.create_volume(name)["Mountpoint"]
    stopped = "%s-stopped" % prefix
    engine.create_container(stopped, {"Image": tiny, "HostConfig": {"Binds": [name + ":/data"], "NetworkMode": "none"}})
    require_image(DEBIAN)
    inside = {"path": "/filedir", "trash": "/trashdir"}
    return Site(folder, tmp_path, {
        "direct": dict(inside, volume=name),
        "exec": dict(inside, volume=name, transport="api", image=DEBIAN),
        "busybox": dict(inside, volume=name, transport="api", image=tiny),
        "archive": {"container": stopped, "path": "/data/filedir", "trash": "/data/trashdir", "transport": "api"},
    })


@pytest.fixture
def store(run_module, site):
    """A function that runs filedir_archive, which must not fail."""

    def run(way="direct", check=False, **args):
        result = run_module("filedir_archive", dict(site.ways[way], pool=site.pool, **args), check)
        assert not result.get("failed"), result["msg"]
        assert result["transport"] == {"busybox": "exec"}.get(way, way)
        return result

    return run


def flip(path):
    """Change one bit as a failing disk does: neither size nor mode nor time tells."""
    state = os.stat(path)
    with open(path, "r+b") as handle:
        first = handle.read(1)[0]
        handle.seek(0)
        handle.write(bytes([first ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def named(*names):
    return {"count": len(names), "examples": sorted(names)}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_stores_everything_once(store, site, way):
    names = {site.put(content_of(number)) for number in range(300)} | {site.put(b""), site.put(b"x" * 3_000_000)}
    for base, _folders, files in os.walk(site.filedir):
        os.chmod(base, 0o2770)
        for entry in files:
            os.chmod(os.path.join(base, entry), 0o660)
            os.chown(os.path.join(base, entry), 33, 34)
    first = store(way, dest=site.dest)
    assert (first["files"], first["new"]) == (302, 302)
    assert first["attributes"] == {"owner": [33, 34], "file_mode": "0660", "folder_mode": "2770"}
    assert site.listed() == sorted(names)
    inodes = {name: os.stat(site.pooled(name)).st_ino for name in names}

    added = site.put(b"later")
    again = store(way, dest=site.dest, overwrite=True)
    assert (again["files"], again["new"], again["new_bytes"]) == (303, 1, 5)
    assert site.listed() == sorted({*names, added})
    assert inodes == {name: os.stat(site.pooled(name)).st_ino for name in names}
    nothing = store(way)
    assert (nothing["changed"], nothing["new"]) == (False, 0)


def test_a_repeat_reads_nothing(store, site):
    names = [site.put(content_of(number)) for number in range(50)]
    store()
    for name in names:  # were it read, its access time would change
        os.utime(site.path(name), (1, 1))
        os.utime(site.pooled(name), ns=(1, os.stat(site.pooled(name)).st_mtime_ns))
    assert store(dest=site.dest)["new"] == 0
    assert {os.stat(site.path(name)).st_atime for name in names} == {1}
    assert {os.stat(site.pooled(name)).st_atime_ns for name in names} == {1}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_dump_needs_is_found_wherever_it_is(store, site, way):
    stays, deleted, purged, gone, wrong = (site.put(b"file %d" % number) for number in range(5))
    unwanted = site.put(b"unwanted")
    missing_before = sha1(b"never there")
    with open(site.path(wrong), "wb") as handle:
        handle.write(b"overwritten")
    missing = str(site.root / "missing")
    live = [stays, deleted, purged, wrong, missing_before]
    first = store(way, expected=site.hashes("expected", live), missing_dest=missing)
    assert open(missing).read().split() == sorted([wrong, missing_before])
    assert first["rejected"] == named(wrong) and any("damaged on the site" in str(line) for line in first["warnings"])
    assert "missing" not in first

    site.delete(deleted)
    os.unlink(site.path(purged))
    os.unlink(site.path(gone))
    os.unlink(site.path(unwanted))
    late = site.put(b"stored and deleted between the passes")
    site.delete(late)
    new = site.put(b"new")
    needed = [stays, deleted, purged, late, wrong, missing_before, sha1(b"lost meanwhile")]
    last = store(way, required=site.hashes("required", needed), known_missing=missing, dest=site.dest)
    assert last["missing"] == named(sha1(b"lost meanwhile"))
    assert last["site_damage"] == named(wrong, missing_before)
    assert (last["promoted"], last["new"]) == (1, 2)
    assert site.listed() == sorted([stays, deleted, purged, late, new])


def test_a_first_pass_saves_what_is_only_in_the_trash(store, site):
    name = site.put(b"in the trash")
    bad = site.put(b"spoiled there")
    site.delete(name)
    site.delete(bad)
    with open(site.path(bad, site.trashdir), "wb") as handle:
        handle.write(b"other")
    missing = str(site.root / "missing")
    result = store(expected=site.hashes("expected", [name, bad]), missing_dest=missing)
    assert result["promoted"] == 1 and open(missing).read() == bad + "\n"
    shutil.rmtree(site.trashdir)
    assert store(required=site.hashes("required", [name]))["missing"] == named()


class Busy(threading.Thread):
    """A site at work: stores and deletes all the time, purges its trash only when told to."""

    def __init__(self, site):
        super().__init__()
        self._site, self._stop_now = site, threading.Event()
        self.rounds = 0

    def run(self):
        while not self._stop_now.is_set():
            number = 1000 + self.rounds
            self._site.put(content_of(number))
            if self.rounds >= 5:
                self._site.delete(sha1(content_of(number - 5)))
            shutil.rmtree(os.path.dirname(self._site.path("%040x" % (self.rounds % 200))), ignore_errors=True)
            self.rounds += 1

    def stop(self):
        self._stop_now.set()
        self.join()


@pytest.mark.parametrize("way", WAYS)
def test_a_site_that_writes_all_the_time_is_no_problem(store, site, way):
    names = {site.put(content_of(number)) for number in range(400)}
    busy = Busy(site)
    busy.start()
    try:
        missing, needed = str(site.root / "missing"), site.hashes("needed", names)
        first = store(way, expected=needed, missing_dest=missing)
        halfway = busy.rounds
        for name in sorted(names)[::2]:  # deleted after the dump
            site.delete(name)
        last = store(way, required=needed, known_missing=missing, dest=site.dest)
    finally:
        busy.stop()
    assert 0 < halfway < busy.rounds
    assert open(missing).read() == ""
    assert (first["rejected"], last["rejected"], last["missing"]) == (named(), named(), named())
    assert names <= set(site.listed())


def test_a_blob_that_is_deleted_while_the_pass_runs_comes_from_the_trash(engine, site, monkeypatch):
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _filedir, _filedir_live

    names = sorted(site.put(content_of(number)) for number in range(20))
    real = _filedir_live.DirectLive.read

    def moved_first(self, name):
        if os.path.exists(site.path(name)) and name == names[7]:
            site.delete(name)  # after it was listed, before it is opened
        return real(self, name)

    monkeypatch.setattr(_filedir_live.DirectLive, "read", moved_first)
    options = {name: option.get("default") for name, option in _filedir.FILEDIR_ARCHIVE.options.items()}
    params = dict(options, **site.ways["direct"], pool=site.pool, dest=site.dest, required=site.hashes("r", names))
    result = _filedir.archive(engine, params, False)
    assert (result["promoted"], result["missing"]["count"]) == (1, 0)
    assert site.listed() == names


def test_a_damaged_blob_in_the_pool_is_found_replaced_and_reported(store, site, run_module):
    names = [site.put(content_of(number)) for number in range(20)]
    store(dest=site.dest)
    flip(site.pooled(names[3]))
    flip(site.pooled(names[4]))
    silent = store(dest=site.dest, overwrite=True)
    assert silent["replaced"] == named()  # a stat cannot see it, so a backup is verified now and then
    publish_by_hand(site)
    checked = run_module("backup_verify", {"root": str(site.root), "name": "one"})
    assert sorted(problem["problem"] for problem in checked["problems"]) == ["damaged", "damaged"]
    assert all(problem["path"].startswith("../../pools/school/filedir/") for problem in checked["problems"])
    record = site.root / "pools" / "school" / "damaged.json"
    assert json.loads(record.read_text())["blobs"] == sorted(names[3:5])

    os.unlink(site.path(names[4]))
    replaced = store(dest=site.dest, overwrite=True, required=site.hashes("required", names))
    assert replaced["replaced"] == named(names[3]) and replaced["missing"] == named(names[4])
    assert any("Check the disk's health" in str(line) for line in replaced["warnings"])
    assert json.loads(record.read_text())["blobs"] == [names[4]]
    assert site.listed() == sorted(set(names) - {names[4]})

    site.put(content_of(4))
    store(dest=site.dest, overwrite=True)
    assert not record.exists()
    assert not run_module("backup_verify", {"root": str(site.root), "name": "one"}).get("failed")


def publish_by_hand(site):
    """Make the folder of the list a backup."""
    (site.backup / "backup.json").write_text(json.dumps({"stack": "school", "created": 1.0, "name": "one"}))
    lines = ["%s  %s\n" % (hashlib.sha256((site.backup / name).read_bytes()).hexdigest(), name)
             for name in ("backup.json", "filedir.sha1")]
    (site.backup / "backup_manifest.txt").write_text("".join(lines))


def test_a_blob_in_the_pool_that_was_written_to_is_found_without_a_record(store, site):
    name = site.put(b"content")
    store()
    with open(site.pooled(name), "wb") as handle:
        handle.write(b"c0ntent")
    assert store()["replaced"] == named(name)
    assert store(dest=site.dest)["replaced"] == named() and site.listed() == [name]


def test_links_and_other_things_are_never_followed(store, site, tmp_path):
    outside = tmp_path / "outside"
    name = site.put(b"outside", folder=str(outside))
    os.symlink(outside / name[:2], os.path.join(site.filedir, name[:2]))
    second = site.put(b"second", folder=str(outside))
    os.makedirs(os.path.dirname(site.path(second)))
    os.symlink(site.path(second, str(outside)), site.path(second))
    third = sha1(b"third")
    os.makedirs(os.path.join(site.filedir, third[:2]))
    os.symlink(outside, os.path.join(site.filedir, third[:2], third[2:4]))
    fifo = sha1(b"fifo")
    os.makedirs(os.path.dirname(site.path(fifo)), exist_ok=True)
    os.mkfifo(site.path(fifo))
    inside = site.put(b"inside")
    with open(os.path.join(site.filedir, "warning.txt"), "w") as handle:
        handle.write("Do not delete this")
    with open(site.path(inside) + ".tmp", "w") as handle:
        handle.write("half")
    for way in WAYS:
        result = store(way, dest=site.dest, overwrite=True, required=site.hashes("r", [name, second, inside]))
        assert site.listed() == [inside], way
        assert result["missing"] == named(name, second), way
        assert [line for line in result["warnings"] if "4 files of" in str(line)], (way, result["warnings"])
    assert os.listdir(os.path.join(site.pool, inside[:2])) == [inside[2:4]]


def test_a_killed_run_leaves_a_pool_that_the_next_one_uses(store, site, module_command, module_environment):
    names = {site.put(content_of(number)) for number in range(3000)}
    names |= {site.put(b"%d" % number * 10_000_000) for number in range(8)}
    arguments = dict(site.ways["direct"], pool=site.pool)
    with subprocess.Popen(module_command("filedir_archive"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=module_environment) as process:
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        process.stdin.close()
        deadline = time.monotonic() + 60
        while not incoming(site.pool):
            assert process.poll() is None and time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert incoming(site.pool) > 0
    store(dest=site.dest)
    assert site.listed() == sorted(names)
    assert [entry for entry in os.listdir(site.pool) if entry.startswith(".")] == []


def incoming(pool):
    """Return how many files are on their way into a pool."""
    if not os.path.isdir(pool):
        return 0
    return sum(len(os.listdir(os.path.join(pool, entry))) for entry in os.listdir(pool) if entry.startswith(".new_"))


def test_a_full_disk_is_named_and_leaves_nothing_half_done(run_module, store, site):
    names = {site.put(os.urandom(400_000)) for _number in range(20)}
    os.makedirs(os.path.dirname(site.pool))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "mcb-test", os.path.dirname(site.pool)], check=True)
    try:
        failed = run_module("filedir_archive", dict(site.ways["direct"], pool=site.pool, dest=site.dest))
        assert failed["failed"] and "cannot be written: No space left on device" in failed["msg"]
        assert not os.path.lexists(site.dest) and os.listdir(site.backup) == []
        found = [name for _base, _folders, files in os.walk(site.pool) for name in files]
        assert incoming(site.pool) == 0 and all(sha1(open(site.pooled(name), "rb").read()) == name for name in found)
        subprocess.run(["mount", "-o", "remount,size=40m", os.path.dirname(site.pool)], check=True)
        store(dest=site.dest)
        assert site.listed() == sorted(names)
    finally:
        subprocess.run(["umount", os.path.dirname(site.pool)], check=True)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_an_archive_holds_everything_and_needs_no_pool(store, site, tmp_path, compression):
    names = {site.put(content_of(number)) for number in range(50)} | {site.put(b"x" * 2_000_000)}
    for name in names:
        os.chown(site.path(name), 33, 33)
        os.chmod(site.path(name), 0o640)
    kept = site.put(b"deleted meanwhile")
    store()
    os.unlink(site.path(kept))
    dest = str(site.backup / "filedir.tar")
    result = store(dest=dest, archive=True, compression=compression, required=site.hashes("r", [kept]))
    assert not os.path.exists(site.pool) and os.listdir(site.backup) == ["filedir.tar"]
    assert result["files"] == 52 and result["sha256"] == hashlib.sha256(open(dest, "rb").read()).hexdigest()
    listing = subprocess.run(["tar", "--list", "--file", dest], check=True, capture_output=True, text=True)
    assert listing.stdout.split() == ["%s/%s/%s" % (name[:2], name[2:4], name) for name in sorted({*names, kept})]
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["tar", "--extract", "--file", dest, "-C", there], check=True)
    for name in names:
        path = site.path(name, str(there))
        assert sha1(open(path, "rb").read()) == name
        assert (os.stat(path).st_uid, os.stat(path).st_mode & 0o777) == (33, 0o640)


def test_check_mode_tells_and_writes_nothing(store, site):
    for number in range(5):
        site.put(b"%d" % number)
    told = store(check=True, dest=site.dest)
    assert (told["changed"], told["files"], told["new"], told["new_bytes"]) == (True, 5, 5, 5)
    assert not os.path.exists(site.dest) and not os.path.exists(site.pool)
    store()
    assert store(check=True)["changed"] is False


def test_the_estimate_is_what_is_new(engine, store, site):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir import FILEDIR_ARCHIVE

    site.put(b"12345")
    store()
    site.put(b"123")
    options = {name: option.get("default") for name, option in FILEDIR_ARCHIVE.options.items()}
    params = dict(options, **site.ways["direct"], pool=site.pool)
    assert FILEDIR_ARCHIVE.estimate(engine, params) == 3
    assert FILEDIR_ARCHIVE.estimate(engine, dict(params, archive=True)) == 11


def test_a_folder_that_is_not_there_is_an_error(run_module, site):
    result = run_module("filedir_archive", dict(site.ways["direct"], path="/nowhere", pool=site.pool))
    assert "There is no folder" in result["msg"] and not os.path.exists(site.pool)


def test_memory_does_not_grow_with_the_number_of_files(site, measure_module):
    peaks = []
    for start, end in ((0, 500), (500, 15_000)):
        for number in range(start, end):
            site.put(content_of(number))
        result, peak = measure_module("filedir_archive", dict(site.ways["direct"], pool=site.pool))
        assert result["files"] == end
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 8_000_000, peaks
