# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds a site still for the time of a backup, and lets it go on; also what a run that died has left held.

What was done is in pauses/<stack>.json below the backup root before it is done, so any later run can undo it.
"""
from __future__ import annotations

import json
import os
import posixpath
import uuid

from . import _json_file, _naming
from ._errors import CommandError, LockedError
from ._stream import PartialFile

_MARK = "<!-- moodleclaude.backup -->"
# Moodle shows this file, with status 503, to everybody as long as it is there (lib/setup.php).
_PAGE = _MARK + """
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Maintenance</title></head>
<body><p>This site is being backed up and will be back in a few minutes.</p></body></html>
"""
_WRITE = 'umask 022; if [ -e "$1" ]; then grep -q "$2" "$1" || exit 9; else cat > "$1"; fi'
_REMOVE = 'if [ -e "$1" ] && grep -q "$2" "$1"; then rm -f -- "$1"; fi'
_THEIRS = 9  # exit code: somebody else's maintenance page is there


def _record(root, stack):
    return os.path.join(root.path, "pauses", "%s.json" % _naming.check_name(stack, "stack"))


def pause(engine, root, stack, mode, container, containers, dataroot, owner):
    """Hold a site still. Return the names of the containers that were stopped (list of str).

    :param root: _backup_set.Root; the caller has the stack's lock. :param mode: "maintenance" or "stopped".
    :param container: str, the web container. :param containers: names of those to be stopped.
    :param dataroot: str, path in the web container. :param owner: [user, group], numbers.
    """
    running = [name for name in containers if engine.container(name)["State"]["Running"]]
    found = {"mode": mode, "container": container, "containers": running, "dataroot": dataroot, "owner": list(owner)}
    path = _record(root, stack)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with PartialFile(path, overwrite=True) as out:
        out.write(json.dumps(found).encode() + b"\n")
        out.publish()
    if mode == "maintenance":
        _page(engine, found, _WRITE, _PAGE.encode())
        return []
    for name in reversed(running):
        engine.stop(name)
    return running


def resume(engine, root, stack):
    """Let a site go on that was held still. Return False if it was not."""
    path = _record(root, stack)
    try:
        with open(path, encoding="utf-8") as handle:
            found = json.load(handle)
    except FileNotFoundError:
        return False
    if found["mode"] == "maintenance":
        _page(engine, found, _REMOVE, b"")
    else:
        for name in found["containers"]:
            if engine.find_container(name) is not None:
                engine.start(name)
    os.unlink(path)
    return True


def resume_dead(engine, root):
    """Let all sites go on that runs have held still which are dead by now. Return their stacks (list of str)."""
    folder = os.path.join(root.path, "pauses")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    resumed = []
    for stack in [name[:-5] for name in names if name.endswith(".json") and not name.startswith(".")]:
        lock, token = root.lock(stack), str(uuid.uuid4())
        try:
            lock.acquire(token, "backup", stack)
        except LockedError:
            continue  # it is still at work
        try:
            if resume(engine, root, stack):
                resumed.append(stack)
        finally:
            lock.release(token)
    return resumed


def stopped(root, stack):
    """Return the names (list of str) of the containers that a backup has stopped, and that will be started again."""
    found = _json_file.read(_record(root, stack)) or {}
    return found["containers"] if found.get("mode") == "stopped" else []


def held(root, stack):
    """True if a site is held still."""
    return os.path.exists(_record(root, stack))


def _page(engine, found, script, content):
    """Write or remove the maintenance page as the owner of the data directory; somebody else's page is left alone."""
    page = posixpath.join(found["dataroot"], "climaintenance.html")
    rc, out, err = engine.run(
        found["container"], ["sh", "-c", script, "sh", page, _MARK], stdin=content,
        user="%d:%d" % tuple(found["owner"]), check=False,
    )
    if rc not in (0, _THEIRS):
        raise CommandError("The maintenance page %s in container '%s' cannot be changed: %s" % (
            page, found["container"], err or out.decode("utf-8", "replace").strip()), rc=rc)
