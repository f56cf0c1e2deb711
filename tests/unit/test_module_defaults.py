# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play says once how the engine is reached and where the backups are, and every module of the collection takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
GROUPS = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]


@pytest.fixture(scope="module")
def defaults(tmp_path_factory):
    """Values that no module would have by itself; nothing is there, so that no module can do anything."""
    folder = tmp_path_factory.mktemp("defaults")
    return {"docker": {"docker_host": "unix://%s/nobody.sock" % folder, "timeout": 17},
            "root": {"root": str(folder / "root")}}


@pytest.fixture(scope="module")
def results(tmp_path_factory, defaults):
    """What each module answers when a play calls it with nothing but the defaults."""
    folder = tmp_path_factory.mktemp("play")
    tasks = [{"name": name, "moodleclaude.backup.%s" % name: {}, "register": name, "ignore_errors": True}
             for name in MODULES]
    answers = ", ".join("%s: %s" % (json.dumps(name), name) for name in MODULES)
    tasks.append({"name": "Write down what they said", "check_mode": False, "ansible.builtin.copy": {
        "content": "{{ {%s} | to_json }}" % answers, "dest": str(folder / "results.json"), "mode": "0600"}})
    groups = {"group/moodleclaude.backup.%s" % name: options for name, options in defaults.items()}
    play = {"name": "Call every module", "hosts": "localhost", "gather_facts": False, "module_defaults": groups,
            "vars": {"ansible_python_interpreter": sys.executable, "ansible_connection": "local"}, "tasks": tasks}
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "--check", "play.yml"]
    environment = dict(os.environ, ANSIBLE_NOCOLOR="1", ANSIBLE_PIPELINING="1")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_defaults_of_the_groups_reach_the_module(module, results, defaults):
    result = results[module]
    assert "Unsupported parameters" not in result.get("msg", "")
    taken = result["invocation"]["module_args"]
    for group, members in GROUPS.items():
        if module in members:
            assert {name: taken[name] for name in defaults[group]} == defaults[group]
