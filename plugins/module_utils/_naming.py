# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of backups, stacks and artefacts. Pure."""
from __future__ import annotations

import re
import time

from ._errors import UsageError

LATEST = "latest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def check_name(name, what="backup"):
    """Return the name (str) if it can be a folder's name that needs no quoting anywhere; raise UsageError otherwise."""
    if name == LATEST:
        raise UsageError("'%s' cannot be the name of a %s: it stands for the newest one" % (LATEST, what))
    if not _NAME.match(name) or ".." in name:
        raise UsageError(
            "'%s' cannot be the name of a %s" % (name, what),
            "Use 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or a digit, without '..'.",
        )
    return name


def is_name(text):
    """True if a value of any type is one that check_name() lets pass."""
    return isinstance(text, str) and text != LATEST and _NAME.match(text) is not None and ".." not in text


def default_name(stack, seconds):
    """Return "<stack>_<YYYYMMDD>_<HHMMSS>" in the local time of the host. seconds: float since the epoch."""
    return "%s_%s" % (stack, time.strftime("%Y%m%d_%H%M%S", time.localtime(seconds)))


def slug(text):
    """Return a text (str) as a part of a file's name: only letters, digits, '.', '_' and '-'; never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:100] or "unnamed"


def unique(names):
    """Return the names (list of str) with "-2", "-3" ... behind those that came before (case is ignored)."""
    seen, result = set(), []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in seen:
            number += 1
            candidate = "%s-%d" % (name, number)
        seen.add(candidate.lower())
        result.append(candidate)
    return result
