# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages say is true of the code: links, blocks of code, commands, variables, options, defaults.

As in test_repository.py, every rule is a function that takes a tree and returns what breaks it, and is tried on this
repository and on a small tree that breaks it. What ansible-doc shows is in test_ansible_doc.py.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from markdown_pages import Page, commands
from test_repository import ROOT, files_of, load, module_options, name

LANGUAGES = {"shell", "yaml", "ini", "json", "text", "{toctree}"}
COLLECTION = "moodleclaude.backup."
VARIABLE = re.compile(r"\bmoodle_backup_[a-z0-9_]*")
# Variables that only playbooks know.
OF_PLAYBOOKS = {"moodle_backup_hosts": {"type": "str", "default": "all"}}
# What a playbook takes besides the options of its own role, because that includes another one.
INCLUDED = {"repository": ("backup", "cleanup")}


def pages(root: Path) -> Iterator[Page]:
    """The Markdown files that people read; those that only the tests read are none."""
    for path in files_of(root):
        if path.suffix == ".md" and path.is_file():
            yield Page(path)


def at(root: Path, page: Page, line: int) -> str:
    return f"{name(root, page.path)}:{line}"


def specs(root: Path) -> dict[str, dict[str, dict]]:
    """The options of the entry points of all roles: {role: {entry point: {variable: option}}}."""
    found: dict[str, dict[str, dict]] = {}
    for path in sorted((root / "roles").glob("*/meta/argument_specs.yml")):
        entries = load(path)["argument_specs"]
        found[path.parts[-3]] = {entry: content.get("options") or {} for entry, content in entries.items()}
    return found


def documented(root: Path) -> dict[str, list[dict]]:
    """Every variable that a user can set, with the options of that name in all roles."""
    found = {variable: [option] for variable, option in OF_PLAYBOOKS.items()}
    for entries in specs(root).values():
        for options in entries.values():
            for variable, option in options.items():
                found.setdefault(variable, []).append(option)
    return found


def entries_of(playbook: Path) -> list[tuple[str, str]]:
    """The roles of this collection that a playbook runs, and their entry points."""
    found = []
    for play in load(playbook) or []:
        for key in ("import_playbook", "ansible.builtin.import_playbook"):
            if str(play.get(key, "")).startswith(COLLECTION):
                found += entries_of(playbook.with_name(play[key][len(COLLECTION):] + ".yml"))
        found += [(role["role"].rpartition(".")[2], "main") for role in play.get("roles") or []]
        found += list(included(play.get("tasks") or []))
    return found


def included(tasks: list) -> Iterator[tuple[str, str]]:
    for task in tasks:
        for key, value in task.items():
            if key.rpartition(".")[2] in ("import_role", "include_role"):
                yield value["name"].rpartition(".")[2], value.get("tasks_from", "main")
                # A role that runs another one for each stack.
                if "moodle_backup_job" in task.get("vars", {}):
                    yield task["vars"]["moodle_backup_job"], "main"
            elif key in ("block", "rescue", "always"):
                yield from included(value)


def options_of(root: Path, playbook: Path) -> dict[str, list[dict]]:
    """The variables that a playbook takes."""
    known, found = specs(root), {variable: [option] for variable, option in OF_PLAYBOOKS.items()}
    roles = entries_of(playbook) + [(role, "main") for role in INCLUDED.get(playbook.stem, ())]
    for role, entry in roles:
        for variable, option in known.get(role, {}).get(entry, {}).items():
            found.setdefault(variable, []).append(option)
    # What a playbook itself asks for is its own to explain.
    for variable in VARIABLE.findall(playbook.read_text(encoding="utf-8")):
        found.setdefault(variable, [{}])
    return found


# --- links and blocks -----------------------------------------------------------------------------------------------


def check_links(root: Path) -> Iterator[str]:
    """What a page links to in the repository is there, to the heading."""
    for page in pages(root):
        for line, target in page.links:
            path, _hash, anchor = target.partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            found = (page.path.parent / path).resolve() if path else page.path
            if not found.exists():
                yield f"{at(root, page, line)}: there is no {path}"
            elif anchor and (found.suffix != ".md" or anchor not in Page(found).anchors):
                yield f"{at(root, page, line)}: there is no heading #{anchor} in {path or 'this page'}"


def check_blocks(root: Path) -> Iterator[str]:
    """A block of code says its language and can be parsed."""
    for page in pages(root):
        for block in page.blocks:
            problem = block_problem(block)
            if problem:
                yield f"{at(root, page, block.line)}: {problem}"


def block_problem(block) -> str | None:
    if block.language == "yaml":
        try:
            parse_yaml(block.text)
        except yaml.YAMLError as error:
            return f"no YAML: {' '.join(str(error).split())}"
    elif block.language == "json":
        try:
            json.loads(block.text)
        except ValueError as error:
            return f"no JSON: {error}"
    elif block.language == "shell":
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        if done.returncode or done.stderr:
            return f"no shell script: {done.stderr.strip()}"
    elif block.language and block.language not in LANGUAGES:
        return f"'{block.language}' is none of the languages {', '.join(sorted(LANGUAGES))}"
    return None


def parse_yaml(text: str) -> object:
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    return yaml.load(text, loader)


# --- commands -------------------------------------------------------------------------------------------------------


class Unknown(Exception):
    """An argument that ansible-playbook does not have, as far as the pages need it."""


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        raise Unknown(message)


def arguments() -> Arguments:
    parser = Arguments(add_help=False, allow_abbrev=False)
    for option in (["-i", "--inventory"], ["-e", "--extra-vars"], ["-l", "--limit"], ["-f", "--forks"],
                   ["--vault-password-file"]):
        parser.add_argument(*option, action="append", default=[])
    for option in (["-C", "--check"], ["-D", "--diff"], ["-K", "--ask-become-pass"], ["--ask-vault-pass"], ["-v"]):
        parser.add_argument(*option, action="store_true")
    parser.add_argument("playbooks", nargs="+")
    return parser


def scripts(page: Page) -> Iterator[tuple[int, str]]:
    """Shell blocks, and commands within a sentence."""
    for block in page.blocks:
        if block.language == "shell":
            yield block.line, block.text
    for line, code in page.code:
        if code.startswith("ansible-playbook "):
            yield line, code


def check_commands(root: Path) -> Iterator[str]:
    """Every ansible-playbook in the pages is a playbook of ours, with variables that it takes."""
    for page in pages(root):
        for line, script in scripts(page):
            if "ansible-playbook" not in script:
                continue
            for words in commands(script):
                if words[0] == "ansible-playbook":
                    for problem in command_problems(root, words[1:]):
                        yield f"{at(root, page, line)}: {problem}"


def command_problems(root: Path, words: list[str]) -> Iterator[str]:
    try:
        found = arguments().parse_args(words)
    except Unknown as error:
        yield f"ansible-playbook {' '.join(words)}: {error}"
        return
    for playbook in found.playbooks:
        path = root / "playbooks" / (playbook[len(COLLECTION):] + ".yml")
        if not playbook.startswith(COLLECTION):
            if not playbook.endswith(".yml"):
                yield f"'{playbook}' is no playbook of this collection"
        elif not path.is_file():
            yield f"there is no playbook {playbook}"
        else:
            yield from variable_problems(options_of(root, path), extra_vars(found.extra_vars), playbook)


def extra_vars(given: list[str]) -> dict[str, object]:
    """What -e says, as ansible-playbook takes it."""
    found: dict[str, object] = {}
    for text in given:
        if text.startswith("{"):
            found.update(yaml.safe_load(text))
        elif not text.startswith("@"):
            found.update([text.partition("=")[::2]])
    return found


def variable_problems(known: dict[str, list[dict]], given: dict[str, object], where: str) -> Iterator[str]:
    """What is wrong with the values (dict) of variables."""
    for variable, value in given.items():
        if not variable.startswith("ansible_"):
            if variable not in known:
                yield f"{where} takes no {variable}"
            elif not any(fits(option, value) for option in known[variable]):
                yield f"{where}: {variable} cannot be {value!r}"


def fits(option: dict, value: object) -> bool:
    """True if an option can have a value, as far as its type, its choices and its own options tell."""
    if isinstance(value, str) and re.search(r"<.*>|\{\{", value):
        return True  # to be replaced by the reader
    kind = option.get("type", "str")
    if kind == "list":
        values = value if isinstance(value, list) else str(value).split(",")
        element = {**option, "type": option.get("elements", "str")}
        return all(fits(element, one) for one in values)
    if kind == "dict":
        return isinstance(value, dict) and ("options" not in option or not list(
            variable_problems({key: [inner] for key, inner in option["options"].items()}, value, "")) and all(
                key in value for key, inner in option["options"].items() if inner.get("required")))
    if kind == "bool":
        return isinstance(value, bool) or str(value) in ("true", "false")
    if kind == "int" and not re.fullmatch("[0-9]+", str(value)):
        return False
    return "choices" not in option or value in option["choices"]


# --- variables ------------------------------------------------------------------------------------------------------


def named_in_code(root: Path) -> set[str]:
    """Every variable that a role or a playbook names; some are results, not options."""
    paths = [path for folder in ("roles", "playbooks") for path in (root / folder).rglob("*") if path.is_file()]
    return {variable for path in paths for variable in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def check_variables(root: Path) -> Iterator[str]:
    """Every variable that a page names is one of ours, and can be set to the value that stands there."""
    known, named = documented(root), named_in_code(root)
    for page in pages(root):
        for number, line in enumerate(page.text.splitlines(), 1):
            for variable in VARIABLE.findall(line):
                beginning = variable.endswith("_") and any(other.startswith(variable) for other in known)
                if variable not in known and variable not in named and not beginning:
                    yield f"{at(root, page, number)}: there is no variable {variable}"
        for line, code in page.code:
            found = re.fullmatch(r"(moodle_backup_\w+)=([^ ]+)", code)
            if found and found.group(1) in known:
                for problem in variable_problems(known, dict([found.groups()]), "a value"):
                    yield f"{at(root, page, line)}: {problem}"


def check_yaml_values(root: Path) -> Iterator[str]:
    """Variables and modules in YAML have values and options that they take."""
    known = documented(root)
    for page in pages(root):
        for block in page.blocks:
            if block.language == "yaml" and not block_problem(block):
                for problem in node_problems(root, known, parse_yaml(block.text)):
                    yield f"{at(root, page, block.line)}: {problem}"


def node_problems(root: Path, known: dict[str, list[dict]], node: object) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from node_problems(root, known, item)
    elif isinstance(node, dict):
        given = {key: value for key, value in node.items() if str(key).startswith("moodle_backup_")}
        yield from variable_problems(known, given, "a value")
        for key, value in node.items():
            if str(key).startswith(COLLECTION):
                yield from module_problems(root, key, value or {})
            elif str(key).startswith("group/" + COLLECTION):
                yield from group_problems(root, key.rpartition(".")[2], value)
            elif str(key).rpartition(".")[2] in ("import_role", "include_role"):
                role = str(value["name"]).rpartition(".")[2]
                if not (root / "roles" / role).is_dir():
                    yield f"there is no role {value['name']}"
            yield from node_problems(root, known, value)


def module_problems(root: Path, module: str, given: dict) -> Iterator[str]:
    """Problems of a task; the examples of the modules themselves are checked in full in test_ansible_doc.py."""
    path = root / "plugins/modules" / (module[len(COLLECTION):] + ".py")
    if not path.is_file():
        yield f"there is no module {module}"
        return
    for option in sorted(set(given) - module_options(root, path)):
        yield f"{module} has no option {option}"


def group_problems(root: Path, group: str, given: dict) -> Iterator[str]:
    """Problems of defaults for an action group: a module that lacks one of the options refuses it."""
    groups = load(root / "meta/runtime.yml")["action_groups"]
    if group not in groups:
        yield f"there is no action group {group}"
    for module in groups.get(group, ()):
        yield from module_problems(root, COLLECTION + module, given)


def check_defaults(root: Path) -> Iterator[str]:
    """What a page says of a default is so: in a column 'default' of a table, and in '`variable` (value)'."""
    known = documented(root)
    for page in pages(root):
        said = []
        for table in page.tables:
            if "default" in table[0]:
                column = table[0].index("default")
                said += [(row[0].strip("`"), row[column].strip("`")) for row in table[1:]]
        said += re.findall(r"`(moodle_backup_\w+)` \(([^)\s]+)\)", page.text)
        said += re.findall(r"\(`(moodle_backup_\w+)`, (\S+) if you say nothing\)", page.text)
        for variable, value in said:
            options = known.get(variable, [])
            wanted = yaml.safe_load(value) if not re.fullmatch(r"\d\d:\d\d", value) else value
            if all(option.get("default") != wanted for option in options):
                yield f"{name(root, page.path)}: the default of {variable} is not {value}"


# --- what has to be on a page ---------------------------------------------------------------------------------------


def check_playbooks_page(root: Path) -> Iterator[str]:
    """The page of the playbooks has each of them, with the role that ansible-doc shows for it."""
    page = Page(root / "docs/playbooks.md")
    rows = {row[0].strip("`"): row[-1].strip("`") for table in page.tables for row in table[1:]}
    for path in sorted((root / "playbooks").glob("*.yml")):
        said = rows.pop(COLLECTION + path.stem, None)
        wanted = [COLLECTION + role + ("" if entry == "main" else " -e " + entry) for role, entry in entries_of(path)]
        if said is None:
            yield f"playbooks/{path.name}: not in docs/playbooks.md"
        elif wanted and said not in wanted:
            yield f"docs/playbooks.md: {path.stem} runs {' and '.join(wanted)}, not {said}"
    for playbook in sorted(rows):
        if playbook.startswith(COLLECTION):
            yield f"docs/playbooks.md: there is no playbook {playbook}"


def check_architecture(root: Path) -> Iterator[str]:
    """A maintainer finds every file of module_utils in the architecture, and none that is gone."""
    text = (root / "docs/architecture.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `_")]
    named = set(re.findall(r"`(_[a-z_]+)/?`", "\n".join(rows)))
    files = {path.stem for path in (root / "plugins/module_utils").glob("_*") if path.stem != "__pycache__"}
    for file in sorted(files - named):
        yield f"{file}: not in the table of docs/architecture.md"
    for file in sorted(named - files):
        yield f"docs/architecture.md: there is no {file} in plugins/module_utils"


CHECKS = [
    check_links,
    check_blocks,
    check_commands,
    check_variables,
    check_yaml_values,
    check_defaults,
    check_playbooks_page,
    check_architecture,
]


@pytest.mark.parametrize("check", CHECKS)
def test_documentation_keeps_the_rule(check):
    assert list(check(ROOT)) == []


# --- pages that break them ------------------------------------------------------------------------------------------

ROLE = """
argument_specs:
  main:
    options:
      moodle_backup_root: {type: path, default: /srv}
      moodle_backup_mode: {type: str, choices: [hot, stopped], default: hot}
      moodle_backup_last: {type: int, default: 5}
      moodle_backup_copies:
        type: list
        elements: dict
        options: {name: {type: str, required: true}, kind: {type: str, choices: [restic]}}
"""
OTHER = "argument_specs: {main: {options: {moodle_backup_other: {type: bool, default: true}}}}"
TREE = {
    "roles/backup/meta/argument_specs.yml": ROLE,
    "roles/other/meta/argument_specs.yml": OTHER,
    "playbooks/backup.yml": "- hosts: all\n  roles: [{role: moodleclaude.backup.backup}]\n",
    "plugins/modules/one.py": 'DOCUMENTATION = """\noptions:\n  path:\n    type: path\n"""\n',
    "plugins/module_utils/_one.py": "",
    "meta/runtime.yml": "action_groups: {paths: [one]}\n",
    "docs/playbooks.md": "| playbook | role |\n| --- | --- |\n"
                         "| `moodleclaude.backup.backup` | `moodleclaude.backup.backup` |\n",
    "docs/architecture.md": "| file | job |\n| --- | --- |\n| `_one` | nothing |\n",
}


def shell(command: str) -> dict[str, str]:
    return {"docs/a.md": f"```shell\n{command}\n```\n"}


def yaml_block(text: str) -> dict[str, str]:
    return {"docs/a.md": f"```yaml\n{text}\n```\n"}


RUN = "ansible-playbook -i hosts moodleclaude.backup.backup"
GOOD = """
# A page, with `code`

[here](#a-page-with-code), [there](playbooks.md), [elsewhere](https://example.org/#x)

```shell
# a comment with a ' quote
ansible-playbook -i hosts moodleclaude.backup.backup \\
  -e moodle_backup_mode=stopped --check | tee log
ansible-playbook moodleclaude.backup.backup -e '{"moodle_backup_last":
  1}'; echo done
```

```yaml
- moodleclaude.backup.one:
    path: /x
  module_defaults:
    group/moodleclaude.backup.paths: {path: /y}
  vars:
    moodle_backup_copies: [{name: x, kind: restic}]
```

`moodle_backup_last` (5), `moodle_backup_mode=hot`, `moodle_backup_copies`, all that begin with `moodle_backup_`.

| setting | default |
| --- | --- |
| `moodle_backup_mode` | `hot` |
| `moodle_backup_other` | `true` |
"""
BROKEN = [
    (check_links, {"docs/a.md": "[a](a.md), [b](https://b.example/c), [c](c.svg)"}, "docs/a.md:1: there is no c.svg"),
    (check_links, {"docs/a.md": "# One\n\n# One\n\n[a](#one-1) [b](#one-2)"}, "a.md:5: there is no heading #one-2"),
    (check_links, {"docs/a.md": "[a](architecture.md#words)"}, "there is no heading #words in architecture.md"),
    (check_blocks, yaml_block("a: [1"), "docs/a.md:1: no YAML"),
    (check_blocks, shell("if true; then echo"), "docs/a.md:1: no shell script"),
    (check_blocks, {"docs/a.md": "```json\n{a}\n```\n"}, "docs/a.md:1: no JSON"),
    (check_blocks, {"docs/a.md": "```bahs\n```\n"}, "'bahs' is none of the languages"),
    (check_commands, shell("ansible-playbook -i hosts moodleclaude.backup.bakcup"), "there is no playbook"),
    (check_commands, shell("cd /x && ansible-playbook -i hosts backup"), "'backup' is no playbook of this collection"),
    (check_commands, shell(RUN + " -e moodle_backup_moode=hot"), "backup takes no moodle_backup_moode"),
    (check_commands, shell(RUN + " -e moodle_backup_other=true"), "backup takes no moodle_backup_other"),
    (check_commands, shell(RUN + " -e moodle_backup_mode=cold"), "moodle_backup_mode cannot be 'cold'"),
    (check_commands, shell(RUN + " -e '{\"moodle_backup_last\": \"many\"}'"), "moodle_backup_last cannot be 'many'"),
    (check_commands, shell(RUN + " --chekc"), "unrecognized arguments: --chekc"),
    (check_commands, {"docs/a.md": f"Run `{RUN} -e moodle_backup_x=1`."}, "backup takes no moodle_backup_x"),
    (check_variables, {"docs/a.md": "Set `moodle_backup_rooot`."}, "a.md:1: there is no variable moodle_backup_rooot"),
    (check_variables, {"docs/a.md": "Set `moodle_backup_mode=cold`."}, "moodle_backup_mode cannot be 'cold'"),
    (check_yaml_values, yaml_block("moodle_backup_last: x"), "moodle_backup_last cannot be 'x'"),
    (check_yaml_values, yaml_block("moodle_backup_copies: [{kind: restic}]"), "moodle_backup_copies cannot be"),
    (check_yaml_values, yaml_block("moodle_backup_copies: [{name: a, kind: tape}]"), "moodle_backup_copies cannot be"),
    (check_yaml_values, yaml_block("moodle_backup_copies: [{name: a, speed: 1}]"), "moodle_backup_copies cannot be"),
    (check_yaml_values, yaml_block("- moodleclaude.backup.one:\n    paht: /x"), "one has no option paht"),
    (check_yaml_values, yaml_block("module_defaults: {group/moodleclaude.backup.all: {}}"), "no action group all"),
    (check_yaml_values, yaml_block("module_defaults: {group/moodleclaude.backup.paths: {root: /x}}"),
     "one has no option root"),
    (check_yaml_values, yaml_block("- moodleclaude.backup.two:"), "there is no module moodleclaude.backup.two"),
    (check_yaml_values, yaml_block("- import_role: {name: moodleclaude.backup.gone}"), "there is no role"),
    (check_defaults, {"docs/a.md": "| setting | default |\n| --- | --- |\n| `moodle_backup_last` | `6` |\n"},
     "the default of moodle_backup_last is not 6"),
    (check_defaults, {"docs/a.md": "It waits `moodle_backup_last` (6) times."}, "moodle_backup_last is not 6"),
    (check_playbooks_page, {"docs/playbooks.md": "nothing"}, "playbooks/backup.yml: not in docs/playbooks.md"),
    (check_playbooks_page, {"playbooks/backup.yml": "- hosts: all\n  roles: [{role: moodleclaude.backup.other}]\n"},
     "backup runs moodleclaude.backup.other, not moodleclaude.backup.backup"),
    (check_architecture, {"plugins/module_utils/_two.py": ""}, "_two: not in the table of docs/architecture.md"),
    (check_architecture, {"docs/architecture.md": "| `_one`, `_gone` | x |"}, "there is no _gone"),
]


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("check", "files", "problem"), BROKEN)
def test_broken_page_is_found(check, files, problem, tmp_path):
    write(tmp_path, TREE)
    write(tmp_path, files)
    found = list(check(tmp_path))
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize("check", CHECKS)
def test_good_page_breaks_no_rule(check, tmp_path):
    write(tmp_path, TREE)
    write(tmp_path, {"docs/good.md": GOOD})
    assert list(check(tmp_path)) == []


def test_every_rule_is_tried_on_a_broken_page():
    assert {check for check, files, problem in BROKEN} == set(CHECKS)
