# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest: one line for each file of a backup, as sha256sum writes and checks it. Pure.

"<64 lower-case hex digits>  <path>", sorted by path. Paths are relative and need no escaping, so that
'sha256sum -c' has nothing to warn about.
"""
from __future__ import annotations

import re

from ._errors import IntegrityError, UsageError

FILENAME = "backup_manifest.txt"
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n\\]+)\Z")


def check_path(path):
    """Return a path (str) that may stand in a manifest; raise UsageError otherwise."""
    parts = path.split("/")
    if not path or "\n" in path or "\\" in path or path.startswith("/") or any(p in ("", ".", "..") for p in parts):
        raise UsageError("'%s' cannot stand in a manifest" % path)
    return path


def render(checksums):
    """Return the manifest's text (str). checksums: dict of path to hex SHA-256."""
    return "".join("%s  %s\n" % (checksums[path], check_path(path)) for path in sorted(checksums))


def parse(text):
    """Return a dict of path to hex SHA-256; raise IntegrityError if the text is not exactly what render() writes."""
    if not text.endswith("\n"):
        raise IntegrityError("The manifest is empty or cut off")
    checksums = {}
    for number, line in enumerate(text[:-1].split("\n"), 1):
        match = _LINE.match(line)
        if not match:
            raise IntegrityError("Line %d of the manifest is damaged" % number)
        digest, path = match.groups()
        try:
            check_path(path)
        except UsageError as error:
            raise IntegrityError("Line %d of the manifest is damaged" % number) from error
        if path in checksums:
            raise IntegrityError("Line %d of the manifest names '%s' a second time" % (number, path))
        checksums[path] = digest
    return checksums


def differences(expected, found):
    """Compare two dicts of path to hex SHA-256. Return a sorted list of {"path", "problem"}.

    problem is "missing", "damaged" (another checksum) or "unknown" (not in the manifest).
    """
    problems = []
    for path in sorted(set(expected) | set(found)):
        if path not in found:
            problems.append({"path": path, "problem": "missing"})
        elif path not in expected:
            problems.append({"path": path, "problem": "unknown"})
        elif expected[path] != found[path]:
            problems.append({"path": path, "problem": "damaged"})
    return problems
