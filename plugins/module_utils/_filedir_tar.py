# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the blobs of a list into one tar archive, for a backup that shares nothing. Constant memory."""
from __future__ import annotations

import tarfile

from ._errors import IntegrityError
from ._hash_list import entries
from ._pool import new_sha1
from ._tarstream import header

_BLOCK = 512


class BlobTar:
    """A source for _stream.store(): members xx/yy/<sha1>, sorted, each read from the pool and checked once more.

    :param pool: Pool. :param path: str, the list. :param attributes: dict with owner and file_mode of the live files.
    """

    def __init__(self, pool, path, attributes):
        self._pool, self._path = pool, path
        self._owner = attributes["owner"] or [0, 0]
        self._mode = int(attributes["file_mode"] or "0600", 8)

    def chunks(self):
        for sha1 in entries(self._path):
            size = self._pool.size(sha1)
            yield self._header(sha1, size)
            yield from self._content(sha1)
            yield bytes(-size % _BLOCK)
        yield bytes(2 * _BLOCK)

    def _header(self, sha1, size):
        member = tarfile.TarInfo()
        member.size, member.mode = size, self._mode
        member.uid, member.gid = self._owner
        return header(member, ("%s/%s/%s" % (sha1[:2], sha1[2:4], sha1)).encode("ascii"), b"")

    def _content(self, sha1):
        digest = new_sha1()
        for chunk in self._pool.chunks(sha1):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != sha1:
            raise IntegrityError("%s changed on the disk since it was written" % self._pool.path_of(sha1),
                                 "Check the disk's health.")

    def finish(self):
        """Nothing: what could go wrong was raised while reading."""

    def abort(self):
        """Nothing: no process and no connection is open."""
