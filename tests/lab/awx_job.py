# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a job template of the stand-in for AWX as AWX does: with ansible-runner, in the folders that AWX lays out for it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from . import fake_awx_rules as rules
from .fake_awx import FakeAwx

ROOT = Path(__file__).resolve().parents[2]


class _Unsafe(str):
    """A text in which Ansible must not see a template."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value)))


def _unsafe(value: Any) -> Any:
    """Mark all texts, as AWX marks what was not written into the job template itself."""
    if isinstance(value, str):
        return _Unsafe(value)
    if isinstance(value, list):
        return [_unsafe(item) for item in value]
    return {_Unsafe(key): _unsafe(item) for key, item in value.items()} if isinstance(value, dict) else value


class Job:
    """A run of a job template. code is the exit code, output what was printed, events what ansible-runner told AWX.

    :param awx: where the template is. :param template: its name. :param inventory: dict, as an inventory script prints it.
    :param folder: Path, which must not exist; it stays. :param answers: dict, to the survey. Questions without an answer get
    what AWX's form would send: the default, or an empty text.
    """

    def __init__(self, awx: FakeAwx, template: str, inventory: dict, folder: Path, answers: dict, limit: str = "", check: bool = False):
        self.awx, self.folder = awx, folder
        self.template = awx.named("job_templates", template)
        self.secrets: dict[str, str] = {}
        self._lay_out(inventory, answers, limit or self.template["limit"], check)
        self._run()

    @property
    def said(self) -> str:
        """What was printed, in one line."""
        return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", self.output).replace("\\n", "\n").split())

    def _lay_out(self, inventory: dict, answers: dict, limit: str, check: bool) -> None:
        for name in ("env", "inventory"):
            (self.folder / name).mkdir(parents=True)
        shutil.copytree(self.awx.project, self.folder / "project")
        # What an update of the project would have made of collections/requirements.yml.
        wanted = yaml.safe_load((self.folder / "project/collections/requirements.yml").read_text())
        for collection in wanted["collections"]:
            namespace, _dot, name = collection["name"].partition(".")
            place = self.folder / "requirements_collections/ansible_collections" / namespace
            place.mkdir(parents=True)
            (place / name).symlink_to(ROOT)
        script = self.folder / "inventory/hosts"
        script.write_text("#!%s\nprint(%r)\n" % (sys.executable, json.dumps(inventory)))
        script.chmod(0o700)
        variables = dict(rules.variables(self.template["extra_vars"]))
        launched = dict(self._answered(answers), awx_job_id=1, awx_job_template_name=self.template["name"], awx_user_name="admin")
        self._write("env/extravars", yaml.dump({**variables, **_unsafe(launched)}, Dumper=_Dumper))
        words = ["-u", "root"] + (["--limit", limit] if limit else []) + (["--check"] if check else [])
        for number, injected in enumerate(self._injected()):
            words += ["-e", "@" + self._write("env/credential_%d" % number, yaml.dump(_unsafe(injected), Dumper=_Dumper))]
        self._write("env/cmdline", shlex.join(words))
        self._write("env/envvars", yaml.dump({
            "ANSIBLE_COLLECTIONS_PATH": "%s/requirements_collections" % self.folder, "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_HOST_KEY_CHECKING": "False", "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True", "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "JOB_ID": "1", "PYTHONDONTWRITEBYTECODE": "1"}))

    def _write(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content)
        path.chmod(0o600)
        return str(path)

    def _answered(self, answers: dict) -> dict:
        """Return the answers as they arrive at the job. They have to be valid."""
        survey = self.awx.surveys.get(self.template["id"], {})
        given = {}
        for question in survey.get("spec", []):
            name, default = question["variable"], question.get("default")
            if question["type"] == "multiselect":
                given[name] = default.splitlines() if default else []
            elif default is not None:
                given[name] = default
            elif question["type"] in ("text", "textarea", "password"):
                given[name] = ""
        given.update(answers)
        problems = rules.answer_problems(survey, given)
        unknown = set(given) - {question["variable"] for question in survey.get("spec", [])}
        assert not problems and not unknown, "%s does not take %s: %s" % (self.template["name"], sorted(unknown), problems)
        return given

    def _injected(self) -> list[dict]:
        """Return what each credential sets."""
        found = []
        for number in self.awx.lists.get(("job_templates", self.template["id"], "credentials"), []):
            credential = self.awx.store["credentials"][number]
            kind = self.awx.store["credential_types"][credential["credential_type"]]
            for name in rules.secret_inputs(kind):
                if credential["inputs"].get(name):
                    self.secrets["%s of %s" % (name, credential["name"])] = credential["inputs"][name]
            templates = kind.get("injectors", {}).get("extra_vars", {})
            found.append({name: re.sub(r"{{ *(\w+) *}}", lambda match, inputs=credential["inputs"]: inputs.get(match.group(1), ""), template)
                          for name, template in templates.items()})
        return [injected for injected in found if injected]

    def _run(self) -> None:
        program = Path(sys.executable).with_name("ansible-runner")
        environment = dict(os.environ, PATH="%s:%s" % (program.parent, os.environ["PATH"]))
        # What the tools of the tests set, a job in AWX does not have.
        environment.pop("ANSIBLE_COLLECTIONS_PATH", None)
        done = subprocess.run(
            [program, "run", self.folder, "--playbook", self.template["playbook"], "--ident", "1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment,
            cwd="/", timeout=600)
        self.code, self.output = done.returncode, done.stdout
        self.events = sorted((self.folder / "artifacts/1/job_events").glob("*.json"))

    def results(self, event: str = "runner_on_ok") -> list[dict]:
        """Return the results that ansible-runner has told of."""
        told = [json.loads(path.read_text()) for path in self.events]
        return [one["event_data"]["res"] for one in told if one["event"] == event and "res" in one["event_data"]]

    def told(self) -> bytes:
        """Return all that AWX would store of the run: its events and what it printed."""
        return b"\n".join(path.read_bytes() for path in [*self.events, self.folder / "artifacts/1/stdout"])
