# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A filedir that is reached through the Docker API: the operations of _filedir_place.DirectFiledir.

Where a container runs, its shell looks and moves; blobs always go in as a tar stream through the archive endpoint.
"""
from __future__ import annotations

import re
import stat
import tarfile
import time

from ._errors import CommandError, UsageError
from ._filedir_place import IRREGULAR, in_both, no_folder
from ._filedir_source import location, new_hash
from ._paths import join, parent
from ._shell_place import ShellPlace
from ._stream import read_chunks
from ._tarstream import header, members

_BLOCK = 512
_PATH = re.compile(rb"(?:.*/)?([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{40})\Z")
_SECOND = re.compile(rb"(?:.*/)?[0-9a-f]{2}/([0-9a-f]{2})\Z")
_NEEDED = 'cd /; find . -prune -exec stat -c "%f %s %n" {} +; sha1sum </dev/null'
_LISTING = (
    'cd -- "$1"; if [ -L "$2" ]; then echo link; elif [ -d "$2" ]; then echo folder;'
    ' find "$2" -exec stat -c "%f %s %n" {} + 2>/dev/null || :; elif [ -e "$2" ]; then echo link; fi'
)
_SUMS = 'cd -- "$1"; find "$2" -type f ! -name "*.tmp" -exec sha1sum {} + 2>/dev/null || :'
# Arguments: file with the paths, source, target, owner, mode, "" or "yes". It says which folder is in both, and ends.
_SHIFT = r'''
lines=$1 source=$2 target=$3 owner=$4 mode=$5 back=$6
here() { [ -e "$1" ] || [ -L "$1" ]; }
make() { if [ ! -d "$1" ]; then make "${1%/*}"; mkdir -m 700 -- "$1"; chown "$owner" "$1"; chmod "$mode" "$1"; fi; }
while IFS= read -r path; do
  if here "$target/$path"; then
    if [ -z "$back" ] && [ -d "$source/$path" ]; then printf %s "$path"; exit 0; fi
  elif here "$source/$path"; then
    goal=$target/$path; make "${goal%/*}"; mv -- "$source/$path" "$goal"
  elif [ -n "$back" ]; then
    goal=$target/$path; make "${goal%/*}"; : > "$goal"
  fi
done < "$lines"
'''


class ShellFiledir:
    """A filedir in a running container. :param tree: ApiTree of it."""

    def __init__(self, tree):
        self._tree = tree
        self._shell = tree.shell()
        self.place = ShellPlace(self._shell, tree.at(b""), tree.gnu)
        try:
            self._shell.run(_NEEDED)
        except CommandError as error:
            raise UsageError("The image that reaches the filedir lacks find, stat or sha1sum: %s" % error.message,
                             "Name another image that has a shell and these programs.") from error

    def owner(self, above=False):
        place = self._tree.at(b"").rpartition(b"/")[0] or b"/" if above else self._tree.at(b"")
        uid, gid, mode = self._shell.run('stat -c "%u %g %a" -- "$1"', [place]).split()
        return int(uid), int(gid), int(mode, 8)

    def set_owner(self, attributes):
        self._shell.run('chown "$2" "$1"; chmod "$3" "$1"', [self._tree.at(b""), *_words(attributes)])

    def listing(self, folder, prefix):
        output = self._shell.run(_LISTING, [self._tree.at(folder), prefix])
        kind, _newline, listing = output.partition(b"\n")
        if kind == b"link":
            raise no_folder(join(folder, prefix))
        if kind != b"folder":
            return None
        found = {}
        for line in listing.splitlines():
            mode, size, path = line.split(b" ", 2)
            _note(found, int(mode, 16), int(size), path)
        return found

    def mismatched(self, prefix, names):
        right = set()
        for line in self._shell.run(_SUMS, [self._tree.at(b""), prefix]).splitlines():
            digest, _blanks, path = line.partition(b"  ")
            if path == location(digest):
                right.add(digest)
        return set(names) - right

    def save(self, folder, texts):
        put_entries(self._tree, ((join(folder, name), stat.S_IFREG | 0o600, 0, 0, len(text), [text])
                                 for name, text in texts))

    def write(self, folder, blobs, attributes):
        put_entries(self._tree, _entries(folder, blobs, attributes))

    def shift(self, lines, source, target, attributes, back=False):
        at = self._tree.at
        words = [at(lines), at(source), at(target), *_words(attributes), b"yes" if back else b""]
        output = self._shell.run(_SHIFT, words)
        if output:
            raise in_both(output)


def _words(attributes):
    return [b"%d:%d" % (attributes["uid"], attributes["gid"]), b"%o" % attributes["folder_mode"]]


def _note(found, mode, size, path):
    """Take an entry, which may be anything below xx, into a listing."""
    blob, second = _PATH.match(path), _SECOND.match(path)
    if second:
        if not stat.S_ISDIR(mode):
            raise no_folder(path)
        found.setdefault(second.group(1), {})
    elif blob and location(blob.group(3)) == b"/".join(blob.groups()):
        found.setdefault(blob.group(2), {})[blob.group(3)] = size if stat.S_ISREG(mode) else IRREGULAR


# --- writing through the archive endpoint -----------------------------------------------------------------------


def _entries(folder, blobs, attributes):
    """Yield what put_entries takes for blobs and the folders above them."""
    above, uid, gid = set(), attributes["uid"], attributes["gid"]
    for blob in blobs:
        for path in (blob.name[:2], parent(location(blob.name))):
            if path not in above:
                above = {path} if len(path) == 2 else above | {path}  # names are sorted, so the last ones are enough
                yield join(folder, path), stat.S_IFDIR | attributes["folder_mode"], uid, gid, 0, ()
        yield (join(folder, location(blob.name)), stat.S_IFREG | attributes["file_mode"], uid, gid, blob.size,
               blob.chunks())


def put_entries(tree, entries):
    """Write entries into a container. :param entries: iterable of (relative path, mode, uid, gid, size, chunks)."""
    tree.engine.put_archive(tree.container, "/", _tar(tree, entries))


def _tar(tree, entries):
    for path, mode, uid, gid, size, chunks in entries:
        member = tarfile.TarInfo()
        member.type = tarfile.DIRTYPE if stat.S_ISDIR(mode) else tarfile.REGTYPE
        member.mtime = int(time.time())
        member.mode, member.uid, member.gid, member.size = stat.S_IMODE(mode), uid, gid, size
        yield header(member, tree.at(path).lstrip(b"/") + (b"/" if member.isdir() else b""), b"")
        written = 0
        for chunk in chunks:
            written += len(chunk)
            yield chunk
        yield bytes(-written % _BLOCK)
    yield bytes(2 * _BLOCK)


# --- a container that does not run ------------------------------------------------------------------------------


class EndpointFiledir:
    """A filedir in the writable layer of a container that does not run: it can be read and added to.

    It is read once, in the order of the prefixes, and all contents with it. :param tree: ApiTree of it.
    """

    def __init__(self, tree):
        self._tree = tree
        path = tree.path.rstrip("/") + "/."
        self._chunks = tree.engine.get_archive(tree.container, path) if tree.exists else None
        self._blobs = self._read() if tree.exists else iter(())
        self._next = next(self._blobs, None)
        self._wrong = set()

    def _read(self):
        for name, member, archive in members(self._chunks):
            second, blob = _SECOND.match(b"/" + name), _PATH.match(name)
            if second and name.count(b"/") == 1 and not member.isdir():
                raise no_folder(name)
            if blob and name == location(blob.group(3)):
                yield blob.group(3), member.size if member.isreg() else IRREGULAR, _is_right(blob, member, archive)

    def close(self):
        """End reading: the engine keeps the container locked as long."""
        if self._chunks is not None:
            self._chunks.close()

    def owner(self, above=False):
        self.close()
        path = self._tree.path.rstrip("/") or "/"
        if above:
            path = path.rpartition("/")[0] or "/"
        chunks = self._tree.engine.get_archive(self._tree.container, path)
        try:
            found = next(members(chunks))[1]
            return found.uid, found.gid, found.mode
        finally:
            chunks.close()

    def listing(self, _folder, prefix):
        found = {}
        self._wrong = set()
        while self._next is not None and self._next[0][:2] == prefix:
            name, size, right = self._next
            found.setdefault(name[2:4], {})[name] = size
            if not right:
                self._wrong.add(name)
            self._next = next(self._blobs, None)
        return found or None

    def mismatched(self, _prefix, names):
        return self._wrong & set(names)

    def write(self, folder, blobs, attributes):
        self.close()
        put_entries(self._tree, _entries(folder, blobs, attributes))


def _is_right(found, member, archive):
    if not member.isreg():
        return False
    digest = new_hash()
    for chunk in read_chunks(archive.extractfile(member)):
        digest.update(chunk)
    return digest.hexdigest().encode("ascii") == found.group(3)
