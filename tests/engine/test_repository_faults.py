# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repository of backups on a disk that is full or cannot be written, and after runs that were killed. Needs root."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from repository_lab import Lab, git, make_backup

from ansible_collections.moodleclaude.backup.plugins.module_utils import _lock
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import BackupError


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A repository on a small disk of its own."""
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    lab = Lab(tmp_path / "lab")
    lab.path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0755", "tmpfs", str(lab.path)], check=True)
    try:
        make_backup(lab.root, "school_1")
        lab.do("initialized")
        lab.do("recorded")
        yield lab
    finally:
        subprocess.run(["umount", str(lab.path)], check=True)


def leftovers(lab):
    return [name for name in os.listdir(lab.path / ".git") if name.startswith("moodle_backup_") or name.endswith(".lock")]


def test_a_full_disk_leaves_the_repository_as_it_was(lab):
    make_backup(lab.root, "school_2", password="another one")
    head = git(lab.path, "rev-parse", "HEAD")
    with open(lab.path / "filler", "ab", buffering=0) as handle, pytest.raises(OSError):
        while True:
            handle.write(os.urandom(4096))
    for state in ("snapshot", "recorded"):
        with pytest.raises((BackupError, OSError), match="[Nn]o space left"):
            lab.do(state, max_size=10**7)
    assert git(lab.path, "rev-parse", "HEAD") == head and leftovers(lab) == []
    (lab.path / "filler").unlink()
    assert lab.do("recorded")["changed"]
    assert git(lab.path, "status", "--porcelain") == "" and git(lab.path, "fsck", "--strict") == ""


def test_a_disk_that_cannot_be_written_is_named(lab):
    (lab.path / "new").write_text("x")
    subprocess.run(["mount", "-o", "remount,ro", str(lab.path)], check=True)
    try:
        for state in ("snapshot", "recorded"):
            with pytest.raises((BackupError, OSError), match="[Rr]ead-only file system"):
                lab.do(state)
        assert lab.do("status")["files"]["untracked"] == ["new"]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(lab.path)], check=True)
    assert lab.do("snapshot")["changed"]


def test_a_run_that_was_killed_is_made_up_for_by_the_next(lab):
    """It is killed at many moments; a lock of git that stays is named, and the rest is as if it had never run."""
    for number in range(12):
        (lab.path / ("file%d" % number)).write_text("x" * number)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            try:
                lab.do("snapshot")
            finally:
                os._exit(0)
        time.sleep(0.02 * number)
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)  # before it had a group
        os.waitpid(pid, 0)
        try:
            lab.do("snapshot")
        except BackupError as error:
            assert error.details.get("lock"), error.describe()
            os.unlink(error.details["lock"])
            lab.do("snapshot")
        assert leftovers(lab) == []
        assert git(lab.path, "status", "--porcelain") == "" and git(lab.path, "fsck", "--strict") == ""
        assert "file%d" % number in git(lab.path, "ls-files")
