# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container has added to its image or removed from it, read from the layers of overlay2.

The engine's own answer compares the container with the whole of its image, which takes seconds; this reads the
container's layer alone. No link is ever followed.
"""
from __future__ import annotations

import os
import stat

_OPAQUE = "trusted.overlay.opaque"


def changed_paths(data, skip):
    """Return the paths (sorted list of str, "/…") that were added or removed, an added folder with all below it.

    What the image has and the container has changed is not among them.

    :param data: dict with LowerDir and UpperDir, as docker inspect gives them in GraphDriver.
    :param skip: function(path) that is true for a path (str) that does not matter, with all below it.
    :raises: OSError.
    """
    found = []
    _walk(data["UpperDir"], data["LowerDir"].split(":"), "", skip, found)
    return sorted(found)


def _walk(upper, lowers, above, skip, found):
    with os.scandir(upper) as entries:
        for entry in entries:
            path = "%s/%s" % (above, entry.name)
            if skip(path):
                continue
            below = [os.path.join(lower, entry.name) for lower in lowers]
            status = entry.stat(follow_symlinks=False)
            whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
            if whiteout or not any(os.path.lexists(lower) for lower in below):
                found.append(path)
            if entry.is_dir(follow_symlinks=False):
                folders = [] if _opaque(entry.path) else [lower for lower in below if _is_folder(lower)]
                _walk(entry.path, folders, path, skip, found)


def _is_folder(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _opaque(path):
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
