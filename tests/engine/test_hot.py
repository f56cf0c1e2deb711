# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole backups of a site in use: nobody notices, nothing is missing, and no backup needs another one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time

import docker.errors
import pytest
from lab.browser import Browser, stored_files
from lab.closure import held, lacking
from lab.load import Load
from lab.play import Play, run
from lab.site import Site
from lab.state import differences

NAME = "mcb-mol-hot"
STACK = NAME + "-web"
MIB = 1 << 20
SLOW = {"moodle_backup_rate_limit": "1M"}  # bytes per second


@pytest.fixture(scope="module")
def site():
    made = Site(NAME)
    try:
        made.destroy()
        made.create()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def root(site, request):
    """A backup root of the test's own."""
    made = site.backups / hashlib.sha1(request.node.name.encode()).hexdigest()[:8]
    made.mkdir(parents=True)
    yield made
    shutil.rmtree(made)


def settings(site, root, name=None, **more):
    """Return variables of the playbooks."""
    named = {} if name is None else {"moodle_backup_name": name}
    return dict({"moodle_backup_root": str(root), "moodle_backup_container": site.web, "moodle_backup_images": False},
                **named, **more)


def back_up(site, root, name, **more):
    """Make a backup. Return its folder and what was printed."""
    code, output = run("backup", settings(site, root, name, **more))
    assert code == 0, output
    return root / "backups" / name, output


def restore(site, root, name):
    code, output = run("restore", settings(site, root, name))
    assert code == 0, output


def metadata(folder):
    return json.loads((folder / "backup.json").read_text())


def pool_of(root):
    return root / "pools" / STACK / "filedir"


def answer(site):
    """Return the status of the site's first page, or None if nobody answers."""
    try:
        return Browser(site.address()).request("/")[0]
    except OSError:
        return None


def wait_for_answer(site):
    """Wait until the site has started; return the status of its first page."""
    deadline = time.monotonic() + 20
    while answer(site) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer(site)


def running(site):
    """Return the states of the site's containers (dict)."""
    return {item.name[len(NAME) + 1:]: item.status for item in site.engine.containers.list(all=True, ignore_removed=True)
            if item.name.startswith(NAME + "-")}


def leftovers(root):
    """Return what no run may leave below a backup root (list of str)."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")
                  if path.name.startswith(".") or path.parent.name in ("locks", "restores", "pauses"))


def begin_slowly(site, stored, root, name, size=3 * MIB, **more):
    """Begin a backup that takes seconds for one stored file. Return its run (Play) and the file's name.

    Then the list of files that the site refers to is made already, the dump is not begun, and the site is held still if
    it is going to be.
    """
    slow = stored.upload(os.urandom(size))
    play = Play("backup", settings(site, root, name, **SLOW, **more))
    play.wait_for(lambda: list(pool_of(root).glob(".new_*/" + slow)), "the large file")
    return play, slow


# --- a site in use ------------------------------------------------------------------------------------------------


def test_with_load_on_the_site(site, root):
    """Nobody gets a wrong answer, and each dump finds its files, though they come and go for good all the time."""
    with Load(site) as load:
        for number in range(3):
            before = dict(load.done)
            folder, _output = back_up(site, root, "hot%d" % number)
            during = {what: count - before.get(what, 0) for what, count in load.done.items()}
            assert metadata(folder)["complete"] is True
            assert lacking(folder, site.db) == set()
            assert load.errors == []
            assert min(during.get(what, 0) for what in ("page", "download", "upload", "look", "cron")) > 0, during
    assert load.errors == [] and load.done["delete"] > 0
    assert leftovers(root) == []
    # The first two are still what they were, whatever has gone since.
    assert all(lacking(root / "backups" / ("hot%d" % number), site.db) == set() for number in range(3))


def test_a_self_contained_backup_needs_nothing_else(site, root):
    before = site.state()
    folder, _output = back_up(site, root, "alone", moodle_backup_self_contained=True)
    assert lacking(folder, site.db) == set()
    assert not (folder / "filedir.sha1").exists()
    shutil.rmtree(root / "pools", ignore_errors=True)
    site.empty()
    restore(site, root, "alone")
    assert differences(before, site.state()) == []
    site.visit()


def test_any_other_backup_may_be_removed(site, root, stored, run_module):
    states = []
    for name in ("one", "two", "three"):
        stored.upload()
        states.append(site.state())
        back_up(site, root, name)
    copies = []
    for order in (("one", "two"), ("two", "one")):
        copy = root / ("without %s and %s" % order)
        copy.mkdir()
        subprocess.run(["cp", "-a", root / "backups", root / "pools", copy], check=True)
        for name in order:
            shutil.rmtree(copy / "backups" / name)
            verified = run_module("backup_verify", {"root": str(copy), "name": "three"})
            assert not verified.get("failed"), verified["msg"]
        assert lacking(copy / "backups" / "three", site.db) == set()
        copies.append(copy)
    # The same is left either way, so one of them is restored.
    for part in ("backups", "pools"):
        subprocess.run(["diff", "-r", "--no-dereference", *(copy / part for copy in copies)], check=True)
    site.change()
    assert differences(states[2], site.state()) != []
    restore(site, copies[0], "three")
    assert differences(states[2], site.state()) == []


def test_a_repeat_shares_what_did_not_change(site, root):
    time.sleep(2.5)  # what was written in the last two seconds may be written again without a trace
    first, _output = back_up(site, root, "first", moodle_backup_images=True)
    blobs = {path: path.stat().st_ino for path in pool_of(root).rglob("*")}
    second, output = back_up(site, root, "second", moodle_backup_images=True)
    assert {path: path.stat().st_ino for path in pool_of(root).rglob("*")} == blobs
    for name in ("application.tar.zst", "moodledata.tar.zst", *(path.name for path in first.glob("image_*.tar.zst"))):
        assert os.path.samefile(first / name, second / name), name
    assert len(list(second.glob("image_*.tar.zst"))) == 2
    assert sorted(path.name for path in first.iterdir()) == sorted(path.name for path in second.iterdir())
    added = sum(path.stat().st_size for path in second.iterdir() if path.stat().st_nlink == 1)
    assert added < (second / "database.dump.zst").stat().st_size + MIB
    assert "of which" in output and "are new" in output

    shutil.rmtree(first)
    done = subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "backup_manifest.txt"], cwd=second, check=False)
    assert done.returncode == 0


# --- damage -------------------------------------------------------------------------------------------------------


def flip(path, position=0):
    """Change one bit as a failing disk does: neither size nor mode nor time tells."""
    state = path.stat()
    with open(path, "r+b") as handle:
        handle.seek(position)
        byte = handle.read(1)[0]
        handle.seek(position)
        handle.write(bytes([byte ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def verify(root, name):
    code, output = run("verify", {"moodle_backup_root": str(root), "moodle_backup_name": name})
    return code == 0, output


def test_a_damaged_blob_is_found_named_and_replaced(site, root):
    back_up(site, root, "one")
    blob = next(path for path in sorted(pool_of(root).rglob("*")) if path.is_file() and path.stat().st_size > 1000)
    flip(blob)
    whole, output = verify(root, "one")
    assert not whole and "%s (damaged)" % blob.name in output
    folder, output = back_up(site, root, "two")
    assert "have been replaced (%s)" % blob.name in output
    assert hashlib.sha1(blob.read_bytes()).hexdigest() == blob.name
    assert blob.name in held(folder)
    for name in ("one", "two"):
        whole, output = verify(root, name)
        assert whole and "is whole" in output, output


def test_an_archive_that_was_found_damaged_is_not_shared_again(site, root):
    time.sleep(2.5)
    one, _output = back_up(site, root, "one")
    two, _output = back_up(site, root, "two")
    assert os.path.samefile(one / "application.tar.zst", two / "application.tar.zst")
    flip(one / "application.tar.zst", 1000)
    for name in ("one", "two"):
        whole, output = verify(root, name)
        assert not whole and "application.tar.zst (damaged)" in output
    three, _output = back_up(site, root, "three")
    assert not os.path.samefile(one / "application.tar.zst", three / "application.tar.zst")
    assert os.path.samefile(one / "moodledata.tar.zst", three / "moodledata.tar.zst")
    assert verify(root, "three")[0] and not verify(root, "one")[0]


# --- what cannot be complete --------------------------------------------------------------------------------------


def test_a_backup_that_cannot_be_closed(site, root, stored):
    """A row comes whose content is nowhere: no backup, unless it is accepted, and then by its name only."""
    # Another stack's name accepts nothing, and a site that is held still goes on after a failure, too.
    play, _slow = begin_slowly(site, stored, root, "open", moodle_backup_mode="maintenance",
                               moodle_backup_accept_incomplete=["another-stack"])
    assert answer(site) == 503
    lost = hashlib.sha1(os.urandom(9)).hexdigest()
    stored.row(lost)
    assert play.wait() != 0
    said = play.output.rsplit("No backup was made on localhost", maxsplit=1)[-1]
    assert "would not be complete" in said and lost in said and "moodle_backup_accept_incomplete" in said
    assert [*(root / "backups").iterdir()] == [] and leftovers(root) == []
    assert answer(site) == 200
    stored.forget()
    code, output = run("restore", settings(site, root, "latest"))
    assert code != 0 and "There is no complete backup" in output

    play, _slow = begin_slowly(site, stored, root, "open", moodle_backup_accept_incomplete=[STACK])
    lost = hashlib.sha1(os.urandom(9)).hexdigest()
    stored.row(lost)
    assert play.wait() == 0, play.output
    folder = root / "backups" / "open"
    assert "IT IS NOT COMPLETE: 1 stored files vanished" in play.output
    assert metadata(folder)["complete"] is False and metadata(folder)["incomplete"] != []
    assert lacking(folder, site.db) == {lost}
    stored.forget()
    code, output = run("restore", settings(site, root, "latest"))
    assert code != 0 and "There is no complete backup" in output and "by name only: open." in output
    restore(site, root, "open")
    assert site.sql("SELECT count(*) FROM mdl_files WHERE contenthash = '%s'" % lost) == "1"
    site.visit()


def test_what_the_site_lacks_itself_is_no_reason_to_fail(site, root, stored):
    lost = stored_files(site.web, site.code_path + "/config.php", 100)[-1]["contenthash"]
    content = stored.path(lost).read_bytes()
    stored.path(lost).unlink()
    try:
        folder, output = back_up(site, root, "hurt")
        assert "1 stored files were missing or damaged on the site before the backup, such as %s" % lost in output
        assert metadata(folder)["complete"] is True and lacking(folder, site.db) == {lost}
        before = site.state()
        site.change()
        restore(site, root, "latest")
        assert differences(before, site.state()) == []
    finally:
        stored.put(content)


# --- other modes --------------------------------------------------------------------------------------------------


def test_maintenance_mode(site, root, stored):
    play, _slow = begin_slowly(site, stored, root, "still", moodle_backup_mode="maintenance")
    assert answer(site) == 503
    assert set(running(site).values()) == {"running"}
    assert play.wait() == 0, play.output
    assert answer(site) == 200
    folder = root / "backups" / "still"
    assert lacking(folder, site.db) == set() and metadata(folder)["mode"] == "maintenance"
    assert leftovers(root) == []


def test_somebody_elses_maintenance_page_stays(site, root):
    page = "%s/climaintenance.html" % site.data_path
    site.sh("echo 'closed by the owner' > %s" % page)
    try:
        back_up(site, root, "still", moodle_backup_mode="maintenance")
        assert site.sh("cat %s" % page) == "closed by the owner\n" and answer(site) == 503
    finally:
        site.sh("rm -f %s" % page)
    assert answer(site) == 200


@pytest.fixture
def cron(site, tiny):
    """One more container of the site, which does not run: a killed backup has stopped it, and not come to the others."""
    name = NAME + "-cron"
    site.engine.containers.create(tiny, ["sleep", "100000"], name=name, network=site.network, stop_signal="SIGKILL")
    yield name
    with contextlib.suppress(docker.errors.NotFound):
        site.engine.containers.get(name).remove(force=True)


def leave_paused(root, **record):
    """Write down what a backup that was killed has left held."""
    (root / "pauses").mkdir(mode=0o700, exist_ok=True)
    (root / "pauses" / (STACK + ".json")).write_text(json.dumps(record))


def record_as_older_versions_did(folder, database):
    """Let the record of a backup say that only the database ran."""
    content = json.loads((folder / "container_info.json").read_text())
    assert all(entry["definition"]["running"] for entry in content["containers"].values())
    for name, entry in content["containers"].items():
        entry["definition"]["running"] = name == database
    text = json.dumps(content)
    document = metadata(folder)
    artefact = next(entry for entry in document["artefacts"] if entry["file"] == "container_info.json")
    artefact.update(size=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
    (folder / "container_info.json").write_text(text)
    (folder / "backup.json").write_text(json.dumps(document))
    files = sorted(path for path in folder.iterdir() if path.name != "backup_manifest.txt")
    done = subprocess.run(["sha256sum", "--", *(path.name for path in files)], cwd=folder, stdout=subprocess.PIPE, check=True)
    (folder / "backup_manifest.txt").write_bytes(done.stdout)


def test_stopped_mode(site, root, stored, cron):
    leave_paused(root, mode="stopped", container=site.web, containers=[site.web, cron], dataroot=site.data_path, owner=[33, 33])
    play, _slow = begin_slowly(site, stored, root, "still", moodle_backup_mode="stopped")
    assert running(site) == {"web": "exited", "db": "running", "cron": "exited"}
    assert play.wait() == 0, play.output
    assert wait_for_answer(site) == 200
    folder = root / "backups" / "still"
    assert lacking(folder, site.db) == set() and metadata(folder)["mode"] == "stopped"
    assert leftovers(root) == []
    # A restore by the right record is like any other; one by the wrong record has to work as well.
    record_as_older_versions_did(folder, site.db)
    site.empty()
    restore(site, root, "still")
    assert running(site) == {"web": "running", "db": "running", "cron": "running"}
    site.visit()


@pytest.fixture(scope="module")
def good(site):
    """A backup root with a backup "good"."""
    made = site.backups / "good"
    made.mkdir(parents=True)
    back_up(site, made, "good")
    return made


# The playbooks find the site held; how it is let go is the affair of one module, whoever calls it.
@pytest.mark.parametrize("mode, rescuer", [("maintenance", "backup"), ("stopped", "backup"), ("maintenance", "restore"),
                                           ("stopped", "rollback")])
def test_a_killed_run_does_not_hold_the_site_for_ever(site, good, stored, mode, rescuer):
    play, _slow = begin_slowly(site, stored, good, "killed", moodle_backup_mode=mode)
    play.kill()
    if mode == "maintenance":
        assert answer(site) == 503
    else:
        assert running(site) == {"web": "exited", "db": "running"}
    name = "%s-%s" % (mode, rescuer) if rescuer == "backup" else "good"
    code, output = run(rescuer, settings(site, good, name))
    assert code == 0, output
    assert wait_for_answer(site) == 200
    assert set(running(site).values()) == {"running"}
    if rescuer == "backup":
        assert lacking(good / "backups" / name, site.db) == set()
    assert not any((good / "pauses").iterdir())
    site.visit()


def test_a_restore_does_not_need_the_site_that_a_backup_holds_still(site, root, stored):
    """The web container goes during a backup, whose maintenance page stays in the data. That is told, and blocks nothing."""
    back_up(site, root, "good")
    play, _slow = begin_slowly(site, stored, root, "gone", moodle_backup_mode="maintenance")
    site.engine.containers.get(site.web).remove(force=True)
    assert play.wait() != 0
    record, page = "pauses/%s.json" % STACK, "%s/climaintenance.html in container '%s'" % (site.data_path, site.web)
    said = play.output.rsplit("No backup was made on localhost", maxsplit=1)[-1]
    assert page in said and "the container is gone" in said and record in said
    assert leftovers(root) == [record]
    code, output = run("rollback", settings(site, root))
    assert code == 0 and page in output and "there is nothing to undo" in output, output
    code, output = run("restore", settings(site, root, "good"))
    assert code == 0 and page in output, output
    assert leftovers(root) == [] and answer(site) == 200
    site.visit()


# --- room and consideration ---------------------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(site, root):
    disk = root / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m,mode=0700", "tmpfs", disk], check=True)
    try:
        code, output = run("backup", settings(site, disk, "large"))
        assert code != 0 and "There is not enough room in" in output
        assert "MiB are needed (" in output and "content " in output and "MiB are free" in output
        assert [*(disk / "backups").iterdir()] == [] and leftovers(disk) == [] and not (disk / "pools").exists()
        # It would have fitted, without the margin.
        folder, _output = back_up(site, disk, "large", moodle_backup_check_space=False)
        assert lacking(folder, site.db) == set()
    finally:
        subprocess.run(["umount", disk], check=True)


def _niceness(pid):
    with open("/proc/%d/stat" % pid) as handle:
        return int(handle.read().rpartition(")")[2].split()[16])


def test_consideration_for_a_busy_host(site, root, stored):
    play, slow = begin_slowly(site, stored, root, "kind", moodle_backup_nice=7, moodle_backup_ionice="idle",
                              moodle_backup_processes=1)
    begun = time.monotonic()
    workers = {pid: line for pid, line in play.descendants().items() if "AnsiballZ_side_by_side" in line}
    assert 7 in {_niceness(pid) for pid in workers}
    kind = {subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
            for pid in workers if _niceness(pid) == 7}
    assert kind == {"idle"}
    play.wait_for(lambda: not list(pool_of(root).glob(".new_*/" + slow)), "the end of the large file")
    # Three megabytes at one in a second.
    assert time.monotonic() - begun > 1.5
    assert play.wait() == 0, play.output
    assert lacking(root / "backups" / "kind", site.db) == set()
