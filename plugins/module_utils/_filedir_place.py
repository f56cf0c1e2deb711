# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A filedir that is compared and changed by this process. The ones in _filedir_shell have the same operations.

Folders and paths are relative to the filedir (bytes); b"" is the filedir itself. No link is followed.
attributes: dict of "uid", "gid", "file_mode" and "folder_mode" (int), of what is written.
"""
from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import os
import re
import stat

from . import _beneath
from ._errors import ExistsError, NotFoundError, StorageError, UsageError
from ._filedir_source import NAME, location, new_hash
from ._paths import join, parent, show
from ._place import DirectPlace
from ._stream import CHUNK, read_chunks

IRREGULAR = -1  # the size of what has a blob's name and is no plain file
_FOLDER = re.compile(rb"[0-9a-f]{2}\Z")
_CLONE = 0x40049409  # FICLONE of linux/fs.h
_READERS = 2


def no_folder(path):
    """Return the error for a link or a file where a folder of a filedir should be."""
    return UsageError("'%s' is a link or no folder, as it is in no filedir" % show(path),
                      "Put a folder with the same content in its place.")


def in_both(path):
    """Return the error for a folder that was made while blobs are put in place."""
    return ExistsError("'%s' was made in the filedir while it is put in place" % show(path),
                       "Stop the site and run phase=rollback.")


class DirectFiledir:
    """A filedir below an open folder. As a context manager it ends its threads.

    :param root: O_PATH descriptor; stays the caller's.
    """

    def __init__(self, root):
        self.root = root
        self.place = DirectPlace(root)
        self._readers = concurrent.futures.ThreadPoolExecutor(_READERS)
        self._clones = True  # until the file system says no

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._readers.shutdown()

    def owner(self, above=False):
        """Return (uid, gid, mode) of the filedir, or of the folder above it."""
        found = os.stat(_beneath.through(self.root) + (b"/.." if above else b""))
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    def set_owner(self, attributes):
        """Give the filedir itself the attributes of a folder."""
        _own(self.root, attributes)

    # --- looking ------------------------------------------------------------------------------------------------

    def listing(self, folder, prefix):
        """Return the blobs below folder/xx: {second two digits: {name: size in bytes or IRREGULAR}}.

        None if there is no such folder. Whatever else is there is left out.
        """
        path = join(folder, prefix)
        try:
            top = _beneath.open_folder(self.root, path)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise no_folder(path) from None
        try:
            found = {}
            for second in os.listdir(_beneath.through(top)):
                if _FOLDER.match(second):
                    found[second] = _blobs(top, prefix, second, path)
            return found
        finally:
            os.close(top)

    def mismatched(self, prefix, names):
        """Return those of the names (set of bytes) in xx whose content is not what the name says, or that are gone."""
        folders = {}
        for name in names:
            folders.setdefault(name[2:4], []).append(name)
        work = [(join(prefix, second), inner) for second, inner in folders.items()]
        return {name for found in self._readers.map(self._wrong_in, work) for name in found}

    def _wrong_in(self, work):
        path, names = work
        try:
            folder = _beneath.open_folder(self.root, path)
        except FileNotFoundError:
            return names
        try:
            return [name for name in names if not _is_right(folder, name)]
        finally:
            os.close(folder)

    # --- writing ------------------------------------------------------------------------------------------------

    def save(self, folder, texts):
        """Write small files into a folder of the transaction. :param texts: iterable of (name, content as bytes)."""
        for name, text in texts:
            self.place.write(join(folder, name), text)

    def write(self, folder, blobs, attributes):
        """Write blobs (iterable of Blob, sorted) below a folder, each of them checked."""
        with _OpenFolder(self.root, attributes) as opened:
            for blob in blobs:
                path = join(folder, location(blob.name))
                try:
                    self._write(opened.get(parent(path), True), blob, attributes)
                except OSError as error:
                    raise StorageError("'%s' cannot be written: %s" % (show(location(blob.name)), error.strerror)
                                       ) from error

    def _write(self, folder, blob, attributes):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(blob.name, flags, 0o600, dir_fd=folder), "r+b", buffering=0) as target:
            if blob.file is not None and self._clone(blob.file, target):
                for _chunk in blob.checked(read_chunks(target)):
                    pass
            else:
                for chunk in blob.chunks():
                    _write_all(target, chunk)
            os.fchown(target.fileno(), attributes["uid"], attributes["gid"])
            os.fchmod(target.fileno(), attributes["file_mode"])

    def _clone(self, source, target):
        """Let the file system share the blocks of two files, if it can. Return whether it did."""
        if self._clones:
            try:
                fcntl.ioctl(target, _CLONE, source.fileno())
                return True
            except OSError:
                self._clones = False
        return False

    # --- moving -------------------------------------------------------------------------------------------------

    def shift(self, lines, source, target, attributes, back=False):
        """Move what a file names, one relative path a line, from one folder to another. Nothing is ever replaced.

        What is in the target already, or in neither folder, is left out. Folders missing above the target are made.

        :param lines: relative path of the file. :param back: bool; what is in neither folder is marked in the target by
            an empty file, and a folder may be in both.
        :raises: ExistsError for a folder that is in both.
        """
        with _OpenFolder(self.root, attributes) as here, _OpenFolder(self.root, attributes) as there:
            for path in self.place.read(lines).split():
                origin, goal, name = parent(join(source, path)), parent(join(target, path)), os.path.basename(path)
                try:
                    if there.has(goal, name):
                        if not back and NAME.match(name) is None and here.has(origin, name):
                            raise in_both(path)
                    elif here.has(origin, name):
                        self._rename(name, here.get(origin), there.get(goal, True))
                    elif back:
                        self._mark(name, there.get(goal, True))
                except OSError as error:
                    raise StorageError("'%s' cannot be moved: %s" % (show(path), error.strerror)) from error

    @staticmethod
    def _rename(name, here, there):
        os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)

    @staticmethod
    def _mark(name, folder):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))


def _blobs(top, prefix, second, path):
    """Return {name: size} of a folder yy in an open folder xx; path: of xx, for messages."""
    try:
        folder = _beneath.open_folder(top, second)
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise no_folder(join(path, second)) from None
    try:
        sizes, start = {}, prefix + second
        with os.scandir(_beneath.through(folder)) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(start) and NAME.match(name):
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        sizes[name] = found.st_size if stat.S_ISREG(found.st_mode) else IRREGULAR
        return sizes
    finally:
        os.close(folder)


def _is_right(folder, name):
    digest = new_hash()
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False  # gone, or a link
    with os.fdopen(fd, "rb", buffering=0) as handle:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return False
        piece = min(found.st_size + 1, CHUNK)
        while True:
            try:
                chunk = handle.read(piece)
            except OSError:
                return False  # the disk cannot read it any more, so it is to be written anew
            if not chunk:
                return digest.hexdigest().encode("ascii") == name
            digest.update(chunk)


def _write_all(handle, data):
    view = memoryview(data)
    while view:
        view = view[handle.write(view):]


def _own(fd, attributes):
    place = _beneath.through(fd)
    os.chown(place, attributes["uid"], attributes["gid"])
    os.chmod(place, attributes["folder_mode"])


class _OpenFolder:
    """Keeps the folder open that was asked for last: paths come sorted, and opening one takes longer than the rest."""

    def __init__(self, root, attributes):
        self._root, self._attributes = root, attributes
        self._path, self._fd = None, None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._close()

    def _close(self):
        if self._fd is not None:
            os.close(self._fd)
        self._path, self._fd = None, None

    def has(self, path, name):
        """True if there is something of this name in a folder, which may be missing itself."""
        try:
            os.stat(name, dir_fd=self.get(path), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def get(self, path, make=False):
        """Return the descriptor (O_PATH) of a folder. :param make: bool, whether missing ones are made."""
        if path != self._path:
            fd = self._make(path) if make else _beneath.open_folder(self._root, path)
            self._close()
            self._path, self._fd = path, fd
        return self._fd

    def _make(self, path):
        try:
            return _beneath.open_folder(self._root, path)
        except FileNotFoundError:
            if not path:
                raise NotFoundError("The filedir was removed meanwhile") from None
        above = self._make(parent(path))
        try:
            made = _beneath.make_folder(above, os.path.basename(path), 0o700)
        finally:
            os.close(above)
        _own(made, self._attributes)
        return made
