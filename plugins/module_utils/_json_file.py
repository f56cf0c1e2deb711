# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small JSON documents on disk: read without fuss, replaced as a whole, changed by one process at a time."""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat

from ._errors import StorageError
from ._stream import PartialFile

_LARGEST = 256 * 1024 * 1024  # bytes; nothing of ours comes near it, and somebody may have put anything there


def read(path):
    """Return the dict in a file; an empty one if the file is missing, damaged or no file at all."""
    try:
        with open(path, encoding="utf-8", opener=_open_at_once) as handle:
            state = os.fstat(handle.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_size > _LARGEST:
                return {}
            document = json.load(handle)
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _open_at_once(path, flags):
    """Open a file without waiting for somebody to write to it, if it is a fifo."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def write(path, document):
    """Replace a file by a document (dict); it is on disk afterwards. :raises: StorageError."""
    with PartialFile(path, overwrite=True) as out:
        out.write(json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")
        out.publish()


def update(path, change):
    """Change a document while nobody else does; its folder is made if it is missing.

    :param change: function that is given the dict of now (empty if there is none) and returns the new one; an empty one
        removes the file, the same one writes nothing.
    :returns: the new dict. :raises: StorageError.
    """
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError("%s cannot be made: %s" % (folder, error.strerror)) from error
    with locked(folder):
        before = read(path)
        after = change(json.loads(json.dumps(before)))
        if after and after != before:
            write(path, after)
        elif not after:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return after


@contextlib.contextmanager
def locked(folder):
    """Keep others that lock the same folder waiting; for moments only. The kernel ends it with the process."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
