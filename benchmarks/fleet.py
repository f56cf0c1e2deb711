# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack costs over SSH: a Docker host that is a container, with many small stacks, backed up in one run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import meter
import stack
from stack import BenchmarkError

STACKS = 20  # at --scale 1
# name → what is done, on how many stacks (0 for all)
STEPS = {
    "ping": ("five modules that do nothing", 0),
    "one-first": ("first backup of an empty stack, without images", 1),
    "one-repeat": ("repeat", 1),
    "one-tuned": ("repeat with other settings of Ansible", 1),
    "one-images": ("repeat with images, for the first time", 1),
    "all-first": ("the others: first backup, without images", 0),
    "all-repeat": ("all: repeat", 0),
    "all-tuned": ("all: repeat with other settings of Ansible", 0),
}
_ROOT = Path(__file__).resolve().parents[1]
_HOSTS = str(_ROOT / "tests" / "tools" / "hosts")
_HOST = f"{stack.PREFIX}-host"
_BACKUPS = "/var/backups/moodleclaude/backups"
_NOTHING = [{"hosts": "all", "gather_facts": False, "become": True, "tasks": [{"ansible.builtin.ping": None}] * 5}]
_TUNED = "[defaults]\ninternal_poll_interval = 0.01\n[connection]\npipelining = true\n"
_CHECK = (f"cd {_BACKUPS} && for name in *; do"
          " (cd \"$name\" && sha256sum --quiet --check backup_manifest.txt) || exit 1; done")


class Fleet:
    """The host and its stacks. :param work: a folder for the inventory and all else. :param number: of stacks."""

    def __init__(self, work: Path, number: int) -> None:
        self.work, self.number = work, number
        self.names = [f"stack{index + 1}" for index in range(number)]
        self.inventory, self.times = work / "hosts.json", work / "task_times"
        self.tuned, self.plain = work / "tuned.cfg", work / "plain.cfg"
        self.environment = os.environ | {
            "ANSIBLE_CALLBACK_PLUGINS": str(_ROOT / "benchmarks" / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "task_times", "TASK_TIMES": str(self.times), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}

    def set_up(self, say: Callable[[str], None]) -> None:
        """Start the host, install a small site in each stack, and write the inventory."""
        sites = self.work / "sites"
        sites.mkdir()
        say("starting a Docker host")
        self._hosts("start", str(self.work / "ssh"), "--mount", f"{_ROOT}:/checkout:ro",
                    "--mount", f"{sites}:/sites:ro", _HOST)
        self._hosts("load", _HOST, *stack.SOURCES.values())
        for name in self.names:
            say(f"installing {name}")
            (sites / f"{name}.yml").write_text(json.dumps({"name": name, "fill": {"users": 1, "files": 1, "rows": 1}}))
            stack.docker("exec", _HOST, "python3", "-B", "/checkout/tests/tools/lab", "create", f"/sites/{name}.yml")
        address = json.loads((self.work / "ssh" / "addresses.json").read_text())[_HOST]
        reached = {
            "ansible_host": address, "ansible_user": "deploy", "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.work / "ssh" / "key"),
            "ansible_ssh_common_args":
                f"-o UserKnownHostsFile={self.work}/ssh/known_hosts -o StrictHostKeyChecking=yes",
        }
        self.inventory.write_text(json.dumps({"all": {"hosts": {"host": reached}}}))
        (self.work / "nothing.yml").write_text(json.dumps(_NOTHING))
        self.tuned.write_text(_TUNED)
        self.plain.write_text("")

    def tear_down(self) -> None:
        """Remove the host with all that it has, if it is there."""
        self._hosts("remove", _HOST)

    def _hosts(self, *words: str) -> None:
        stack.command(sys.executable, "-B", _HOSTS, *words)

    def run(self, step: str, names: list[str]) -> dict:
        """Measure a step on some of the stacks; return its figures.

        :raises: BenchmarkError if it did not go well for every one of them.
        """
        self.times.unlink(missing_ok=True)
        words = ["ansible-playbook", "--inventory", str(self.inventory)]
        if step == "ping":
            words.append(str(self.work / "nothing.yml"))
        else:
            variables = {"moodle_backup_stacks": [{"container": f"{name}-web", "stack": name} for name in names],
                         "moodle_backup_images": step.endswith("images")}
            words += ["--extra-vars", json.dumps(variables), "moodleclaude.backup.backup"]
        settings = {"ANSIBLE_CONFIG": str(self.tuned if step.endswith("tuned") else self.plain)}
        # With the page cache as it is: how fast a disk gives Ansible's own code is not what this is about.
        log = self.work / f"{step}.log"
        measured = meter.measure(words, log, self.environment | settings)
        tasks = [json.loads(line) for line in self.times.read_text().splitlines()]
        if step != "ping":
            self.prove(names, summary_in(log.read_text(encoding="utf-8")))
        return {"step": step, "way": "ours", "stacks": len(names), "wall": measured.wall, "machine": measured.machine,
                "idle_load": measured.idle_load, "cold": None, "tasks": tasks, "modules": {}}

    def prove(self, names: list[str], found: dict) -> None:
        """Raise BenchmarkError unless the summary names every one of the stacks as done, and all backups are whole."""
        done = [row["stack"] for row in found["stacks"] if row["state"] == "done"]
        if done != names or found["result"] != "good":
            raise BenchmarkError(f"backed up were {done}, and not {names}")
        stack.docker("exec", _HOST, "sh", "-c", _CHECK)


def summary_in(output: str) -> dict:
    """What ansible-playbook has printed of the summary of a run, as data. :raises: BenchmarkError if there is none."""
    for line in output.splitlines():
        head, _mark, text = line.strip().partition("RUN: ")
        if not head and text:
            return json.loads(text)["moodle_backup_summary"]["backup"]
    raise BenchmarkError(f"the run has not said what became of the stacks: {output[-2000:]}")


def run(scale: float, work: Path, say: Callable[[str], None]) -> dict[str, object]:
    """Measure every step once. :returns: {"runs": [...], "stacks": how many there are}."""
    fleet = Fleet(work, max(2, round(STACKS * scale)))
    runs = []
    try:
        fleet.set_up(say)
        for step in STEPS:
            names = {"one": fleet.names[:1], "all": fleet.names}.get(step.partition("-")[0], [])
            runs.append(fleet.run(step, fleet.names[1:] if step == "all-first" else names))
            say(f"  {STEPS[step][0]}: {runs[-1]['wall']:.1f} s")
    finally:
        fleet.tear_down()
    return {"runs": runs, "stacks": fleet.number}
