# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _gnutar, _paths
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError


@pytest.mark.parametrize("text", ["", "/", "/a", "..", "a/../b", "./", "a\0b"])
def test_relative_refuses(text):
    with pytest.raises(UsageError, match="exclude"):
        _paths.relative(text, "exclude")


@pytest.mark.parametrize(
    ("text", "path"), [("a", b"a"), ("./a//b/", b"a/b"), ("a/..b", b"a/..b"), ("\udcff", b"\xff"), ("ä", b"\xc3\xa4")],
)
def test_relative(text, path):
    assert _paths.relative(text, "paths") == path


def test_ancestors_and_outermost():
    assert _paths.ancestors(b"a/b/c") == [b"a", b"a/b"]
    assert _paths.ancestors(b"a") == []
    assert _gnutar.outermost([b"b", b"a/b", b"a", b"ab", b"b"]) == [b"a", b"ab", b"b"]


NAMES = [b"a", b"b*", b"b\\", b"a?c", b"[x]", b"x", b"abc", b"cache", b"\xff", b"new\nline", b"-", b"]", b"!", b"^"]
PATTERNS = [
    b"a", b"*", b"?", b"b\\*", b"b\\\\", b"a\\?c", b"a?c", b"\\[x\\]", b"[x]", b"[xa]", b"[!x]", b"[a-c]bc", b"[]]",
    b"[!]]", b"[]x]", b"*/x", b"*/*", b"cache/*", b"cache", b"*c*", b"\xff", b"new?line", b"new*", b"[", b"a[",
    b"[!]", b"[^x]",
    b"\\-", b"*/cache/x", b"\\!", b"?/?",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mean_what_gnu_tar_means(pattern, tmp_path):
    """The archive endpoint's filter and tar's own agree on every name."""
    everything = []
    for top in NAMES:
        folder = tmp_path / "tree" / top.decode("utf-8", "surrogateescape")
        folder.mkdir(parents=True)
        for name in (b"x", b"cache", b"b*"):
            (folder / name.decode()).mkdir()
            (folder / name.decode() / "x").write_text("")
            everything += [top + b"/" + name, top + b"/" + name + b"/x"]
        everything.append(top)
    argv = [b"tar", *_gnutar.create_tree(bytes(tmp_path / "tree"), [pattern])]
    made = subprocess.run(argv, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, capture_output=True, check=True).stdout
    listing = subprocess.run(["tar", "-t", "--quoting-style=literal"], input=made, capture_output=True, check=True)
    # A listing has a name a line, so a newline in a name must not be there.
    text = listing.stdout.replace(b"new\nline", b"NEWLINE")
    archived = {line[2:].rstrip(b"/").replace(b"NEWLINE", b"new\nline") for line in text.splitlines()} - {b""}
    patterns = _paths.Patterns([pattern])
    assert archived == {path for path in everything if not patterns.match(path)}


def test_expand():
    tree = {b"": [b"a", b"b", b"c"], b"a": [b"x", b"y"], b"b": [b"x"]}
    patterns = _paths.Patterns([b"*/x", b"c", b"c/*", b"nothing"])
    assert patterns.expand(lambda path: tree.get(path, []), lambda path: path in tree) == [b"a/x", b"b/x", b"c"]


@pytest.mark.parametrize(("pattern", "folder", "rest"), [
    (b"a/b/c", b"a/b", b"c"), (b"*/b/c*", b"a/b", b"c*"), (b"x/b", b"a", None), (b"a", b"a/b", b""), (b"a", b"a", b""),
    (b"a/b", b"", b"a/b"),
])
def test_remaining_pattern(pattern, folder, rest):
    assert _paths.remaining_pattern(pattern, folder) == rest


def test_mount_points():
    text = (
        b"22 1 0:20 / / rw,relatime - overlay overlay rw\n"
        b"23 22 0:21 / /proc rw - proc proc rw\n"
        b"24 22 8:1 /v /srv/with\\040space\\134x rw shared:1 - ext4 /dev/sda rw\n"
    )
    points = _paths.mount_points(text)
    assert points == [b"/", b"/proc", b"/srv/with space\\x"]
    assert _paths.covering(points, b"/srv") == b"/"
    assert _paths.covering(points, b"/proc/1") == b"/proc"
    assert _paths.covering([], b"/proc/1") is None


def test_points_below():
    points = [b"/", b"/a", b"/a/b", b"/a/b/c", b"/ab", b"/a/d", b"/a/b-c"]
    assert _paths.points_below(points, b"/a") == [b"b", b"b-c", b"d"]
    assert _paths.points_below(points, b"/") == [b"a", b"ab"]
    assert _paths.points_below(points, b"/x") == []
