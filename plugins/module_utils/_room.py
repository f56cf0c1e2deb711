# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what is to be written fits on the disk, asked before anything is written."""
from __future__ import annotations

import os

from ansible.module_utils.common.text.formatters import human_to_bytes

from ._errors import StorageError, UsageError

MARGIN = 64 * 1024 * 1024  # bytes that stay free, and
SHARE = 0.05  # this part of what is needed, for estimates are estimates
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def check(needs, margin=None):
    """Raise StorageError if something does not fit on its file system.

    :param needs: {name: (path of the file or folder that will be written, bytes that it needs)}.
    :param margin: bytes that must stay free; None for MARGIN and SHARE of the need.
    :returns: list of {"folder", "needed", "free" (bytes), "jobs" ({name: bytes})}, one for each file system.
    """
    systems = {}
    for name, (path, size) in needs.items():
        folder = _existing(path)
        system = systems.setdefault(os.stat(folder).st_dev, {"folder": folder, "needed": 0, "jobs": {}})
        system["needed"] += size
        system["jobs"][name] = size
    found = [dict(system, free=_free(system["folder"])) for system in systems.values()]
    for system in found:
        kept = int(MARGIN + SHARE * system["needed"]) if margin is None else margin
        if system["needed"] and system["needed"] + kept > system["free"]:
            raise _refusal(system, kept, found)
    return found


def _existing(path):
    """Return the folder that holds a path, or the nearest one above that exists."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _free(folder):
    """Return how many bytes may still be written below a folder, what is reserved for root left alone."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def _refusal(system, kept, found):
    jobs = sorted(system["jobs"].items(), key=lambda item: -item[1])
    return StorageError(
        "There is not enough room in '%s': about %s are needed (%s) and %s are to stay free, but %s are free" % (
            system["folder"], human(system["needed"]), ", ".join("%s %s" % (name, human(size)) for name, size in jobs),
            human(kept), human(system["free"]),
        ),
        "Make room there, for example by removing old backups, or choose another place. If you know better than the"
        " estimate, set check_space to false.",
        space=found,
    )


def bytes_of(text, option):
    """Return how many bytes (int) a text such as "20M" means.

    :param option: its name, for the error. :raises: UsageError.
    """
    try:
        size = human_to_bytes(text)
    except ValueError:
        size = -1
    if size < 0:
        raise UsageError("%s: '%s' is not a size" % (option, text), "Write a number of bytes, or 20M or 1G.")
    return size


def human(size):
    """Return bytes (int) as text (str): 1536 is "1.5 KiB"."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return "%d %s" % (size, unit) if unit == "bytes" else "%.1f %s" % (size, unit)
        size /= 1024
    return None
