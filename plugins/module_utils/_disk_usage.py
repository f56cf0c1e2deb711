# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much room files take, hard links counted once, and how much of it would come free if they were removed. Pure."""
from __future__ import annotations

import os

_MOST = 20000  # files that are looked at below one folder; a backup has some twenty


def usage(path, most=_MOST):
    """Return what is at or below a path, without following symbolic links.

    :returns: {(device, inode): (bytes, how many of its names are here, how many it has)} of all files, or None if there
        are more than most, or something cannot be read.
    """
    found, pending, count = {}, [path], 0
    try:
        if not os.path.isdir(path) or os.path.islink(path):
            _add(found, os.lstat(path))
            return found
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > most:
                        return None
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        _add(found, entry.stat(follow_symlinks=False))
    except OSError:
        return None
    return found


def _add(found, state):
    key = (state.st_dev, state.st_ino)
    found[key] = (state.st_size, found[key][1] + 1 if key in found else 1, state.st_nlink)


def taken(files):
    """Return the bytes (int) of what usage() gave, or None for None."""
    return None if files is None else sum(size for size, _here, _names in files.values())


def freed(files):
    """Return the bytes (int) of those files of usage() that have no name elsewhere, or None for None."""
    return None if files is None else sum(size for size, here, names in files.values() if here >= names)
