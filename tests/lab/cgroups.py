# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups that engines in containers have made on this machine. Nobody else removes them."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

_TOP = Path("/sys/fs/cgroup")


def remove(name: str, seconds: float = 10, top: Path = _TOP) -> None:
    """Remove a group and all below it, in each hierarchy. They are empty as soon as their processes are gone.

    :param seconds: how long to wait for that. :raises OSError: there are still processes then.
    """
    deadline = time.monotonic() + seconds
    for folder in _folders(name, top):
        while not _removed(folder):
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))
            time.sleep(0.1)


def remove_empty(name: str, top: Path = _TOP) -> None:
    """Remove what is empty of a group that others on this machine may use too."""
    for folder in _folders(name, top):
        _removed(folder)


def _folders(name: str, top: Path) -> list[Path]:
    """The folders of a group, those below before those above."""
    groups = [top / name, *top.glob("*/" + name)]
    return [Path(found[0]) for group in groups for found in os.walk(group, topdown=False)]


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True
