# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of SHA-1 names, in constant memory: sorted hashes, and the list by which a backup names its blobs. Pure.

The list's lines are "<sha1>  <path>", sorted, as sha1sum writes and checks them; a path is relative to the list's
folder and leads into the pool.
"""
from __future__ import annotations

import os
import re

from ._errors import IntegrityError, UsageError

FILENAME = "filedir.sha1"
SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_LINE = re.compile(r"([0-9a-f]{40})  ([^\n\\]+)\n\Z")


class SortedHashes:
    """The hashes in a file with one of them in each line, sorted, each once; None stands for an empty file.

    :param path: str or None. As a context manager it closes the file.
    """

    def __init__(self, path):
        self._path = path
        self._handle = open(path, encoding="ascii", errors="replace") if path else None
        self._last, self._ended = "", path is None
        self._number = 0
        self._advance()

    def _advance(self):
        if self._ended:
            return
        line = self._handle.readline()
        self._number += 1
        if not line:
            self._ended = True
            return
        value = line.rstrip("\n")
        if not SHA1.match(value) or value <= self._last:
            raise IntegrityError("Line %d of %s is no SHA-1, or not in order" % (self._number, self._path))
        self._last = value

    def take(self, prefix):
        """Return the hashes that begin with a prefix (list of str); prefixes must be asked for in order."""
        found = []
        while not self._ended and self._last < prefix:
            self._advance()
        while not self._ended and self._last.startswith(prefix):
            found.append(self._last)
            self._advance()
        return found

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self._handle is not None:
            self._handle.close()


def pool_prefix(pool, dest):
    """Return what the paths in a list begin with (str, "../../pools/…/").

    :param pool: str, the pool's folder. :param dest: str, path of the list. :raises: UsageError.
    """
    path = os.path.relpath(pool, os.path.dirname(os.path.abspath(dest))) + "/"
    if "\n" in path or "\\" in path:
        raise UsageError("pool: '%s' cannot stand in a list" % pool, "Choose a path without a backslash or line break.")
    return path


def render(sha1, prefix):
    """Return the line (str) of a blob. :param prefix: str, as pool_prefix() gives it."""
    return "%s  %s%s/%s/%s\n" % (sha1, prefix, sha1[:2], sha1[2:4], sha1)


def entries(path, prefix=None):
    """Yield the SHA-1 (str) of each line of a list.

    :param prefix: str, where each path must lead, as pool_prefix() gives it; None takes any path that ends xx/yy/sha1.
    :raises: IntegrityError at a line that render() does not write, or that is not in order.
    """
    last = ""
    with open(path, encoding="utf-8", errors="replace") as handle:
        for number, line in enumerate(handle, 1):
            match = _LINE.match(line)
            sha1 = match.group(1) if match else ""
            if not match or sha1 <= last or not _leads_to(match.group(2), sha1, prefix):
                raise IntegrityError("Line %d of %s is damaged" % (number, path))
            last = sha1
            yield sha1


def holds(path, sha1):
    """True if a list names a blob. Only a few blocks of it are read; that the list is in order is taken for granted."""
    wanted = sha1.encode("ascii")
    with open(path, "rb") as handle:
        low, high = 0, os.fstat(handle.fileno()).st_size
        while low < high:  # low is where a line begins, and all lines before it are smaller
            middle = (low + high) // 2
            handle.seek(max(0, middle - 1))
            if middle:
                handle.readline()
            if handle.tell() < high and handle.readline()[:40] < wanted:
                low = handle.tell()
            else:
                high = middle
        handle.seek(low)
        return handle.readline()[:40] == wanted


def _leads_to(path, sha1, prefix):
    inside = "%s/%s/%s" % (sha1[:2], sha1[2:4], sha1)
    return path == prefix + inside if prefix is not None else path.endswith("/" + inside)
