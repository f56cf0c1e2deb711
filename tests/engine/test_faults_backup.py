# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup that goes wrong leaves nothing behind, stops nothing, blocks nothing, and says what was wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from lab.play import Play, run
from lab.site import Site
from lab.state import differences

STACK = "mcb-mol-faults-web"


@pytest.fixture(scope="module")
def site():
    made = Site("mcb-mol-faults")
    try:
        made.destroy()
        made.create()
        # Reading this takes long enough to be interrupted, and does not compress.
        made.sh("head -c 200000000 /dev/urandom > %s/noise" % made.data_path)
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def settings(site):
    """Variables of the playbooks."""
    return {"moodle_backup_root": str(site.backups), "moodle_backup_container": site.web, "moodle_backup_images": False}


def children(pid):
    return [int(child) for task in Path("/proc/%d/task" % pid).iterdir() for child in (task / "children").read_text().split()]


def alive(pid):
    """True if a process still works, even if for nobody."""
    try:
        return Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def complete(site):
    """Return the names of the folders that count as backups."""
    folder = site.backups / "backups"
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".")) if folder.is_dir() else []


def traces(site):
    """Return what an unfinished backup may have left below the backup root (list of str)."""
    return sorted(str(path.relative_to(site.backups)) for path in site.backups.rglob("*")
                  if path.name.startswith(".") or path.parent.name in ("locks", "restores") or ".partial" in str(path))


def running(site):
    return {item.name: item.status for item in site.engine.containers.list(all=True, ignore_removed=True)
            if item.name.startswith(site.name)}


def partial(site, pattern):
    """Return a function that tells whether a file of a partial backup has begun to grow."""

    def grown():
        with contextlib.suppress(FileNotFoundError):
            return any(path.stat().st_size > 0 for path in site.backups.glob("backups/.partial_*/%s" % pattern))
        return False

    return grown


def sessions_of_pg_dump(site):
    return int(site.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_dump%'"))


@contextlib.contextmanager
def waiting_dump(site, settings):
    """A backup whose pg_dump waits for somebody else's lock for as long as this is entered."""
    lock = subprocess.Popen(
        ["docker", "exec", "-i", site.db, "psql", "-qU", site.dbuser, site.dbname], stdin=subprocess.PIPE)
    try:
        lock.stdin.write(b"BEGIN; LOCK TABLE mdl_logstore_standard_log IN ACCESS EXCLUSIVE MODE;\n")
        lock.stdin.flush()
        # The estimate of the space needed would wait for the lock, too.
        play = Play("backup", dict(settings, moodle_backup_check_space=False))
        play.wait_for(lambda: sessions_of_pg_dump(site), "pg_dump")
        yield play
    finally:
        with contextlib.suppress(BrokenPipeError):
            lock.stdin.close()
        lock.wait()


def nothing_is_wrong(site, kept):
    """Assert that there are just these backups and that the site runs."""
    assert complete(site) == kept
    assert set(running(site).values()) == {"running"}


def test_killed_anywhere(site, settings):
    """After a power cut at any point the next run works at once, and leaves only itself."""

    def when(what, condition):
        play = Play("backup", settings)
        play.wait_for(condition, what)
        play.kill()

    when("its beginning", (site.backups / "backups").is_dir)
    nothing_is_wrong(site, [])
    with waiting_dump(site, settings) as play:
        play.kill()
    nothing_is_wrong(site, [])
    when("the data", partial(site, ".moodledata.tar.zst*"))
    nothing_is_wrong(site, [])
    # All files are there by then, and are read once more before it is published.
    when("the end", partial(site, "backup.json"))
    nothing_is_wrong(site, [])
    assert traces(site) != []

    code, output = run("backup", dict(settings, moodle_backup_name="after"))
    assert code == 0, output
    nothing_is_wrong(site, ["after"])
    assert traces(site) == []
    assert sessions_of_pg_dump(site) == 0
    code, output = run("verify", settings)
    assert code == 0 and "Backup after of stack %s" % STACK in output
    shutil.rmtree(site.backups)


@pytest.fixture(scope="module")
def first(site, settings):
    """A complete backup, and what the site was when it was made."""
    code, output = run("backup", dict(settings, moodle_backup_name="first"))
    assert code == 0, output
    return site.state()


def fails(settings, *expected, **changed):
    """Run a backup that has to fail, and assert that its message has all these texts."""
    code, output = run("backup", dict(settings, **changed))
    message = output.rsplit("No backup was made on localhost: ", maxsplit=1)[-1]
    assert code != 0
    for text in expected:
        assert text in message
    if "moodle_backup_root" not in changed:  # elsewhere there is no room for a note
        noted = json.loads(Path(settings["moodle_backup_root"], "outcomes", STACK + ".json").read_text())["backup"]
        assert not noted["ok"] and noted["message"].startswith("No backup was made on localhost: ")
        assert all(text in noted["message"] for text in expected)
    return message


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("victim", ["module", "job"])
def test_module_killed(site, settings, victim):
    """The death of the module ends the backup cleanly, and so does that of one of its jobs."""
    site.sh("touch %s/noise" % site.data_path)  # or the archive of the first backup would do
    play = Play("backup", settings)
    pid = play.wait_for(lambda: partial(site, ".moodledata.tar.zst*")() and play.module("side_by_side"), "the data")
    jobs = children(pid)
    os.kill(pid if victim == "module" else jobs[0], signal.SIGKILL)
    assert play.wait() != 0
    assert 'No backup was made on localhost: "Write the artefacts side by side" failed.' in play.output
    assert not any(alive(child) for child in jobs)
    nothing_is_wrong(site, ["first"])
    assert traces(site) == []


@pytest.mark.usefixtures("first")
def test_disk_full(site, settings):
    root = site.folder / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "tmpfs", root], check=True)
    try:
        # The estimate knows; without it, the disk says so when it is full.
        fails(settings, "There is not enough room in", "moodledata", moodle_backup_root=str(root))
        assert [*root.glob("backups/*"), *root.glob("locks/*"), *root.glob("pools")] == []
        fails(settings, "No space left on device", moodle_backup_root=str(root), moodle_backup_check_space=False)
        assert [*root.glob("backups/*"), *root.glob("locks/*")] == []
    finally:
        subprocess.run(["umount", root], check=True)
    nothing_is_wrong(site, ["first"])


@pytest.mark.usefixtures("first")
def test_database_stopped(site, settings):
    site.engine.containers.get(site.db).stop()
    try:
        code, output = run("backup", settings)
        assert code != 0
        assert re.search("database host 'db' of container '%s' is not a running container" % site.web, output)
    finally:
        site.engine.containers.get(site.db).start()
        site.wait()
    nothing_is_wrong(site, ["first"])
    assert traces(site) == []


@pytest.mark.usefixtures("first")
def test_database_stopped_in_mid_dump(site, settings):
    try:
        with waiting_dump(site, settings) as play:
            site.engine.containers.get(site.db).kill()
            assert play.wait() != 0
        assert 'No backup was made on localhost: "Write the artefacts side by side" failed.' in play.output
        said = play.output.rsplit("No backup was made", maxsplit=1)[-1]
        # Whichever job was the first to notice.
        assert site.db in said or "Asking the site about itself failed in container '%s'" % site.web in said
    finally:
        site.engine.containers.get(site.db).start()
        site.wait()
    nothing_is_wrong(site, ["first"])
    assert traces(site) == []


@pytest.mark.usefixtures("first")
def test_wrong_password(site, settings):
    site.sh("cp -p config.php /root/kept && sed -i \"s/dbpass = '.*'/dbpass = 'wrong-password-of-the-test'/\" config.php")
    try:
        message = fails(settings, "cannot connect to its database moodle on db", "password authentication failed")
        assert "wrong-password-of-the-test" not in message
    finally:
        site.sh("cp -p /root/kept config.php")
    nothing_is_wrong(site, ["first"])
    assert traces(site) == []


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("name", ["..", "a/b", " ", "latest", "first", ".hidden", "-dash", "new\nline"])
def test_name_refused(site, run_module, name):
    arguments = {"state": "begun", "root": str(site.backups), "stack": STACK, "name": name, "run": "test"}
    for check in (True, False):
        result = run_module("backup_set", arguments, check=check)
        assert result.get("failed"), result
        assert name in result["msg"] and re.search("Use 1 to 128 letters|exists already|stands for the newest", result["msg"])
    nothing_is_wrong(site, ["first"])
    assert traces(site) == []


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("name", ["a/b", "first"])
def test_name_refused_by_the_playbook(site, settings, name):
    fails(settings, "Begin the backup", "'%s'" % name, moodle_backup_name=name)
    nothing_is_wrong(site, ["first"])
    assert traces(site) == []


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("name", ["", "..", "../first", "missing"])
def test_name_not_found(site, run_module, name):
    result = run_module("backup_verify", {"root": str(site.backups), "name": name})
    assert result.get("failed") and "'%s'" % name in result["msg"]


def _flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.usefixtures("first")
def test_one_flipped_bit_anywhere(site, settings, run_module):
    folder = site.backups / "backups" / "first"
    files = sorted(folder.iterdir())
    assert len(files) >= 8
    for path in files:
        position = path.stat().st_size // 2
        _flip(path, position)
        result = run_module("backup_verify", {"root": str(site.backups), "name": "first"})
        _flip(path, position)
        assert result.get("failed"), path
        assert path.name in result["msg"] or path.name == "backup_manifest.txt" or "first" in result["msg"]
    assert not run_module("backup_verify", {"root": str(site.backups), "name": "first"}).get("failed")

    before = site.state()
    _flip(folder / "moodledata.tar.zst", 1000)
    try:
        code, output = run("restore", settings)
    finally:
        _flip(folder / "moodledata.tar.zst", 1000)
    assert code != 0 and "moodledata.tar.zst" in output and "damaged" in output
    assert site.state() == before
    assert traces(site) == []


@pytest.mark.usefixtures("first")
def test_stranger_or_missing_file(site, run_module):
    folder = site.backups / "backups" / "first"
    arguments = {"root": str(site.backups), "name": "first"}
    (folder / "stranger").write_text("")
    result = run_module("backup_verify", arguments)
    (folder / "stranger").unlink()
    assert result["problems"] == [{"path": "stranger", "problem": "unknown"}]
    (folder / "plugins.tar.zst").rename(site.folder / "plugins")
    result = run_module("backup_verify", arguments)
    (site.folder / "plugins").rename(folder / "plugins.tar.zst")
    assert result["problems"] == [{"path": "plugins.tar.zst", "problem": "missing"}]


def test_container_vanishes(site, settings, first):
    """The web container is removed in the middle; the backup from before brings the site back."""
    play = Play("backup", settings)
    play.wait_for_module("side_by_side")
    site.engine.containers.get(site.web).remove(force=True)
    assert play.wait() != 0
    assert "No backup was made on localhost" in play.output and site.web in play.output.rsplit("No backup was made", maxsplit=1)[-1]
    assert complete(site) == ["first"]
    assert traces(site) == []

    code, output = run("restore", settings)
    assert code == 0, output
    assert differences(first, site.state()) == []
    site.visit()
