# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _beneath, _gnutar

ENV = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


def tar(argv, data=b"", fds=()):
    done = subprocess.run([b"tar", *argv], input=data, env=ENV, capture_output=True, check=True, pass_fds=fds)
    return done.stdout


def listing(data):
    return sorted(tar([b"--list", b"--quoting-style=literal"], data).splitlines())


ODD = [b"a&b,c\\d", b"sp ace", b"[x]*", b"\xff.^$", b"-x", b"proc"]


@pytest.mark.parametrize("name", ODD)
def test_parts_of_a_tree_with_odd_names(tmp_path, name):
    """Both ways of archiving parts name them alike, and they can be unpacked by their names."""
    tree = bytes(tmp_path / "tree")
    os.makedirs(os.path.join(tree, name, name, name))
    os.makedirs(os.path.join(tree, name, b"not"))
    with open(os.path.join(tree, name, name, b"file"), "wb") as handle:
        handle.write(b"1")
    os.link(os.path.join(tree, name, name, b"file"), os.path.join(tree, name, name, b"hard"))
    os.symlink(b"proc/self/fd/3/x", os.path.join(tree, name, name, b"link"))
    path = name + b"/" + name
    root = _beneath.open_root(tree)
    fds = {folder: _beneath.open_folder(root, folder) for folder in (b"", name)}
    exclude = _gnutar.literal(path + b"/" + name)
    places = {folder: _beneath.through(fd) for folder, fd in fds.items()}
    one = tar(_gnutar.create_parts(places, [path], [exclude]), fds=list(fds.values()))
    two = tar(_gnutar.create_named_parts(tree, [path], [exclude]))
    for fd in (root, *fds.values()):
        os.close(fd)
    assert one == two
    assert listing(one) == sorted([
        b"./", b"./%s/" % name, b"./%s/" % path, b"./%s/file" % path, b"./%s/hard" % path, b"./%s/link" % path])
    (tmp_path / "out").mkdir()
    whole = tar(_gnutar.create_tree(tree, []))
    tar(_gnutar.extract_tree(bytes(tmp_path / "out"), [_gnutar.literal(path + b"/link")], [path]), whole)
    there = os.path.join(bytes(tmp_path / "out"), path)
    assert sorted(os.listdir(there)) == sorted([b"file", b"hard", name])
    assert os.stat(os.path.join(there, b"file")).st_nlink == 2
    assert os.listdir(os.path.join(bytes(tmp_path / "out"), name)) == [name]


@pytest.mark.parametrize("name", [*ODD, b"new\nline\n"])
def test_single_files_with_odd_names(tmp_path, name):
    folder = bytes(tmp_path)
    with open(os.path.join(folder, name), "wb") as handle:
        handle.write(b"content")
    data = tar(_gnutar.create_file(folder, name))
    (tmp_path / "out").mkdir()
    target = bytes(tmp_path / "out")
    tar(_gnutar.extract_file(target, b"other" + name), data)
    with open(os.path.join(target, b"other" + name), "rb") as handle:
        assert handle.read() == b"content"


@pytest.mark.parametrize("word", [b"plain", b"", b"\xff\xfe", b"new\nline\n\n", b"'\"$`\\%s", b"-n", "ä".encode()])
def test_portable_commands(word):
    """What the engine gets is text, and the program in the container gets the same bytes."""
    argv = [b"printf", b"%s|", word, b"\xff", b"end"]
    command = _gnutar.portable(argv)
    assert all(text.encode("utf-8") for text in command)
    assert subprocess.run(command, capture_output=True, check=True).stdout == word + b"|\xff|end|"
    assert _gnutar.portable([b"printf", b"x"]) == ["printf", "x"]


def test_left_out():
    assert _gnutar.left_out(b"a/b", [b"x", b"a"])
    assert _gnutar.left_out(b"a/b", [b"*/b"])
    assert not _gnutar.left_out(b"a/b", [b"a/b/c", b"a/c"])
