# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a live folder of blobs through the Docker API: see _filedir_live for what a class for it has."""
from __future__ import annotations

import os
import re
import stat
import tarfile

from . import _throttle
from ._errors import BackupError, CommandError, IntegrityError, NotFoundError
from ._filedir_live import PAIR, DirectLive, Survey, blob_of, gone, inside
from ._gnutar import portable
from ._locate import DirectTree
from ._paths import show
from ._pool import CHUNK
from ._tarstream import members

_ATTEMPTS = 10


def open_live(tree):
    """Return what reads a tree (DirectTree or ApiTree)."""
    if isinstance(tree, DirectTree):
        return DirectLive(tree.root)
    return ExecLive(tree) if _has_programs(tree) else EndpointLive(tree)


def _has_programs(tree):
    if not tree.running:
        return False
    probe = ["sh", "-c", "command -v find && command -v grep && command -v tar && stat -c %f ."]
    try:
        return tree.engine.run(tree.container, probe, user="0", check=False)[0] == 0
    except BackupError:
        return False


# --- by programs in a container ---------------------------------------------------------------------------------

# What is in the folders whose names begin with $2. Not a word about what vanishes meanwhile.
_LIST = r"""
cd -- "$1" || exit 3
g=$2
set -- ./"$g"?
[ "$*" = "./$g?" ] && exit 0
exec 3>&1
find "$@" -exec stat -c '%f %s %u %g %n' {} + 2>&1 >&3 | grep -v 'No such file or directory' >&2
exit 0
"""
_TOP = r"""
cd -- "$1" && stat -c %f . || exit 3
for n in * .[!.]* ..?*; do if [ -e "$n" ] || [ -L "$n" ]; then printf '%s\0' "$n"; fi; done
"""
_NAMES = 1000  # so many fit into a command line everywhere, and not every tar reads them from a file
_ENTRY = re.compile(rb"([0-9a-f]+) (\d+) (\d+) (\d+) \./(.+)\Z")
_PAIRS = re.compile(rb"[0-9a-f]{2}(/[0-9a-f]{2})?\Z")


class ExecLive:
    """A folder that find, stat and tar of a container read. :param tree: ApiTree."""

    transport, parallel, one_stream = "exec", False, False
    # A program that starts costs more than a longer list, so there are only sixteen.
    groups = ["%x" % number for number in range(16)]

    def __init__(self, tree):
        self._tree, self.survey, self._looked = tree, Survey(), False

    def blobs(self, group, needed):
        self._look_around()
        found = sorted(self._list(group))
        wanted = {name for name, size in found if needed(name, size)}
        for name, size in found:
            if name not in wanted:
                yield name, size, None
        wanted = sorted(wanted)
        for start in range(0, len(wanted), _NAMES):
            yield from self._fetch(wanted[start:start + _NAMES])

    def _run(self, script, *words):
        command = portable([b"sh", b"-c", script.encode("ascii"), b"sh", self._tree.at(b""), *words])
        _rc, output, errors = self._tree.engine.run(self._tree.container, command, {"LC_ALL": "C"}, "0")
        if errors:
            raise CommandError("'%s' in container '%s' cannot be read: %s"
                               % (self._tree.path, self._tree.container, errors))
        return output

    def _look_around(self):
        if not self._looked:
            self._looked = True
            mode, _newline, names = self._run(_TOP).partition(b"\n")
            self.survey.folder(int(mode, 16))
            for name in names.split(b"\0")[:-1]:
                if not PAIR.match(os.fsdecode(name)):
                    self.survey.other(name)

    def _list(self, group):
        for line in self._run(_LIST, group.encode("ascii")).splitlines():
            match = _ENTRY.match(line)
            mode, path = (int(match.group(1), 16), match.group(5)) if match else (0, line)
            name = blob_of(path)
            if name and stat.S_ISREG(mode):
                self.survey.file(mode, int(match.group(3)), int(match.group(4)))
                yield name, int(match.group(2))
            elif stat.S_ISDIR(mode) and _PAIRS.match(path):
                self.survey.folder(mode)
            else:
                self.survey.other(path)

    def _fetch(self, wanted):
        """Yield (sha1, size, content) of those blobs (list of str) that tar still finds."""
        argv = [b"tar", b"-c", b"-f", b"-", b"-C", self._tree.at(b""), *(b"./" + inside(name) for name in wanted)]
        stream = self._tree.engine.exec_stream(
            self._tree.container, portable(argv), {"LC_ALL": "C", "TAR_OPTIONS": ""}, "0",
        )
        came, problem = set(), None
        try:
            try:
                for name, content in _contents(stream.chunks()):
                    yield name, content.size, content
                    came.add(name if not content.cut else None)
            except IntegrityError as error:
                problem = error
            rc = stream.wait()
            # A file that vanished makes tar fail in the end; one that is still there says that it was something else.
            if (rc != 0 or problem) and any(self.has(name) for name in wanted if name not in came):
                raise stream.failure(rc) if rc != 0 else problem
        finally:
            stream.abort()

    def has(self, sha1):
        return self._tree.has(inside(sha1))

    def read(self, sha1):
        return _read_one(self._tree, sha1)


class _Content:
    """The content of a member of a tar stream that has just come: a function that returns an iterator of bytes.

    size: bytes; cut: True once the stream turned out to end in the middle of it.
    """

    def __init__(self, name, member, archive):
        self.size, self.cut = member.size, False
        self._name, self._handle = name, archive.extractfile(member)

    def __call__(self):
        while True:
            try:
                chunk = self._handle.read(CHUNK)
            except tarfile.TarError:
                self.cut = True
                raise gone(self._name) from None
            if not chunk:
                return
            _throttle.wait(len(chunk))
            yield chunk


def _contents(chunks):
    """Yield (sha1, _Content) of each blob in a tar stream."""
    for path, member, archive in members(chunks):
        name = blob_of(path)
        if name and member.isreg():
            yield name, _Content(name, member, archive)


def _read_one(tree, sha1):
    """Yield the content of one blob of an ApiTree (bytes). :raises: FileNotFoundError."""
    try:
        chunks = tree.engine.get_archive(tree.container, show(tree.at(inside(sha1))))
    except NotFoundError:
        raise gone(sha1) from None
    found = False
    # To the end: until then the engine keeps the container locked.
    for _path, member, archive in members(chunks):
        if member.isreg():
            found = True
            yield from _Content(sha1, member, archive)()
    if not found:
        raise gone(sha1)


# --- by the engine's archive endpoint ---------------------------------------------------------------------------


class EndpointLive:
    """A folder of a container in which no program can help: all of it is read, in one stream. :param tree: ApiTree.

    The engine breaks off when a file grows while it reads it, as every new one does for a moment. Then the stream is
    asked for once more and goes on where the other one ended, for the engine walks folders in the order of the names.
    """

    transport, parallel, one_stream = "archive", False, True
    groups = DirectLive.groups

    def __init__(self, tree):
        self._tree, self.survey = tree, Survey()
        self._stream, self._next = None, None
        self._done, self._attempts = None, 0

    def blobs(self, group, needed):
        while self._advance():
            path, member, archive = self._next
            name = blob_of(path)
            if name and not name.startswith(group):
                return  # it is the next group's
            if not (name and member.isreg()):
                self._look(path, member)
            else:
                content = _Content(name, member, archive)
                yield name, content.size, content if needed(name, content.size) else None
                if content.cut:
                    self._again(IntegrityError("'%s': the archive ends too early" % self._tree.path))
                    continue
                self.survey.file(member.mode, member.uid, member.gid)
            self._done, self._next, self._attempts = path.split(b"/"), None, 0

    def _advance(self):
        """Have the next member at hand. Return False at the end of the stream."""
        while self._next is None:
            try:
                if self._stream is None:
                    chunks = self._tree.engine.get_archive(self._tree.container, self._tree.path.rstrip("/") + "/.")
                    self._stream = members(chunks)
                self._next = next(self._stream, None)
            except IntegrityError as error:
                self._again(error)
                continue
            if self._next is None:
                return False
            if self._done is not None and self._next[0].split(b"/") <= self._done:
                self._next = None
        return True

    def _again(self, error):
        self._attempts += 1
        if self._attempts == _ATTEMPTS:
            raise error
        self._stream = self._next = None

    def _look(self, path, member):
        if member.isdir() and (not path or _PAIRS.match(path)):
            self.survey.folder(member.mode)
        else:
            self.survey.other(path)

    def has(self, sha1):
        return self._tree.has(inside(sha1))

    def read(self, sha1):
        return _read_one(self._tree, sha1)
