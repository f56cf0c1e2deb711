# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What git gets to hold of a backup: its small documents without secrets, and where its artefacts are."""
from __future__ import annotations

import json
import os

from . import _manifest, _tracking
from ._errors import IntegrityError
from ._stream import sha256_of
from ._verify import METADATA

CONTAINERS = "container_info.json"
SNAPSHOT = "environment_snapshot.txt"
README = """\
# What git knows of the backups

`<name>/` describes a backup: `backup.json`, `container_info.json`, the compose files, `environment_snapshot.txt` and
`backup_manifest.txt`. Passwords, keys and the like are replaced by `<hidden:...>`, which differs where they differ. The
manifest's checksums are those of the real files, so they do not fit the files here that have something hidden.

`../stacks/<stack>/` is the newest configuration of each stack: `git log -p stacks/<stack>` shows how it has changed.
`git diff --no-index backups/<one> backups/<other>` compares two backups.

The artefacts themselves are not in git. `../.backup_tracking` names them, and where they are. A playbook restores a
backup by its name: `ansible-playbook moodleclaude.backup.restore -e moodle_backup_name=<name>`.
"""
_PLUGIN = ("component", "version", "release", "path")
_SMALL = ("compose", "containers")  # roles of artefacts that git holds itself


def files_of(backup, hider, newest):
    """Return the files of a working tree that describe a backup (dict of path to text).

    :param backup: its metadata with "path", as _backup_set.find() gives. :param hider: _redact.Hider.
    :param newest: bool, whether it also says what its stack is like now.
    :raises: IntegrityError if one of its documents is damaged.
    """
    name, stack = backup["name"], backup["stack"]
    metadata = {key: value for key, value in backup.items() if key != "path"}
    compose = {artefact["file"]: hider.text(_read(backup, artefact["file"]))
               for artefact in backup.get("artefacts") or [] if artefact.get("role") == "compose"}
    described = {METADATA: _document(hider.document(metadata)), _manifest.FILENAME: _read(backup, _manifest.FILENAME)}
    texts = dict(compose, **described)
    containers = _containers(backup)
    if containers is not None:
        containers = hider.document(containers)
        texts[CONTAINERS] = _document(containers)
    if os.path.isfile(os.path.join(backup["path"], SNAPSHOT)):
        texts[SNAPSHOT] = hider.text(_read(backup, SNAPSHOT))
    files = {"backups/%s/%s" % (name, file): text for file, text in texts.items()}
    if newest:
        current = dict(compose, **_current(hider.document(metadata), containers))
        files.update({"stacks/%s/%s" % (stack, file): text for file, text in current.items()})
    return files


def _current(backup, containers):
    """Return what a stack is like, without what differs from one backup to the next (dict of file to text)."""
    moodle, database = (_tracking.table(backup.get(key)) for key in ("moodle", "database"))
    plugins = [" ".join(str(_tracking.table(plugin).get(key) or "-") for key in _PLUGIN)
               for plugin in moodle.get("plugins") or []]
    said = {key: moodle[key] for key in sorted(moodle) if key != "plugins"}
    database = {key: value for key, value in database.items() if key != "password_command"}
    files = {"plugins.txt": "".join("%s\n" % line for line in ["# component version release path", *sorted(plugins)]),
             "moodle.json": _document({"moodle": said, "database": database, "compose": backup.get("compose")})}
    if containers is not None:
        definitions = {name: entry["definition"] for name, entry in containers["containers"].items()}
        kept = {key: containers.get(key) for key in ("networks", "volumes", "images", "start_order")}
        files[CONTAINERS] = _document(dict(kept, containers=definitions))
    return files


def _containers(backup):
    try:
        content = json.loads(_read(backup, CONTAINERS))
        if not all("definition" in entry for entry in content["containers"].values()):
            raise ValueError("a container has no definition")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError("%s of backup '%s' is damaged: %s" % (CONTAINERS, backup["name"], error),
                             "Verify the backup.") from error
    return content


def _read(backup, file):
    if os.path.basename(file) != file or file in ("", ".", "..") or "\n" in file:
        raise IntegrityError("'%s' of backup '%s' is not in its folder" % (file, backup["name"]), "Verify the backup.")
    with open(os.path.join(backup["path"], file), encoding="utf-8", errors="surrogateescape") as handle:
        return handle.read()


def _document(value):
    """Return a document as text in which one value is in a line, and always in the same order."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def entries_of(root, backup, note, host, hider):
    """Return the lines of .backup_tracking that are about a backup (list of _tracking.Entry).

    :param root: _backup_set.Root. :param note: dict, what is noted of it. :param host: str, name of this host.
    :param hider: _redact.Hider, for the addresses of copies.
    """
    found, total = [], 0
    common = (_tracking.timestamp(backup["created"]), backup["name"], backup["stack"])
    here = "%s:%s" % (host, backup["path"])
    for artefact in backup.get("artefacts") or []:
        total += artefact.get("size") or 0
        if artefact.get("role") not in _SMALL:
            found.append(_tracking.Entry(
                *common, _tracking.LOCAL, here, artefact["file"], artefact.get("size"), artefact.get("sha256")))
        if artefact.get("role") == "filedir" and artefact["file"].endswith(".sha1"):
            total += artefact.get("bytes") or 0
            pool = "%s:%s" % (host, root.pool(backup["stack"]))
            found.append(_tracking.Entry(
                *common, _tracking.POOL, pool, artefact["file"], artefact.get("bytes"), artefact.get("sha256")))
    manifest, digest = _manifest_of(backup["path"])
    found.append(_tracking.Entry(*common, _tracking.LOCAL, here, _manifest.FILENAME, manifest, digest))
    for name, copy in sorted((note.get("copies") or {}).items()):
        found.append(_tracking.Entry(*common, _tracking.COPY + name, hider.line(str(copy.get("where") or name)),
                                     _manifest.FILENAME, total, digest))
    return found


def _manifest_of(folder):
    path = os.path.join(folder, _manifest.FILENAME)
    return os.path.getsize(path), sha256_of(path)
