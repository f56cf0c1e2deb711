# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import subprocess
import tarfile
import tracemalloc

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _tarstream
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError


def made(entries, fmt=tarfile.PAX_FORMAT):
    """Return a tar archive (bytes) of (name, fields, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=fmt, errors="surrogateescape") as archive:
        for name, fields, content in entries:
            member = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(member, field, value)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def pieces(data, size):
    return [data[start:start + size] for start in range(0, len(data), size)]


ENTRIES = [
    ("./", {"type": tarfile.DIRTYPE, "mode": 0o2750, "uid": 33}, b""),
    ("./file", {"mtime": 1.5, "uid": 3_000_000}, b"x" * 1000),
    ("./\udcff\n", {}, b""),
    ("./" + "long" * 60, {}, b"y" * 512),
    ("./link", {"type": tarfile.SYMTYPE, "linkname": "/etc/" + "ä" * 70}, b""),
    ("./hard", {"type": tarfile.LNKTYPE, "linkname": "./file"}, b""),
    ("./null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, b""),
    ("./attributes", {"pax_headers": {"SCHILY.xattr.user.x": "\0\udcff=\n1", "comment": "dropped"}}, b"z"),
]


@pytest.mark.parametrize("fmt", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 512, 1 << 20])
def test_counter(fmt, size):
    counter = _tarstream.Counter()
    data = made(ENTRIES[:7], fmt)
    for piece in pieces(data, size):
        counter.feed(piece)
    assert counter.members == 7
    counter.require_complete("it")


@pytest.mark.parametrize("end", [0, 512, 1024, 2048, 3000])
def test_counter_sees_a_missing_end(end):
    counter = _tarstream.Counter()
    counter.feed(made(ENTRIES)[:end])
    with pytest.raises(IntegrityError, match="ends too early"):
        counter.require_complete("it")


def test_counter_of_a_huge_member():
    """A size above eight gigabytes stands in the pax header, or in base 256; its content is not needed to see that."""
    member = tarfile.TarInfo("big")
    member.size = 9 << 30
    for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        counter = _tarstream.Counter()
        counter.feed(member.tobuf(fmt))
        counter.feed(bytes(1024))
        assert counter.members == 1 and not counter.complete
    counter = _tarstream.Counter()
    counter.feed(_tarstream.header(member, b"big", b""))
    counter.feed(bytes(1024))
    assert counter.members == 1 and not counter.complete


def test_counter_refuses_what_is_no_tar():
    with pytest.raises(IntegrityError):
        _tarstream.Counter().feed(b"hello world " * 100)


def test_members():
    found = [(name, member.type) for name, member, _archive in _tarstream.members(pieces(made(ENTRIES), 700))]
    assert [name for name, _kind in found[:3]] == [b"", b"file", b"\xff\n"]
    assert len(found) == len(ENTRIES)


@pytest.mark.parametrize("end", [100, 512, 1536, 4000])
def test_members_of_a_truncated_archive(end):
    with pytest.raises(IntegrityError):
        list(_tarstream.members([made(ENTRIES)[:end]]))


def test_renamed():
    def rename(name):
        return None if name == b"null" else b"in/" + name if name else b"in"

    data = b"".join(_tarstream.renamed(pieces(made(ENTRIES), 4096), rename, True))
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        found = {member.name: member for member in archive}
        names = {name for name, *_rest in ENTRIES}
        assert set(found) == {"./in/" + name[2:] if name != "./" else "./in" for name in names} - {"./in/null"}
        assert archive.extractfile("./in/file").read() == b"x" * 1000
        assert found["./in/file"].mtime == 1.5 and found["./in/file"].uid == 3_000_000
        assert found["./in/hard"].linkname == "./in/file"
        assert found["./in/link"].linkname == "/etc/" + "ä" * 70
        assert found["./in/attributes"].pax_headers == {"SCHILY.xattr.user.x": "\0\udcff=\n1"}
        assert found["./in"].mode == 0o2750


def test_renamed_is_clean_for_gnu_tar():
    data = b"".join(_tarstream.renamed([made(ENTRIES)], lambda name: name, True))
    done = subprocess.run(["tar", "-tv", "--warning=all"], input=data, capture_output=True, check=True)
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == len(ENTRIES)


def test_a_hard_link_whose_content_was_left_out_is_left_out():
    data = b"".join(_tarstream.renamed([made(ENTRIES)], lambda name: None if name == b"file" else name, True))
    assert b"hard" not in {name for name, *_rest in _tarstream.members([data])}


def test_memory_is_constant():
    def stream():
        yield made(ENTRIES[:1])[:512]
        block = _tarstream.header(tarfile.TarInfo("x"), b"./" + b"n" * 150, b"")
        for _number in range(30000):
            yield block
        yield bytes(1024)

    tracemalloc.start()
    count = sum(1 for _entry in _tarstream.members(stream()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30001
    assert peak < 8 << 20
