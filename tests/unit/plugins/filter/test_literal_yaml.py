# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that a later run of Ansible has to find as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.filter.literal_yaml import literal_yaml

VALUES = {
    "braces": "a {{ password }} with {% both %} and {# all #}", "plain": "no", "number": "007", "empty": "",
    "quotes": "it's \"so\" \\ $HOME", "lines": "one\n  two\n", "letters": "ä 日本 😀 \x7f \u2028",
    "true": True, "many": [1, 2.5, None, {"{{ key }}": "{{"}]}


def test_ansible_reads_what_was_written(tmp_path):
    inventory = tmp_path / "variables.yml"
    variables = {"mine": VALUES, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(literal_yaml(json.dumps({"all": {"hosts": {"school": variables}}})))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible"), "all", "-i", inventory, "-m", "ansible.builtin.copy",
         "-a", "content='{{ mine | to_json }}' dest=%s/copied" % tmp_path],
        capture_output=True, text=True, check=False, env=dict(os.environ, ANSIBLE_NOCOLOR="1"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "copied").read_text()) == VALUES


def ansible(program, *words, **options):
    return subprocess.run([Path(sys.executable).with_name(program), *words], capture_output=True, text=True, check=True,
                          env=dict(os.environ, ANSIBLE_NOCOLOR="1"), **options).stdout


def test_what_a_vault_holds_is_written_as_it_is(tmp_path):
    """The host that runs the schedule has no password of a vault."""
    (tmp_path / "password").write_text("of the vault\n")
    known = ["--vault-password-file", tmp_path / "password"]
    sealed = ansible("ansible-vault", "encrypt_string", *known, "--stdin-name", "mine", input="s3cret {{ x }}")
    (tmp_path / "vault.yml").write_text(sealed)
    written = Path(__file__).parents[4] / "roles/schedule/tasks/files.yml"
    (task,) = [task for task in yaml.safe_load(written.read_text()) if "variables.yml" in str(task)]
    (content,) = [args["content"] for args in task.values() if isinstance(args, dict) and "content" in args]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars_files": ["vault.yml"],
             "vars": {"_moodle_backup_schedule_variables": {"password": "{{ mine }}"},
                      "ansible_python_interpreter": sys.executable},
             "tasks": [{"ansible.builtin.copy": {"content": content, "dest": f"{tmp_path}/written", "mode": "0600"}}]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    ansible("ansible-playbook", "-i", "localhost,", *known, tmp_path / "play.yml")
    assert (tmp_path / "written").read_text() == '"password": !unsafe "s3cret {{ x }}"\n'


def test_what_is_no_template_is_plain_yaml():
    assert literal_yaml('{"b": "no", "a": ["{{ x }}"]}') == '"a":\n- !unsafe "{{ x }}"\n"b": "no"\n'


@given(st.text())
def test_any_text_can_be_read_again(text):
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    assert yaml.load(literal_yaml(json.dumps([text])), Loader) == [text]
