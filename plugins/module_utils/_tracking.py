# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file .backup_tracking: where the artefacts of every backup are that git does not hold. Pure.

The first line is HEADER, the second names the columns; any other line that begins with "#" is a remark and is not kept.
Every line else is one entry: eight fields with a tab between them, sorted by time, name, storage and artefact:

    created   when the backup was made, UTC: 2025-01-31T20:15:30Z
    name      of the backup
    stack     that it is of
    storage   "local": a file in the backup's folder; "pool": the stored files that the backups of a stack share;
              "copy:<name of the copy>": the whole backup, somewhere else
    where     folder, with the host before it ("host:/path"), or the address of the copy
    artefact  file name; for a pool the list of the files that the backup needs; for a copy the manifest
    size      bytes; for a pool and a copy of all that belongs to the backup there; "-" if it is not known
    sha256    of the artefact (hex), so the manifest of a copy proves that it is the same backup; "-" if it is not known

A tab, a line break, any other control character and "%" in a field are written as "%" and two hex digits for each byte.
"""
from __future__ import annotations

import re
import time
from collections import namedtuple
from urllib.parse import unquote_to_bytes

from . import _naming
from ._errors import BackupError, IntegrityError, UsageError

FILENAME = ".backup_tracking"
HEADER = "# moodleclaude.backup tracking 1"
LOCAL, POOL, COPY = "local", "pool", "copy:"
# size: int or None. sha256: str or None. Everything else is str.
Entry = namedtuple("Entry", "created name stack storage where artefact size sha256")

_SPECIAL = re.compile("[%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPE = re.compile(r"%(?![0-9A-F]{2})")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_STORAGE = re.compile(r"(local|pool|copy:[^\t\n]+)\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_SIZE = re.compile(r"(-|0|[1-9][0-9]*)\Z")
_CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")


def timestamp(seconds):
    """Return a time (seconds since the epoch) as an entry has it (str)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def table(value):
    """Return a value of any type if it is a dict, else an empty one: metadata of others may be anything."""
    return value if isinstance(value, dict) else {}


def render(entries):
    """Return the text (str) of the file; an entry that is there twice is written once. :raises: UsageError."""
    lines = [HEADER, "# " + "\t".join(Entry._fields)]
    lines += ["\t".join(_escaped(field) for field in _fields(entry)) for entry in sorted(set(entries), key=_order)]
    return "\n".join(lines) + "\n"


def parse(text):
    """Return the entries (list of Entry) that a text holds.

    :raises: IntegrityError that names the line, if the text is not what render() writes, or has a merge conflict.
    """
    lines = text.split("\n")
    if lines[-1]:
        raise IntegrityError("%s is cut off in line %d" % (FILENAME, len(lines)), _HINT)
    if lines[0] != HEADER:
        newer = lines[0].startswith(HEADER.rpartition(" ")[0])
        raise IntegrityError(
            "%s %s" % (FILENAME, "was written by a newer version of this collection" if newer else "does not begin"
                       " with the line '%s'" % HEADER), "Update the collection." if newer else _HINT)
    return [_parsed(line, number) for number, line in enumerate(lines[:-1], 1) if line and not line.startswith("#")]


def without(entries, name, storage=None):
    """Return the entries that are not of a backup, or not of one of its storages (a list of entries again).

    :param storage: str as in an entry, or None for all.
    """
    return [one for one in entries if one.name != name or storage not in (None, one.storage)]


def names(entries):
    """Return the names of the backups (list of str), the oldest first, each once."""
    return list(dict.fromkeys(entry.name for entry in sorted(entries, key=_order)))


def storages(entries, name):
    """Return where a backup can be had from (list of {"storage", "where", "size", "sha256"}).

    sha256 is that of its manifest (str or None), size is in bytes (int or None): of what is stored there.
    """
    found = {}
    for entry in entries:
        if entry.name == name:
            place = found.setdefault((entry.storage, entry.where), {
                "storage": entry.storage, "where": entry.where, "size": 0, "sha256": None})
            place["size"] = None if None in (place["size"], entry.size) else place["size"] + entry.size
            if entry.artefact == "backup_manifest.txt":
                place["sha256"] = entry.sha256
    return list(found.values())


_HINT = "Take the file of an earlier commit: git checkout <commit> -- %s" % FILENAME


def _order(entry):
    return (entry.created, entry.name, entry.storage, entry.where, entry.artefact, entry.stack, str(entry.size),
            str(entry.sha256))


def _fields(entry):
    _check(entry)
    return [*entry[:6], "-" if entry.size is None else str(entry.size), entry.sha256 or "-"]


def _check(entry):
    """Raise UsageError if a field cannot stand in the file."""
    _naming.check_name(entry.name)
    _naming.check_name(entry.stack, "stack")
    valid = {
        "created": _TIME.match(entry.created), "storage": _STORAGE.match(entry.storage), "where": entry.where,
        "artefact": entry.artefact, "size": entry.size is None or entry.size >= 0,
        "sha256": entry.sha256 is None or _SHA256.match(entry.sha256),
    }
    wrong = [field for field in sorted(valid) if not valid[field]]
    if wrong:
        raise UsageError("'%s' cannot be the %s of an entry of %s" % (getattr(entry, wrong[0]), wrong[0], FILENAME))


def _escaped(field):
    return _SPECIAL.sub(
        lambda found: "".join("%%%02X" % byte for byte in found.group().encode("utf-8", "surrogateescape")), field)


def _parsed(line, number):
    fields = line.split("\t")
    if line.startswith(_CONFLICT):
        raise IntegrityError("%s has a merge conflict in line %d" % (FILENAME, number),
                             "Keep the lines of both sides, remove the marks, and commit.")
    if len(fields) != len(Entry._fields) or _ESCAPE.search(line):
        raise IntegrityError("Line %d of %s is damaged" % (number, FILENAME), _HINT)
    try:
        created, name, stack, storage, where, artefact, size, sha256 = (
            unquote_to_bytes(field).decode("utf-8", "surrogateescape") for field in fields)
        if not _SIZE.match(size):
            raise ValueError("'%s' is no size" % size)
        entry = Entry(created, name, stack, storage, where, artefact, None if size == "-" else int(size),
                      None if sha256 == "-" else sha256)
        _check(entry)
    except (ValueError, BackupError) as error:
        raise IntegrityError("Line %d of %s is damaged: %s" % (number, FILENAME, error), _HINT) from error
    return entry
