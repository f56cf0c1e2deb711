# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds a site still for the time of a backup, and lets it go on; also what a run that died has left held.

What was done is in pauses/<stack>.json below the backup root before it is done, so any later run can undo it.
"""
from __future__ import annotations

import contextlib
import json
import os
import posixpath
import uuid

from . import _json_file, _naming
from ._errors import BackupError, CommandError, ExistsError, LockedError
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
_KEYS = frozenset(("mode", "container", "containers", "dataroot", "owner"))  # of a record
_THEIRS = 9  # exit code: somebody else's maintenance page is there


def _record(root, stack):
    return os.path.join(root.path, "pauses", "%s.json" % _naming.check_name(stack, "stack"))


def pause(engine, root, stack, mode, container, containers, dataroot, owner, run=None):
    """Hold a site still. Return the names of the containers that were stopped (list of str).

    :param root: _backup_set.Root; the caller has the stack's lock. :param mode: "maintenance" or "stopped".
    :param container: str, the web container. :param containers: names of those to be stopped.
    :param dataroot: str, path in the web container. :param owner: [user, group], numbers.
    :param run: str, tells this run from others, see held().
    :raises: ExistsError if it is held still already, CommandError, EngineError.
    """
    if held(root, stack):
        # What is written there would be forgotten.
        raise ExistsError(
            "Stack '%s' cannot be held still, for what an earlier backup did to it is not undone yet" % stack,
            "A warning of the task before says why. When it is mended, or if there is nothing to undo any more and you "
            "have removed %s, run this again." % _record(root, stack))
    running = [name for name in containers if engine.container(name)["State"]["Running"]]
    found = {"mode": mode, "container": container, "containers": running, "dataroot": dataroot, "owner": list(owner),
             "run": run}
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
    """Let a site go on that was held still, as far as that is possible.

    Its containers may be gone or broken, and that must keep nobody from a restore. So it is told, not raised; and what
    could still be undone stays written down for a later run. A container that is gone has nothing to start.

    :param root: _backup_set.Root; the caller has the stack's lock.
    :returns: (bool, whether it was held still and is not any more; warnings, list of str).
    """
    path = _record(root, stack)
    if not os.path.lexists(path):
        return False, []
    found = _json_file.read(path)
    if not _KEYS.issubset(found):
        return False, ["What a backup has done to hold stack '%s' still is not known, for %s cannot be read. See that "
                       "all containers of the stack run, that there is no climaintenance.html in its data directory, "
                       "and remove that file." % (stack, path)]
    left, warnings = (_take_page if found["mode"] == "maintenance" else _start)(engine, stack, found)
    if left:
        return False, ["%s The next backup, restore or rollback tries it again; if there is nothing to undo any more, "
                       "remove %s." % (warning, path) for warning in warnings]
    os.unlink(path)
    return True, warnings


def _take_page(engine, stack, found):
    """Remove the maintenance page. Return (whether it may still be there, warnings)."""
    name = found["container"]
    try:
        inspect = engine.find_container(name)
        if inspect is not None and inspect["State"]["Running"]:
            _page(engine, found, _REMOVE, b"")
            return False, []
        why = "the container is gone" if inspect is None else "the container does not run"
    except BackupError as error:
        why = error.message
    return True, ["The maintenance page that a backup has left in stack '%s', %s in container '%s', was not removed: "
                  "%s." % (stack, _page_of(found["dataroot"]), name, why.rstrip("."))]


def _start(engine, stack, found):
    """Start what was stopped. Return (whether something that is there could not be started, warnings)."""
    left, warnings = False, []
    for name in found["containers"]:
        what = "Container '%s' of stack '%s', which a backup has stopped," % (name, stack)
        try:
            if engine.find_container(name) is None:
                warnings.append("%s is gone and was not started again. If it is needed, create it, or restore a backup "
                                "of the stack." % what)
            else:
                engine.start(name)
        except BackupError as error:
            left = True
            warnings.append("%s was not started again: %s." % (what, error.message.rstrip(".")))
    return left, warnings


def resume_dead(engine, root):
    """Let all sites go on that runs have held still which are dead by now.

    A stack whose restore did not end is left alone: who ends that restore lets it go on.

    :returns: (their stacks, list of str; warnings, list of str). One stack does not keep the others from it.
    """
    folder = os.path.join(root.path, "pauses")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    resumed, warnings = [], []
    for stack in [name[:-5] for name in names if name.endswith(".json") and not name.startswith(".")]:
        try:
            done, said = _resume_dead(engine, root, stack)
        except (BackupError, OSError) as error:
            done, said = False, ["Stack '%s' may still be held still: %s" % (
                stack, error.describe() if isinstance(error, BackupError) else error)]
        resumed += [stack] * done
        warnings += said
    return resumed, warnings


def _resume_dead(engine, root, stack):
    """Do what resume_dead() does for one stack; return as resume() does."""
    lock, token = root.lock(stack), str(uuid.uuid4())
    try:
        lock.acquire(token, "backup", stack)
    except LockedError:
        return False, []  # it is still at work
    try:
        return (False, []) if os.path.exists(root.record(stack)) else resume(engine, root, stack)
    finally:
        lock.release(token)


def forget(root, stack):
    """Forget that a site was held still, once it is known to work; the caller has the stack's lock."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_record(root, stack))


def held(root, stack, run=None):
    """True if a site is held still, or is held still by this run (str)."""
    path = _record(root, stack)
    return os.path.lexists(path) if run is None else _json_file.read(path).get("run") == run


def _page_of(dataroot):
    return posixpath.join(dataroot, "climaintenance.html")


def _page(engine, found, script, content):
    """Write or remove the maintenance page as the owner of the data directory; somebody else's page is left alone."""
    page = _page_of(found["dataroot"])
    rc, out, err = engine.run(
        found["container"], ["sh", "-c", script, "sh", page, _MARK], stdin=content,
        user="%d:%d" % tuple(found["owner"]), check=False,
    )
    if rc not in (0, _THEIRS):
        raise CommandError("The maintenance page %s in container '%s' cannot be changed: %s" % (
            page, found["container"], err or out.decode("utf-8", "replace").strip()), rc=rc)
