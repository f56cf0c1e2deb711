# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of tar streams, against Python's own reader of them."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _tarmembers
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError

KINDS = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
parts = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=70).filter(
    lambda text: text not in (".", ".."))
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
found = st.tuples(paths, st.sampled_from(KINDS), paths, st.binary(max_size=1500), st.integers(0, 0o7777),
                  st.integers(0, 2**32 - 2), st.integers(-10**9, 10**11))


def archive(entries, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind, errors="surrogateescape") as handle:
        for name, type_, link, content, mode, owner, time in entries:
            member = tarfile.TarInfo("./" + name)
            member.type, member.mode, member.uid, member.gid, member.mtime = type_, mode, owner, owner // 2, time
            if type_ in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = link if type_ == tarfile.SYMTYPE else "./" + link
            if type_ == tarfile.REGTYPE:
                member.size = len(content)
            member.devmajor, member.devminor = 3, 7
            handle.addfile(member, io.BytesIO(content))
    return out.getvalue()


def pieces(data, size):
    return (data[at:at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@given(st.lists(found, max_size=5), st.integers(1, 3000))
def test_they_are_read_right(kind, entries, size):
    data = archive(entries, kind)
    members, seen = _tarmembers.Members(pieces(data, size)), []
    for member in members:
        content = b""
        if len(seen) % 3:  # some are read, and some skipped
            while True:
                piece = members.piece(400)
                content += piece
                if not piece:
                    break
        seen.append((member, content))
    assert members.count == len(entries)
    for number, ((member, content), wanted) in enumerate(zip(seen, entries)):
        name, type_, link, data, mode, owner, time = wanted
        assert (member.name, member.kind, member.mode, member.uid, member.gid, member.time) == (
            name.encode(), type_, mode, owner, owner // 2, time)
        assert member.known and member.sparse is None and member.index == number
        if type_ in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            assert member.link == link.encode()
        if type_ == tarfile.CHRTYPE:
            assert member.device == (3, 7)
        if type_ == tarfile.REGTYPE and number % 3:
            assert content == data


@given(st.lists(found, max_size=6), st.sets(st.integers(0, 5)), st.integers(1, 3000))
def test_some_are_handed_on_as_they_are(entries, numbers, size):
    data = b"".join(_tarmembers.chosen(pieces(archive(entries, tarfile.PAX_FORMAT), size),
                                       lambda member: member.index in numbers))
    wanted = archive([entry for number, entry in enumerate(entries) if number in numbers], tarfile.PAX_FORMAT)
    assert data.rstrip(b"\0") == wanted.rstrip(b"\0") and data.endswith(bytes(1024))


@given(st.lists(found, min_size=1, max_size=3), st.data())
def test_what_is_cut_or_damaged_never_ends_well(entries, data):
    whole = archive(entries, tarfile.PAX_FORMAT)
    end = len(whole.rstrip(b"\0"))
    cut = data.draw(st.integers(0, end - 1))
    with pytest.raises(IntegrityError):
        list(_tarmembers.Members(iter([whole[:cut - cut % 512]])))
    at = data.draw(st.integers(0, 511))
    flipped = whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1:]
    if not 148 <= at < 156:  # the sum's own field may be written in several ways
        with pytest.raises(IntegrityError):
            list(_tarmembers.Members(iter([flipped])))


@pytest.mark.parametrize("name", ["../x", "./a/../../x", "/a/..", ".."])
def test_names_that_lead_out(name):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as handle:
        handle.addfile(tarfile.TarInfo(name))
    with pytest.raises(IntegrityError, match="leads out"):
        list(_tarmembers.Members(iter([out.getvalue()])))


@pytest.mark.parametrize("header", [b"0 x=y\n", b"9999 x=y\n", b"x", b"6 x=y\n6", b"-5 x=y\n"])
def test_damaged_pax_headers(header):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as handle:
        member = tarfile.TarInfo("./PaxHeaders/x")
        member.type, member.size = tarfile.XHDTYPE, len(header)
        handle.addfile(member, io.BytesIO(header))
        handle.addfile(tarfile.TarInfo("./x"))
    with pytest.raises(IntegrityError):
        list(_tarmembers.Members(iter([out.getvalue()])))


def test_what_is_not_known_is_said():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", pax_headers={"comment": "for all"}) as handle:
        handle.addfile(tarfile.TarInfo("./x"))
        handle.addfile(tarfile.TarInfo("./y"))
    data = out.getvalue()
    assert [member.known for member in _tarmembers.Members(iter([data]))] == [False, False]
    assert b"".join(_tarmembers.chosen(iter([data]), lambda member: True)).rstrip(b"\0") == data.rstrip(b"\0")
