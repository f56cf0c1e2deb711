# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways of backing up that are compared: how each is started, where it stores, and how its backups are proved."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import meter
import stack
from stack import BenchmarkError

HERE = Path(__file__).resolve().parent
_PART = re.compile(r"^== (\d+)[.,](\d+) (.+)$", re.MULTILINE)


class Way:
    """One way of backing up.

    :param work: a folder for its backups and whatever else it needs.
    :param site: the folder that describes the stack.
    """

    name: str

    def __init__(self, work: Path, site: Path) -> None:
        self.storage, self.site = work / self.name, site
        self.environment = dict(os.environ)
        self.kept: dict[str, str] = {}  # label → what the way itself calls this backup

    def backup(self, label: str) -> list[str]:
        """The command that makes a backup."""
        raise NotImplementedError

    def restore(self, label: str) -> list[str]:
        """The command that restores this backup over whatever is there."""
        raise NotImplementedError

    def made(self, label: str) -> dict[str, int]:
        """Prove that the backup is whole and what it says; return its figures.

        :raises: BenchmarkError if it is not.
        """
        raise NotImplementedError

    def details(self, log: Path) -> list[dict]:
        """Where the time went in the last command: {"task", "item", "seconds"}."""
        found = _PART.findall(log.read_text(errors="replace"))
        begun = [(float(f"{whole}.{part}"), name) for whole, part, name in found]
        return [{"task": name, "item": "", "seconds": round(after - start, 3)}
                for (start, name), (after, _next) in zip(begun, begun[1:])]

    def prove(self, words: list[str], folder: Path | None = None) -> str:
        done = subprocess.run(words, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"a backup made by '{self.name}' is damaged: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def prove_parts(self, names: str, parts: tuple[str, ...]) -> None:
        for part in parts:
            if part not in names:
                raise BenchmarkError(f"a backup made by '{self.name}' has no {part}: {names}")


_FILES = ("database", "application.tar", "moodledata.tar", "plugins.tar", "image", "container_info.json",
          "environment_snapshot.txt")


class Original(Way):
    """One command after another through the Docker command line; every backup is a full copy."""

    name = "original"

    def backup(self, label: str) -> list[str]:
        return [str(HERE / "original"), "backup", str(self.site), str(self.storage / label)]

    def restore(self, label: str) -> list[str]:
        return [str(HERE / "original"), "restore", str(self.site), str(self.storage / label)]

    def made(self, label: str) -> dict[str, int]:
        folder = self.storage / label
        self.prove(["sha256sum", "--quiet", "--check", "backup_manifest.txt"], folder)
        self.prove_parts(" ".join(path.name for path in folder.iterdir()), _FILES)
        return {"dump": (folder / "database.sql").stat().st_size}


class Restic(Way):
    """Debian's restic with a repository on the local disk."""

    name = "restic"
    _PARTS = ("database", "application", "moodledata", "image_web", "image_db", "information", "configuration")

    def __init__(self, work: Path, site: Path) -> None:
        super().__init__(work, site)
        self.environment |= {"RESTIC_REPOSITORY": str(self.storage), "RESTIC_PASSWORD": secrets.token_hex(16),
                             "RESTIC_CACHE_DIR": str(work / "restic-cache"), "RESTIC_PROGRESS_FPS": "0.01"}

    def backup(self, label: str) -> list[str]:
        return [str(HERE / "restic"), "backup", str(self.site), label]

    def restore(self, label: str) -> list[str]:
        return [str(HERE / "restic"), "restore", str(self.site), label]

    def made(self, label: str) -> dict[str, int]:
        self.prove(["restic", "check", "--quiet", "--read-data"])
        snapshots = json.loads(self.prove(["restic", "snapshots", "--json", "--tag", label]))
        self.prove_parts(" ".join(tag for snapshot in snapshots for tag in snapshot["tags"]), self._PARTS)
        return {}


class Ours(Way):
    """The playbooks of this collection, with their defaults."""

    name = "ours"

    def __init__(self, work: Path, site: Path, transport: str = "auto") -> None:
        super().__init__(work, site)
        self.transport = transport
        self.times = work / "task_times"
        self.environment |= {"ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"), "TASK_TIMES": str(self.times),
                             "ANSIBLE_CALLBACKS_ENABLED": "task_times", "ANSIBLE_LOCALHOST_WARNING": "0",
                             "ANSIBLE_NOCOLOR": "1"}

    def backup(self, label: str) -> list[str]:
        return self.playbook("backup", moodle_backup_container=stack.WEB, moodle_backup_name=label,
                             moodle_backup_transport=self.transport)

    def restore(self, label: str) -> list[str]:
        return self.playbook("restore", moodle_backup_name=label, moodle_backup_transport=self.transport)

    def playbook(self, name: str, **variables: str) -> list[str]:
        variables |= {"ansible_python_interpreter": sys.executable, "moodle_backup_root": str(self.storage)}
        return ["ansible-playbook", "--inventory", "localhost,", "--connection", "local", "--extra-vars",
                json.dumps(variables), f"moodleclaude.backup.{name}"]

    def made(self, label: str) -> dict[str, int]:
        folder = self.storage / "backups" / label
        self.prove(["sha256sum", "--quiet", "--check", "backup_manifest.txt"], folder)
        if (folder / "filedir.sha1").exists():
            self.prove(["sha1sum", "--quiet", "--check", "filedir.sha1"], folder)
        self.prove_parts(" ".join(path.name for path in folder.iterdir()), _FILES)
        self.prove(self.playbook("verify", moodle_backup_name=label))
        (dump,) = folder.glob("database.dump*")
        return {"dump": dump.stat().st_size}

    def details(self, log: Path) -> list[dict]:
        return [json.loads(line) for line in self.times.read_text().splitlines()]


WAYS = {way.name: way for way in (Original, Restic, Ours)}


def run(way: Way, words: list[str], log: Path) -> dict:
    """Measure a command of a way, from a cold page cache. Return its figures; bytes are those that its storage grew."""
    if isinstance(way, Ours):
        way.times.unlink(missing_ok=True)
    dropped = meter.drop_caches()
    before = meter.storage_bytes(way.storage)
    measured = meter.measure(words, log, way.environment)
    after = meter.storage_bytes(way.storage)
    entry = {"way": way.name, **vars(measured), "added": after[0] - before[0], "added_apparent": after[1] - before[1],
             "cold": dropped, "tasks": way.details(log)}
    if isinstance(way, Ours):
        entry["whole_tree_memory"], entry["memory"] = entry["memory"], entry["module_memory"]
    return entry
