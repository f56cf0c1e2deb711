# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play says once how the engine is reached and where the backups are, and the modules take it.

One module of each kind is called. That every module is in the groups of its options, and in no other, is a rule of
test_repository.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# {module: what has to be said besides the defaults}; all of them fail, or find nothing, without changing anything
CALLS = {"backup_info": {}, "moodle_stack_info": {},
         "backup_set": {"state": "begun", "stack": "stack", "name": "backup", "run": "run"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where there is neither an engine nor a backup."""
    return tmp_path_factory.mktemp("defaults")


@pytest.fixture(scope="module")
def results(folder):
    """What each module answers in a play that has the defaults of both groups."""
    defaults = {"group/moodleclaude.backup.docker": {"docker_host": "unix://%s/nobody.sock" % folder},
                "group/moodleclaude.backup.root": {"root": "%s/root" % folder}}
    tasks = [{"name": name, "moodleclaude.backup.%s" % name: arguments, "register": name, "ignore_errors": True}
             for name, arguments in CALLS.items()]
    answers = ", ".join("%s: %s" % (json.dumps(name), name) for name in CALLS)
    tasks.append({"name": "Write down what they said", "ansible.builtin.copy": {
        "content": "{{ {%s} | to_json }}" % answers, "dest": "%s/results.json" % folder, "mode": "0600"}})
    play = {"name": "Call them", "hosts": "localhost", "gather_facts": False, "module_defaults": defaults,
            "tasks": tasks, "vars": {"ansible_python_interpreter": sys.executable, "ansible_connection": "local"}}
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "play.yml"]
    environment = dict(os.environ, ANSIBLE_NOCOLOR="1")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_module_with_a_root_alone_takes_that(results, folder):
    assert results["backup_info"]["root"] == "%s/root" % folder


def test_module_with_a_connection_alone_takes_that(results, folder):
    assert "Connecting to unix://%s/nobody.sock" % folder in results["moodle_stack_info"]["msg"]


def test_module_with_both_takes_both(results, folder):
    """The root is required, so without it the module would not come as far as the engine."""
    assert "Connecting to unix://%s/nobody.sock" % folder in results["backup_set"]["msg"]
