# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive holds what users need, and is only made when version, changelog and tag agree.

Each rule of lab/release.py is tried on this repository and on something that breaks it.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from lab import release

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tests/tools/release"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The repository's files, as they are now."""
    return release.copy_of(ROOT, tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def archive(tree, tmp_path_factory):
    return release.build(tree, tmp_path_factory.mktemp("archive"))


# --- what is in it --------------------------------------------------------------------------------------------------


def test_archive_of_this_repository(archive, tree):
    assert release.archive_problems(archive, tree) == []


def test_all_that_can_be_called_is_in_it(archive):
    """Said once more without the rules: every playbook, role and module, and the terms of the licence."""
    files = release.Archive.read(archive).files
    playbooks, roles, modules = (sorted(path.name for path in ROOT.glob(pattern)) for pattern in (
        "playbooks/*.yml", "roles/*", "plugins/modules/*.py"))
    assert len(playbooks) > 10 and len(roles) > 8 and len(modules) > 25
    assert {"playbooks/%s" % name for name in playbooks} <= set(files)
    assert {"roles/%s/meta/argument_specs.yml" % name for name in roles} <= set(files)
    assert {"plugins/modules/%s" % name for name in modules} <= set(files)
    assert b"GNU GENERAL PUBLIC LICENSE" in files["COPYING"]


def test_what_lies_about_in_a_checkout_stays_out(tree, tmp_path):
    """Who builds in a checkout, without `make release`, does not give away own files."""
    copy = tmp_path / "checkout"
    shutil.copytree(tree, copy)
    litter = ["backups/b/database.dump.zst", ".env", "roles/backup/.env", ".venv/bin/python", "dist/x-1.0.0.tar.gz",
              "playbooks/backup.retry", "roles/backup/tasks/.main.yml.swp", "tests/output/secret", "README.md~"]
    for name in litter:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("own")
    assert release.archive_problems(release.build(copy, tmp_path), tree) == []


def archive_of(names, size=1000, odd=()):
    """An archive that has what it must have, and these; a name may be mapped to a content."""
    files = dict.fromkeys(release.NEEDED + release.MADE_BY_GALAXY, b"")
    files.update(names if isinstance(names, dict) else dict.fromkeys(names, b""))
    return release.Archive(size, {name: content for name, content in files.items() if content is not None}, odd)


ROLE = "roles/r/tasks/main.yml"  # the only other file of the repository that belongs into the archive
BROKEN_ARCHIVES = [
    (release.check_what_is_in_it, archive_of({"README.md": None, ROLE: b""}), "README.md is missing"),
    (release.check_what_is_in_it, archive_of([]), "roles/r/tasks/main.yml is missing"),
    (release.check_what_is_in_it, archive_of([ROLE, "Makefile"]), "Makefile does not belong there"),
    (release.check_what_is_in_it, archive_of([ROLE, "docs/conf.py"]), "docs/conf.py does not belong there"),
    (release.check_what_is_in_it, archive_of({ROLE: b"old"}), "roles/r/tasks/main.yml is not that of the repository"),
    (release.check_no_test, archive_of(["roles/r/tests/a.yml"]), "roles/r/tests/a.yml: 'tests' is not for users"),
    (release.check_no_test, archive_of(["roles/r/.hidden/a"]), "roles/r/.hidden/a: '.hidden' is not for users"),
    (release.check_no_test, archive_of(["plugins/x/__pycache__/a.pyc"]), "'__pycache__' is not for users"),
    (release.check_plain, archive_of([], odd=("roles/link",)), "roles/link is neither a file nor a folder"),
    (release.check_plain, archive_of(["roles/../../etc/x"]), "roles/../../etc/x leads out of the archive"),
    (release.check_size, archive_of([], size=release.LIMIT + 1), "600001 bytes, more than 600000"),
    (release.check_links, archive_of({"docs/a.md": b"[a](../molecule/b.md)"}), "docs/a.md links to ../molecule/b.md"),
]


@pytest.mark.parametrize(("rule", "archive", "problem"), BROKEN_ARCHIVES)
def test_broken_archive_is_found(rule, archive, problem, tmp_path):
    source = {}
    for name in (*release.NEEDED, ROLE, "tests/a.py"):
        source[name] = tmp_path / name
        source[name].parent.mkdir(parents=True, exist_ok=True)
        source[name].touch()
    found = list(rule(archive, source))
    assert len(found) == 1
    assert problem in found[0]


def test_links_to_what_is_there_are_fine():
    documents = {"docs/a.md": b"[a](b/c.md#d), [up](../README.md), [folder](b/), [web](https://a.example/b.md)",
                 "docs/b/c.md": b""}
    assert list(release.check_links(archive_of(documents), {})) == []


def test_a_link_in_an_archive_is_seen(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("roles/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("README.md"), io.BytesIO())
    assert release.Archive.read(path).odd == ("roles/link",)


# --- version, changelog and tag -------------------------------------------------------------------------------------

GALAXY = "namespace: moodleclaude\nname: backup\nversion: %s\nreadme: README.md\nauthors: [a]\n"


def released(folder, version="1.2.0", newest=None, written=None, fragments=(), added="1.2.0"):
    """A tree in which all agree, but for what is given."""
    newest, written = newest or version, written or version
    (folder / "changelogs/fragments").mkdir(parents=True)
    (folder / "plugins/modules").mkdir(parents=True)
    (folder / "galaxy.yml").write_text(GALAXY % version)
    changelog = {"ancestor": None, "releases": {"1.0.0": {}, "0.10.0": {}, newest: {}}}
    (folder / "changelogs/changelog.yaml").write_text(yaml.safe_dump(changelog))
    (folder / "CHANGELOG.md").write_text('<a id="v%s"></a>\n' % written.replace(".", "-"))
    (folder / "plugins/modules/a.py").write_text('DOCUMENTATION = r"""\nversion_added: %s\n"""\n' % added)
    for name in fragments:
        (folder / "changelogs/fragments" / name).touch()
    return folder


BROKEN_RELEASES = [
    (release.check_version, {"version": "1.2"}, ["1.2"], "'1.2' is no version"),
    (release.check_version, {"version": "01.2.0"}, ["01.2.0"], "'01.2.0' is no version"),
    (release.check_version, {"added": "1.10.0"}, ["1.2.0"], "a.py: version_added is 1.10.0, and this is 1.2.0"),
    (release.check_changelog, {"newest": "1.1.0"}, ["1.2.0"], "the newest release is 1.1.0, and this is 1.2.0"),
    (release.check_changelog, {"version": "1.2.0-rc.1", "newest": "1.2.0"}, [], "the newest release is 1.2.0"),
    (release.check_changelog, {"written": "1.1.0"}, ["1.2.0"], "CHANGELOG.md: there is nothing about 1.2.0"),
    (release.check_changelog, {"fragments": ["a.yml"]}, ["1.2.0"], "fragments/a.yml is not in the changelog yet"),
    (release.check_tag, {}, [], "the commit has no tag 1.2.0, but none"),
    (release.check_tag, {}, ["1.1.0", "v1.2.0"], "the commit has no tag 1.2.0, but 1.1.0, v1.2.0"),
]


@pytest.mark.parametrize(("rule", "changes", "tags", "problem"), BROKEN_RELEASES)
def test_broken_release_is_found(rule, changes, tags, problem, tmp_path):
    found = list(rule(released(tmp_path, **changes), tags))
    assert len(found) == 1
    assert problem in found[0]


def test_every_rule_is_tried_on_something_broken():
    assert {case[0] for case in BROKEN_ARCHIVES} == set(release.ARCHIVE_RULES)
    assert {case[0] for case in BROKEN_RELEASES} == set(release.VERSION_RULES)


@pytest.mark.parametrize("version", ["1.2.0", "1.2.0-beta.2"])
def test_release_in_which_all_agree(version, tmp_path):
    assert release.version_problems(released(tmp_path, version), ["another", version]) == []


def test_versions_are_sorted_as_numbers_and_a_candidate_is_before_its_release():
    versions = ["0.9.0", "0.10.0", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.10", "1.0.0-rc.1", "1.0.0", "1.0.1"]
    assert sorted(versions[4:] + versions[:4], key=release.order) == versions


# --- the command ----------------------------------------------------------------------------------------------------


def git(folder, *arguments):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def tool(folder, *arguments):
    """Run the command on a repository; return its exit code and what it said."""
    command = [sys.executable, TOOL, "--root", folder, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def repository(tree, tmp_path_factory):
    """A repository of its own with this one's files in one commit."""
    folder = tmp_path_factory.mktemp("repository") / "checkout"
    shutil.copytree(tree, folder)
    (folder / "changelogs/fragments").mkdir(exist_ok=True)
    (folder / "changelogs/fragments/next.yml").write_text("---\nrelease_summary: The one after all others.\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "All")
    return folder


def test_a_release_is_prepared_tagged_and_built(repository, tmp_path):
    """One after another, as docs/releases.md tells: nothing is built before everything is right."""
    code, said = tool(repository, "build", "--output", tmp_path)
    assert code == 1
    assert "version, changelog and tag do not agree" in said
    assert "changelogs/fragments/next.yml is not in the changelog yet" in said

    (repository / "README.md").open("a").write("\n")
    code, said = tool(repository, "prepare", "99.0.0")
    assert (code, "M README.md" in said) == (1, True)
    git(repository, "checkout", "-q", "README.md")

    code, said = tool(repository, "prepare", "99.0.0")
    assert code == 0, said
    assert "The one after all others" in (repository / "CHANGELOG.md").read_text()
    code, said = tool(repository, "build", "--output", tmp_path)
    assert (code, "not committed" in said) == (1, True)

    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Release 99.0.0")
    code, said = tool(repository, "build", "--output", tmp_path)
    assert (code, "the commit has no tag 99.0.0, but none" in said) == (1, True)
    assert os.listdir(tmp_path) == []

    git(repository, "tag", "-a", "-m", "99.0.0", "99.0.0")
    code, said = tool(repository, "build", "--output", tmp_path)
    assert code == 0, said
    assert os.listdir(tmp_path) == ["moodleclaude-backup-99.0.0.tar.gz"]
    assert "moodleclaude-backup-99.0.0.tar.gz" in said


def test_a_version_that_is_none_is_refused(repository):
    code, said = tool(repository, "prepare", "2.0")
    assert code == 1
    assert "'2.0' is no version such as 1.2.3" in said
