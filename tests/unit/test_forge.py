# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files for a public forge call what there is, test all that is promised, and give nothing away.

No forge can run them here. The linter check-jsonschema checks their form (tests/tools/lint), and these rules what they
say. Each rule is tried on this repository, where it must find nothing, and on a workflow that breaks it.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github/workflows"
KINDS = {"lint", "sanity", "unit", "engine", "integration", "molecule"}  # what `make test` consists of
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def load(path: Path) -> dict:
    """A workflow; YAML reads the key `on` as a truth value."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in loaded.items()}


WORKFLOWS = {path.stem: load(path) for path in sorted(FOLDER.glob("*.yml"))}


def steps(workflow: dict) -> Iterator[tuple[str, dict, dict]]:
    """Name of the job, the job, and each of its steps."""
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", ()):
            yield name, job, step


def combinations(job: dict) -> list[dict]:
    """What a job's matrix stands for; once, without any."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    included = matrix.pop("include", [])
    if not matrix:
        return included or [{}]
    return [dict(zip(matrix, values)) for values in itertools.product(*matrix.values())] + included


def commands(workflow: dict) -> Iterator[tuple[str, str]]:
    """Name of the job, and each script that it runs, with the values of its matrix in it."""
    for name, job, step in steps(workflow):
        for values in combinations(job):
            script = step.get("run", "")
            for key, value in values.items():
                script = re.sub(r"\$\{\{\s*matrix\.%s\s*\}\}" % key, value, script)
            if script:
                yield name, script


def made_targets(workflow: dict) -> set[str]:
    """What the workflow calls `make` for."""
    called: set[str] = set()
    for _name, script in commands(workflow):
        for words in re.findall(r"(?:^|[&;|]|\bsudo)\s*make\b([^&;|\n]*)", script, re.MULTILINE):
            called.update(word for word in words.split() if "=" not in word and not word.startswith("-"))
    return called


# --- the rules ------------------------------------------------------------------------------------------------------


def check_targets(workflow: dict) -> Iterator[str]:
    """What is called is there."""
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in sorted(made_targets(workflow) - there):
        yield "there is no `make %s`" % target
    for name, script in commands(workflow):
        for path in re.findall(r"(?<![\w./])(?:tests/tools|\.ci|benchmarks)/[\w.-]+", script):
            if not os.access(ROOT / path, os.X_OK):
                yield "%s: %s cannot be run" % (name, path)


def check_jobs(workflow: dict) -> Iterator[str]:
    """A job says where it runs, ends some day, and waits for jobs that there are."""
    for name, job in workflow["jobs"].items():
        needed = job.get("needs", [])
        for other in [needed] if isinstance(needed, str) else needed:
            if other not in workflow["jobs"]:
                yield "%s: needs %s, which is no job" % (name, other)
        if "uses" in job:
            if not (ROOT / job["uses"]).is_file():
                yield "%s: there is no %s" % (name, job["uses"])
        elif "runs-on" not in job or not 1 <= job.get("timeout-minutes", 0) <= 120:
            yield "%s: no runs-on, or no timeout-minutes" % name


def check_actions(workflow: dict) -> Iterator[str]:
    """Only actions of the forge itself, of a version that is named, and no token left for what runs after them."""
    for name, _job, step in steps(workflow):
        used = step.get("uses")
        if used and not re.fullmatch(r"actions/[\w-]+@v\d+", used):
            yield "%s: %s is not an action of the forge with a version" % (name, used)
        kept = step.get("with", {}).get("persist-credentials", True)
        if used and used.startswith("actions/checkout@") and kept is not False:
            yield "%s: leaves its token in the checkout" % name


def check_permissions(workflow: dict) -> Iterator[str]:
    """A workflow may read; what a job may do besides, it says itself, and nobody else's pull request gets it."""
    if workflow.get("permissions") != {"contents": "read"}:
        yield "it may do more than read"
    if "pull_request_target" in workflow["on"]:
        yield "runs the code of strangers with its own rights"
    for name, job in workflow["jobs"].items():
        if "write" in str(job.get("permissions")) and ("environment" not in job or "pull_request" in workflow["on"]):
            yield "%s: may write without anybody's approval" % name


def check_expressions(workflow: dict) -> Iterator[str]:
    """Nothing from outside becomes part of a script, and a secret reaches a program by its environment alone."""
    for name, _job, step in steps(workflow):
        for expression in EXPRESSION.findall(step.get("run", "")):
            if not expression.startswith("matrix."):
                yield "%s: `%s` in a script" % (name, expression)
    shown = copy.deepcopy(workflow)
    for name, _job, step in steps(shown):
        if "secrets." in str(step.pop("env", "")) and "environment" not in shown["jobs"][name]:
            yield "%s: takes a secret without anybody's approval" % name
    if "secrets." in str(shown):
        yield "a secret that is not in the environment of one step"


def check_tags(workflow: dict) -> Iterator[str]:
    """What a tag starts has that tag already and asks for no other, see test_a_checkout_of_a_tag_has_the_tag."""
    by_tag = "workflow_call" in workflow["on"] or "tags" in (workflow["on"].get("push") or {})
    for name, _job, step in steps(workflow):
        if by_tag and step.get("with", {}).get("fetch-tags", False) is not False:
            yield "%s: fetches the tag that started it twice, which git refuses" % name


CHECKS = (check_targets, check_jobs, check_actions, check_permissions, check_expressions, check_tags)


@pytest.mark.parametrize("name", WORKFLOWS)
@pytest.mark.parametrize("check", CHECKS)
def test_workflow_keeps_the_rule(check, name):
    assert list(check(WORKFLOWS[name])) == []


# --- what they do all together --------------------------------------------------------------------------------------


def test_all_that_make_test_consists_of_is_run():
    assert made_targets(WORKFLOWS["test"]) == KINDS


def test_kinds_are_those_of_make_test():
    text = (ROOT / "tests/tools/run_tests.py").read_text(encoding="utf-8")
    assert set(re.findall(r'(?:TOOLS / |stage\(|stages\(|listed\()"(\w+)"', text)) == KINDS


def test_the_oldest_supported_release_of_ansible_core_is_tested():
    """The same one as meta/runtime.yml, docs/releases.md and the tests of the installed archive name."""
    cores = [values["core"] for values in combinations(WORKFLOWS["test"]["jobs"]["core"])]
    assert cores == sorted(cores, key=lambda core: int(core.split(".")[1]))
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"] == ">=%s.0" % cores[0]
    assert "| ansible-core, where you work | %s |" % cores[0] in (ROOT / "docs/releases.md").read_text(encoding="utf-8")
    assert '"ansible-core==%s.*"' % cores[0] in (ROOT / "tests/engine/test_installed.py").read_text(encoding="utf-8")


def test_a_release_is_tested_and_built_before_it_is_published():
    workflow = WORKFLOWS["release"]
    assert set(workflow["on"]) == {"push"} and set(workflow["on"]["push"]) == {"tags"}
    assert workflow["jobs"]["test"]["uses"] == "./.github/workflows/test.yml"
    assert "workflow_call" in WORKFLOWS["test"]["on"]
    assert made_targets({"jobs": {"archive": workflow["jobs"]["archive"]}}) == {"release"}
    publishing = [name for name, script in commands(workflow) if "publish" in script]
    assert publishing == ["publish"]
    assert set(workflow["jobs"]["publish"]["needs"]) == {"test", "archive"}


# --- what they rely on ----------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    return subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tags_too", [False, True])
def test_a_checkout_of_a_tag_has_the_tag(tags_too, tmp_path):
    """For a run that a tag has started, actions/checkout fetches the commit into the ref of the tag, without other tags
    unless fetch-tags is set. `make release` needs no more. With it, an annotated tag would come to that ref, too."""
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
        git(folder, "init", "-q")
    git(there, "commit", "-q", "--allow-empty", "-m", "x")
    git(there, "tag", "-a", "-m", "1.0.0", "1.0.0")
    commit = git(there, "rev-parse", "HEAD").stdout.strip()
    options = ["--prune", "--no-recurse-submodules", "--depth=1", "file://%s" % there]
    fetched = git(here, "fetch", *([] if tags_too else ["--no-tags"]), *options, "+%s:refs/tags/1.0.0" % commit)
    if tags_too:
        assert fetched.returncode != 0 and "Cannot fetch both" in fetched.stderr
        return
    assert git(here, "checkout", "-q", "--force", "refs/tags/1.0.0").returncode == 0
    assert git(here, "tag", "--points-at", "HEAD").stdout.split() == ["1.0.0"]  # what tests/tools/release asks


# --- workflows that break them --------------------------------------------------------------------------------------


def job(**changes) -> dict:
    good = {"runs-on": "ubuntu-24.04", "timeout-minutes": 20, "steps": [{"run": "make lint"}]}
    good.update({key.replace("_", "-"): value for key, value in changes.items()})
    return {key: value for key, value in good.items() if value is not None}


def workflow(jobs: dict, **changes) -> dict:
    return {"on": {"push": None}, "permissions": {"contents": "read"}, "jobs": jobs, **changes}


def run(script: str) -> list[dict]:
    return [{"run": script}]


MATRIX = {"matrix": {"k": ["engine", "no"]}}
CHECKOUT = {"uses": "actions/checkout@v5"}
SAFE = {**CHECKOUT, "with": {"persist-credentials": False}}
TAGS = {**CHECKOUT, "with": {"persist-credentials": False, "fetch-tags": True}}
SECRET = {"run": "publish", "env": {"TOKEN": "${{ secrets.TOKEN }}"}}
BROKEN = [
    (check_targets, workflow({"a": job(steps=run("true && sudo make no"))}), "there is no `make no`"),
    (check_targets, workflow({"a": job(steps=run("make ${{ matrix.k }}"), strategy=MATRIX)}), "there is no `make no`"),
    (check_targets, workflow({"a": job(steps=run("tests/tools/no --list"))}), "a: tests/tools/no cannot be run"),
    (check_jobs, workflow({"a": job(timeout_minutes=None)}), "a: no runs-on, or no timeout-minutes"),
    (check_jobs, workflow({"a": job(runs_on=None)}), "a: no runs-on, or no timeout-minutes"),
    (check_jobs, workflow({"a": job(needs="b")}), "a: needs b, which is no job"),
    (check_jobs, workflow({"a": {"uses": "./.github/workflows/no.yml"}}), "a: there is no ./.github/workflows/no.yml"),
    (check_actions, workflow({"a": job(steps=[{"uses": "somebody/action@v1"}])}), "a: somebody/action@v1 is not an"),
    (check_actions, workflow({"a": job(steps=[{"uses": "actions/cache@main"}])}), "a: actions/cache@main is not an"),
    (check_actions, workflow({"a": job(steps=[SAFE, CHECKOUT])}), "a: leaves its token in the checkout"),
    (check_permissions, workflow({"a": job()}, permissions="write-all"), "it may do more than read"),
    (check_permissions, workflow({"a": job()}, on={"pull_request_target": None}), "runs the code of strangers"),
    (check_permissions, workflow({"a": job(permissions={"contents": "write"})}), "a: may write without anybody's"),
    (check_expressions, workflow({"a": job(steps=run("echo ${{ github.event.issue.title }}"))}), "a: `github.event."),
    (check_expressions, workflow({"a": job(steps=[SECRET])}), "a: takes a secret without anybody's approval"),
    (check_expressions, workflow({"a": job(env=SECRET["env"])}), "a secret that is not in the environment of one step"),
    (check_tags, workflow({"a": job(steps=[TAGS])}, on={"push": {"tags": ["*"]}}), "a: fetches the tag that started"),
]


@pytest.mark.parametrize(("check", "broken", "problem"), BROKEN)
def test_broken_workflow_is_found(check, broken, problem):
    found = list(check(broken))
    assert len(found) == 1
    assert problem in found[0]


def test_every_rule_is_tried_on_a_broken_workflow():
    assert {check for check, broken, problem in BROKEN} == set(CHECKS)
