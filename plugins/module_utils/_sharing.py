# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives an archive of an earlier backup a second name, so that what did not change is on disk only once.

Each backup folder is complete by itself all the same: a file lives until its last name is removed.
"""
from __future__ import annotations

import contextlib
import os
import stat

from ._stream import fsync_directory

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


def link(earlier, dest, compression):
    """Make an earlier archive known as dest too. Return True, or False if it cannot serve or cannot be linked.

    An older file at dest is replaced. Nothing is left behind if it cannot be done.

    :param earlier: dict with path (str) and size (bytes, as it was recorded). :param dest: str, path of the new name.
    :param compression: "zstd", "gzip" or "none", how the archive is to be compressed.
    """
    folder, name = os.path.split(os.path.abspath(dest))
    partial = os.path.join(folder, ".%s.partial" % name)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)  # of a run that was killed
        # What is looked at is what was linked, whatever happens to the other name meanwhile.
        os.link(earlier["path"], partial, follow_symlinks=False)
        try:
            if not _serves(partial, earlier["size"], compression):
                return False
            os.rename(partial, dest)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)  # renaming does nothing between two names of one file
        fsync_directory(folder)
    except OSError:
        return False
    return True


def usable(earlier, compression):
    """True if an earlier archive is on disk as it was recorded and compressed as it is to be."""
    try:
        return _serves(earlier["path"], earlier["size"], compression)
    except OSError:
        return False


def _serves(path, size, compression):
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return False
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as handle:
        head = handle.read(4)
    kind = "zstd" if head == _ZSTD else "gzip" if head[:2] == _GZIP else "none"
    return kind == compression
