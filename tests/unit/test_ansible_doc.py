# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-doc shows: all modules, filters and roles, completely described, with examples that work."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "moodleclaude.backup"
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def filters() -> list[str]:
    found = []
    for path in (ROOT / "plugins/filter").glob("*.py"):
        module = importlib.import_module(f"ansible_collections.moodleclaude.backup.plugins.filter.{path.stem}")
        found += module.FilterModule().filters()
    return sorted(found)


@pytest.fixture(scope="module")
def shown() -> dict[str, dict]:
    """What ansible-doc knows of the collection: {"module": {short name: documentation}, "filter": …, "role": …}."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--metadata-dump", "--no-fail-on-errors", COLLECTION],
        capture_output=True, text=True, check=True, env=dict(os.environ, ANSIBLE_NOCOLOR="1"),
    )
    found = json.loads(done.stdout)["all"]
    return {kind: {full.rpartition(".")[2]: entry for full, entry in found[kind].items()}
            for kind in ("module", "filter", "role")}


def test_everything_is_shown(shown):
    assert sorted(shown["module"]) == MODULES
    assert sorted(shown["filter"]) == filters()
    assert sorted(shown["role"]) == ROLES


def test_no_filter_is_described_that_is_gone():
    assert sorted(path.stem for path in (ROOT / "plugins/filter").glob("*.yml")) == filters()


@pytest.mark.parametrize("kind", ["module", "filter"])
def test_every_plugin_is_described(shown, kind):
    problems = []
    for name, entry in shown[kind].items():
        if "error" in entry:
            problems.append(f"{name}: {entry['error']}")
            continue
        doc = entry["doc"]
        problems += [f"{name}: no {key}" for key in ("short_description", "description", "author", "version_added")
                     if not doc.get(key)]
        problems += [f"{name}: no {key}" for key in ("examples", "return") if not entry.get(key)]
        problems += undescribed(doc.get("options") or {}, f"{name}: option", "suboptions")
        problems += undescribed(entry.get("return") or {}, f"{name}: return value", "contains")
    assert problems == []


def test_every_role_is_described(shown):
    problems = []
    for name, entry in shown["role"].items():
        for point, content in entry["entry_points"].items():
            problems += [f"{name}, {point}: no {key}" for key in ("short_description", "description", "author")
                         if not content.get(key)]
            problems += undescribed(content.get("options") or {}, f"{name}, {point}: option", "options")
    assert problems == []


def undescribed(options: dict, where: str, inner: str) -> Iterator[str]:
    """Names of options, or return values, that have no description or no type, at any depth."""
    for name, option in options.items():
        for key in ("description", "type"):
            if not option.get(key):
                yield f"{where} {name} has no {key}"
        yield from undescribed(option.get(inner) or {}, f"{where} {name},", inner)


def test_what_is_not_described_is_found():
    options = {"a": {"description": "A", "type": "dict", "suboptions": {"b": {"type": "str"}}},
               "c": {"description": "C"}}
    assert list(undescribed(options, "option", "suboptions")) == [
        "option a, b has no description", "option c has no type"]


@pytest.mark.parametrize("module", MODULES)
def test_examples_use_what_there_is(shown, module):
    tasks = yaml.safe_load(shown["module"][module]["examples"])
    used = [(name, task[name]) for task in tasks for name in task if name.startswith(COLLECTION + ".")]
    assert module in [name.rpartition(".")[2] for name, _args in used], "no example uses the module itself"
    for name, args in used:
        options = shown["module"][name.rpartition(".")[2]]["doc"].get("options") or {}
        assert list(wrong_options(options, args or {}, name)) == []


def wrong_options(options: dict, args: dict, where: str) -> Iterator[str]:
    """What is wrong with the arguments (dict) of a task by the documented options, at any depth."""
    known = {alias: option for name, option in options.items() for alias in (name, *option.get("aliases", []))}
    for name, option in options.items():
        if option.get("required") and not {name, *option.get("aliases", [])} & set(args):
            yield f"{where}: {name} is required"
    for name, value in args.items():
        if name not in known:
            yield f"{where}: there is no option {name}"
            continue
        option = known[name]
        templated = isinstance(value, str) and "{{" in value
        if option.get("choices") and not templated and option["type"] != "list" and value not in option["choices"]:
            yield f"{where}: {name} cannot be {value!r}"
        for one in value if isinstance(value, list) else [value]:
            if option.get("suboptions") and isinstance(one, dict):
                yield from wrong_options(option["suboptions"], one, f"{where}: {name}")


def test_wrong_examples_are_found():
    options = {"path": {"type": "path", "required": True, "aliases": ["dest"]},
               "state": {"type": "str", "choices": ["present"]},
               "parts": {"type": "list", "suboptions": {"name": {"type": "str", "required": True}}}}
    assert list(wrong_options(options, {"dest": "/x", "state": "{{ x }}", "parts": [{"name": "a"}]}, "m")) == []
    assert list(wrong_options(options, {"state": "absent", "colour": 1, "parts": [{}]}, "m")) == [
        "m: path is required", "m: state cannot be 'absent'", "m: there is no option colour",
        "m: parts: name is required"]
