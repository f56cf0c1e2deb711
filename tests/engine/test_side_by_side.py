# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""side_by_side with real jobs: they run together, and end together."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from database_server import PASSWORD, USER_PASSWORD, Server

MIB = 1 << 20
SIZE = 40 * MIB  # bytes in each of the two volumes
BIG = "CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 100) AS text FROM generate_series(1, 50000) i;"


@pytest.fixture(scope="module")
def server(engine, require_image):
    """A database server that takes some seconds to dump."""
    name = "mcb-test-%s" % os.urandom(4).hex()
    try:
        server = Server(engine, name, require_image("moodleclaude-test/postgresql:15"))
        server.drop()
        server.create(content=BIG, settings=False)
        yield server
    finally:
        engine.remove_container(name, volumes=True)


@pytest.fixture
def volumes(engine, prefix):
    """Two volumes with one file of random bytes each."""
    names = [prefix + "-one", prefix + "-two"]
    for name in names:
        engine.create_volume(name)
        with open(os.path.join(engine.volume(name)["Mountpoint"], "content"), "wb") as content:
            for _piece in range(SIZE // MIB):
                content.write(os.urandom(MIB))
    return names


@pytest.fixture
def start(module_environment, module_command):
    """A function that starts the module and returns its process (Popen); it is killed at the end if need be."""
    started = []

    def begin(**args):
        process = subprocess.Popen(module_command("side_by_side"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env=module_environment)
        started.append(process)
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": args}))
        process.stdin.close()
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def job(name, module, **args):
    return {"name": name, "module": module, "args": args}


def archive(volume, folder, **args):
    name = volume.rpartition("-")[2]
    return job(name, "volume_archive", volume=volume, dest=str(folder / name), **args)


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def below(pid):
    """Return the processes (list of int) that descend from one."""
    found = []
    for task in Path("/proc/%d/task" % pid).iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *below(int(child))]
    return found


def program(pid):
    """Return the name of the program that a process runs, or None if it has ended."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text().partition("(")[2].rpartition(")")
    except OSError:
        return None
    return None if fields[2].split()[0] in "ZX" else fields[0]


def nice(pid):
    return int(Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[16])


def test_two_archives_and_a_dump(server, volumes, run_module, tmp_path):
    dump = job("database", "database_dump", **server.login(dest=str(tmp_path / "dump")))
    result = run_module("side_by_side", {
        "jobs": [dump, *(archive(name, tmp_path) for name in volumes)], "nice": 3, "ionice": "best-effort",
    })
    assert result["changed"], result
    done = result["jobs"]
    assert set(done) == set(result["seconds"]) == {"database", "one", "two"}
    assert done["database"]["tables"] == {"public.big": 50000}
    for name in ("one", "two"):
        assert done[name]["files"] == 2 and done[name]["raw_size"] >= SIZE
        digest = subprocess.run(["sha256sum", done[name]["dest"]], capture_output=True, check=True, text=True).stdout
        assert digest.split()[0] == done[name]["sha256"]
    assert sorted(os.listdir(tmp_path)) == ["dump", "one", "two"]
    needed = result["space"][0]["jobs"]
    assert set(needed) == set(done) and needed["one"] >= SIZE
    shown = json.dumps(result)
    assert not any(json.dumps(secret)[1:-1] in shown for secret in (PASSWORD, USER_PASSWORD))


def test_check_mode_writes_nothing(server, volumes, run_module, tmp_path):
    dump = job("database", "database_dump", **server.login(dest=str(tmp_path / "dump")))
    result = run_module("side_by_side", {"jobs": [dump, archive(volumes[0], tmp_path)]}, check=True)
    assert result["changed"] and result["space"][0]["needed"] >= SIZE
    assert "size" not in result["jobs"]["one"]
    assert os.listdir(tmp_path) == []


@pytest.fixture
def small(tmp_path):
    """A function that makes a file system of some MiB; it is unmounted at the end."""
    folder = tmp_path / "small"
    folder.mkdir()

    def make(size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % size, "tmpfs", folder], check=True)
        return folder

    yield make
    subprocess.run(["umount", folder], check=False)


def test_a_failing_job_ends_the_others(server, volumes, start, small, tmp_path):
    """One archive fills its disk while a dump and another archive are in their midst."""
    folder = small(4)
    dump = job("database", "database_dump", **server.login(dest=str(tmp_path / "dump")))
    process = start(jobs=[dump, archive(volumes[0], tmp_path), archive(volumes[1], folder)], processes=3,
                    rate_limit="3M", check_space=False)
    until(lambda: {".dump.partial", ".one.partial"} <= set(os.listdir(tmp_path)))
    family = below(process.pid)
    result = json.loads(process.stdout.read())
    assert result["failed"] and result["job"] == "two", result
    assert result["msg"].startswith("job 'two': ") and "No space left on device" in result["msg"]
    assert not any(program(pid) for pid in family if pid != process.pid)
    assert (os.listdir(tmp_path), os.listdir(folder)) == (["small"], [])
    until(lambda: not any("pg_dump" in line for line in server.processes()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_without_the_module(server, volumes, start, tmp_path, number):
    dump = job("database", "database_dump", **server.login(dest=str(tmp_path / "dump")))
    process = start(jobs=[dump, *(archive(name, tmp_path) for name in volumes)], processes=3, rate_limit="1M",
                    check_space=False)
    until(lambda: {".dump.partial", ".one.partial", ".two.partial"} <= set(os.listdir(tmp_path)))
    until(lambda: {"tar", "zstd"} <= {program(pid) for pid in below(process.pid)})
    until(lambda: any("pg_dump" in line for line in server.processes()))
    family = below(process.pid)
    process.send_signal(number)
    process.wait(40)
    until(lambda: not any(program(pid) for pid in family))
    assert os.listdir(tmp_path) == []
    until(lambda: not any("pg_dump" in line for line in server.processes()))
    if number == signal.SIGTERM:
        assert json.loads(process.stdout.read())["msg"] == (
            "This was ended by SIGTERM, and so were its jobs. Run it again."
        )


def test_no_more_than_the_processes_that_are_allowed(volumes, start, tmp_path):
    """And all of them step back for others."""
    jobs = [dict(archive(volumes[number % 2], tmp_path, compression="none"), name=str(number)) for number in range(4)]
    for number, one in enumerate(jobs):
        one["args"]["dest"] = str(tmp_path / str(number))
    process = start(jobs=jobs, processes=2, rate_limit="60M", nice=11, ionice="idle", check_space=False)
    most, priorities = 0, set()
    while process.poll() is None:
        try:
            running = [pid for pid in below(process.pid) if program(pid) == "tar"]
            priorities |= {nice(pid) for pid in running}
        except OSError:
            continue  # one has ended meanwhile
        most = max(most, len(running))
        time.sleep(0.01)
    result = json.loads(process.stdout.read())
    assert sorted(result["jobs"]) == ["0", "1", "2", "3"], result
    assert most == 2
    assert priorities == {os.nice(0) + 11}


def test_the_rate_limit_is_for_all_jobs_together(volumes, run_module, tmp_path):
    result = run_module("side_by_side", {"jobs": [archive(name, tmp_path) for name in volumes], "rate_limit": "20M"})
    seconds = result["seconds"].values()
    assert max(seconds) >= 2 * SIZE / (20 * MIB) - 0.1
    assert min(seconds) > SIZE / (20 * MIB)  # neither had it for itself


def test_too_little_room_is_told_before_anything_is_written(volumes, run_module, small):
    folder = small(120)
    args = {"jobs": [archive(name, folder) for name in volumes]}
    before = folder.stat().st_mtime_ns
    for check in (True, False):
        result = run_module("side_by_side", args, check=check)
        assert result["failed"] and result["space"][0]["needed"] >= 2 * SIZE
        for word in (str(folder), "one 40.0 MiB", "two 40.0 MiB", "120.0 MiB are free", "check_space", "backups"):
            assert word in result["msg"]
    assert folder.stat().st_mtime_ns == before
    assert run_module("side_by_side", dict(args, space_margin="1M"))["changed"]


def test_room_that_is_not_checked_may_run_out(volumes, run_module, small):
    folder = small(60)
    result = run_module("side_by_side", {"jobs": [archive(name, folder) for name in volumes], "check_space": False})
    assert result["failed"] and "No space left on device" in result["msg"]
    assert os.listdir(folder) in ([], ["one"], ["two"])


@pytest.mark.parametrize("folder", ["there", "new"])
def test_room_is_checked_where_a_restore_writes(run_module, small, tmp_path, folder):
    """That is another file system than the backup's."""
    disk = small(70)
    (disk / "there").mkdir()
    content = os.urandom(8 * MIB)
    name = hashlib.sha1(content).hexdigest()
    blob = tmp_path / "pool" / name[:2] / name[2:4] / name
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    (tmp_path / "list").write_text("%s  pool/%s/%s/%s\n" % (name, name[:2], name[2:4], name))
    restore = job("filedir", "filedir_restore", src=str(tmp_path / "list"), pool=str(tmp_path / "pool"),
                  path=str(disk / folder), owner="0:0", file_mode="0600", folder_mode="0700")
    result = run_module("side_by_side", {"jobs": [restore]})
    assert result["failed"] and "filedir 8.0 MiB" in result["msg"] and str(disk) in result["msg"], result
    assert os.listdir(disk) == ["there"] and os.listdir(disk / "there") == []
    result = run_module("side_by_side", {"jobs": [restore], "space_margin": "1M"})
    assert result["changed"] and result["space"][0]["needed"] == len(content), result
    assert (disk / folder / name[:2] / name[2:4] / name).read_bytes() == content
