# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _beneath
from ansible_collections.moodleclaude.backup.plugins.module_utils._merge import Merge


@pytest.fixture
def trees(tmp_path):
    """Two equal trees: (wanted, there)."""
    wanted = tmp_path / "wanted"
    (wanted / "a" / "deep").mkdir(parents=True)
    (wanted / "a" / "deep" / "file").write_text("content")
    (wanted / "a" / "other").write_text("other")
    (wanted / "link").symlink_to("a")
    (wanted / "folder").mkdir()
    shutil.copytree(wanted, tmp_path / "there", symlinks=True)
    return wanted, tmp_path / "there"


def merge(wanted, there, stay=()):
    work = Merge(stay)
    one, two = _beneath.open_root(str(wanted)), _beneath.open_root(str(there))
    try:
        work.folder(one, two)
    finally:
        os.close(one)
        os.close(two)
    return work


def snapshot(folder):
    return {str(path.relative_to(folder)): (
        os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "",
        path.lstat().st_mode, int(path.lstat().st_mtime)) for path in folder.rglob("*")}


def test_equal_trees_are_not_touched(trees):
    inodes = {path: path.lstat().st_ino for path in trees[1].rglob("*")}
    work = merge(*trees)
    assert (work.changed, work.count) == ([], 0)
    assert {path: path.lstat().st_ino for path in trees[1].rglob("*")} == inodes


def changes():
    def content(there):
        (there / "a" / "other").write_text("OTHER")
        os.utime(there / "a" / "other", ns=(0, (there / "a" / "deep" / "file").stat().st_mtime_ns))

    def mode(there):
        (there / "a" / "other").chmod(0o600)

    def time(there):
        os.utime(there / "a" / "other", (1, 1))

    def attribute(there):
        os.setxattr(there / "a" / "other", "user.x", b"1")

    def missing(there):
        shutil.rmtree(there / "a")

    def extra(there):
        (there / "a" / "deep" / "more").mkdir()
        (there / "a" / "deep" / "more" / "file").write_text("x")

    def folder_for_file(there):
        (there / "a" / "other").unlink()
        (there / "a" / "other" / "x").mkdir(parents=True)

    def file_for_folder(there):
        (there / "folder").rmdir()
        (there / "folder").write_text("x")

    def link(there):
        (there / "link").unlink()
        (there / "link").symlink_to("/etc")

    def link_for_folder(there):
        shutil.rmtree(there / "a")
        (there / "a").symlink_to("/etc")

    return [content, mode, time, attribute, missing, extra, folder_for_file, file_for_folder, link, link_for_folder]


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.__name__)
def test_every_difference_is_seen(trees, change):
    wanted, there = trees
    before = snapshot(wanted)
    untouched = (there / "folder").stat().st_ino
    change(there)
    work = merge(wanted, there)
    assert work.count > 0 and work.changed
    assert snapshot(there) == before
    if change.__name__ != "file_for_folder":
        assert (there / "folder").stat().st_ino == untouched


def test_hard_links_come_back(trees):
    wanted, there = trees
    os.link(wanted / "a" / "other", wanted / "a" / "same")
    shutil.copy2(there / "a" / "other", there / "a" / "same")
    merge(wanted, there)
    assert (there / "a" / "same").stat().st_ino == (there / "a" / "other").stat().st_ino


def test_what_stays(trees):
    wanted, there = trees
    (there / "a" / "deep" / "file").write_text("mine")
    (there / "extra" / "inner").mkdir(parents=True)
    (there / "extra" / "inner" / "kept").write_text("mine")
    (there / "extra" / "inner" / "gone").write_text("x")
    (there / "extra" / "gone").write_text("x")
    merge(wanted, there, {b"a/deep/file", b"extra/inner/kept"})
    assert (there / "a" / "deep" / "file").read_text() == "mine"
    assert sorted(str(path.relative_to(there)) for path in there.rglob("extra/**/*")) == [
        "extra/inner", "extra/inner/kept"]


def test_what_stays_may_replace_nothing(trees):
    """A folder of the archive that is a file in the tree is replaced, whatever was to stay below it."""
    wanted, there = trees
    shutil.rmtree(there / "a")
    (there / "a").write_text("file")
    merge(wanted, there, {b"a/deep/file"})
    assert (there / "a" / "other").read_text() == "other"
