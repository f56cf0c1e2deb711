# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies on other storage: a real sshd, a real restic, and what goes wrong with them. The backups are small, the rest is real."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from lab.backups import blob_path, contents, flip, make
from lab.play import run
from lab.storage import RestServer, S3Server, SshServer

PASSWORD = "restic-secret of the repository"
BLOBS = [b"one" * 100, b"two" * 200, b"three" * 300]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with SshServer(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def root(tmp_path, monkeypatch):
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _lock

    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"))


@pytest.fixture
def two(root):
    """A root with two backups that share an archive and a blob."""
    make(root, "first", BLOBS[:2], archive=b"unchanged" * 1000)
    make(root, "second", BLOBS[1:], share="first")
    return root


@pytest.fixture
def away(sshd, tmp_path):
    """A copy by rsync over SSH."""
    return dict(sshd.options(), name="away", kind="rsync", path=str(tmp_path / "away"), encrypted_storage=True)


@pytest.fixture
def disk(tmp_path):
    """A copy by rsync in a folder of this host, as on a mounted disk."""
    return {"name": "disk", "kind": "rsync", "path": str(tmp_path / "disk"), "encrypted_storage": True}


@pytest.fixture
def vault(tmp_path):
    """A copy in a restic repository."""
    return {"name": "vault", "kind": "restic", "repository": str(tmp_path / "vault"), "password": PASSWORD}


def whole(path, names):
    """Assert that a folder holds just these backups, that standard tools find them right, and nothing unfinished."""
    path = Path(path)
    assert sorted(entry.name for entry in (path / "backups").iterdir()) == sorted(names)
    for name in names:
        for program, listing in (("sha256sum", "backup_manifest.txt"), ("sha1sum", "filedir.sha1")):
            subprocess.run([program, "--strict", "--quiet", "-c", listing], cwd=path / "backups" / name, check=True)
    assert not [found for found in (path / "pools").rglob("*") if found.name.startswith(".")]


def lose(root):
    shutil.rmtree(root.path)


def notes(root, name):
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _notes

    return _notes.read(root, name).get("copies") or {}


def outcome(root):
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _notes

    return _notes.outcomes(root, "school")["replicate"]


@pytest.fixture
def call(monkeypatch):
    """A function that runs backup_copy, or another module, and returns the result; with fails=True it has to fail."""

    from ansible_collections.moodleclaude.backup.plugins.module_utils import _remote_shell

    # A module sets both for its process, and this process has other tests to run.
    monkeypatch.setattr(os, "umask", lambda _mask: 0)
    monkeypatch.setenv("LC_ALL", "C")

    def run(state, root, *copies, check=False, fails=False, module="backup_copy", **options):
        arguments = dict(options, root=root.path, copies=list(copies), state=state, _ansible_check_mode=check)
        output = io.StringIO()
        # In this process: starting a program for each call would take longer than the call.
        with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
            importlib.import_module("ansible_collections.moodleclaude.backup.plugins.modules.%s" % module).main()
        _remote_shell.close_all()
        result = json.loads(output.getvalue())
        assert bool(result.get("failed")) == fails, result
        return result

    return run


def test_rsync_over_ssh_and_back(two, away, call):
    before = contents(os.path.join(two.path, "backups"))
    predicted = call("present", two, away, check=True)
    assert predicted["changed"] and predicted["copies"][0]["copied"] == ["first", "second"]
    assert not os.path.exists(away["path"]) and not notes(two, "first")
    made = call("present", two, away)
    assert made["copies"][0]["copied"] == ["first", "second"] == made["copies"][0]["there"]
    whole(away["path"], ["first", "second"])
    copied = [os.stat(os.path.join(away["path"], "backups", name, "application.tar")) for name in ("first", "second")]
    assert copied[0].st_ino == copied[1].st_ino
    blob = os.stat(blob_path(away["path"], BLOBS[0]))
    assert blob.st_mode & 0o777 == 0o400 and blob.st_mtime_ns == 10 ** 18
    assert notes(two, "first")["away"]["where"] == "root@127.0.0.1:%s" % away["path"] and outcome(two)["ok"]
    again = call("present", two, away)
    assert not again["changed"] and again["copies"][0]["copied"] == []
    assert "up to date" in outcome(two)["message"]
    lose(two)
    # 'latest' is the newest of the copy, for the root has none.
    back = call("fetched", two, away, name="latest")
    assert back["changed"] and (back["name"], back["copy"]) == ("second", "away")
    assert not call("fetched", two, away, name="latest")["changed"]
    call("fetched", two, away, name="first")
    assert contents(os.path.join(two.path, "backups")) == before
    whole(two.path, ["first", "second"])


def restic(copy, *arguments, **environment):
    """Run restic on a repository and return what it prints."""
    environment = dict(os.environ, RESTIC_REPOSITORY=copy["repository"], RESTIC_PASSWORD=PASSWORD,
                       **(copy.get("environment") or {}), **environment)
    return subprocess.run(["restic", "--quiet", *arguments], env=environment, check=True, capture_output=True, text=True).stdout


def snapshots(copy):
    return [set(found["tags"]) for found in json.loads(restic(copy, "snapshots", "--json")) or []]


def test_restic_and_back(two, vault, call):
    before = contents(os.path.join(two.path, "backups"))
    assert call("present", two, vault, check=True)["copies"][0]["copied"] == ["first", "second"]
    assert not os.path.exists(vault["repository"])
    assert call("present", two, vault)["copies"][0]["there"] == ["first", "second"]
    assert {"backup=first", "backup=second"} <= set.union(*snapshots(vault))
    assert all({"moodleclaude", "stack=school"} <= tags for tags in snapshots(vault))
    assert notes(two, "second")["vault"]["kind"] == "restic" and outcome(two)["message"] == "vault: 2 copied"
    assert not call("present", two, vault)["changed"]
    lose(two)
    foreseen = call("fetched", two, vault, check=True, name="first")
    assert foreseen["changed"] and foreseen["copy"] == "vault" and not os.path.exists(os.path.join(two.path, "backups"))
    for name in ("latest", "first"):
        call("fetched", two, vault, name=name)
    assert contents(os.path.join(two.path, "backups")) == before
    whole(two.path, ["first", "second"])


def test_restic_wherever_it_can_write(two, sshd, tmp_path, call):
    """Over SFTP, to a bucket, and to a REST server whose address holds a password, which nobody sees."""
    with S3Server(tmp_path / "s3") as bucket, RestServer(tmp_path / "rest") as rest:
        copies = [
            dict(sshd.options(), name="sftp", kind="restic", repository="sftp:root@127.0.0.1:%s" % (tmp_path / "sftp")),
            {"name": "bucket", "kind": "restic", "repository": bucket.repository("moodle"),
             "environment": {"AWS_ACCESS_KEY_ID": "the-id-of-a-key", "AWS_SECRET_ACCESS_KEY": "the-secret-of-a-key"}},
            {"name": "rest", "kind": "restic", "repository": rest.repository()},
        ]
        (tmp_path / "password").write_text(PASSWORD + "\n")
        for copy in copies:
            copy["password_file"] = str(tmp_path / "password")
        made = call("present", two, *copies, last=1)
        assert [copy["copied"] for copy in made["copies"]] == [["second"]] * 3
        assert made["copies"][2]["where"] == "rest:http://moodle:********@127.0.0.1:%d/" % rest.port
        assert rest.password not in json.dumps(made) and "the-secret-of-a-key" not in json.dumps(made)
        before = contents(os.path.join(two.folder("second")))
        for copy in copies:
            lose(two)
            call("fetched", two, copy, name="latest")
            assert contents(two.folder("second")) == before
            whole(two.path, ["second"])


def test_secrets_are_not_copied_where_anybody_may_read_them(two, away, call, tmp_path):
    message = call("present", two, dict(away, encrypted_storage=False), fails=True)["msg"]
    assert "hold passwords" in message and "'encrypted_storage: true'" in message and "kind: restic" in message
    here = {"name": "here", "kind": "controller", "path": str(tmp_path / "here")}
    message = call("present", two, here, fails=True, module="backup_copy_controller", offered={})["msg"]
    assert "control node is not encrypted" in message
    assert not os.path.exists(away["path"])


def test_options_that_make_no_sense_are_refused_before_anything_is_done(two, away, vault, call):
    for wrong, said in (
        (dict(away, name="../x"), "cannot be the name of a copy"),
        (dict(away, path="relative"), "is not absolute"),
        (dict(away, rate_limit="fast"), "rate_limit 'fast' is not a size"),
        (dict(away, keep_last=-1), "keep_last is -1"),
        (dict(away, keep_within="soon"), "keep_within is 'soon'"),
        (dict(away, host="-oProxyCommand=x"), "host: '-oProxyCommand=x' is not one"),
        (dict(away, host="a b"), "host: 'a b' is not one"),
        (dict(away, keep_forever=True), "keep_forever"),
        (dict(vault, name="away"), "Two copies are named 'away'"),
        (dict(vault, password=None), "password"),
        ({"name": "x", "kind": "tape"}, "tape"),
        (dict(away, host=None, path=two.path), "are not apart"),
        (dict(away, host=None, path=two.path + "/copies/x"), "are not apart"),
        ({"name": "x", "kind": "controller", "path": "/x", "encrypted_storage": True}, "Use backup_copy_controller"),
    ):
        assert said in call("present", two, away, wrong, fails=True)["msg"] or said in call("present", two, wrong, fails=True)["msg"]
    assert not os.path.exists(away["path"])


def test_a_wrong_password_is_said(two, vault, call):
    call("present", two, vault, last=1)
    result = call("present", two, dict(vault, password="another-restic-secret"), fails=True)
    assert "copy 'vault'" in result["msg"] and "wrong password" in result["msg"] and "without it nobody" in result["msg"]
    assert not outcome(two)["ok"] and "wrong password" in outcome(two)["message"]
    assert "another-restic-secret" not in json.dumps(result) + json.dumps(outcome(two))
    assert notes(two, "second")["vault"]  # nothing is known of it now, which is not to say that it is gone
    for wrong in (dict(vault, repository="rest:http://127.0.0.1:1/"), dict(vault, repository="rest:http://127.0.0.1:1/", create=False)):
        assert "connection refused" in call("present", two, wrong, fails=True)["msg"]
    assert notes(two, "second")["vault"]
    assert "There is no restic repository" in call(
        "present", two, dict(vault, repository=vault["repository"] + "2", create=False), fails=True)["msg"]


def test_a_host_that_cannot_be_trusted_or_reached(two, sshd, away, disk, call):
    """Each is told apart, and what else there is to copy is copied all the same."""
    wrong = dict(away, name="wrong", known_hosts=str(sshd.folder / "wrong_hosts"))
    result = call("present", two, wrong, disk, fails=True)
    assert "copy 'wrong': root@127.0.0.1: " in result["msg"] and "Host key verification failed" in result["msg"]
    assert "Is it the right host?" in result["msg"]
    assert result["copies"][1]["copied"] == ["first", "second"] and notes(two, "first").keys() == {"disk"}
    result = call("present", two, dict(away, port=1), fails=True)
    assert "Connection refused" in result["msg"] and "Check that the host is up" in result["msg"]
    result = call("present", two, dict(away, ssh_key=str(sshd.folder / "other_key")), fails=True)
    assert "Permission denied (publickey" in result["msg"] and "authorized_keys" in result["msg"]
    # It is refused for the copy that could be asked, and found in the other.
    lose(two)
    assert call("fetched", two, wrong, disk, name="first")["copy"] == "disk"
    message = call("fetched", two, wrong, name="second", fails=True)["msg"]
    assert "There is no backup 'second' here" in message and "Host key verification failed" in message
    sftp = dict(sshd.options(), name="sftp", kind="restic", repository="sftp:127.0.0.1:/nowhere", password=PASSWORD,
                known_hosts=str(sshd.folder / "wrong_hosts"))
    make(two, "third", BLOBS)
    assert "Host key verification failed" in call("present", two, sftp, fails=True)["msg"]


class Running:
    """A module that runs in the background."""

    def __init__(self, module_environment, module_command, root, *copies):
        arguments = {"state": "present", "root": root.path, "copies": copies}
        self.process = subprocess.Popen(module_command("backup_copy"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=module_environment, start_new_session=True)
        self.process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        self.process.stdin.close()

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self):
        """Kill it with all its children, and wait until they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                os.killpg(self.process.pid, 0)
                time.sleep(0.02)

    def result(self):
        with self.process:
            return json.loads(self.process.stdout.read())


@pytest.fixture
def start(module_environment, module_command):
    """A function that starts a module in the background; what still runs at the end is killed with all its children."""
    started = []

    def run(root, *copies):
        started.append(Running(module_environment, module_command, root, *copies))
        return started[-1]

    yield run
    for running in started:
        running.kill()
        running.process.wait()
        running.process.stdout.close()


def growing(folder, pattern):
    """Return a function that tells whether a file that fits a pattern below a folder has some content."""
    return lambda: any(path.is_file() and path.stat().st_size > 100000 for path in Path(folder).glob(pattern))


def test_the_host_vanishes_in_mid_copy(root, sshd, away, call, start):
    make(root, "first", BLOBS, archive=os.urandom(12000000))
    slow = start(root, dict(away, rate_limit="4M"))
    slow.wait_for(growing(away["path"], "backups/.partial_copy_school@first/.application.tar.*"))
    for pid in sshd.sessions(""):
        if pid != sshd.process.pid:
            with contextlib.suppress(ProcessLookupError):  # one that the death of another has ended
                os.kill(pid, signal.SIGKILL)
    result = slow.result()
    assert result["failed"] and "run this again; it goes on where it stopped" in result["msg"], result["msg"]
    assert "root@127.0.0.1: copying backup 'first' failed" in result["msg"] and not outcome(root)["ok"]
    assert [name for name in os.listdir(away["path"] + "/backups") if not name.startswith(".")] == []
    # Nothing of a dead run stays: neither of this backup, nor of one that is not there any more.
    os.mkdir(away["path"] + "/backups/.partial_copy_school@gone")
    call("present", root, away)
    whole(away["path"], ["first"])


def test_the_host_vanishes_while_stored_files_come(root, sshd, away, call, start):
    make(root, "first", [os.urandom(1000000) for _number in range(8)])
    slow = start(root, dict(away, rate_limit="2M"))
    slow.wait_for(lambda: len(list(Path(away["path"]).glob("pools/school/.incoming/??/??/" + "?" * 40))) >= 2)
    for pid in sshd.sessions("rsync --server"):
        os.kill(pid, signal.SIGKILL)
    assert "copying stored files failed" in slow.result()["msg"]
    arrived = list(Path(away["path"]).glob("pools/school/.incoming/??/??/" + "?" * 40))
    assert len(arrived) >= 2 and not list(Path(away["path"]).glob("pools/school/filedir/*"))
    flip(arrived[0])  # what no run has checked yet
    stayed = arrived[1].stat().st_ino
    assert "not what their names say" in call("present", root, away, fails=True)["msg"]
    call("present", root, away)
    whole(away["path"], ["first"])
    moved = Path(away["path"], "pools/school/filedir", *arrived[1].parts[-3:])
    assert moved.stat().st_ino == stayed  # it was not sent a second time


def test_two_runs_at_once_and_one_that_is_killed(root, sshd, away, call, start):
    make(root, "first", BLOBS, archive=os.urandom(12000000))
    slow = start(root, dict(away, rate_limit="4M"))
    slow.wait_for(growing(away["path"], "backups/.partial_copy_school@first/.application.tar.*"))
    assert "Another run works on the copy 'away'" in call("present", root, away, fails=True)["msg"]
    # The same from another host, or under another name: the folder itself is taken.
    other = call("present", root, dict(away, name="other"), fails=True)["msg"]
    assert "another run is at work on the copies of stack 'school'" in other
    slow.process.kill()
    slow.process.wait()
    # Its rsync lives on, so the copy is still taken.
    assert "Another run works on the copy 'away'" in call("present", root, away, fails=True)["msg"]
    slow.kill()
    deadline = time.monotonic() + 30
    while sshd.sessions("rsync --server") and time.monotonic() < deadline:
        time.sleep(0.05)
    call("present", root, away)
    whole(away["path"], ["first"])


def test_restic_is_killed(root, vault, call, start):
    make(root, "first", BLOBS, archive=os.urandom(30000000))
    slow = start(root, dict(vault, rate_limit="4M"))
    slow.wait_for(growing(vault["repository"], "data/*/*"))
    slow.kill()
    assert os.listdir(os.path.join(vault["repository"], "locks"))
    call("present", root, vault)
    assert len(snapshots(vault)) == 1 and not os.listdir(os.path.join(vault["repository"], "locks"))
    # A snapshot that a dead run did not come to check is checked, and not made again.
    checked = json.loads(restic(vault, "snapshots", "--json"))[0]
    tags = [tag.replace("backup=", "unchecked=") for tag in checked["tags"]]
    restic(vault, "tag", "--set", ",".join(tags), checked["id"])
    call("present", root, vault)
    again = json.loads(restic(vault, "snapshots", "--json"))
    assert [found["tree"] for found in again] == [checked["tree"]] and "backup=first" in again[0]["tags"]


def test_a_full_disk(root, sshd, away, vault, small_disk, call):
    make(root, "first", BLOBS)
    make(root, "large", BLOBS, archive=os.urandom(6000000))
    full = dict(away, path=str(small_disk / "away"))
    result = call("present", root, full, fails=True)
    assert "No space left on device" in result["msg"] and "Make room there" in result["msg"]
    whole(full["path"], ["first"])
    assert len(os.listdir(full["path"] + "/backups")) == 1
    shutil.rmtree(full["path"])
    result = call("present", root, dict(vault, repository=str(small_disk / "vault")), fails=True)
    assert "no space left on device" in result["msg"] and "Make room" in result["msg"]
    assert "large" not in notes(root, "large")


def test_a_full_disk_when_a_backup_comes_back(root, away, small_disk, call):
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set

    make(root, "large", BLOBS, archive=os.urandom(6000000))
    call("present", root, away)
    full = _backup_set.Root(str(small_disk / "root"))
    message = call("fetched", full, away, name="large", fails=True)["msg"]
    assert "Backup 'large' could not be fetched" in message and "No space left" in message
    assert os.listdir(full.backups) == []


@pytest.mark.parametrize("where", ["backups/first/application.tar", "blob"])
def test_a_flipped_bit_is_not_accepted(two, away, disk, where, call):
    """Nothing damaged gets a name, and the next copy is asked."""
    call("present", two, away, disk)
    lose(two)
    flip(blob_path(away["path"], BLOBS[0]) if where == "blob" else os.path.join(away["path"], where), 5)
    message = call("fetched", two, away, name="first", fails=True)["msg"]
    assert "Backup 'first' could not be fetched: copy 'away'" in message and "damaged" in message
    assert os.listdir(two.backups) == [] and not os.path.exists(blob_path(two.path, BLOBS[0]))
    assert call("fetched", two, away, disk, name="first")["copy"] == "disk"
    whole(two.path, ["first"])


def test_a_damaged_backup_is_replaced_by_a_good_one(two, away, vault, call):
    call("present", two, away)
    assert not call("fetched", two, away, name="second", replace=True)["changed"]
    flip(os.path.join(two.folder("second"), "config.php"))
    flip(blob_path(two.path, BLOBS[2]))
    assert not call("fetched", two, away, name="second")["changed"]  # nobody asked to read it
    assert call("fetched", two, away, name="second", replace=True)["copy"] == "away"
    whole(two.path, ["first", "second"])
    assert sorted(os.listdir(two.backups)) == ["first", "second"]
    assert not call("fetched", two, away, name="second", replace=True)["changed"]
    assert not os.path.exists(os.path.join(two.path, "pools", "school", "damaged.json"))
    # While somebody reads it, or a restore from it did not end, it stays.
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set

    flip(os.path.join(two.folder("second"), "config.php"))
    with _backup_set.reading(two.folder("second")):
        assert "is being read right now" in call("fetched", two, away, name="second", replace=True, fails=True)["msg"]
    _backup_set.begin_restore(two, "school", "second", "me", "t1", {})
    _backup_set.end_restore(two, "school", "me", finished=False)
    assert "did not end" in call("fetched", two, away, name="second", replace=True, fails=True)["msg"]
    os.unlink(two.record("school"))
    lock = two.lock("school")
    lock.acquire("me", "backup", "third")
    assert "holds this stack" in call("fetched", two, away, name="second", replace=True, fails=True)["msg"]
    lock.release("me")
    assert call("fetched", two, away, name="second", replace=True)["changed"]


def test_each_copy_has_a_retention_of_its_own(two, away, vault, call):
    make(two, "third", BLOBS[2:])
    away, vault = dict(away, keep_last=1), dict(vault, keep_last=2)
    made = call("present", two, away, vault)
    # What would be removed at once is not even copied.
    assert [copy["copied"] for copy in made["copies"]] == [["third"], ["second", "third"]]
    assert not os.path.exists(blob_path(away["path"], BLOBS[0]))
    make(two, "fourth", BLOBS[:1])
    foreseen = call("present", two, away, vault, check=True)
    assert [(copy["copied"], copy["removed"]) for copy in foreseen["copies"]] == [
        (["fourth"], ["third"]), (["fourth"], ["second"])]
    made = call("present", two, away, vault)
    assert [(copy["removed"], copy["blobs_removed"], copy["there"]) for copy in made["copies"]] == [
        (["third"], 1, ["fourth"]), (["second"], 0, ["fourth", "third"])]
    whole(away["path"], ["fourth"])
    assert not os.path.exists(blob_path(away["path"], BLOBS[2])) and os.path.exists(blob_path(away["path"], BLOBS[0]))
    assert len(snapshots(vault)) == 2
    assert notes(two, "third").keys() == {"vault"} and notes(two, "fourth").keys() == {"away", "vault"}
    assert not call("present", two, away, vault)["changed"]


def test_what_is_bad_is_not_copied_and_does_not_keep_the_rest(two, away, call):
    make(two, "lacking", BLOBS, complete=False)
    make(two, "third", [b"four" * 1000])
    flip(blob_path(two.path, BLOBS[0]))
    # What would be removed at once is not even looked at.
    assert call("present", two, dict(away, keep_last=1))["copies"][0]["copied"] == ["third"]
    result = call("present", two, away, fails=True)
    assert "1 stored files of stack 'school' are not what their names say" in result["msg"]
    assert result["copies"][0]["copied"] == ["second"] and result["changed"] and not outcome(two)["ok"]
    whole(away["path"], ["second", "third"])


def test_a_name_that_means_another_backup_there(two, away, call, tmp_path):
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set

    call("present", two, away)
    other = _backup_set.Root(str(tmp_path / "other"))
    make(other, "first", BLOBS[:1], archive=b"of another host")
    message = call("present", other, away, fails=True)["msg"]
    assert "another backup that is named 'first'" in message and "Give each host a path" in message
    whole(away["path"], ["first", "second"])


@pytest.fixture
def sites(tmp_path, monkeypatch):
    """The roots of two hosts, each with backups of a site of its own, whose stacks have the same name."""
    from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _lock

    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    found = [_backup_set.Root(str(tmp_path / name)) for name in ("one", "two")]
    for root in found:
        for number in "12":
            make(root, os.path.basename(root.path) + number, BLOBS[:1], site={"siteidentifier": "of " + root.path})
    return found


@pytest.mark.parametrize("kind", ["vault", "disk"])
def test_hosts_with_a_stack_of_the_same_name_do_not_touch_each_others_copies(sites, kind, request, call):
    copy = dict(request.getfixturevalue(kind), keep_last=2)
    one, two = sites
    call("present", one, copy)
    before = contents(copy.get("path") or os.path.join(copy["repository"], "snapshots"))
    for check in (True, False):
        result = call("present", two, copy, check=check, fails=True)
        assert result["copies"][0]["copied"] == result["copies"][0]["removed"] == []
        assert "copy '%s': It has backups of another site whose stack is named 'school'" % kind in result["msg"]
        assert "(2, the newest is 'one2')" in result["msg"]
        assert "moodle_backup_stack" in result["msg"]
    assert not outcome(two)["ok"] and not notes(two, "two1")
    assert contents(copy.get("path") or os.path.join(copy["repository"], "snapshots")) == before
    make(one, "one3", BLOBS[:1], site={"siteidentifier": "of " + one.path})
    assert call("present", one, copy)["copies"][0]["there"] == ["one2", "one3"]


def test_the_newest_of_two_sites_is_nobodys(sites, vault, disk, call):
    """Each is fetched by its name; of copies that an older version made nobody knows it."""
    one, two = sites
    for root, copy in ((one, vault), (two, disk)):
        call("present", root, copy)
    lose(two)
    message = call("fetched", two, vault, disk, name="latest", fails=True)["msg"]
    assert "backups of 2 sites whose stack is named 'school'" in message
    assert "'one2' of " in message and "'two2' of " in message and "in copy 'disk'" in message
    assert call("fetched", two, vault, disk, name="two2")["copy"] == "disk"
    lose(two)
    for found in json.loads(restic(vault, "snapshots", "--json")):
        restic(vault, "tag", "--remove", next(tag for tag in found["tags"] if tag.startswith("site=")), found["id"])
    assert call("fetched", two, vault, disk, name="latest")["name"] == "two2"


def test_what_another_host_has_not_finished_stays(sites, vault, call):
    one, two = sites
    call("present", one, vault, last=1)
    kept = json.loads(restic(vault, "snapshots", "--json"))[0]
    tags = [tag.replace("backup=one2", "unchecked=two2") for tag in kept["tags"]]
    restic(vault, "tag", "--set", ",".join(tags), kept["id"])
    call("present", two, vault)
    assert any("unchecked=two2" in found for found in snapshots(vault)) and len(snapshots(vault)) == 3
    # Its own goes when it is not wanted any more.
    call("present", one, vault, fails=True)
    for found in json.loads(restic(vault, "snapshots", "--json")):
        if "unchecked=two2" not in found["tags"]:
            restic(vault, "forget", found["id"])
    call("present", one, vault)
    assert not any("unchecked=two2" in found for found in snapshots(vault)) and len(snapshots(vault)) == 2


def test_the_control_node(two, sshd, call, tmp_path):
    here = {"name": "here", "kind": "controller", "path": str(tmp_path / "here"), "encrypted_storage": True, "keep_last": 1}
    ssh = sshd.options()
    offered = call("listed", two)["offered"]
    pull = {"module": "backup_copy_controller", "ssh": ssh}
    made = call("present", two, here, offered=offered, **pull)
    assert made["copies"][0]["copied"] == ["second"]
    call("present", two, others=made["copies"])
    assert notes(two, "second")["here"]["where"] == "control node:%s" % here["path"]
    whole(here["path"], ["second"])
    assert not call("present", two, here, offered=offered, **pull)["changed"]
    before = contents(two.folder("second"))
    lose(two)
    assert not call("fetched", two, name="latest", optional=True)["found"]
    brought = call("fetched", two, here, name="latest", **pull)
    assert brought["name"] == "second" and sorted(os.listdir(two.backups))[0].startswith(".partial_")
    call("accepted", two, name="second", stack="school", where=brought["where"])
    assert contents(two.folder("second")) == before
    whole(two.path, ["second"])
    assert os.listdir(two.backups) == ["second"]
    wrong = dict(ssh, known_hosts=str(sshd.folder / "wrong_hosts"))
    message = call("present", two, here, offered=offered, module="backup_copy_controller", ssh=wrong, fails=True)["msg"]
    assert "Host key verification failed" in message


def test_the_next_copy_on_the_control_node_is_taken_if_the_first_one_is_damaged(two, sshd, call, tmp_path):
    copies = [{"name": name, "kind": "controller", "path": str(tmp_path / name), "encrypted_storage": True}
              for name in ("bad", "good")]
    pull = {"module": "backup_copy_controller", "ssh": sshd.options()}
    call("present", two, *copies, offered=call("listed", two)["offered"], **pull)
    before = contents(two.folder("first"))
    for damaged in (blob_path(copies[0]["path"], BLOBS[0]), os.path.join(copies[0]["path"], "backups/first/config.php")):
        flip(damaged)
        lose(two)
        brought = call("fetched", two, *copies, name="first", **pull)
        assert brought["copy"] == "good"
        call("accepted", two, name="first", stack="school", where=brought["where"])
        assert contents(two.folder("first")) == before
        flip(damaged)
    flip(blob_path(copies[0]["path"], BLOBS[0]))
    lose(two)
    asked = {"copies": ["bucket"], "problems": ["copy 'bucket': It is down."]}
    message = call("fetched", two, copies[0], name="first", asked=asked, fails=True, **pull)["msg"]
    assert "Backup 'first' could not be fetched: copy 'bucket': It is down.; copy 'bad': The stored file" in message


def test_the_playbook_does_what_it_can_and_says_what_it_could_not(two, disk, tmp_path):
    """A copy to the control node that fails before it began does not keep the others, and the outcome tells of it."""
    here = {"name": "here", "kind": "controller", "path": str(tmp_path / "here")}
    code, said = run("replicate", {"moodle_backup_root": two.path, "moodle_backup_copies": [disk, here]})
    assert code != 0 and "copy 'here': backups hold passwords" in said
    whole(disk["path"], ["first", "second"])
    assert not outcome(two)["ok"] and "The copy to the control node failed. copy 'here': backups hold" in outcome(two)["message"]
    assert notes(two, "first").keys() == {"disk"}


def test_a_copy_on_the_control_node_helps_where_another_one_cannot(two, disk, tmp_path, call, monkeypatch):
    """Of a named backup, and of the newest one, which any of them may have."""
    here = {"name": "here", "kind": "controller", "path": str(tmp_path / "here"), "encrypted_storage": True}
    call("present", two, disk)
    before = contents(two.folder("second"))
    make(two, "third", BLOBS)
    call("present", two, here, offered=call("listed", two)["offered"], module="backup_copy_controller")
    flip(os.path.join(disk["path"], "backups", "second", "config.php"))
    settings = {"moodle_backup_root": two.path, "moodle_backup_copies": [disk, here]}
    monkeypatch.setenv("LC_ALL", "C.UTF-8")  # which 'call' has changed, and without which Ansible does not start

    lose(two)
    code, said = run("fetch", dict(settings, moodle_backup_name="second"))
    assert code == 0 and "could not be fetched: copy 'disk': Backup 'second' of" in said, said
    assert "Backup second of stack school was brought to localhost from control node:" in said
    assert contents(two.folder("second")) == before

    lose(two)
    code, said = run("fetch", settings, "--check")
    assert code == 0 and "Backup third of stack school would be brought to localhost from control node:" in said, said
    assert not os.path.exists(two.backups)
    code, said = run("fetch", settings)
    assert code == 0 and "Backup third of stack school was brought to localhost from control node:" in said, said
    whole(two.path, ["third"])

    # Both have the newest one now, but only that of the control node is good.
    lose(two)
    shutil.rmtree(os.path.join(here["path"], "backups", "third"))
    code, said = run("fetch", settings)
    assert code == 0 and "Backup second of stack school was brought to localhost from control node:" in said, said

    # Nobody has a good one: each says why.
    lose(two)
    shutil.rmtree(os.path.join(here["path"], "backups", "second"))
    code, said = run("fetch", dict(settings, moodle_backup_name="second"))
    assert code != 0 and "no good one in the copies 'disk', 'here'; copy 'disk': Backup 'second' of" in said, said

    # The newest one is good where the host reaches it itself.
    flip(os.path.join(disk["path"], "backups", "second", "config.php"))
    code, said = run("fetch", settings)
    assert code == 0 and "Backup second of stack school was brought to localhost from %s" % disk["path"] in said, said
