# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for secrets where they do not belong: command lines, output, files."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

# Where a secret may be, in a backup. Everything else, and all secrets that are not named here, must be clean.
PLACES = {
    "database password": {"container_info.json", "application.tar.zst", "configuration.tar.zst"},
    "salt": {"application.tar.zst"},
}


def found_in(text: bytes, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets that are in a text, as they are or as JSON, YAML or a shell would write them."""
    return [name for name, value in secrets.items() if any(form in text for form in _forms(value))]


def _forms(value: str) -> set[bytes]:
    doubled = value.replace("'", "''")
    escaped = value.replace("\\", "\\\\")
    return {form.encode() for form in (
        value, doubled, escaped, escaped.replace('"', '\\"'), escaped.replace("'", "\\'"), value.replace("'", "'\"'\"'"))}


class Watch:
    """While it is entered, every command line on the host and every small file below a folder is looked at, as often as
    possible; seen holds a line for each leak."""

    def __init__(self, secrets: dict[str, str], folder: Path):
        self._secrets, self._folder = secrets, folder
        self._known: set[bytes] = set()
        self._ended = threading.Event()
        self.seen: list[str] = []

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_exception) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            for pid in os.listdir("/proc"):
                if pid.isdigit():
                    with contextlib.suppress(OSError):
                        self._look(Path("/proc/%s/cmdline" % pid).read_bytes(), "the command line of")
            for path in [path for part in ("locks", "restores", "outcomes") for path in self._folder.glob(part + "/*")]:
                with contextlib.suppress(OSError):
                    self._look(path.read_bytes(), path.name)
            time.sleep(0.002)

    def _look(self, text: bytes, where: str) -> None:
        if text in self._known:
            return
        self._known.add(text)
        for name in found_in(text, self._secrets):
            self.seen.append("%s is in %s %s" % (name, where, text.split(b"\0")[0].decode(errors="replace")[:100]))


def in_backup(root: Path, secrets: dict[str, str]) -> list[str]:
    """Return what is wrong with the secrets and the modes of everything below a backup root (list of str)."""
    problems = []
    met: dict[str, set[str]] = {name: set() for name in PLACES}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        blob = path.relative_to(root).parts[:1] == ("pools",) and len(path.name) == 40
        wanted = 0o700 if stat.S_ISDIR(status.st_mode) else 0o400 if blob else 0o600
        if stat.S_IMODE(status.st_mode) != wanted or (status.st_uid, status.st_gid) != (0, 0):
            problems.append("%s has mode %04o and owner %d" % (path, stat.S_IMODE(status.st_mode), status.st_uid))
        if stat.S_ISREG(status.st_mode):
            for name in found_in(_content(path), secrets):
                if path.name in PLACES.get(name, ()):
                    met[name].add(path.name)
                else:
                    problems.append("%s is in %s" % (name, path))
    for name, places in PLACES.items():
        if met[name] != places:  # else nothing at all would have been looked for
            problems.append("%s is missing in %s" % (name, ", ".join(sorted(places - met[name]))))
    return problems


def in_history(repository: Path, secrets: dict[str, str]) -> list[str]:
    """Return what is wrong with anything that a git repository holds: objects of all kinds, also those that nothing refers
    to, names, logs and settings (list of str)."""
    git = ["git", "-C", str(repository)]
    objects = subprocess.run([*git, "cat-file", "--batch-all-objects", "--batch"], check=True, capture_output=True).stdout
    folder = repository if (repository / "HEAD").exists() else repository / ".git"
    files = [path for path in folder.rglob("*") if path.is_file() and "objects" not in path.relative_to(folder).parts]
    texts = {"an object": objects, **{str(path): path.read_bytes() + os.fsencode(path) for path in files}}
    problems = ["%s is in %s of %s" % (name, where, repository) for where, text in texts.items()
                for name in {*found_in(text, secrets), *_disguised_in(text, secrets)}]
    sizes = subprocess.run([*git, "cat-file", "--batch-all-objects", "--batch-check"], check=True, capture_output=True, text=True)
    problems += ["%s has a large object: %s" % (repository, line) for line in sizes.stdout.splitlines() if int(line.split()[2]) > 500000]
    if b"<hidden:" not in objects or b"backup_manifest.txt" not in objects or b"POSTGRES_USER" not in objects:
        problems.append("%s does not even have what it should" % repository)  # else nothing would have been looked for
    return problems


def _disguised_in(text: bytes, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets that are in a text in a writing that nobody reads, but anybody can."""
    found = []
    for name, value in secrets.items():
        forms = {urllib.parse.quote(value, safe=""), urllib.parse.quote(value), urllib.parse.quote_plus(value), value.encode().hex(),
                 value.replace("$", "$$"), json.dumps(value)[1:-1].replace("$", "$$"), json.dumps(json.dumps(value))[3:-3]}
        forms |= {base64.b64encode(b"x" * before + value.encode()).decode()[(8 * before + 5) // 6:-4] for before in range(3)}
        if any(form.encode() in text for form in forms):
            found.append(name)
    return found


def _content(path: Path) -> bytes:
    """Return a file's content; of a compressed one what is in it."""
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    return path.read_bytes()
