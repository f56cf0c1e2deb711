# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup's metadata must be like, so that everything that reads it can rely on it. Pure.

Only what the collection's code relies on is checked. Everything else is shown or copied, and may be anything.
"""
from __future__ import annotations

import math

from . import _naming

_LAST = 253370764800  # seconds since the epoch: the year 9999, the last that Python can show


def is_time(value):
    """True if a value of any type can be seconds since the epoch."""
    return is_number(value) and 0 <= value < _LAST


def is_number(value):
    """True if a value of any type is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (
        isinstance(value, int) or math.isfinite(value))


def problem(document):
    """Return what is wrong with the metadata of a backup (str, perhaps empty if nothing is there at all), or None.

    :param document: dict, what backup.json holds, of which nothing is known.
    """
    if not document:
        return ""
    wrong = _wrong(document)
    return None if wrong is None else ": " + wrong


def _wrong(document):
    if not is_time(document.get("created")):
        return "'created' is no time"
    for key in ("stack", "name"):
        if not _naming.is_name(document.get(key)):
            return "'%s' is no name" % key
    version = document.get("format", 0)
    if not isinstance(version, int) or isinstance(version, bool):
        return "'format' is no number"
    artefacts = document.get("artefacts")
    if artefacts is None:
        return None
    if not isinstance(artefacts, list) or not all(map(_is_artefact, artefacts)):
        return "'artefacts' is no list of files"
    return None


def _is_artefact(value):
    return (
        isinstance(value, dict) and isinstance(value.get("file"), str) and "\0" not in value["file"]
        and isinstance(value.get("sha256"), (str, type(None)))
        and (value.get("size") is None or is_number(value["size"]))
    )
