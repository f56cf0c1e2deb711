# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that the repository keeps about itself. Each is a function that takes a tree and returns what breaks it.

Every rule is tried twice: on this repository, where it must find nothing, and on a small tree that breaks it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

HEADER = (
    "# Copyright: (c) 2026, MoodleClaude contributors",
    "# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
)
OLDEST_PYTHON = (3, 9)
MAX_TASK_LINES = 120
MAX_PLUGIN_LINES = 450
SHELL = ("ansible.builtin.shell", "shell", "ansible.legacy.shell")
COMMAND = ("ansible.builtin.command", "command", "ansible.legacy.command")
GROUP_OPTIONS = {"docker": "docker_host", "root": "root"}  # action group: the option that makes a module a member


def files_of(root: Path) -> list[Path]:
    """The files that belong to a tree: those of git where there is one, else all."""
    if (root / ".git").exists():
        names = subprocess.run([root / "tests/tools/files", root], check=True, capture_output=True).stdout
        return [root / name.decode() for name in names.split(b"\0") if name]
    return [path for path in sorted(root.rglob("*")) if path.is_file()]


def plugin_files(root: Path) -> list[Path]:
    return sorted((root / "plugins").rglob("*.py"))


def task_files(root: Path) -> list[Path]:
    """Every YAML file that holds tasks or plays."""
    patterns = ("roles/*/tasks/**/*.yml", "roles/*/handlers/*.yml", "playbooks/**/*.yml", "molecule/*/**/*.yml")
    targets = ("tests/integration/targets/*/tasks/**/*.yml", "tests/integration/targets/*/handlers/*.yml")
    return sorted({path for pattern in patterns + targets for path in root.glob(pattern)})


def load(path: Path) -> object:
    """YAML of a file; an unknown tag such as !vault is no matter here."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    return yaml.load(path.read_text(encoding="utf-8"), loader)


def name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


# --- the rules ------------------------------------------------------------------------------------------------------


def check_headers(root: Path) -> Iterator[str]:
    """Every plugin file carries the licence header in its first lines."""
    for path in plugin_files(root):
        top = path.read_text(encoding="utf-8").splitlines()[:8]
        if top and not set(HEADER) <= set(top):
            yield f"{name(root, path)}: licence header is missing or differs"


def check_syntax(root: Path) -> Iterator[str]:
    """Managed hosts may have Python 3.9, and the filters run on the control node."""
    for path in plugin_files(root):
        try:
            ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST_PYTHON)
        except SyntaxError as error:
            yield f"{name(root, path)}:{error.lineno}: no syntax of Python 3.9: {error.msg}"


def check_action_groups(root: Path) -> Iterator[str]:
    """The defaults of a group reach every module that has the group's option, and no other, which would refuse them."""
    groups = load(root / "meta/runtime.yml").get("action_groups") or {}
    modules = {path.stem: module_options(root, path) for path in (root / "plugins/modules").glob("*.py")}
    for group in sorted(set(groups) ^ set(GROUP_OPTIONS)):
        yield f"{group}: an action group of meta/runtime.yml, or of this test, but not of both"
    for group in sorted(set(groups) & set(GROUP_OPTIONS)):
        members, option = set(groups[group]), GROUP_OPTIONS[group]
        for module in sorted(members - set(modules)):
            yield f"{module}: in the action group {group} of meta/runtime.yml, but there is no such module"
        for module, options in sorted(modules.items()):
            if module in members and option not in options:
                yield f"{module}: in the action group {group} of meta/runtime.yml, but it has no option {option}"
            elif module not in members and option in options:
                yield f"{module}: has the option {option}, but is not in the action group {group} of meta/runtime.yml"


def module_options(root: Path, path: Path) -> set[str]:
    """The options of a module as documented, which ansible-test compares with those that it takes."""
    text = documentation(path, "DOCUMENTATION")
    options = set(text.get("options") or {})
    for fragment in text.get("extends_documentation_fragment") or []:
        file, _dot, block = fragment.removeprefix("moodleclaude.backup.").partition(".")
        path = root / "plugins/doc_fragments" / f"{file}.py"
        options |= set(documentation(path, (block or "documentation").upper()).get("options") or {})
    return options


def documentation(path: Path, block: str) -> dict:
    """A block of documentation in a Python file, at its top or in a class."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and [block] == [getattr(target, "id", None) for target in node.targets]:
            return yaml.safe_load(node.value.value) or {}
    return {}


def check_throttle(root: Path) -> Iterator[str]:
    """Where a task has a throttle, there is an action that keeps to it in any strategy; see plugin_utils/_slots.py."""
    actions = {path.stem for path in (root / "plugins/action").glob("*.py")}
    for path in sorted((root / "roles").glob("*/tasks/**/*.yml")):
        for task in tasks_of(load(path)):
            used = {key.rpartition(".")[2] for key in task}
            if "throttle" in task and not used & actions:
                yield f"{name(root, path)}: throttle for a module without an action"


def check_role_options(root: Path) -> Iterator[str]:
    """The argument specs and the defaults of a role say the same."""
    for role in sorted(path for path in (root / "roles").glob("*") if path.is_dir()):
        specs_file = role / "meta/argument_specs.yml"
        if not specs_file.is_file():
            yield f"roles/{role.name}: no meta/argument_specs.yml"
            continue
        options = {}
        for entry in load(specs_file)["argument_specs"].values():
            options.update(entry.get("options") or {})
        defaults_file = role / "defaults/main.yml"
        defaults = (load(defaults_file) if defaults_file.is_file() else None) or {}
        yield from role_differences(role.name, options, defaults)


def role_differences(role: str, options: dict, defaults: dict) -> Iterator[str]:
    for option in sorted(options):
        if not option.startswith("moodle_backup_"):
            yield f"roles/{role}: option {option} does not begin with moodle_backup_"
        if "default" in options[option] and option not in defaults:
            yield f"roles/{role}: option {option} has a default in argument_specs.yml, none in defaults/main.yml"
    for option in sorted(defaults):
        if option not in options:
            yield f"roles/{role}: defaults/main.yml sets {option}, which argument_specs.yml does not know"
        elif "default" not in options[option]:
            yield f"roles/{role}: defaults/main.yml sets {option}, argument_specs.yml has no default for it"
        elif options[option]["default"] != defaults[option]:
            yield f"roles/{role}: {option} has two different defaults"


def check_foreign_paths(root: Path) -> Iterator[str]:
    """No file names a path of the machine it was written on."""
    foreign = re.compile(rb"(?<![\w.$}-])/" + rb"work/")
    for path in files_of(root):
        if path.is_symlink() or not path.is_file():
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if foreign.search(line):
                yield f"{name(root, path)}:{number}: absolute path of a development machine"


def check_readme_playbooks(root: Path) -> Iterator[str]:
    """A user finds every playbook in the README."""
    readme = root / "README.md"
    if not readme.is_file():
        return
    text = readme.read_text(encoding="utf-8")
    for path in sorted((root / "playbooks").glob("*.yml")):
        if not re.search(rf"\b(moodleclaude\.backup\.{path.stem}\b|{path.stem}\.yml\b)", text):
            yield f"{name(root, path)}: not in README.md"


def check_lengths(root: Path) -> Iterator[str]:
    """A file has one job and is short; a test may go through a module's whole life."""
    tasks = [path for path in task_files(root) if not path.is_relative_to(root / "tests")]
    for paths, limit in ((tasks, MAX_TASK_LINES), (plugin_files(root), MAX_PLUGIN_LINES)):
        for path in paths:
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > limit:
                yield f"{name(root, path)}: {lines} lines, more than {limit}"


def check_pipefail(root: Path) -> Iterator[str]:
    """A shell in a task fails when any part of a pipe fails."""
    for path in task_files(root):
        for script in shell_scripts(load(path)):
            if not re.search(r"set -\w*o pipefail", script):
                yield f"{name(root, path)}: shell without `set -o pipefail`: {script.strip().splitlines()[0]}"


def tasks_of(node: object) -> Iterator[dict]:
    """The tasks of a task file, at any depth."""
    for task in node or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_of(task.get(part))


def shell_scripts(node: object) -> Iterator[str]:
    """The scripts of all shell tasks, and of all command tasks that call a shell, at any depth."""
    if isinstance(node, list):
        for item in node:
            yield from shell_scripts(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            text = command_text(value) if key in SHELL + COMMAND else ""
            if text and (key in SHELL or re.search(r"\b(ba|da|z)?sh\s+-\w*c\b", text)):
                yield text
            elif isinstance(value, (dict, list)):
                yield from shell_scripts(value)


def command_text(value: object) -> str:
    """What a command or shell task runs, in any of the ways to write it."""
    if isinstance(value, dict):
        value = value.get("cmd") or value.get("argv") or value.get("_raw_params") or ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def check_order(root: Path) -> Iterator[str]:
    """No list goes through a filter that makes a set of it: what comes out has another order in each run."""
    for path in sorted({*task_files(root), *root.glob("roles/*/*/*.yml"), *root.glob("roles/*/templates/**/*.j2")}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := re.search(r"\|\s*(difference|intersect|symmetric_difference|union)\(", line):
                yield f"{name(root, path)}:{number}: the filter {found[1]} does not keep the order of a list"


def check_texts(root: Path) -> Iterator[str]:
    """A name that somebody gives reaches no module as the number that YAML may have made of it."""
    named = r"(name|stack|container|project|database_container|repository_tag|repository_message|pin_reason)"
    for path in sorted({*root.glob("roles/*/tasks/*.yml"), *root.glob("roles/*/vars/*.yml")}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := re.search(r"{{ (moodle_backup_%s)( \| default\(\w+, true\))? }}" % named, line):
                yield f"{name(root, path)}:{number}: {found[1]} without the filter as_text"


CHECKS = [
    check_headers,
    check_syntax,
    check_action_groups,
    check_throttle,
    check_role_options,
    check_foreign_paths,
    check_readme_playbooks,
    check_lengths,
    check_pipefail,
    check_order,
    check_texts,
]


@pytest.mark.parametrize("check", CHECKS)
def test_repository_keeps_the_rule(check):
    assert list(check(ROOT)) == []


# --- trees that break them ------------------------------------------------------------------------------------------

GROUPS = "action_groups:\n  docker: [%s]\n  root: [%s]\n"
OPTION = 'DOCUMENTATION = "options: {root: {}}"\n'
SPECS = "argument_specs:\n  main:\n    options:\n      moodle_backup_x:\n        default: 1\n"
BROKEN = [
    (check_headers, {"plugins/modules/a.py": "import os\n"}, "plugins/modules/a.py: licence header"),
    (check_headers, {"plugins/modules/a.py": "\n".join(HEADER[:2]) + "\n"}, "plugins/modules/a.py: licence header"),
    (check_syntax, {"plugins/modules/a.py": "match 1:\n    case 1:\n        pass\n"}, "a.py:3: no syntax"),
    (
        check_action_groups,
        {"meta/runtime.yml": GROUPS % ("a", "")},
        "a: in the action group docker of meta/runtime.yml, but there is no such module",
    ),
    (
        check_throttle,
        {
            "plugins/action/a.py": "",
            "roles/r/tasks/m.yml": "- block:\n  - {a.b.a: , throttle: 1}\n  - {b: , throttle: 1}",
        },
        "roles/r/tasks/m.yml: throttle for a module",
    ),
    (
        check_action_groups,
        {"meta/runtime.yml": GROUPS % ("", "a"), "plugins/modules/a.py": ""},
        "a: in the action group root of meta/runtime.yml, but it has no option root",
    ),
    (
        check_action_groups,
        {"meta/runtime.yml": GROUPS % ("", ""), "plugins/modules/a.py": OPTION},
        "a: has the option root, but is not in the action group root",
    ),
    (
        check_action_groups,
        {
            "meta/runtime.yml": GROUPS % ("", ""),
            "plugins/modules/a.py": 'DOCUMENTATION = "extends_documentation_fragment: [moodleclaude.backup.f.x]"\n',
            "plugins/doc_fragments/f.py": 'class ModuleDocFragment:\n    X = "options: {docker_host: {}}"\n',
        },
        "a: has the option docker_host, but is not in the action group docker",
    ),
    (check_action_groups, {"meta/runtime.yml": GROUPS % ("", "") + "  all: []\n"}, "all: an action group of meta"),
    (check_role_options, {"roles/r/tasks/main.yml": "[]"}, "roles/r: no meta/argument_specs.yml"),
    (check_role_options, {"roles/r/meta/argument_specs.yml": SPECS}, "none in defaults/main.yml"),
    (
        check_role_options,
        {"roles/r/meta/argument_specs.yml": SPECS, "roles/r/defaults/main.yml": "moodle_backup_x: 2"},
        "moodle_backup_x has two different defaults",
    ),
    (
        check_role_options,
        {
            "roles/r/meta/argument_specs.yml": SPECS,
            "roles/r/defaults/main.yml": "moodle_backup_x: 1\nmoodle_backup_y: 1",
        },
        "sets moodle_backup_y, which argument_specs.yml does not know",
    ),
    (
        check_role_options,
        {
            "roles/r/meta/argument_specs.yml": SPECS.replace("default: 1", "type: int"),
            "roles/r/defaults/main.yml": "moodle_backup_x: 1",
        },
        "argument_specs.yml has no default for it",
    ),
    (
        check_role_options,
        {
            "roles/r/meta/argument_specs.yml": SPECS.replace("moodle_backup_x", "keep"),
            "roles/r/defaults/main.yml": "keep: 1",
        },
        "option keep does not begin with moodle_backup_",
    ),
    (check_foreign_paths, {"docs/a.md": "see\n`/" + "work/main`\n"}, "docs/a.md:2: absolute path"),
    (check_readme_playbooks, {"README.md": "backup_all.yml", "playbooks/all.yml": "[]"}, "playbooks/all.yml: not in"),
    (check_lengths, {"roles/r/tasks/a.yml": "#\n" * 121}, "roles/r/tasks/a.yml: 121 lines, more than 120"),
    (check_lengths, {"plugins/module_utils/_a.py": "#\n" * 451}, "plugins/module_utils/_a.py: 451 lines"),
    (check_pipefail, {"roles/r/tasks/a.yml": "- ansible.builtin.shell: a | b"}, "roles/r/tasks/a.yml: shell without"),
    (check_pipefail, {"playbooks/p.yml": "- tasks:\n  - block:\n    - shell:\n        cmd: a | b"}, "playbooks/p.yml"),
    (check_pipefail, {"molecule/m/verify.yml": "- tasks:\n  - command:\n      argv: [sh, -c, a | b]"}, "molecule/m/"),
    (check_order, {"roles/r/vars/main.yml": "a: \"{{ b\n  | difference(c) }}\""}, "main.yml:2: the filter difference"),
    (check_texts, {"roles/r/tasks/a.yml": "- a:\n    b: '{{ moodle_backup_name }}'"}, "a.yml:2: moodle_backup_name"),
]


@pytest.mark.parametrize(("check", "files", "problem"), BROKEN)
def test_broken_rule_is_found(check, files, problem, tmp_path):
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = list(check(tmp_path))
    assert len(found) == 1
    assert problem in found[0]


def test_every_rule_is_tried_on_a_broken_tree():
    assert {check for check, files, problem in BROKEN} == set(CHECKS)
