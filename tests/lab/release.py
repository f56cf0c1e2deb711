# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release has to be: rules for the archive that users install, and for version, changelog and tag.

A rule yields a sentence for each thing that breaks it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

LIMIT = 600_000  # bytes of the packed archive
# All of these folders belongs into the archive, ...
FOLDERS = ("meta", "playbooks", "plugins", "roles")
# ... and so do documents with their pictures, ...
DOCUMENTS = ("docs",)
DOCUMENT_KINDS = (".md", ".png", ".svg")
# ... and these at the top, where the repository has them; the first ones it must have.
NEEDED = ("COPYING", "README.md", "CHANGELOG.md", "changelogs/changelog.yaml", "requirements.txt", "requirements.yml")
OTHERS = ("CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", "bindep.txt", "execution-environment.yml")
MADE_BY_GALAXY = ("FILES.json", "MANIFEST.json")
DOCUMENTED = ("plugins/**/*.py", "plugins/**/*.yml", "roles/*/meta/*.yml")
ADDED = r"^ *version_added: *[\"']?([^\s\"']+)"
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(alpha|beta|rc)\.([1-9]\d*))?")


# --- the archive ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Archive:
    """A built collection.

    :ivar size: bytes of the packed archive. :ivar files: {name: content}.
    :ivar odd: names of what is neither a file nor a folder.
    """

    size: int
    files: dict[str, bytes]
    odd: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Archive:
        files, odd = {}, []
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isreg():
                    files[member.name] = archive.extractfile(member).read()
                elif not member.isdir():
                    odd.append(member.name)
        return cls(path.stat().st_size, files, tuple(odd))


def copy_of(repository: Path, target: Path) -> Path:
    """Copy a repository's files, also those that are not committed yet, to a folder; return it."""
    names = subprocess.run([repository / "tests/tools/files", repository], check=True, capture_output=True).stdout
    command = ["tar", "-C", repository, "--create", "--no-recursion", "--null", "--files-from", "-"]
    files = subprocess.run(command, input=names, check=True, capture_output=True).stdout
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-C", target, "--extract"], input=files, check=True)
    return target


def build(source: Path, output: Path) -> Path:
    """Build the collection from a tree that is not changed; return the archive's path."""
    program = Path(sys.executable).with_name("ansible-galaxy")
    command = [program, "collection", "build", source, "--output-path", output]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit("the collection cannot be built: %s" % (done.stderr or done.stdout).strip())
    meta = _yaml(source / "galaxy.yml")
    return output / "{namespace}-{name}-{version}.tar.gz".format(**meta)


def files_of(tree: Path) -> dict[str, Path]:
    """Return {relative name: path} of all files below a folder, which holds the repository's files and no others."""
    return {path.relative_to(tree).as_posix(): path for path in sorted(tree.rglob("*")) if path.is_file()}


def belongs(name: str) -> bool:
    """Whether a file of the repository belongs into the archive."""
    folder, _slash, rest = name.partition("/")
    if any(part.startswith(".") for part in name.split("/")):
        return False
    if folder in DOCUMENTS:
        return name.endswith(DOCUMENT_KINDS)
    return (bool(rest) and folder in FOLDERS) or name in NEEDED + OTHERS


def check_what_is_in_it(archive: Archive, source: dict[str, Path]) -> Iterator[str]:
    """The archive holds what a user needs, as it is in the repository, and nothing else."""
    wanted = {name for name in source if belongs(name)} | set(NEEDED)
    have = set(archive.files) - set(MADE_BY_GALAXY)
    for name in sorted(wanted - have):
        yield "%s is missing" % name
    for name in sorted(have - wanted):
        yield "%s does not belong there" % name
    for name in sorted(have & wanted & set(source)):
        if archive.files[name] != source[name].read_bytes():
            yield "%s is not that of the repository" % name


def check_no_test(archive: Archive, source: dict[str, Path]) -> Iterator[str]:
    """Nothing that only developers run, nothing hidden, and nothing that Python has compiled, wherever it lies."""
    for name in sorted(archive.files):
        for part in name.split("/"):
            if part in ("tests", "molecule", "benchmarks", "__pycache__", ".git") or part.startswith((".", "test_")):
                yield "%s: '%s' is not for users" % (name, part)
                break


def check_plain(archive: Archive, source: dict[str, Path]) -> Iterator[str]:
    """Files and folders alone: no link or device, and no name that leads out."""
    for name in archive.odd:
        yield "%s is neither a file nor a folder" % name
    for name in archive.files:
        if name.startswith("/") or ".." in name.split("/"):
            yield "%s leads out of the archive" % name


def check_size(archive: Archive, source: dict[str, Path]) -> Iterator[str]:
    """The archive is small."""
    if archive.size > LIMIT:
        yield "%d bytes, more than %d" % (archive.size, LIMIT)


def check_links(archive: Archive, source: dict[str, Path]) -> Iterator[str]:
    """What a document links to is in the archive, too."""
    for name, content in sorted(archive.files.items()):
        if name.endswith(".md"):
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", content.decode()):
                parts: list[str] = name.split("/")[:-1]
                for part in target.rstrip("/").split("/"):
                    parts = parts[:-1] if part == ".." else parts + [part]
                found = "/".join(parts)
                if found not in archive.files and not any(other.startswith(found + "/") for other in archive.files):
                    yield "%s links to %s, which is not there" % (name, target)


ARCHIVE_RULES = (check_what_is_in_it, check_no_test, check_plain, check_size, check_links)


def archive_problems(path: Path, tree: Path) -> list[str]:
    """Return what is wrong with an archive that was built from a tree (list of str)."""
    archive, source = Archive.read(path), files_of(tree)
    return [problem for rule in ARCHIVE_RULES for problem in rule(archive, source)]


# --- version, changelog and tag -------------------------------------------------------------------------------------


def order(version: str) -> tuple:
    """Return a key that sorts versions; a pre-release is before its release."""
    found = VERSION.fullmatch(version)
    if not found:
        raise ValueError("'%s' is no version such as 1.2.3 or 1.2.3-beta.1" % version)
    major, minor, patch, kind, number = found.groups()
    return (int(major), int(minor), int(patch), kind or "z", int(number or 0))


def version_of(tree: Path) -> str:
    return str(_yaml(tree / "galaxy.yml")["version"])


def check_version(tree: Path, tags: list[str]) -> Iterator[str]:
    """The version is a semantic one, and no documented option or module is of a later one."""
    version = version_of(tree)
    try:
        limit = order(version)
    except ValueError as error:
        yield "galaxy.yml: %s" % error
        return
    documented = [path for pattern in DOCUMENTED for path in sorted(tree.glob(pattern))]
    for path in documented:
        for added in re.findall(ADDED, path.read_text(encoding="utf-8"), re.MULTILINE):
            if order(added)[:3] > limit[:3]:
                yield "%s: version_added is %s, and this is %s" % (path.relative_to(tree).as_posix(), added, version)


def check_changelog(tree: Path, tags: list[str]) -> Iterator[str]:
    """The changelog ends with this version, in both of its forms, and no change waits to get into it."""
    version = version_of(tree)
    releases = _yaml(tree / "changelogs/changelog.yaml").get("releases") or {}
    newest = max(releases, key=order, default="none")
    if newest != version:
        yield "changelogs/changelog.yaml: the newest release is %s, and this is %s" % (newest, version)
    written = tree / "CHANGELOG.md"
    if not written.is_file() or 'id="v%s"' % version.replace(".", "-") not in written.read_text(encoding="utf-8"):
        yield "CHANGELOG.md: there is nothing about %s" % version
    for path in sorted(tree.glob("changelogs/fragments/*")):
        yield "changelogs/fragments/%s is not in the changelog yet" % path.name


def check_tag(tree: Path, tags: list[str]) -> Iterator[str]:
    """The commit has the version as its tag."""
    if version_of(tree) not in tags:
        yield "the commit has no tag %s, but %s" % (version_of(tree), ", ".join(tags) or "none")


VERSION_RULES = (check_version, check_changelog, check_tag)


def version_problems(tree: Path, tags: list[str]) -> list[str]:
    """Return where version, changelog and the tags of the commit do not agree (list of str)."""
    return [problem for rule in VERSION_RULES for problem in rule(tree, tags)]


def _yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
