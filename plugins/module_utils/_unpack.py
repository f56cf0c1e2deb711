# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacks what is wanted of an archive into a folder, wherever that is."""
from __future__ import annotations

import contextlib
import os
import subprocess
import threading

from . import _beneath, _gnutar, _locate_api
from ._errors import CommandError, IntegrityError, NotFoundError, StorageError, UsageError
from ._paths import Patterns, ancestors, is_within, join, relative, show
from ._stream import Process, plain_content
from ._tarmembers import chosen
from ._tarstream import Counter, members, renamed

_NO_SPACE = 1024 * 1024  # bytes; with less than that a file system is full


class Selection:
    """What is wanted of an archive.

    :param src: str, path of the archive. :param keep: list of patterns (str) of what stays as it is in the tree and is
        not unpacked. :param paths: list of str, the only ones that are unpacked, or None.
    folder (bool) tells whether the archive holds a folder or a single file.
    """

    def __init__(self, src, keep, paths):
        if not os.path.isfile(src):
            raise NotFoundError("There is no archive '%s'" % src)
        self.src = src
        self.keep = [relative(pattern, "keep") for pattern in keep]
        self.paths = None if paths is None else _gnutar.outermost([relative(path, "paths") for path in paths])
        self.folder = self._holds_folder()
        if not self.folder and (self.keep or self.paths is not None):
            raise UsageError("'%s' holds a single file" % src, "Leave out paths and keep.")
        if self.paths == []:
            raise UsageError("paths is an empty list", "Leave it out to restore the whole tree.")
        self._patterns = Patterns(self.keep)
        self._above = {folder for path in self.paths or [] for folder in ancestors(path)}

    def is_above(self, name):
        """True if an entry is a folder above the paths that are wanted: it is only made where it is missing."""
        return self.paths is not None and (not name or name in self._above)

    @contextlib.contextmanager
    def content(self):
        """Give the archive's plain content (iterator of bytes); errors name the archive."""
        try:
            with plain_content(self.src) as chunks:
                yield chunks
        except IntegrityError as error:
            raise IntegrityError("'%s': %s" % (self.src, error.message), error.hint) from error

    def _holds_folder(self):
        with self.content() as chunks:
            for name, member, _archive in members(chunks):
                if name == b"" and member.isdir():
                    return True
                if not member.isdir() and b"/" not in name and not member.name.startswith("./"):
                    return False
                break
        raise IntegrityError("'%s' is no archive of a tree" % self.src,
                             "Its first entry must be './', or the single file that it holds.")

    def wants(self, name):
        """True if an entry (relative path, bytes) of the archive is to be unpacked."""
        if not name or not self.folder:
            return True
        if self._patterns.match(name):
            return False
        return self.paths is None or name in self._above or any(is_within(name, path) for path in self.paths)

    def names(self):
        """Yield the relative paths (bytes) of all entries that are wanted; reads the whole archive."""
        with self.content() as chunks:
            for name, _member, _archive in members(chunks):
                if self.wants(name):
                    yield name


def unpack_direct(selection, root, folder, name):
    """Unpack into a folder of an open tree. Return the number of entries in the archive.

    :param root: O_PATH descriptor. :param folder: relative path (bytes). :param name: bytes, of the single file.
    """
    target = _beneath.open_folder(root, folder)
    try:
        with selection.content() as chunks:
            counter = _untar(target, _arguments(selection, _beneath.through(target), name), chunks)
    finally:
        os.close(target)
    counter.require_complete("'%s'" % selection.src)
    return counter.members


def unpack_members(selection, root, name, wanted):
    """Unpack some members straight into an open tree. What is in the way of a file is replaced; folders stay.

    :param root, name: as unpack_direct takes them. :param wanted: function, _tarmembers.Member to bool.
    """
    place = _beneath.through(root)
    argv = _gnutar.extract_tree(place, []) if name is None else _gnutar.extract_file(place, name)
    with selection.content() as chunks:
        _untar(root, argv, chosen(chunks, wanted))


def _untar(target, argv, chunks):
    tar = Process([b"tar", *argv], stdin=subprocess.PIPE, what="tar", env=dict(os.environ, **_gnutar.ENVIRONMENT),
                  pass_fds=(target,))
    try:
        counter = _feed(chunks, tar.stdin)
        _finish(tar, _beneath.through(target))
    finally:
        tar.abort()
    return counter


def _finish(tar, place):
    try:
        tar.finish()
    except CommandError as error:
        found = os.statvfs(place)
        # GNU tar says how much it wrote but not why it stopped.
        if found.f_bavail * found.f_frsize < _NO_SPACE or (found.f_files and not found.f_favail):
            raise StorageError("No space left where the tree lies: %s" % error.message) from error
        raise


def _arguments(selection, place, name):
    if name is not None:
        return _gnutar.extract_file(place, name)
    return _gnutar.extract_tree(place, selection.keep, selection.paths)


def _feed(chunks, pipe):
    counter = Counter()
    try:
        for chunk in chunks:
            counter.feed(chunk)
            pipe.write(chunk)
        pipe.close()
    except BrokenPipeError:
        counter.complete = True  # tar gave up, and says why
    return counter


def unpack_api(selection, tree, folder, name):
    """Unpack into a folder of an ApiTree. Return the number of entries in the archive."""
    counter = Counter()

    def counted(chunks):
        for chunk in chunks:
            counter.feed(chunk)
            yield chunk

    with selection.content() as chunks:
        if tree.gnu:
            _extract_there(tree, _arguments(selection, tree.at(folder), name), counted(chunks))
        else:
            put(tree, folder, selection, counted(chunks), name)
    counter.require_complete("'%s'" % selection.src)
    return counter.members


def _extract_there(tree, argv, chunks):
    stream = tree.engine.exec_stream(tree.container, _locate_api.command(argv), environment=_gnutar.ENVIRONMENT,
                                     user="0", stdin=True)
    errors = []

    def feed():
        try:
            stream.feed(chunks)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        for _output in stream.chunks():
            pass
        feeder.join()
        if errors:
            raise errors[0]
        stream.finish()
    finally:
        stream.abort()


def put(tree, folder, selection, chunks, name):
    """Unpack through the engine's archive endpoint into a folder (relative path) of a tree.

    The entries go in under their full path: the endpoint ignores the attributes of the folder it is given, and refuses
    links that climb out of it.
    """
    own, missing = tree.at(folder).lstrip(b"/"), set(selection.paths or [])

    def rename(entry):
        if name is not None:
            return join(own, name)
        if not selection.wants(entry):
            return None
        missing.discard(entry)
        return join(own, entry) if entry else own

    tree.engine.put_archive(tree.container, "/", renamed(chunks, rename, True))
    if missing:
        raise NotFoundError("There is no '%s' in '%s'" % (show(min(missing)), selection.src))
