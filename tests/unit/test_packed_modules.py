# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests run the modules that Ansible would have packed, and no old ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MODULE = """\
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mcb.packed.plugins.module_utils._answer import ANSWER
AnsibleModule({}).exit_json(answer=ANSWER)
"""


@pytest.fixture
def collection(tmp_path):
    """Returns the folder of a collection whose module answers with what its module_utils say."""
    folder = tmp_path / "ansible_collections" / "mcb" / "packed" / "plugins"
    for name, text in (("modules/answer.py", MODULE), ("module_utils/_answer.py", "ANSWER = 'one'\n")):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def answer(collection, tmp_path):
    """Returns a function that runs the module, and returns its answer (str) and whether it was packed."""

    def run():
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"mcb.packed.answer": {}, "register": "got"}, {
            "ansible.builtin.debug": {"msg": "the answer is {{ got.answer }}"}}]}]
        (tmp_path / "play.yml").write_text(json.dumps(play))
        words = [Path(sys.executable).with_name("ansible-playbook"), "-c", "local", "-i", "localhost,",
                 tmp_path / "play.yml", "-e", "ansible_python_interpreter=%s" % sys.executable]
        environment = dict(os.environ, ANSIBLE_CONFIG=str(TESTS / "ansible.cfg"), ANSIBLE_DEBUG="1",
                           ANSIBLE_COLLECTIONS_PATH=str(tmp_path), MCB_PACKED_MODULES=str(tmp_path / "kept"))
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout.partition('"msg": "the answer is ')[2]
        return said.partition('"')[0], "ANSIBALLZ: Creating module" in done.stdout

    return run


def test_what_one_run_has_packed_serves_the_next_until_a_file_changes(answer, collection):
    assert answer() == ("one", True)
    assert answer() == ("one", False)
    (collection / "module_utils" / "_answer.py").write_text("ANSWER = 'another'\n")
    assert answer() == ("another", True)
    assert answer() == ("another", False)


def test_what_is_not_whole_is_not_kept(answer, tmp_path):
    answer()
    kept = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert [path.name.partition("-")[0] for path in kept] == ["ansible_collections.mcb.packed.plugins.modules.answer"]
