# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the content of a tar member with an open file. Pure; constant memory."""
from __future__ import annotations

import errno
import os

_BLOCK = 512
_PIECE = 1024 * 1024  # bytes


def same_content(members, member, fd):
    """True if a file has the content of the present member.

    :param members: _tarmembers.Members that stand at the member. :param fd: descriptor of a file of the same size.
    """
    if member.sparse is None:
        return _same_range(members, fd, 0, member.size)
    try:
        extents = _extents(members)
    except ValueError:
        return False
    position = 0
    for start, size in extents:
        if not _is_zero(fd, position, start) or not _same_range(members, fd, start, size):
            return False
        position = start + size
    return _is_zero(fd, position, member.sparse)


def _extents(members):
    """Return where data is (list of (start, bytes)) from the map before the data of a file with holes."""
    text, wanted = b"", 1
    while text.count(b"\n") < wanted:
        block = members.exactly(_BLOCK)
        if not block:
            raise ValueError("the map has no end")
        text += block
        if wanted == 1 and b"\n" in text:
            wanted += 2 * int(text.partition(b"\n")[0])
    numbers = [int(line) for line in text.split(b"\n")[1:wanted]]
    return list(zip(numbers[::2], numbers[1::2]))


def _same_range(members, fd, position, size):
    end = position + size
    while position < end:
        piece = members.piece(min(end - position, _PIECE))
        if not piece or os.pread(fd, len(piece), position) != piece:
            return False
        position += len(piece)
    return True


def _is_zero(fd, start, end):
    """True if a range of a file is holes or zeros."""
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True  # no data up to the end
            raise
        stop = min(os.lseek(fd, start, os.SEEK_HOLE), end)
        while start < stop:
            piece = os.pread(fd, min(stop - start, _PIECE), start)
            if not piece or piece.count(0) != len(piece):
                return False
            start += len(piece)
    return True
