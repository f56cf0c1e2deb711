# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _beneath, _fingerprint, _gnutar

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NAMES = [b"a", b"b", b"c\n", b"\xff", b"with space"]
TICK = 0.011  # seconds; the kernel's own clock for ctime moves at least every 10 ms


@pytest.fixture(autouse=True)
def sure(monkeypatch):
    """Fresh trees would be too young to have a fingerprint."""
    monkeypatch.setattr(_fingerprint, "_RACY", -3600 * 10**9)


def take(path, **wanted):
    root = _beneath.open_root(os.fsencode(path))
    try:
        return _fingerprint.take(root, **wanted)
    finally:
        os.close(root)


def write(path, data):
    with open(path, "wb") as handle:
        handle.write(data)


entries = st.recursive(
    st.one_of(st.binary(max_size=5), st.sampled_from(["link", "nowhere", "../x"])),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), max_leaves=12,
)
trees = st.dictionaries(st.sampled_from(NAMES), entries, min_size=1, max_size=4)


def build(folder, tree):
    for name, entry in tree.items():
        path = os.path.join(folder, name)
        if isinstance(entry, dict):
            os.mkdir(path)
            build(path, entry)
        elif isinstance(entry, str):
            os.symlink(entry, path)
        else:
            write(path, entry)


def all_of(folder):
    return sorted(os.path.join(top, name) for top, folders, files in os.walk(folder) for name in [*folders, *files])


def rewrite(path):
    """Other content of the same size, with the times of before."""
    found = os.stat(path)
    write(path, bytes(found.st_size * [7]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace(path):
    """The same content and times in another file."""
    shutil.copy2(path, path + b".copy")
    os.rename(path + b".copy", path)


def relink(path):
    target = os.readlink(path)
    os.unlink(path)
    os.symlink(target + b"x", path)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


CHANGES = {
    "content": (lambda path: os.path.isfile(path) and not os.path.islink(path) and os.stat(path).st_size, rewrite),
    "replaced": (lambda path: os.path.isfile(path) and not os.path.islink(path), replace),
    "mode": (lambda path: not os.path.islink(path), lambda path: os.chmod(path, os.stat(path).st_mode ^ 0o20)),
    "owner": (lambda path: True, lambda path: os.lchown(path, 4711, -1)),
    "group": (lambda path: True, lambda path: os.lchown(path, -1, 4711)),
    "time": (lambda path: True, lambda path: os.utime(path, ns=(5, 5), follow_symlinks=False)),
    "attribute": (lambda path: not os.path.islink(path), lambda path: os.setxattr(path, "user.x", b"1")),
    "rename": (lambda path: True, lambda path: os.rename(path, path + b"x")),
    "remove": (lambda path: True, remove),
    "add": (lambda path: os.path.isdir(path) and not os.path.islink(path),
            lambda path: write(os.path.join(path, b"new"), b"")),
    "link": (os.path.islink, relink),
}


@needs_root
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, st.data())
def test_any_single_change_shows(tmp_path, tree, data):
    folder = os.fsencode(tempfile.mkdtemp(dir=tmp_path))
    build(folder, tree)
    before = take(folder)
    assert before.value is not None
    assert take(folder) == before
    path = data.draw(st.sampled_from(all_of(folder)))
    kind = data.draw(st.sampled_from([kind for kind, (fits, _do) in CHANGES.items() if fits(path)]))
    time.sleep(TICK)
    CHANGES[kind][1](path)
    assert take(folder).value != before.value


def test_the_tree_itself_counts(tmp_path):
    before = take(tmp_path).value
    os.chmod(tmp_path, 0o711)
    assert take(tmp_path).value != before


def test_a_young_tree_has_none(tmp_path, monkeypatch):
    """What changes in the tick of the walk could have the same times."""
    monkeypatch.setattr(_fingerprint, "_RACY", 2 * 10**9)
    write(os.path.join(os.fsencode(tmp_path), b"file"), b"x" * 5000)
    young = take(tmp_path)
    assert young.value is None and young.entries == 2 and young.size > 5000
    time.sleep(2.1)
    old = take(tmp_path)
    assert old.value is not None
    os.chmod(os.path.join(tmp_path, "file"), 0o600)
    os.utime(os.path.join(tmp_path, "file"), ns=(5, 5))
    assert take(tmp_path).value is None


@pytest.mark.parametrize("excludes", [
    [], [b"cache"], [b"cache/*"], [b"*/cache", b"star\\*x"], [b"[lm]o[!x]", b"*/claude/*.php"], [b"*"], [b"*/*/*"],
])
@pytest.mark.parametrize("paths", [None, [b"local/claude", b"mod"], [b"local/claude/version.php", b"local/claude"]])
def test_it_sees_what_tar_archives(tmp_path, excludes, paths):
    root = os.fsencode(tmp_path)
    for path in (b"cache/a/b", b"keep/cache/x", b"local/claude/version.php", b"local/other/version.php", b"star*x",
                 b"starx", b"mod/z"):
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        write(os.path.join(root, path), path)
    if paths is not None and any(_gnutar.left_out(path, excludes) for path in paths):
        pytest.skip("the module refuses it")
    if paths is None:
        argv = _gnutar.create_tree(root, excludes)
    else:
        argv = _gnutar.create_named_parts(root, paths, excludes)
    listing = subprocess.run(
        [b"tar", *argv], capture_output=True, check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    names = subprocess.run(["tar", "-t"], input=listing.stdout, capture_output=True, check=True).stdout.splitlines()
    assert take(tmp_path, excludes=excludes, paths=paths).entries == len(names)


def test_only_what_is_archived_counts(tmp_path):
    for word in ("cache", "mod", "lib"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "file").write_text("1")

    def look():
        return [take(tmp_path, excludes=[b"cache/*"]).value, take(tmp_path, paths=[b"mod"]).value,
                take(tmp_path, name=b"lib").value]

    before = look()
    time.sleep(TICK)
    write(os.path.join(tmp_path, "cache", "file"), b"2")
    assert look() == before
    write(os.path.join(tmp_path, "lib", "file"), b"2")
    assert [one == two for one, two in zip(look(), before)] == [False, True, False]


@needs_root
def test_what_comes_and_goes_where_all_is_left_out_does_not_show(tmp_path, monkeypatch):
    for word in ("sessions", "deep/sessions"):
        (tmp_path / word).mkdir(parents=True)
    write(tmp_path / "file", b"1")
    excludes = [b"sessions/*", b"deep/sessions/*", b"nothing/*"]
    before = take(tmp_path, excludes=excludes)
    time.sleep(TICK)
    for word in ("sessions", "deep/sessions"):
        write(tmp_path / word / "new", b"2")
    assert take(tmp_path, excludes=excludes) == before
    # Even if that is a moment ago.
    monkeypatch.setattr(_fingerprint, "_RACY", 2 * 10**9)
    time.sleep(2.1)
    write(tmp_path / "sessions" / "newer", b"2")
    assert take(tmp_path, excludes=excludes).value == before.value
    monkeypatch.setattr(_fingerprint, "_RACY", -3600 * 10**9)
    changes = [lambda path: path.chmod(0o711), lambda path: os.chown(path, 4711, -1),
               lambda path: os.chown(path, 0, 4711), lambda path: os.setxattr(path, "user.x", b"1"),
               lambda path: os.setxattr(path, "user.x", b"2"), replace_folder,
               lambda path: (path.rmdir(), path.write_text(""))]
    for change in changes:
        for path in (tmp_path / "sessions").iterdir():
            path.unlink()
        previous = take(tmp_path, excludes=excludes).value
        change(tmp_path / "sessions")
        assert take(tmp_path, excludes=excludes).value != previous
    # Where only some of it is left out, names come and go that count.
    partly = take(tmp_path, excludes=[b"deep/sessions/x*"]).value
    time.sleep(TICK)
    write(tmp_path / "deep/sessions" / "xyz", b"")
    assert take(tmp_path, excludes=[b"deep/sessions/x*"]).value != partly


def replace_folder(path):
    """The same folder as another inode."""
    path.with_name("other").mkdir()
    shutil.copystat(path, path.with_name("other"))
    os.chown(path.with_name("other"), path.stat().st_uid, path.stat().st_gid)
    path.rmdir()
    path.with_name("other").rename(path)


def test_the_options_count(tmp_path):
    """The same entries can be other archives."""
    assert take(tmp_path).value != take(tmp_path, excludes=[b"nothing"]).value


def test_holes_take_no_room(tmp_path):
    with open(tmp_path / "sparse", "wb") as handle:
        handle.truncate(1 << 40)
    assert take(tmp_path).size < 1 << 20


def test_what_cannot_be_walked_has_none(tmp_path):
    assert take(tmp_path, paths=[b"nothing/there"]).value is None
    deep = os.fsencode(tmp_path)
    current = os.open(deep, os.O_RDONLY)
    for _level in range(1500):
        os.mkdir(b"d", dir_fd=current)
        inner = os.open(b"d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)
    assert take(tmp_path).value is None
    subprocess.run(["rm", "-rf", os.path.join(deep, b"d")], check=True)
