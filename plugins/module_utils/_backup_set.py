# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup's life: begun in a hidden partial folder, published by a rename, or abandoned; and read again.

Below the root: backups/<name>/ (complete backups), backups/.partial_<hash of the stack's name>@<name>/ (one that is
being made; the name alone says whose it is, so that wherever its run is killed the next one removes it),
backups/.removed_<name>/ (one that is being removed; what is left of it, the next clean-up removes), locks/<stack>.lock,
restores/<stack>.json (the restore that is under way). Which backup is being read, by a verify or a copy, shows a shared
flock on its folder (reading); who removes one holds that lock alone.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import time

from . import _json_file, _manifest, _metadata, _naming, _pause, _verify
from ._errors import BackupError, ExistsError, IntegrityError, NotFoundError, StorageError, UsageError
from ._lock import StackLock, after_clean_up
from ._stream import PartialFile, fsync_directory
from ._verify import METADATA, checksum_tree

FORMAT = 2  # 1 had the stored files in the data directory's archive and all images in one
_PARTIAL, _REMOVED = ".partial_", ".removed_"


class Root:
    """The folder that holds all backups of a host.

    :param path: str, absolute. :param lock_timeout: seconds, see _lock.
    """

    def __init__(self, path, lock_timeout=900):
        if not os.path.isabs(path):
            raise UsageError("The backup root '%s' is not an absolute path" % path)
        self.path = path
        self.backups = os.path.join(path, "backups")
        self.lock_timeout = lock_timeout

    def lock(self, stack):
        _naming.check_name(stack, "stack")
        return StackLock(os.path.join(self.path, "locks", "%s.lock" % stack), self.lock_timeout)

    def record(self, stack):
        """Return the path (str) of the file that describes the stack's restore under way."""
        return os.path.join(self.path, "restores", "%s.json" % _naming.check_name(stack, "stack"))

    def pool(self, stack):
        """Return the folder (str) of the stored files that the stack's backups share."""
        return os.path.join(self.path, "pools", _naming.check_name(stack, "stack"), "filedir")

    def folder(self, name):
        return os.path.join(self.backups, _naming.check_name(name))

    def partial(self, stack, name):
        return os.path.join(self.backups, _partial_prefix(stack) + _naming.check_name(name))

    def removed(self, name):
        """Return what the folder (str) of a backup is called while it is being removed."""
        return os.path.join(self.backups, _REMOVED + _naming.check_name(name))

    def settled(self):
        """Return a context manager in which no restore begins and no backup is removed; for moments only.

        Whoever removes a backup looks in here whether a restore that did not end names it (read_records).
        """
        return _json_file.locked(self.backups)

    def prepare(self):
        """Make the folders, readable by nobody else."""
        for path in (self.path, self.backups):
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
                if path == self.backups and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
                    os.chmod(path, 0o700)
            except OSError as error:
                raise StorageError("The backup root %s cannot be used: %s" % (self.path, error.strerror)) from error


def _partial_prefix(stack):
    """Return what the names of a stack's partial folders begin with (str)."""
    return "%s%s@" % (_PARTIAL, hashlib.sha256(stack.encode()).hexdigest()[:12])


def partial_of(entry):
    """Return (mark of the stack, name of the backup) of a partial folder's name, or None for any other name."""
    mark, at, name = entry[len(_PARTIAL):].partition("@")
    return (mark, name) if entry.startswith(_PARTIAL) and at else None


def removed_of(entry):
    """Return the name of the backup that is being removed in a folder of that name, or None for any other name."""
    return entry[len(_REMOVED):] if entry.startswith(_REMOVED) else None


def stacks(root, backups=None):
    """Return the names of all stacks that have left something below the root (sorted list of str).

    :param backups: metadata of the backups (list of dict) if it has been read already.
    """
    found = {backup["stack"] for backup in (complete(root) if backups is None else backups)}
    for folder, ending in (("pools", ""), ("locks", ".lock"), ("restores", ".json")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = [entry[:len(entry) - len(ending)] for entry in os.listdir(os.path.join(root.path, folder))
                     if entry.endswith(ending)]
            found.update(filter(_naming.is_name, names))
    return sorted(found)


def stack_of(root, mark, backups=None):
    """Return the name of the stack (str) whose partial folders have a mark, or None if nothing tells.

    :param backups: see stacks().
    """
    prefix = "%s%s@" % (_PARTIAL, mark)
    return next((stack for stack in stacks(root, backups) if _partial_prefix(stack) == prefix), None)


def begin(root, stack, name, token, engine=None):
    """Take the stack's lock and make a partial folder.

    :param root: Root. :param name: str, or None for the default name. :param token: str, tells this run from others.
    :param engine: Engine on which leftovers of a dead run (helper containers) are removed, or None.
    :returns: {"name", "folder" (the partial folder), "lock" (path), "removed" (leftovers of dead runs, list of str),
        "resumed" (bool, whether a dead run had held the site still, and it goes on now), "warnings" (list of str)}.
    :raises: UsageError, ExistsError, LockedError, StorageError.
    """
    wanted = name
    name = _naming.default_name(stack, time.time()) if wanted is None else wanted
    folder = root.folder(name)
    root.prepare()
    lock = root.lock(stack)
    after_clean_up(lambda: lock.acquire(token, "backup", name))
    try:
        _refuse_during_restore(root, stack)
        removed = remove_leftovers(root, stack)
        resumed, warnings = False, []
        if engine is not None:
            resumed, warnings = _pause.resume(engine, root, stack)
            removed += ["what held the site still"] * resumed
            removed += ["helper container"] * engine.remove_helpers(lock.path)
        while wanted is None and os.path.lexists(folder):
            time.sleep(0.2)
            name = _naming.default_name(stack, time.time())
            folder = root.folder(name)
        if os.path.lexists(folder):
            raise ExistsError("A backup '%s' exists already in %s" % (name, root.backups), "Choose another name.")
        if any(entry.startswith(_PARTIAL) and entry.endswith("@" + name) for entry in os.listdir(root.backups)):
            raise ExistsError("Another stack's backup '%s' is being made right now" % name, "Choose another name.")
        partial = root.partial(stack, name)
        os.mkdir(partial, 0o700)
    except BaseException:
        lock.release(token)
        raise
    return {"name": name, "folder": partial, "lock": lock.path, "removed": removed, "resumed": resumed,
            "warnings": warnings}


def foresee(root, stack, name):
    """Return what begin() would (dict), without changing anything; same errors for names."""
    if name is None:
        name = _naming.default_name(_naming.check_name(stack, "stack"), time.time())
    if os.path.lexists(root.folder(name)):
        raise ExistsError("A backup '%s' exists already in %s" % (name, root.backups), "Choose another name.")
    _refuse_during_restore(root, stack)
    return {"name": name, "folder": root.partial(stack, name), "lock": root.lock(stack).path, "removed": [],
            "resumed": False}


def _refuse_during_restore(root, stack):
    record = read_record(root, stack)
    if record:
        raise ExistsError(
            "A restore of stack '%s' from backup '%s' did not end, so the site may be half old, half new"
            % (stack, record.get("backup")),
            "Run the restore again, or undo it with the playbook moodleclaude.backup.rollback, then back up.",
        )


def remove_leftovers(root, stack):
    """Remove the partial folders of the stack's dead runs; the caller holds the lock. Return their paths."""
    removed = []
    for entry in sorted(os.listdir(root.backups)):
        path = os.path.join(root.backups, entry)
        if entry.startswith(_partial_prefix(stack)):
            shutil.rmtree(path)
            removed.append(path)
    return removed


def publish(root, stack, name, token, metadata, checksums=None, texts=None, shared=None):
    """Make a partial folder a backup: metadata, manifest, everything on disk, rename; then give the lock back.

    :param metadata: dict, written to backup.json together with format, name, stack and created.
    :param texts: dict of file name to text, small files that are written too, or None.
    :param checksums: dict of file name to hex SHA-256 as it was written, or None; each is checked against the disk.
    :param shared: dict of file name to hex SHA-256 of what is a hard link to a file of an earlier backup, or None: it
        was read when that backup was made, and is not read again.
    :returns: {"name", "folder", "size" (bytes), "added" (bytes not shared with another backup), "files" (count)}.
    :raises: IntegrityError, LockedError, StorageError.
    """
    lock = root.lock(stack)
    lock.check(token)
    partial, folder = root.partial(stack, name), root.folder(name)
    now = time.time()
    # 'created' orders backups, so it never repeats or goes back, even if the clock does.
    created = max([now] + [backup["created"] + 0.001 for backup in complete(root) if backup["stack"] == stack])
    document = dict(metadata, format=FORMAT, name=name, stack=stack, created=created)
    document["created_at"] = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now))
    _json_file.write(os.path.join(partial, METADATA), document)
    for path, text in (texts or {}).items():
        _write(os.path.join(partial, _naming.check_name(path, "file")), text.encode())
    found = checksum_tree(partial, shared)
    for path, digest in (checksums or {}).items():
        if found.get(path) != digest:
            raise IntegrityError(
                "%s on disk is not what was written" % os.path.join(partial, path),
                "Check the disk's health and its free space.",
            )
    _write(os.path.join(partial, _manifest.FILENAME), _manifest.render(found).encode())
    size, added = seal(partial)
    if os.path.lexists(folder):
        raise ExistsError("A backup '%s' exists already in %s" % (name, root.backups))
    os.rename(partial, folder)
    fsync_directory(root.backups)
    lock.release(token)
    return {"name": name, "folder": folder, "size": size, "added": added, "files": len(found) + 1}


def seal(folder):
    """Give every file mode 0600 and every folder 0700, owner ourselves, and bring all to disk.

    :returns: bytes of all files, bytes of those that have no other name anywhere (two int).
    """
    total = own = 0
    for base, _folders, files in os.walk(folder, topdown=False):
        for entry in files:
            fd = os.open(os.path.join(base, entry), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchown(fd, os.geteuid(), os.getegid())
                os.fchmod(fd, 0o600)
                os.fsync(fd)
                found = os.fstat(fd)
                total += found.st_size
                own += found.st_size if found.st_nlink == 1 else 0
            finally:
                os.close(fd)
        os.chown(base, os.geteuid(), os.getegid())
        os.chmod(base, 0o700)
        fsync_directory(base)
    return total, own


def abandon(root, stack, name, token):
    """Remove a partial folder and give the lock back. Return True if there was anything to do."""
    lock = root.lock(stack)
    owner = lock.owner()
    if owner is None or owner.get("token") != token:
        return False
    partial = root.partial(stack, name)
    if os.path.lexists(partial):
        shutil.rmtree(partial)
    lock.release(token)
    return True


def verify(folder, record=True):
    """Check every file of a backup against its manifest, and its blobs in the stack's pool.

    :param record: bool, whether to bring what is found into the stack's damaged record.
    :returns: list of {"path", "problem"}, empty if the backup is whole; problem is missing, damaged or unknown.
    :raises: IntegrityError if the manifest itself is missing or damaged.
    """
    return _verify.check(folder, record).problems


def load(folder):
    """Return the metadata (dict) of a complete backup. :raises: IntegrityError."""
    if not os.path.isfile(os.path.join(folder, _manifest.FILENAME)):
        raise IntegrityError("%s has no %s" % (folder, _manifest.FILENAME), "It is not a complete backup.")
    document = _json_file.read(os.path.join(folder, METADATA))
    problem = _metadata.problem(document)
    if problem is not None:
        raise IntegrityError("%s of %s is damaged or missing%s" % (METADATA, folder, problem))
    if document.get("format", 0) > FORMAT:
        raise IntegrityError(
            "%s was written by a newer version of this collection (format %s)" % (folder, document["format"]),
            "Update the collection.",
        )
    return document


@contextlib.contextmanager
def reading(folder):
    """Keep a backup from being removed while it is read; the kernel ends it with the process.

    :raises: NotFoundError if it is gone.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError("There is no backup in %s any more" % folder) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if not os.path.isdir(folder):
            raise NotFoundError("The backup in %s was removed just now" % folder)
        yield
    finally:
        os.close(fd)


def complete(root):
    """Return the metadata of all complete backups (list of dict with "path" added), oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(root.backups):
            path = os.path.join(root.backups, entry)
            if entry.startswith(".") or not os.path.isdir(path):
                continue
            with contextlib.suppress(BackupError):
                found.append(dict(load(path), path=path))
    return sorted(found, key=lambda backup: (backup["created"], backup["name"]))


def find(root, name, stack=None):
    """Return the metadata (dict, with "path") of a backup by its name, or of the newest one for "latest".

    :param stack: str, "latest" means the newest of this stack; without it all backups must be of one stack.
    :raises: NotFoundError, UsageError, IntegrityError.
    """
    if name != _naming.LATEST:
        path = root.folder(name)
        if not os.path.isdir(path):
            names = [backup["name"] for backup in complete(root)]
            raise NotFoundError(
                "There is no backup '%s' in %s" % (name, root.backups),
                "There are: %s." % ", ".join(names[-10:]) if names else "There is none at all.",
            )
        return dict(load(path), path=path)
    published = [backup for backup in complete(root) if stack is None or backup["stack"] == stack]
    candidates = [backup for backup in published if backup.get("complete", True)]
    stacks = sorted({backup["stack"] for backup in candidates})
    if not candidates:
        of_stack = " of stack '%s'" % stack if stack else ""
        others = ", ".join(backup["name"] for backup in published[-5:])
        raise NotFoundError(
            "There is no complete backup%s in %s" % (of_stack, root.backups),
            "There are incomplete ones, to be restored by name only: %s." % others if others else None,
        )
    if len(stacks) > 1:
        raise UsageError(
            "The backups in %s are of several stacks: %s" % (root.backups, ", ".join(stacks)),
            "Name the stack, or the backup.", candidates=stacks,
        )
    return candidates[-1]


def begin_restore(root, stack, backup, token, transaction, plan):
    """Take the stack's lock for a restore and write down what is going to be done (plan, dict).

    If an earlier restore did not end, its description stays, for the caller to undo it first.

    :returns: {"lock", "unfinished" (record of an earlier restore that did not end, dict or None)}.
    """
    root.prepare()
    return after_clean_up(lambda: _begin_restore(root, stack, backup, token, transaction, plan))


def _begin_restore(root, stack, backup, token, transaction, plan):
    lock = root.lock(stack)
    with root.settled():
        lock.acquire(token, "restore", backup)
        try:
            unfinished = read_record(root, stack)
            if unfinished is None:
                if not os.path.isdir(root.folder(backup)):
                    raise NotFoundError("The backup '%s' was removed just now" % backup, "Choose another one.")
                path = root.record(stack)
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                record = {"backup": backup, "transaction": transaction, "plan": plan, "proved": False}
                _json_file.write(path, dict(record, began=int(time.time())))
        except BaseException:
            lock.release(token)
            raise
    return {"lock": lock.path, "unfinished": unfinished}


def remember_running(root, stack, token, running):
    """Add to the plan of a restore that has just begun which containers ran before it (list of names)."""
    root.lock(stack).check(token)
    record = read_record(root, stack)
    _json_file.write(root.record(stack), dict(record, plan=dict(record["plan"], running=running)))


def prove_restore(root, stack, token):
    """Write down that the restored site works. Return True if that is new."""
    root.lock(stack).check(token)
    record = read_record(root, stack)
    if record is None or record["proved"]:
        return False
    _json_file.write(root.record(stack), dict(record, proved=True))
    return True


def read_record(root, stack):
    """Return the description (dict) of the restore that is under way or was cut off, or None."""
    return _json_file.read(root.record(stack)) or None


def read_records(root, stack=None):
    """Return the descriptions (list of dict, with "stack" added) of the restores that did not end."""
    folder = os.path.join(root.path, "restores")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    stacks = [name[:-5] for name in names if name.endswith(".json") and not name.startswith(".")]
    found = [dict(read_record(root, name) or {}, stack=name) for name in stacks if stack in (None, "", name)]
    return [record for record in found if "plan" in record]


def end_restore(root, stack, token, finished=True):
    """Give the lock of a restore back; finished also forgets that it began. Return True if there was anything to do."""
    lock = root.lock(stack)
    owner = lock.owner()
    if owner is None or owner.get("token") != token:
        return False
    if finished:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(root.record(stack))
    return lock.release(token)


def _write(path, content):
    with PartialFile(path, overwrite=True) as out:
        out.write(content)
        out.publish()
