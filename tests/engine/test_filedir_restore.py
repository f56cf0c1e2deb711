# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""filedir_restore on the real engine, by every transport: the filedir holds what the list says, or what it held."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

DEBIAN = "moodleclaude-test/php-apache:latest"
TRANSPORTS = ["direct", "api"]
OWN = {"owner": "33:34", "file_mode": "0640", "folder_mode": "02750"}


def location(data):
    name = hashlib.sha1(data).hexdigest()
    return "%s/%s/%s" % (name[:2], name[2:4], name)


def blobs(*numbers):
    """Return {relative path: content} of the blobs with these numbers."""
    contents = [b"blob %d" % number * (1 + number % 50) for number in numbers]
    return {location(data): data for data in contents}


def fill(folder, files):
    for name, data in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def state(folder):
    """Return {relative path: (content or None, inode)} of everything in a folder, inodes of files alone."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_ino) if path.is_file() else (None, None)
        for path in Path(folder).rglob("*")
    }


def contents(folder):
    return {name: data for name, (data, _inode) in state(folder).items() if data is not None}


class Bed:
    """A volume with a damaged filedir, and a backup of a whole one."""

    def __init__(self, name, volume, base, image):
        self.live, self.pool, self.src = Path(volume) / "filedir", base / "pool", base / "filedir.sha1"
        self.where = {"volume": name, "path": "filedir", "image": image}
        self.wanted = blobs(*range(300), 1000)
        self.pool.mkdir()
        fill(self.pool, self.wanted)
        self.write_list(self.wanted)
        self.source = {"src": str(self.src), "pool": str(self.pool)}
        self.others = {"warning.txt": b"!", "unknown": b"?", "aa/bb/%s.tmp" % ("a" * 40): b"half"}
        self.counts = {"written": 43, "right": 258, "wrong": 2, "surplus": 5}

    def write_list(self, names):
        self.src.write_text("".join(sorted(
            "%s  ../../pools/school/filedir/%s\n" % (name[6:], name) for name in names)))

    def damage(self):
        wrong = dict(zip(blobs(3, 4), (b"shorter", blobs(4).popitem()[1].upper())))
        fill(self.live, {**blobs(*range(260)), **blobs(*range(2000, 2005)), **wrong, **self.others})
        self.live.chmod(0o2770)
        return state(self.live)

    def check_whole(self):
        assert contents(self.live) == {**self.wanted, **self.others}
        assert not list(self.live.glob(".moodle*"))


@pytest.fixture
def bed(engine, prefix, tmp_path, tiny):
    name = "%s-data" % prefix
    return Bed(name, engine.create_volume(name)["Mountpoint"], tmp_path, tiny)


@pytest.fixture
def ok(run_module):
    """A function that runs filedir_restore, which must not fail."""

    def run(check_mode=False, diff=False, **args):
        result = run_module("filedir_restore", args, check_mode, diff)
        assert not result.get("failed"), result
        return result

    return run


@pytest.fixture
def fails(run_module):
    """A function that runs filedir_restore, which must fail, and returns its message."""

    def run(**args):
        result = run_module("filedir_restore", args)
        assert result.get("failed"), result
        assert "Traceback" not in result["msg"]
        return result["msg"]

    return run


def picked(result, names):
    return {name: result[name] for name in names}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_phases(bed, ok, transport):
    """Every phase on a filedir that has all kinds of damage: forward, back, and each twice."""
    before = bed.damage()
    where = dict(bed.where, transport=transport, transaction="t1")
    bytes_written = sum(map(len, blobs(*range(260, 300), 3, 4, 1000).values()))

    def phase(name, changed, **args):
        for twice in (True, False):
            assert ok(check_mode=True, phase=name, **where, **args)["changed"] is changed
            result = ok(phase=name, **where, **args)
            assert result["changed"] is changed and result.get("transport", transport) == transport
            if name == "prepare":
                return result
            changed = changed and not twice
        return None

    predicted = ok(check_mode=True, diff=True, phase="prepare", **where, **bed.source)
    assert state(bed.live) == before
    result = phase("prepare", True, **bed.source, **OWN)
    for found in (predicted, result):
        assert picked(found, bed.counts) == bed.counts
        assert found["written_bytes"] == bytes_written
    assert predicted["diff"]["before"] == "right: 258\nmissing: 41\nwrong: 2\nsurplus: 5\n"
    assert predicted["diff"]["after"] == "right: 301\nmissing: 0\nwrong: 0\nsurplus: 0\n"
    assert {name: found for name, found in state(bed.live).items() if not name.startswith(".moodle")} == before
    phase("switch", True)
    phase("rollback", True)
    assert state(bed.live) == before
    phase("prepare", True, **bed.source, **OWN)
    phase("switch", True)
    phase("commit", True)
    bed.check_whole()
    now = state(bed.live)
    assert {name for name in before if name in now and before[name] == now[name] and before[name][0]} == {
        *blobs(*range(3), *range(5, 260)), *bed.others}
    for name in (*blobs(1000), *blobs(3)):
        found = (bed.live / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_nlink) == (33, 34, 0o640, 1)
    folder = (bed.live / blobs(1000).popitem()[0]).parent.stat()
    assert (folder.st_uid, folder.st_gid, folder.st_mode & 0o7777) == (33, 34, 0o2750)
    assert ok(**dict(where, transaction=None), **bed.source)["changed"] is False


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_absent_filedir(bed, ok, tmp_path, transport, archive):
    """All is written in one call, the folder too; and a rollback takes it away again."""
    source = bed.source
    if archive:
        source = {"src": str(tmp_path / "filedir.tar.zst")}
        write_archive(tmp_path / "filedir.tar", bed.wanted)
        subprocess.run(["zstd", "-q", str(tmp_path / "filedir.tar")], check=True)
    where = dict(bed.where, transport=transport)
    assert ok(check_mode=True, **where, **source)["written"] == 301
    assert not bed.live.exists()
    ok(phase="prepare", transaction="t1", **where, **source)
    ok(phase="switch", transaction="t1", **where)
    assert ok(phase="rollback", transaction="t1", **where)["changed"]
    assert not bed.live.exists()
    assert ok(phase="rollback", transaction="t1", **where)["changed"] is False
    result = ok(**where, **source, **OWN)
    assert result["changed"] and picked(result, bed.counts) == {"written": 301, "right": 0, "wrong": 0, "surplus": 0}
    bed.others = {}
    bed.check_whole()
    for path in (bed.live, *bed.live.rglob("*")):
        found = path.stat()
        wanted = (33, 34, 0o2750 if path.is_dir() else 0o640)
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == wanted
    inode = bed.live.stat().st_mtime_ns
    assert ok(**where, **source, **OWN)["changed"] is False
    assert bed.live.stat().st_mtime_ns == inode


def write_archive(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wrong_pool(bed, fails, transport):
    """A blob of the pool that is wrong, or missing, is named, and nothing of the site is touched."""
    before = bed.damage()
    where = dict(bed.where, transport=transport)
    name = blobs(1000).popitem()[0]
    (bed.pool / name).write_bytes(b"x" * len(bed.wanted[name]))
    for phase in ("all", "prepare"):
        message = fails(phase=phase, transaction="t1", **where, **bed.source)
        assert name in message and "Verify the backup" in message
        assert state(bed.live) == before
    (bed.pool / name).unlink()
    assert name in fails(**where, **bed.source)
    assert state(bed.live) == before
    assert "pool" in fails(**where, src=str(bed.src))


def test_estimate(engine, bed):
    """Told by sizes alone, and nothing is made for it."""
    from ansible_collections.moodleclaude.backup.plugins.module_utils._filedir_restore import FILEDIR_RESTORE

    params = {name: option.get("default") for name, option in FILEDIR_RESTORE.options.items()}
    params.update(bed.where, **bed.source)
    assert FILEDIR_RESTORE.estimate(engine, params) == sum(map(len, bed.wanted.values()))
    assert not bed.live.exists()
    before = bed.damage()
    missing = {**blobs(*range(260, 300), 1000), **blobs(3)}
    assert FILEDIR_RESTORE.estimate(engine, params) == sum(map(len, missing.values()))
    assert FILEDIR_RESTORE.estimate(engine, dict(params, phase="switch", transaction="t1", src=None)) == 0
    assert state(bed.live) == before


def test_room_is_asked_for_before_there_is_the_volume(engine, bed, run_module):
    """A restore onto an empty engine is refused before a job makes the volume."""
    args = {**bed.where, **bed.source, "volume": bed.where["volume"] + "-new"}
    job = {"name": "files", "module": "filedir_restore", "args": args}
    result = run_module("side_by_side", {"jobs": [job], "space_margin": "1000T"})
    assert result["failed"] and "There is not enough room in" in result["msg"]
    assert [place["jobs"] for place in result["space"]] == [{"files": sum(map(len, bed.wanted.values()))}]
    assert engine.volume(args["volume"]) is None


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_vanished_since_prepare(bed, ok, transport):
    bed.damage()
    where = dict(bed.where, transport=transport, transaction="t1")
    ok(phase="prepare", **where, **bed.source)
    for name in blobs(10, 11, 12):
        (bed.live / name).unlink()
    fill(bed.live, blobs(5000))
    ok(phase="switch", **where)
    ok(phase="commit", **where)
    bed.check_whole()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_links_are_not_followed(bed, ok, fails, tmp_path, transport):
    bed.damage()
    outside = tmp_path / "outside"
    first = sorted(blobs(7))[0][:2]
    shutil.move(str(bed.live / first), str(outside))
    (bed.live / first).symlink_to(outside)
    content = state(outside)
    where = dict(bed.where, transport=transport)
    assert "link" in fails(**where, **bed.source)
    assert state(outside) == content and not list(bed.live.glob(".moodle*"))
    (bed.live / first).unlink()
    ok(**where, **bed.source)
    assert state(outside) == content


@pytest.mark.parametrize("moment", ["part", "new", "old", "live"])
def test_killed_module(bed, ok, module_command, module_environment, moment):
    """kill -9 as soon as a folder of the transaction is there; a rollback brings back what was there."""
    before = bed.damage()
    where = dict(bed.where, transport="direct")
    folder = bed.live / (".moodle_backup_alone-blobs_%s" % moment)
    with subprocess.Popen(module_command("filedir_restore"), env=module_environment, stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as process:
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": dict(where, **bed.source)}).encode())
        process.stdin.close()
        while not folder.exists() and process.poll() is None:
            pass
        process.send_signal(signal.SIGKILL)
    outcome = ok(phase="rollback", transaction="alone", **where)
    if moment == "live" and outcome.get("warnings"):  # the commit was quicker than the kill
        bed.check_whole()
    else:
        assert outcome["changed"]
        assert state(bed.live) == before


# --- a container's writable layer -------------------------------------------------------------------------------


@pytest.fixture
def container(engine, prefix, require_image):
    """A function that creates a container of an image and returns its name."""

    def create(word, start):
        name = "%s-%s" % (prefix, word)
        engine.create_container(name, {
            "Image": require_image(DEBIAN), "Entrypoint": ["sleep", "600"], "Cmd": [], "StopSignal": "SIGKILL",
            "HostConfig": {"NetworkMode": "none"},
        })
        if start:
            engine.start(name)
        return name

    return create


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_writable_layer(engine, bed, ok, fails, container, tmp_path, transport, running):
    name = container("web", running)
    wrong = blobs(3).popitem()[0]
    write_archive(tmp_path / "layer.tar", {
        "filedir/" + path: data for path, data in {
            **blobs(*range(10)), **blobs(2000), wrong: b"damaged", "warning.txt": b"!"}.items()})
    engine.put_archive(name, "/srv", (tmp_path / "layer.tar").read_bytes())
    where = {"container": name, "path": "/srv/filedir", "transport": transport}
    assert "writable layer" in fails(phase="prepare", transaction="t1", **where, **bed.source)
    result = ok(**where, **bed.source, **OWN)
    assert picked(result, bed.counts) == {"written": 292, "right": 9, "wrong": 1, "surplus": 1}
    extra = blobs(2000) if transport == "api" and not running else {}
    assert result.get("extra", []) == sorted(extra)
    again = ok(**where, **bed.source, **OWN)
    assert again["changed"] is False and again["surplus"] == len(extra)
    for phase in ("switch", "commit", "rollback"):
        assert ok(phase=phase, transaction="t1", **where)["changed"] is False
    if not running:
        engine.start(name)
    listing = engine.run(name, ["sh", "-c", "cd /srv/filedir && find . -type f -exec sha1sum {} + && ls -a"])[1].decode()
    found = {line.split("  ./")[1]: line.split()[0] for line in listing.splitlines() if "  ./" in line}
    found.pop("warning.txt")
    assert found == {path: path[6:] for path in (*bed.wanted, *extra)}
    assert ".moodle" not in listing
