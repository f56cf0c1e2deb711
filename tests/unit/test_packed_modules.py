# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests run the modules that Ansible would have packed, and no old ones, whether they are compiled or not."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible.executor.module_common import _CachedModule

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


@pytest.fixture
def kept(tmp_path):
    """Returns a function that reads the kept package of the module, and writes what another function makes of it."""

    def package(change=None):
        (path,) = (tmp_path / "kept").rglob("ansible_collections.*")
        module = _CachedModule.load(str(path))
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(module.zip_data))) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        if change:
            made = io.BytesIO()
            with zipfile.ZipFile(made, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, change(name, content))
            dataclasses.replace(module, zip_data=base64.b64encode(made.getvalue())).dump(str(path))
        return files

    return package


def test_the_compiled_form_lies_beside_the_source_and_is_what_runs(answer, kept, collection):
    assert answer() == ("one", True)
    files = kept()
    sources = [name for name in files if name.endswith(".py")]
    assert len(sources) > 10 and {name + "c" for name in sources} == set(files) - set(sources)
    for part in ("modules/answer.py", "module_utils/_answer.py"):
        name = "ansible_collections/mcb/packed/plugins/" + part
        assert files[name] == (collection / part).read_bytes()
    kept(lambda name, content: b"raise SystemExit(9)" if name.endswith("_answer.py") else content)
    assert answer() == ("one", False)


def test_another_python_compiles_the_source(answer, kept):
    assert answer() == ("one", True)
    kept(lambda name, content: b"\0\0\r\n" + content[4:] if name.endswith(".pyc") else content)
    assert answer() == ("one", False)
    kept(lambda name, content: content.replace(b"one", b"two") if name.endswith("_answer.py") else content)
    assert answer() == ("two", False)
