# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _sharing

HEADS = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b\x08\0", "none": b"./\0\0"}


@pytest.fixture
def archive(tmp_path):
    """A function that makes an earlier archive and returns what is known of it."""

    def make(compression="zstd"):
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "two").mkdir(exist_ok=True)
        path = tmp_path / "one" / "tree"
        path.write_bytes(HEADS[compression] + b"x" * 100)
        return {"path": str(path), "size": 104}

    return make


@pytest.mark.parametrize("compression", HEADS)
def test_link(archive, tmp_path, compression):
    earlier, dest = archive(compression), str(tmp_path / "two" / "tree")
    for other in set(HEADS) - {compression}:
        assert not _sharing.usable(earlier, other)
        assert not _sharing.link(earlier, dest, other)
    assert os.listdir(tmp_path / "two") == []
    assert _sharing.usable(earlier, compression)
    assert _sharing.link(earlier, dest, compression)
    assert os.path.samefile(earlier["path"], dest)
    # A second time: both names are one file already.
    assert _sharing.link(earlier, dest, compression)
    assert os.listdir(tmp_path / "two") == ["tree"]
    os.unlink(earlier["path"])
    assert os.stat(dest).st_size == 104


def test_an_older_file_is_replaced(archive, tmp_path):
    dest = tmp_path / "two" / "tree"
    earlier = archive()
    dest.write_text("old")
    (tmp_path / "two" / ".tree.partial").write_text("of a run that was killed")
    assert _sharing.link(earlier, str(dest), "zstd")
    assert dest.stat().st_ino == os.stat(earlier["path"]).st_ino
    assert os.listdir(tmp_path / "two") == ["tree"]


def spoil_size(path):
    with open(path, "ab") as handle:
        handle.write(b"y")


def spoil_kind(path):
    os.rename(path, path + ".other")
    os.symlink(path + ".other", path)


@pytest.mark.parametrize("spoil", [spoil_size, spoil_kind, os.unlink])
def test_what_is_not_as_recorded_is_not_shared(archive, tmp_path, spoil):
    earlier = archive()
    spoil(earlier["path"])
    dest = tmp_path / "two" / "tree"
    dest.write_text("stays")
    assert not _sharing.usable(earlier, "zstd")
    assert not _sharing.link(earlier, str(dest), "zstd")
    assert dest.read_text() == "stays" and os.listdir(tmp_path / "two") == ["tree"]


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EMLINK, errno.EPERM])
def test_where_no_link_is_possible(archive, tmp_path, monkeypatch, code):
    earlier = archive()

    def refuse(*_args, **_options):
        raise OSError(code, "refused")

    monkeypatch.setattr(os, "link", refuse)
    assert not _sharing.link(earlier, str(tmp_path / "two" / "tree"), "zstd")
    assert os.listdir(tmp_path / "two") == []
