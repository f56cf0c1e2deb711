# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names inside a tree: relative paths, patterns that select them, and mount points. Pure.

A relative path is bytes, "/" between the parts, without a leading "./"; the tree's root is b"".
A pattern is matched part by part: "*" and "?" never match "/", "[...]" is a set, a backslash takes the next character
as it is. It is anchored at the tree's root, and what it matches takes everything below along. GNU tar reads it so too.
"""
from __future__ import annotations

import re

from ._errors import UsageError


def encode(text):
    """Return the bytes of a name that an operator wrote (str, or surrogates for bytes that are not UTF-8)."""
    return text.encode("utf-8", "surrogateescape")


def show(name):
    """Return a name (bytes) as text for messages and results."""
    return name.decode("utf-8", "backslashreplace")


def relative(text, option):
    """Check a relative path or pattern that an operator wrote (str) and return it as bytes.

    :param option: str, the option's name for the message. :raises: UsageError.
    """
    raw = encode(text)
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if raw.startswith(b"/") or not parts or b".." in parts or b"\0" in raw:
        raise UsageError(
            "%s: '%s' is not a path below the tree's root" % (option, text),
            "Write it relative to the tree, without a leading '/' and without '..'.",
        )
    return b"/".join(parts)


def parent(path):
    """Return the folder (bytes) that a relative path is in."""
    return path.rpartition(b"/")[0]


def ancestors(path):
    """Return the folders above a relative path, outermost first, without the root."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def is_within(path, folder):
    """True if a relative path is this folder or below it."""
    return not folder or path == folder or path.startswith(folder + b"/")


def part_matcher(pattern):
    """Return a compiled expression for one part of a pattern (bytes without "/")."""
    out, rest = [], pattern
    while rest:
        char, rest = rest[:1], rest[1:]
        if char == b"*":
            out.append(b".*")
        elif char == b"?":
            out.append(b".")
        elif char == b"\\" and rest:
            out.append(re.escape(rest[:1]))
            rest = rest[1:]
        elif char == b"[" and _end_of_set(rest) > 0:
            body, rest = rest[:_end_of_set(rest)], rest[_end_of_set(rest) + 1:]
            negated = body[:1] in (b"!", b"^")
            inner = re.sub(rb"([\\\[\]^&~|])", rb"\\\1", body[1:] if negated else body)
            out.append(b"[" + (b"^" if negated else b"") + inner + b"]")
        else:
            out.append(re.escape(char))
    return re.compile(b"(?s:" + b"".join(out) + rb")\Z")


def _end_of_set(rest):
    """Return where the "]" of a set is (-1: nowhere), given what follows its "["; one that comes first is a member."""
    return rest.find(b"]", 2 if rest[:1] in (b"!", b"^") else 1)


class Patterns:
    """A set of patterns (iterable of bytes)."""

    def __init__(self, patterns):
        self._rules = [[part_matcher(part) for part in pattern.split(b"/")] for pattern in patterns]

    def match(self, path):
        """True if a pattern matches the relative path (bytes) or a folder above it."""
        parts = path.split(b"/")
        return any(
            len(rule) <= len(parts) and all(one.match(part) for one, part in zip(rule, parts)) for rule in self._rules
        )

    def expand(self, names, is_folder):
        """Return the existing relative paths (list of bytes) that the patterns match.

        :param names: function, relative path of a folder to the names in it. :param is_folder: function.
        """
        found = []
        for rule in self._rules:
            level = [b""]
            for position, one in enumerate(rule):
                level = [join(folder, name) for folder in level for name in names(folder) if one.match(name)]
                if position < len(rule) - 1:
                    level = [path for path in level if is_folder(path)]
            found += level
        return sorted(set(found))


def remaining_pattern(pattern, folder):
    """Return what is left of a pattern (bytes) inside a folder (relative path).

    None if the pattern says nothing of the folder's inside, b"" if it matches the folder itself or one above.
    """
    rule, parts = pattern.split(b"/"), folder.split(b"/") if folder else []
    if not all(part_matcher(one).match(part) for one, part in zip(rule, parts)):
        return None
    return b"/".join(rule[len(parts):])


def join(folder, name):
    """Return the relative path of a name in a folder."""
    return folder + b"/" + name if folder else name


# --- mount points -----------------------------------------------------------------------------------------------


def mount_points(mountinfo):
    """Return the absolute paths (list of bytes) of the mount points in the text (bytes) of /proc/<pid>/mountinfo."""
    points = []
    for line in mountinfo.splitlines():
        fields = line.split(b" ")
        if len(fields) > 4:
            points.append(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8)]), fields[4]))
    return points


def covering(points, path):
    """Return the innermost mount point (bytes) that an absolute path lies in, or None."""
    inside = [point for point in points if point == b"/" or is_within(path, point)]
    return max(inside, key=len, default=None)


def points_below(points, path):
    """Return the mount points below an absolute path, relative to it (sorted list of bytes).

    Those that lie inside another one of them are left out: whoever leaves out the outer one never meets them.
    """
    prefix = path.rstrip(b"/") + b"/"
    below = sorted({point[len(prefix):] for point in points if point.startswith(prefix) and point != prefix})
    return [point for point in below if not any(point != other and is_within(point, other) for other in below)]
