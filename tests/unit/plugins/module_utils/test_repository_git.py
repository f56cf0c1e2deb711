# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repository of backups, with a real git and a bare remote."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import time

import pytest
from repository_lab import PASSWORD, SECRETS, Lab, all_objects, git, make_backup, pack

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _commit, _lock, _notes, _tracking
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    BackupError,
    CommandError,
    IntegrityError,
    LockedError,
    NotFoundError,
    StorageError,
    UsageError,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._git import check_address, without_credentials
from ansible_collections.moodleclaude.backup.plugins.module_utils._repository import with_block


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    monkeypatch.setattr(_commit, "_PATIENCE", 2)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A repository that knows one backup, and a copy of it: what knows its own path comes back to the same one."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("original")
        patch.setenv("HOME", str(folder))
        patch.setattr(_lock, "find_controller", lambda: None)
        lab = Lab(folder / "lab")
        lab.setup_passwords()
        make_backup(lab.root, "school_1")
        lab.do("initialized", remote=str(lab.remote))
        lab.do("recorded")
        shutil.copytree(lab.folder, folder / "copy", symlinks=True)
    return lab


@pytest.fixture
def recorded(original):
    """A repository that knows one backup."""
    yield original
    shutil.rmtree(original.folder)
    shutil.copytree(original.folder.parent / "copy", original.folder, symlinks=True)


# --- init -----------------------------------------------------------------------------------------------------------


def test_init_makes_a_repository_once(lab):
    assert lab.do("initialized", check_mode=True)["changed"] and not lab.path.exists()
    done = lab.do("initialized", remote=str(lab.remote))
    assert done["changed"] and [change["path"] for change in done["changes"]] == [
        ".backup_tracking", ".gitignore", "backups/README.md"]
    assert git(lab.path, "log", "--format=%an %ae %s").startswith("A a@b Keep track of backups: 3 added (.backup_tr")
    assert git(lab.path, "status", "--porcelain") == ""
    assert git(lab.path, "remote", "get-url", "origin").strip() == str(lab.remote)
    before = lab.tree_state()
    assert not lab.do("initialized")["changed"] and not lab.do("initialized", check_mode=True)["changed"]
    assert lab.tree_state() == before


def test_init_leaves_what_is_there_to_its_owner(lab):
    subprocess.run(["git", "init", "-q", "--initial-branch", "main", str(lab.path)], check=True)
    git(lab.path, "config", "user.name", "Ada")
    lab.write(".gitignore", "*.log")
    lab.write("code.php", "<?php")
    git(lab.path, "add", "code.php")
    lab.do("initialized")
    assert git(lab.path, "log", "--format=%an %ae") == "Ada a@b\n"
    assert git(lab.path, "status", "--porcelain") == "A  code.php\n"
    lines = (lab.path / ".gitignore").read_text().splitlines()
    assert lines[:3] == ["*.log", "", "# moodleclaude.backup: begin"]
    assert not lab.do("initialized")["changed"]


def test_the_block_is_renewed_where_it_was():
    text = "a\n# moodleclaude.backup: begin\nold\n# moodleclaude.backup: end\n!dump.sql\n"
    new = with_block(text, ["store #1"])
    assert new.startswith("a\n# moodleclaude.backup: begin\n")
    assert new.endswith("# moodleclaude.backup: end\n!dump.sql\n")
    assert "old" not in new and "\n/store\\ \\#1/\n" in new and with_block(new, ["store #1"]) == new


def test_a_root_in_the_working_tree_is_ignored_and_a_tree_in_the_root_refused(lab):
    lab.root = _backup_set.Root(str(lab.path / "store"))
    make_backup(lab.root, "school_1")
    lab.do("initialized")
    assert not lab.do("snapshot")["changed"]
    lab.path = lab.folder / "tree" / "store"
    with pytest.raises(UsageError, match="in the backup root"):
        lab.do("initialized")


def test_a_folder_inside_of_a_repository_is_refused(lab):
    lab.do("initialized")
    for path in (lab.path / "backups", lab.path / "new" / "one"):
        lab.path = path
        with pytest.raises(UsageError, match="inside of"):
            lab.do("initialized")
        assert not (path / ".git").exists()
    with pytest.raises((UsageError, NotFoundError)):
        lab.do("snapshot")


# --- snapshots ------------------------------------------------------------------------------------------------------


def test_a_snapshot_takes_everything_and_says_what(recorded):
    recorded.write("code/a b.php", "<?php")
    recorded.write("code/ü.php", "<?php")
    recorded.write("dump.sql", "ignored")
    recorded.write(".env", "PASSWORD=ignored")
    (recorded.path / "backups/README.md").unlink()
    recorded.write(".gitignore", (recorded.path / ".gitignore").read_text() + "*.log\n")
    before = recorded.tree_state()
    foreseen = recorded.do("snapshot", check_mode=True)
    assert recorded.tree_state() == before
    done = recorded.do("snapshot")
    assert foreseen["changes"] == done["changes"] and done["changed"]
    assert git(recorded.path, "log", "-1", "--format=%B").startswith(
        "Snapshot: 2 added (code/a b.php, code/ü.php); 1 changed (.gitignore); 1 removed (backups/README.md)\n\n"
        "added    code/a b.php\nadded    code/ü.php\n")
    assert git(recorded.path, "status", "--porcelain") == "" and git(recorded.path, "fsck", "--strict") == ""
    assert recorded.do("snapshot") == dict(done, changed=False, changes=[], commit=None, message=None)
    assert recorded.do("snapshot", commit_message="x")["commit"] is None


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_a_file_with_a_secret_is_refused_and_leaves_no_trace(recorded, key):
    recorded.write("fine.txt", "fine")
    recorded.write("notes/todo.md", "one\ntwo %s\n" % SECRETS[key])
    before = recorded.tree_state()
    with pytest.raises(IntegrityError) as caught:
        recorded.do("snapshot")
    said = caught.value.describe()
    assert "notes/todo.md holds" in said and "line 2" in said
    assert not any(secret in said + str(caught.value.details) for secret in SECRETS.values())
    assert recorded.tree_state() == before
    assert SECRETS[key].encode() not in all_objects(recorded.path)


def test_secrets_in_names_messages_and_keys_are_refused(recorded):
    recorded.write("Adm1n of school.txt", "x")
    with pytest.raises(IntegrityError, match="the name of <hidden:.*holds admin password"):
        recorded.do("snapshot")
    (recorded.path / "Adm1n of school.txt").rename(recorded.path / "fine.txt")
    with pytest.raises(IntegrityError, match="message of the commit"):
        recorded.do("snapshot", commit_message="the password is Adm1n of school")
    recorded.write("fine.txt", "-----BEGIN RSA PRIVATE KEY-----\nx\n")
    with pytest.raises(IntegrityError, match="fine.txt holds a private key in line 1"):
        recorded.do("snapshot")
    recorded.write("fine.txt", "x" * 1000001)
    with pytest.raises(IntegrityError, match="fine.txt has 1000001 bytes, more than"):
        recorded.do("snapshot")
    recorded.write("fine.txt", "x" * 1000000)
    assert recorded.do("snapshot")["changed"]


def test_a_password_that_only_a_variable_holds_is_known_after_a_change_too(recorded):
    make_backup(recorded.root, "school_2", getenv="another from getenv")
    for secret in ("another from getenv", SECRETS["getenv"]):
        recorded.write("note", secret)
        with pytest.raises(IntegrityError, match="note holds DBX"):
            recorded.do("snapshot")


def test_what_only_sounds_like_a_secret_can_be_named(recorded):
    recorded.write("note", SECRETS["env"])
    with pytest.raises(IntegrityError, match=r"note holds API_TOKEN \(.env in configuration.tar, stack school\)"):
        recorded.do("snapshot")
    assert recorded.do("snapshot", not_secret=["API_TOKEN"])["changed"]


def test_examples_code_and_prose_tell_no_secrets(recorded):
    folder = os.path.join(recorded.root.backups, "school_1")
    pack(os.path.join(folder, "application.tar"), {"./config.php": (
        "<?php\n// $CFG->passwordsaltmain = 'an example of a salt';\n$CFG->tokenduration = 7257600;\n"
        "$CFG->tokenfile = '/etc/ssl/token';\n$CFG->smtppass = getenv('SMTP') ?: required_param('token');\n")})
    pack(os.path.join(folder, "configuration.tar"), {
        "README.md": "Password: ask the office\n", "lang.php": "<?php $string['password'] = 'Your password here';\n",
        "start.sh": "PASSWORD=$(cat /run/secret)\n", "db_password.txt": "geheim in a file\n"})
    recorded.write("note", "an example of a salt 7257600 /etc/ssl/token required_param ask the office"
                   " $(cat /run/secret) Your password here")
    assert recorded.do("snapshot")["changed"]
    recorded.write("note", "x geheim in a file")
    with pytest.raises(IntegrityError, match=r"note holds db_password.txt \(db_password.txt in configuration.tar"):
        recorded.do("snapshot")


def test_a_lock_of_a_dead_git_is_named(recorded, monkeypatch):
    monkeypatch.setattr(_commit, "_PATIENCE", 0.1)
    recorded.write("a", "x")
    (recorded.path / ".git/index.lock").write_text("")
    for state, options in (("snapshot", {}), ("cleaned", {}), ("tagged", {"tag": "v1"}), ("synced", {})):
        with pytest.raises(LockedError, match=r"\.git/index\.lock behind.*"):
            recorded.do(state, **options)


def test_a_lock_that_is_given_back_is_waited_for(recorded):
    recorded.write("a", "x")
    lock = recorded.path / ".git/index.lock"
    lock.write_text("")
    with subprocess.Popen(["sh", "-c", 'sleep 1; rm "$1"', "sh", str(lock)]):
        assert recorded.do("snapshot")["changed"]


def test_a_lock_on_the_branch_is_named(recorded):
    recorded.write("a", "x")
    (recorded.path / ".git/refs/heads/main.lock").write_text("")
    with pytest.raises(LockedError, match="main.lock behind"):
        recorded.do("snapshot")


def test_a_conflict_or_another_branch_is_refused(recorded):
    git(recorded.path, "config", "user.name", "Ada")
    git(recorded.path, "config", "user.email", "ada@example.org")
    git(recorded.path, "switch", "-q", "-c", "other")
    with pytest.raises(UsageError, match="is on branch 'other', not on 'main'"):
        recorded.do("snapshot")
    assert not recorded.do("snapshot", branch="other")["changed"]
    recorded.write("a", "one")
    git(recorded.path, "add", "a")
    git(recorded.path, "commit", "-qm", "one")
    git(recorded.path, "switch", "-q", "main")
    recorded.write("a", "two")
    git(recorded.path, "add", "a")
    git(recorded.path, "commit", "-qm", "two")
    subprocess.run(["git", "-C", str(recorded.path), "merge", "-q", "other"], check=False, capture_output=True)
    for state in ("snapshot", "recorded", "cleaned", "synced"):
        with pytest.raises(UsageError, match=r"merge, rebase or the like is not finished.*\(a\)"):
            recorded.do(state)
    assert recorded.do("status")["files"]["conflicts"] == ["a"]
    git(recorded.path, "merge", "--abort")
    git(recorded.path, "switch", "-q", "--detach")
    with pytest.raises(UsageError, match="on no branch"):
        recorded.do("snapshot")


def test_what_is_no_repository_is_said_to_be_none(lab):
    for state in ("snapshot", "recorded", "status", "cleaned", "synced"):
        with pytest.raises(NotFoundError, match="There is no folder.*"):
            lab.do(state)
    lab.path.mkdir()
    with pytest.raises(NotFoundError, match="not the working tree of a git repository") as caught:
        lab.do("snapshot")
    assert "action=init" in caught.value.hint
    (lab.path / ".git").mkdir()
    with pytest.raises(NotFoundError, match="not the working tree of a git repository"):
        lab.do("initialized")
    lab.path = lab.folder / "file" / "tree"
    (lab.folder / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made: Not a directory"):
        lab.do("initialized")


def test_a_missing_git_and_a_foreign_owner_are_named(recorded, monkeypatch):
    os.chown(recorded.path, 12345, 12345)
    for state in ("initialized", "snapshot"):
        with pytest.raises(BackupError, match="belongs to somebody else") as caught:
            recorded.do(state)
    assert "safe.directory" in caught.value.hint
    monkeypatch.setenv("PATH", str(recorded.folder))
    with pytest.raises(NotFoundError, match="program 'git' is not installed"):
        recorded.do("snapshot")


def test_hooks_and_signing_and_filters_of_the_user_do_not_run(recorded):
    hook = recorded.path / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch %s/ran\nexit 1\n" % recorded.folder)
    hook.chmod(0o755)
    shutil.copy(hook, hook.parent / "reference-transaction")
    git(recorded.path, "config", "commit.gpgSign", "true")
    git(recorded.path, "config", "tag.gpgSign", "true")
    git(recorded.path, "config", "core.autocrlf", "input")
    recorded.write("a", "one\r\n")
    assert recorded.do("snapshot")["changed"] and recorded.do("tagged", tag="v1")["changed"]
    assert git(recorded.path, "-c", "core.autocrlf=false", "cat-file", "blob", "HEAD:a") and not (
        recorded.folder / "ran").exists()


# --- backups --------------------------------------------------------------------------------------------------------


def test_a_backup_is_recorded_without_its_secrets(recorded):
    names = git(recorded.path, "ls-files").split()
    assert [name for name in names if name.startswith(("backups/s", "stacks"))] == [
        "backups/school_1/backup.json", "backups/school_1/backup_manifest.txt", "backups/school_1/compose.yml",
        "backups/school_1/container_info.json", "backups/school_1/environment_snapshot.txt",
        "stacks/school/compose.yml", "stacks/school/container_info.json", "stacks/school/moodle.json",
        "stacks/school/plugins.txt"]
    objects = all_objects(recorded.path)
    for secret in [*SECRETS.values(), base64.b64encode(("moodle:%s" % PASSWORD).encode()).decode(), "a dump with"]:
        assert secret.encode() not in objects
    assert objects.count(b"<hidden:") > 8 and b"POSTGRES_USER=moodle" in objects
    entries = _tracking.parse((recorded.path / ".backup_tracking").read_text())
    manifest = os.path.getsize(os.path.join(recorded.root.backups, "school_1", "backup_manifest.txt"))
    assert [(entry.storage, entry.artefact, entry.size) for entry in entries] == [
        ("local", "application.tar", 10), ("local", "backup_manifest.txt", manifest),
        ("local", "configuration.tar", 10), ("local", "database.dump.zst", 10), ("local", "database_roles.sql", 10),
        ("local", "filedir.sha1", 10),
        ("pool", "filedir.sha1", 1000)]
    assert entries[0].where == "docker1:%s/backups/school_1" % recorded.root.path
    assert "Backup school_1: 9 added (" in git(recorded.path, "log", "-1", "--format=%s")
    key = os.stat(os.path.join(recorded.root.path, "repository.key"))
    assert key.st_mode & 0o777 == 0o600
    before = recorded.tree_state()
    assert not recorded.do("recorded")["changed"] and recorded.tree_state() == before


def test_a_changed_password_shows_and_two_backups_can_be_compared(recorded):
    make_backup(recorded.root, "school_2", password="another one", release="4.5.1")
    assert recorded.do("recorded", check_mode=True)["changed"]
    done = recorded.do("recorded")
    assert done["name"] == "school_2" and done["changed"]
    shown = git(recorded.path, "log", "-p", "-1", "--format=", "stacks/school")
    changed = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert [line.split("<")[0] for line in changed if "POSTGRES" in line] == [
        '-      POSTGRES_PASSWORD: "', '+      POSTGRES_PASSWORD: "', '-     "POSTGRES_PASSWORD=',
        '+     "POSTGRES_PASSWORD=']
    assert '-  "release": "4.5",' in changed and '+  "release": "4.5.1",' in changed and len(changed) == 8
    assert b"another one" not in all_objects(recorded.path)
    recorded.do("recorded", name="school_1")  # an older one does not say what its stack is like now
    assert '"4.5.1"' in (recorded.path / "stacks/school/moodle.json").read_text()


def test_a_backup_of_another_stack_and_the_code_go_into_the_same_commit(recorded):
    make_backup(recorded.root, "college_1", "college")
    recorded.write("code.php", "<?php")
    with pytest.raises(UsageError, match="several stacks"):
        recorded.do("recorded")
    done = recorded.do("recorded", stack="college", commit_message="Before the update")
    assert {"code.php", "stacks/college/moodle.json"} <= {change["path"] for change in done["changes"]}
    assert git(recorded.path, "log", "-1", "--format=%s") == "Before the update\n"
    with pytest.raises(NotFoundError, match="no backup 'nothing'"):
        recorded.do("recorded", name="nothing")
    assert recorded.do("recorded", check_mode=True, name="nothing")["changed"]


def test_what_is_not_tracked_cannot_be_recorded(lab):
    make_backup(lab.root, "school_1")
    subprocess.run(["git", "init", "-q", "--initial-branch", "main", str(lab.path)], check=True)
    with pytest.raises(NotFoundError, match="has no .backup_tracking"):
        lab.do("recorded")
    lab.do("initialized")
    (lab.path / ".backup_tracking").write_text("<<<<<<< HEAD\n")
    with pytest.raises(IntegrityError):
        lab.do("recorded")
    assert "begin" in lab.do("status")["backups"]["tracking_problem"]


def test_a_backup_whose_metadata_lies_is_refused(recorded):
    folder = make_backup(recorded.root, "school_2")
    path = os.path.join(folder, "backup.json")
    with open(path, encoding="utf-8") as handle:
        document = json.load(handle)
    document["artefacts"] += [{"file": "../school_1/database.dump.zst", "role": "compose"}]
    document["moodle"] = "nonsense"
    with open(path, "w", encoding="utf-8") as handle:
        json.dump(document, handle)
    with pytest.raises(IntegrityError, match="is not in its folder"):
        recorded.do("recorded")
    document["artefacts"].pop()
    with open(path, "w", encoding="utf-8") as handle:
        json.dump(document, handle)
    assert recorded.do("recorded")["changed"]


def test_a_folder_that_is_a_link_is_not_followed(recorded):
    elsewhere = recorded.folder / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(recorded.path / "stacks")
    os.symlink(elsewhere, recorded.path / "stacks")
    with pytest.raises(UsageError, match="is a link to somewhere else"):
        recorded.do("recorded")
    assert list(elsewhere.iterdir()) == []


def test_copies_are_tracked_and_outlive_the_backup(recorded):
    _notes.set_copy(recorded.root, "school_1", "nas", "rsync", "nas:/backups", 1.0)
    _notes.set_copy(recorded.root, "school_1", "cloud", "restic", "rest:https://u:geheim-im-netz@cloud.example/", 1.0)
    make_backup(recorded.root, "school_2")
    recorded.do("recorded")
    where = _tracking.storages(_tracking.parse((recorded.path / ".backup_tracking").read_text()), "school_1")
    assert [(place["storage"], place["size"]) for place in where] == [
        ("copy:cloud", 1070), ("copy:nas", 1070), ("local", where[2]["size"]), ("pool", 1000)]
    assert b"geheim-im-netz" not in all_objects(recorded.path)
    shutil.rmtree(os.path.join(recorded.root.backups, "school_1"))
    assert recorded.do("cleaned")["forgotten"] == [] and (recorded.path / "backups/school_1/backup.json").exists()
    where = _tracking.storages(_tracking.parse((recorded.path / ".backup_tracking").read_text()), "school_1")
    assert [place["storage"] for place in where] == ["copy:cloud", "copy:nas"] and where[0]["sha256"]
    assert recorded.do("cleaned", forget=["school_1"])["forgotten"] == ["school_1"]
    assert not (recorded.path / "backups/school_1").exists()
    assert not recorded.do("cleaned", forget=["school_1"])["changed"]


def test_backups_that_are_gone_are_forgotten_and_nothing_else_is_committed(recorded):
    make_backup(recorded.root, "school_2")
    recorded.do("recorded")
    assert recorded.do("cleaned", check_mode=True, gone=["school_1"])["forgotten"] == ["school_1"]
    recorded.write("work in progress", "x")
    git(recorded.path, "add", "work in progress")
    shutil.rmtree(os.path.join(recorded.root.backups, "school_1"))
    assert recorded.do("status")["backups"]["gone"] == ["school_1"]
    assert recorded.do("cleaned", host="docker2")["forgotten"] == []  # it was never that host's
    before = recorded.tree_state()
    assert recorded.do("cleaned", check_mode=True)["forgotten"] == ["school_1"]
    assert recorded.tree_state() == before
    assert recorded.do("cleaned")["forgotten"] == ["school_1"]
    assert git(recorded.path, "status", "--porcelain") == 'A  "work in progress"\n'
    assert git(recorded.path, "log", "-1", "--format=%B") == "Forget 1 backups that are gone\n\nschool_1\n\n"
    assert os.listdir(recorded.path / "backups").count("school_1") == 0
    assert not recorded.do("cleaned")["changed"]
    shutil.rmtree(recorded.root.backups)
    with pytest.raises(StorageError, match="There is no folder"):
        recorded.do("cleaned")


# --- the remote -----------------------------------------------------------------------------------------------------


def clone(lab, name="colleague"):
    subprocess.run(["git", "clone", "-q", str(lab.remote), str(lab.folder / name)], check=True)
    other = lab.folder / name
    git(other, "config", "user.name", "Bo")
    git(other, "config", "user.email", "bo@example.org")
    return other


def test_commits_and_tags_go_to_the_remote_and_come_from_it(recorded):
    assert recorded.do("synced", check_mode=True)["pushed"] == 2
    assert all_objects(recorded.remote) == b""
    recorded.do("tagged", tag="v1")
    assert not recorded.do("tagged", tag="v1")["changed"]
    assert "Latest backup: school_1" in git(recorded.path, "tag", "-n9", "v1")
    done = recorded.do("synced")
    assert (done["pushed"], done["pulled"], done["tags_pushed"], done["changed"]) == (2, 0, ["v1"], True)
    assert not recorded.do("synced")["changed"]
    other = clone(recorded)
    (other / "theirs").write_text("x")
    git(other, "add", "theirs")
    git(other, "commit", "-qm", "theirs")
    git(other, "tag", "-m", "v2", "v2")
    git(other, "push", "-q", "origin", "main", "v2")
    assert recorded.do("status")["remote"]["ahead"] is None  # not fetched yet
    before = recorded.tree_state()
    foreseen = recorded.do("synced", check_mode=True)
    assert foreseen["pulled"] == 1 and recorded.tree_state() == before
    done = recorded.do("synced")
    assert (done["pulled"], done["tags_pulled"], (recorded.path / "theirs").exists()) == (1, ["v2"], True)
    found = recorded.do("status")
    assert (found["remote"]["ahead"], found["remote"]["behind"], found["tags"]) == (0, 0, ["v1", "v2"])


def test_two_sides_that_differ_are_left_to_people(recorded):
    recorded.do("synced")
    other = clone(recorded)
    (other / "theirs").write_text("x")
    git(other, "add", "theirs")
    git(other, "commit", "-qm", "theirs")
    git(other, "push", "-q", "origin", "main")
    recorded.write("ours", "x")
    recorded.do("snapshot")
    with pytest.raises(UsageError, match="1 here, 1 there") as caught:
        recorded.do("synced")
    assert "pull --rebase origin main" in caught.value.hint
    git(recorded.path, "-c", "user.name=x", "-c", "user.email=x", "pull", "-q", "--rebase", "origin", "main")
    assert recorded.do("synced")["pushed"] == 1
    git(other, "pull", "-q")
    git(other, "tag", "-m", "x", "v1")
    git(other, "push", "-q", "origin", "v1")
    recorded.do("tagged", tag="v1")
    with pytest.raises(UsageError, match="tag 'v1' is another one"):
        recorded.do("synced")


def test_a_secret_that_somebody_committed_by_hand_is_not_pushed(recorded):
    recorded.write("note", "x Adm1n of school")
    git(recorded.path, "add", "note")
    git(recorded.path, "-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "oops")
    (recorded.path / "note").unlink()
    recorded.do("snapshot")
    with pytest.raises(IntegrityError, match="note holds admin password .* in line 1"):
        recorded.do("synced")
    git(recorded.path, "reset", "-q", "--hard", "HEAD~2")
    git(recorded.path, "-c", "user.name=x", "-c", "user.email=x", "tag", "-a", "-m", "Adm1n of school", "v1")
    with pytest.raises(IntegrityError, match="tag [0-9a-f]{12} holds admin"):
        recorded.do("synced")
    assert all_objects(recorded.remote) == b""


def test_a_remote_that_cannot_be_reached_is_named(recorded):
    git(recorded.path, "remote", "remove", "origin")
    with pytest.raises(UsageError, match="has no remote 'origin'"):
        recorded.do("synced")
    nowhere = str(recorded.folder / "nowhere.git")
    with pytest.raises(CommandError, match="asking the remote .*nowhere.git failed") as caught:
        recorded.do("synced", remote=nowhere)
    assert "Check the address" in caught.value.hint
    found = recorded.do("status")
    assert "nowhere.git" in found["remote"]["problem"] and any("Check the address" in line for line in found["message"])
    git(recorded.path, "remote", "set-url", "origin", "https://127.0.0.1:9/x.git")
    with pytest.raises(CommandError, match="asking the remote https://127.0.0.1:9/x.git failed"):
        recorded.do("synced")
    git(recorded.path, "remote", "set-url", "origin", "ext::sh -c touch% x")
    with pytest.raises(CommandError, match="not allowed"):
        recorded.do("synced")


@pytest.mark.parametrize("address", ["", "-x", "a\nb", "ext::sh -c x", "https://u:p@host/x", "https://token@host/x"])
def test_addresses_that_show_or_run_something_are_refused(address):
    with pytest.raises(UsageError) as caught:
        check_address(address)
    assert "u:p" not in caught.value.describe() and "token@" not in caught.value.describe()


def test_credentials_in_an_address_are_not_shown(recorded):
    git(recorded.path, "remote", "set-url", "origin", "https://bob:geheim@host.invalid/x.git")
    found = recorded.do("status")
    assert found["remote"]["url"] == "https://host.invalid/x.git" and "geheim" not in json.dumps(found)
    with pytest.raises(CommandError) as caught:
        recorded.do("synced")
    assert "geheim" not in caught.value.describe() + str(caught.value.details)
    assert without_credentials("ssh://git@h/x git@h:x") == "ssh://git@h/x git@h:x"
    with pytest.raises(UsageError, match="not reached over HTTPS"):
        recorded.do("synced", remote="ssh://git@host.invalid/x.git", password="geheim")


FAKE_SSH = """#!/bin/sh
# A fake of ssh: writes down how it was called, and runs on this machine what it should on the other one.
printf '%%s\\n' "$@" >>%(log)s
for word in "$@"; do
    case $word in UserKnownHostsFile=*) cat "${word#*=}" >>%(log)s ;; esac
    command=$word
done
exec sh -c "$command"
"""


def test_a_remote_over_ssh_is_reached_with_the_given_key_only(recorded, tmp_path, monkeypatch):
    log, program = tmp_path / "log", tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(FAKE_SSH % {"log": log})
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (program.parent, os.environ["PATH"]))
    key = tmp_path / "the key"
    options = {"remote": "ssh://git@host.invalid%s" % recorded.remote, "ssh_key": str(key),
               "ssh_host_key": "host.invalid ssh-ed25519 AAAA"}
    with pytest.raises(NotFoundError, match="private key .*the key does not exist"):
        recorded.do("synced", **options)
    key.write_text("")
    assert recorded.do("synced", **options)["pushed"] == 2
    words = log.read_text().splitlines()
    for word in ("BatchMode=yes", "StrictHostKeyChecking=yes", str(key), "IdentitiesOnly=yes", "git@host.invalid",
                 "host.invalid ssh-ed25519 AAAA"):
        assert word in words
    known = next(word.partition("=")[2] for word in words if word.startswith("UserKnownHostsFile="))
    assert not os.path.exists(known)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a repository, for who knows the password."""

    def do_GET(self):  # pylint: disable=invalid-name
        wanted = "Basic %s" % base64.b64encode(b"bob:geheim im netz").decode()
        if self.headers.get("Authorization") == wanted:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()
        return None

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def https(recorded, tmp_path):
    """The address of the bare remote over HTTPS; its certificate is trusted by the user's settings of git."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    (tmp_path / "home" / ".gitconfig").write_text('[http]\n\tsslCAInfo = "%s"\n' % certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = functools.partial(Handler, directory=str(recorded.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "https://localhost:%d/remote.git" % server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_remote_over_https_gets_the_password_and_nobody_else(recorded, https):
    recorded.do("synced")
    git(recorded.remote, "update-server-info")
    for password in (None, "wrong"):
        with pytest.raises(CommandError) as caught:
            recorded.do("synced", remote=https, user="bob", password=password)
        assert "moodle_backup_repository_password" in caught.value.hint
    assert not recorded.do("synced", user="bob", password="geheim im netz")["changed"]
    text = "".join(path.read_text(errors="replace") for path in recorded.path.rglob("*") if path.is_file())
    for form in ("geheim im netz", base64.b64encode(b"bob:geheim im netz").decode()):
        assert form not in text


def test_status_tells_how_things_are(recorded):
    recorded.write("new", "x")
    make_backup(recorded.root, "school_2")
    before = recorded.tree_state()
    found = recorded.do("status")
    assert recorded.tree_state() == before and not found["changed"]
    assert found["files"] == {"conflicts": [], "changed": [], "removed": [], "untracked": ["new"]}
    assert found["backups"]["count"] == 2 and found["backups"]["not_tracked"] == ["school_2"]
    assert (found["backups"]["latest"], found["backups"]["latest_tracked"]) == ("school_2", "school_1")
    assert found["repository_size"] > 0 and found["recent"][0]["subject"].startswith("Backup school_1")
    assert found["remote"] == {
        "url": str(recorded.remote), "ahead": 2, "behind": 0, "problem": None, "tags_to_push": []}
    text = "\n".join(found["message"])
    for words in ("branch main", "1 untracked", "2 on this host", "Not tracked  school_2", "2 commits to push"):
        assert words in text


def test_a_tag_does_not_move_and_has_a_name_that_git_takes(recorded):
    recorded.do("tagged", tag="v1", commit_message="First")
    recorded.write("a", "x")
    recorded.do("snapshot")
    with pytest.raises(UsageError, match="'v1' exists already, on another commit"):
        recorded.do("tagged", tag="v1")
    with pytest.raises(UsageError, match="tag has no name"):
        recorded.do("tagged")
    for name in ("-d", "a b", "a..b"):
        with pytest.raises(UsageError, match="cannot be the name of a tag"):
            recorded.do("tagged", tag=name)
    assert recorded.do("tagged", tag="v2", check_mode=True)["changed"]
    assert git(recorded.path, "tag").split() == ["v1"]


def test_a_colleague_finds_backup_and_manifest_by_the_tracking_file(recorded):
    recorded.do("synced")
    other = clone(recorded)
    shutil.copytree(recorded.root.path, recorded.folder / "storage")
    shutil.rmtree(recorded.root.path)
    entries = _tracking.parse((other / ".backup_tracking").read_text())
    name = _tracking.names(entries)[-1]
    found = _backup_set.find(_backup_set.Root(str(recorded.folder / "storage")), name)
    manifest = open(os.path.join(found["path"], "backup_manifest.txt"), "rb").read()
    assert (other / "backups" / name / "backup_manifest.txt").read_bytes() == manifest
    assert _backup_set.verify(found["path"], record=False) == []


def test_two_runs_at_once_both_get_through(recorded):
    began = time.monotonic()
    children = []
    for number in range(3):
        recorded.write("file%d" % number, "x")
        pid = os.fork()
        if pid == 0:
            try:
                recorded.do("snapshot")
                os._exit(0)
            except BaseException:  # pylint: disable=broad-exception-caught
                os._exit(1)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    assert git(recorded.path, "status", "--porcelain") == "" and time.monotonic() - began < 30
