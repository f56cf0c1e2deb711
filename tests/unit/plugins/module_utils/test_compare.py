# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree is made like an archive in place. GNU tar makes the archives, and the trees are compared by other code."""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _beneath, _gnutar, _layer
from ansible_collections.moodleclaude.backup.plugins.module_utils._compare import Comparison, Different
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import BackupError
from ansible_collections.moodleclaude.backup.plugins.module_utils._unpack import Selection

sys.path.insert(0, str(Path(__file__).resolve().parents[3].parent / "engine"))

from odd_tree import ACL, make_odd_tree  # noqa: E402
from tree_state import difference, tree_state, whole_seconds  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def pack(folder, dest, excludes=()):
    with open(dest, "wb") as handle:
        subprocess.run([b"tar", *_gnutar.create_tree(os.fsencode(folder), list(excludes))], stdout=handle, check=True,
                       env=dict(os.environ, **_gnutar.ENVIRONMENT), stderr=subprocess.DEVNULL)
    return str(dest)


def opened(folder):
    return SimpleNamespace(root=_beneath.open_root(os.fsencode(folder)), name=None, mounts=[])


def restore(src, folder, keep=(), paths=None, mounts=()):
    tree = opened(folder)
    tree.mounts = list(mounts)
    try:
        return _layer.restore_direct(Selection(src, list(keep), paths), tree)
    finally:
        os.close(tree.root)


def compare(src, folder, keep=(), paths=None, **options):
    tree = opened(folder)
    try:
        return Comparison(Selection(src, list(keep), paths), tree.root, None, [], **options).run()
    finally:
        os.close(tree.root)


def assert_same(one, two):
    assert difference(*(whole_seconds(tree_state(path)) for path in (one, two))) == []


# --- any two trees ----------------------------------------------------------------------------------------------

NAMES = [b"a", b"b", b"c\n", b"\xff"]
times = st.sampled_from([10**18, 10**18 + 1, 10**18 + 10**9, -15 * 10**8])
attributes = st.fixed_dictionaries({
    "mode": st.sampled_from([0o644, 0o600, 0o2755]), "uid": st.sampled_from([0, 33]), "time": times,
    "xattr": st.sampled_from([None, b"1", b"2\n\xff"]), "acl": st.sampled_from([None, None, "access", "default"]),
})
files = st.fixed_dictionaries({
    "kind": st.sampled_from(["file"]), "attributes": attributes,
    "content": st.sampled_from([b"", b"x", b"y", b"long" * 500, b"Long" * 500]),
})
others = st.fixed_dictionaries({
    "kind": st.sampled_from(["link", "fifo", "hard", "sparse"]), "attributes": attributes,
    "target": st.sampled_from([b"a", b"b", b"/etc", b"../x"]),
})
entries = st.recursive(
    st.one_of(files, others),
    lambda inner: st.fixed_dictionaries({
        "kind": st.just("folder"), "attributes": attributes,
        "entries": st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)}),
    max_leaves=10,
)
trees = st.dictionaries(st.sampled_from(NAMES), entries, max_size=4)


def build(folder, tree):
    made = []
    _build(folder, tree, made)
    for path, wanted in reversed(made):
        os.lchown(path, wanted["uid"], wanted["uid"])
        if not os.path.islink(path):
            os.chmod(path, wanted["mode"])
            if wanted["xattr"] is not None and (os.path.isdir(path) or os.path.isfile(path)):
                os.setxattr(path, "user.test", wanted["xattr"])
            if wanted["acl"] is not None and os.path.isdir(path):
                os.setxattr(path, "system.posix_acl_" + wanted["acl"], ACL)
        os.utime(path, ns=(wanted["time"], wanted["time"]), follow_symlinks=False)
    os.utime(folder, ns=(5, 5))


def _build(folder, tree, made):
    for name, entry in tree.items():
        path = os.path.join(folder, name)
        regular = [other for other, _wanted in made if os.path.isfile(other) and not os.path.islink(other)]
        if entry["kind"] == "folder":
            os.mkdir(path)
            made.append((path, entry["attributes"]))
            _build(path, entry["entries"], made)
            continue
        if entry["kind"] == "hard" and regular:
            os.link(regular[-1], path)
            continue
        if entry["kind"] == "file":
            Path(os.fsdecode(path)).write_bytes(entry["content"])
        elif entry["kind"] == "link":
            os.symlink(entry["target"], path)
        elif entry["kind"] == "fifo":
            os.mkfifo(path)
        else:
            with open(path, "wb") as handle:
                handle.truncate(3 << 20)
                handle.seek(1 << 20)
                handle.write(entry["target"])
        made.append((path, entry["attributes"]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, trees)
def test_any_tree_becomes_any_other(tmp_path, wanted, there):
    place = tempfile.mkdtemp(dir=tmp_path)
    one, two = (os.path.join(os.fsencode(place), word) for word in (b"one", b"two"))
    for folder, tree in ((one, wanted), (two, there)):
        os.mkdir(folder)
        build(folder, tree)
    src = pack(one, os.path.join(place, "tar"))
    same = difference(*(whole_seconds(tree_state(path)) for path in (one, two))) == []
    before = tree_state(two)
    assert (compare(src, two).count == 0) == same
    assert tree_state(two) == before
    restore(src, two)
    assert_same(one, two)
    again = restore(src, two)
    assert again.count == 0 and again.entries == len(tree_state(one))
    shutil.rmtree(place)


# --- what a file system allows ----------------------------------------------------------------------------------


@pytest.fixture
def odd(tmp_path):
    """An odd tree, its archive and a second tree that was unpacked from it: (folder, archive, folder)."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    make_odd_tree(one, sparse=8 << 20)
    two.mkdir()
    src = pack(one, tmp_path / "tar")
    subprocess.run([b"tar", *_gnutar.extract_tree(os.fsencode(two), [])], stdin=open(src, "rb"), check=True,
                   env=dict(os.environ, **_gnutar.ENVIRONMENT))
    return one, src, two


def test_an_odd_tree_is_made_whole(odd, tmp_path):
    one, src, two = odd
    assert compare(src, two).changed == []
    inodes = {name: os.lstat(os.path.join(os.fsencode(two), name)).st_ino for name in tree_state(two)}
    assert restore(src, two).count == 0
    assert inodes == {name: os.lstat(os.path.join(os.fsencode(two), name)).st_ino for name in tree_state(two)}
    (tmp_path / "empty").mkdir()
    restore(src, tmp_path / "empty")
    assert_same(one, tmp_path / "empty")


def _rewrite(path):
    found = os.stat(path)
    with open(path, "r+b") as handle:
        first = handle.read(1)
        handle.seek(0)
        handle.write(b"x" if first != b"x" else b"y")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _fill_hole(path):
    found = os.stat(path)
    with open(path, "r+b") as handle:
        handle.seek(100_000)
        handle.write(b"x")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _apart(path):
    """Give one of several names a file of its own."""
    shutil.copy2(path, path + ".copy")
    os.rename(path + ".copy", path)


def _as_folder(path):
    os.unlink(path)
    os.makedirs(os.path.join(path, "in", "the way"))


def _as_link(path):
    shutil.rmtree(path)
    os.symlink("/tmp", path)


CHANGES = {
    "content": ("secret.key", _rewrite),
    "content of a file with attributes": ("attributes", _rewrite),
    "data between holes": ("sparse", _fill_hole),
    "mode": ("setuid", lambda path: os.chmod(path, 0o755)),
    "mode of a folder": ("empty", lambda path: os.chmod(path, 0o2771)),
    "owner": ("owned", lambda path: os.chown(path, 0, 0)),
    "owner of a link": ("dangling", lambda path: os.lchown(path, 1, 1)),
    "time": ("owned", lambda path: os.utime(path, ns=(0, 10**18))),
    "attribute": ("attributes", lambda path: os.setxattr(path, "user.odd", b"other")),
    "attribute more": ("owned", lambda path: os.setxattr(path, "user.more", b"1")),
    "attribute of a folder more": ("deep", lambda path: os.setxattr(path, "user.more", b"1")),
    "attribute of a folder gone": ("empty", lambda path: os.removexattr(path, "user.folder")),
    "ACL of a folder gone": ("empty", lambda path: os.removexattr(path, "system.posix_acl_default")),
    "ACL gone": ("attributes", lambda path: os.removexattr(path, "system.posix_acl_access")),
    "device": ("device", lambda path: (os.unlink(path), os.mknod(path, 0o020600, os.makedev(1, 5)))),
    "fifo gone": ("fifo", os.unlink),
    "one name of a file apart": ("cache/hard two", _apart),
    "first name of a file apart": ("hard one", _apart),
    "all names of a file": ("hard one", _rewrite),
    "a name of a file more": ("hard one", lambda path: os.link(path, path + ".more")),
    "a name outside": ("hard one", lambda path: os.link(path, os.path.join(path, "..", "..", "outside"))),
    "two files one": ("owned", lambda path: (os.unlink(path), os.link(os.path.dirname(path) + "/secret.key", path))),
    "surplus": ("cache", lambda path: os.makedirs(os.path.join(path, "surplus", "deep"))),
    "file to folder": ("owned", _as_folder),
    "folder to link": ("cache", _as_link),
    "link to folder": ("to folder", _as_folder),
    "target of a link": ("absolute", lambda path: (os.unlink(path), os.symlink("/etc/passwd2", path))),
    "folder gone": ("odd folders", shutil.rmtree),
    "the tree's own mode": (".", lambda path: os.chmod(path, 0o700)),
    "the tree's own attribute": (".", lambda path: os.setxattr(path, "user.root", b"other")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_difference_is_seen_and_mended(odd, change):
    one, src, two = odd
    path, work = CHANGES[change]
    path = os.path.normpath(os.path.join(str(two), path))
    if change == "a name outside":
        path = os.path.join(str(two), "hard one")
        os.link(path, str(two.parent / "outside"))
    else:
        work(path)
    state = tree_state(two)
    with pytest.raises(Different):
        compare(src, two, times=False, first=True)
    assert compare(src, two, times=False).count > 0
    assert tree_state(two) == state
    assert restore(src, two).count > 0
    assert_same(one, two)
    assert restore(src, two).count == 0


def test_times_of_folders(odd):
    """A folder's time alone is not worth a restore, but one that happens brings it back."""
    one, src, two = odd
    os.utime(two / "cache", ns=(0, 10**18))
    assert compare(src, two, times=False).count == 0
    assert restore(src, two).changed == ["cache"]
    assert_same(one, two)


def test_sockets_are_in_no_archive(odd):
    _one, src, two = odd
    folder = os.open(two, os.O_RDONLY)
    times = os.fstat(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("/proc/self/fd/%d/s" % folder)
    os.close(folder)
    os.utime(two, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert compare(src, two).changed == []


def test_only_what_differs_is_written(odd):
    _one, src, two = odd
    _rewrite(str(two / "owned"))
    os.unlink(two / "cache" / "inner" / "file")
    before = _changes(two)
    assert sorted(restore(src, two).changed) == ["cache/inner", "cache/inner/file", "owned"]
    after = _changes(two)
    assert {name for name in after if before.get(name) != after[name]} == {b"owned", b"cache/inner/file"}


def _changes(folder):
    found = {name: os.lstat(os.path.join(os.fsencode(folder), name)) for name in tree_state(folder)}
    return {name: one.st_ctime_ns for name, one in found.items() if not stat.S_ISDIR(one.st_mode)}


def test_nothing_is_inherited_from_the_folder(tmp_path):
    """Files and folders that come into a folder with an ACL for new ones do not get that ACL."""
    for word in ("one", "two"):
        (tmp_path / word / "folder").mkdir(parents=True)
    for path in ("file", "inner/file"):
        (tmp_path / "one" / "folder" / path).parent.mkdir(exist_ok=True)
        (tmp_path / "one" / "folder" / path).write_text("1")
    for word in ("one", "two"):
        os.setxattr(tmp_path / word / "folder", "system.posix_acl_default", ACL)
        os.chmod(tmp_path / word / "folder", 0o2750)
        os.chown(tmp_path / word / "folder", 33, 33)
    restore(pack(tmp_path / "one", tmp_path / "tar"), tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "two")


# --- what stays -------------------------------------------------------------------------------------------------


def test_what_is_kept_and_what_is_mounted_stays(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, word in ((one, "new"), (two, "old")):
        for path in ("cache/x", "mod/data/file", "mod/code", "only/%s" % word, "config"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(word)
    (two / ".moodle_backup_t1_old").mkdir()
    (two / "gone" / "kept").mkdir(parents=True)
    (two / "gone" / "not").mkdir()
    src = pack(one, tmp_path / "tar")
    result = restore(src, two, keep=["cache", "gone/kept"], mounts=[b"mod/data", b"config"])
    assert (two / "cache" / "x").read_text() == (two / "mod/data/file").read_text() == "old"
    assert (two / "config").read_text() == "old" and (two / "mod" / "code").read_text() == "new"
    assert os.listdir(two / "only") == ["new"] and os.listdir(two / "gone") == ["kept"]
    assert (two / ".moodle_backup_t1_old").exists()
    assert {"mod/code", "only/old", "only/new", "gone/not"} <= set(result.changed)
    kept = compare(src, two, keep=["cache", "gone", "mod/data", "config"], times=False)
    assert kept.changed == []
    with pytest.raises(BackupError, match="holds what is to stay"):
        shutil.rmtree(one / "mod")
        (one / "mod").write_text("file")
        restore(pack(one, tmp_path / "tar2"), two, mounts=[b"mod/data"])
    assert (two / "mod/data/file").read_text() == "old"


def test_names_of_one_file_that_stay(odd):
    """A name that is kept, or outside the paths, is still a name of the file."""
    _one, src, two = odd
    inode = os.stat(two / "hard one").st_ino
    for choice in ({"keep": ["cache/*"]}, {"paths": ["odd folders"]}, {"keep": ["hard one"]}):
        assert compare(src, two, **choice).changed == []
    _apart(str(two / "odd folders" / "hard three"))
    assert compare(src, two, paths=["odd folders"], times=False).changed == ["odd folders/hard three"]
    assert restore(src, two, paths=["odd folders"]).changed[-1] == "odd folders/hard three"
    names = [two / "hard one", two / "cache" / "hard two", two / "odd folders" / "hard three"]
    assert [os.stat(path).st_ino for path in names] == [inode] * 3


def test_paths(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, word in ((one, "new"), (two, "old")):
        for path in ("local/claude/version", "local/other", "mod/z", "%s" % word):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(word)
    os.chmod(one / "local", 0o711)
    (two / "local" / "claude" / "surplus").mkdir()
    for path in (one / "local/claude", two / "local/claude", two):
        os.utime(path, ns=(7, 7))
    src = pack(one, tmp_path / "tar")
    assert restore(src, two, paths=["local/claude"]).count == 2
    assert (two / "local/claude/version").read_text() == "new" and (two / "local/other").read_text() == "old"
    assert sorted(os.listdir(two)) == ["local", "mod", "old"]
    assert os.stat(two / "local").st_mode & 0o777 == 0o755 and os.stat(two).st_mtime_ns == 7
    assert compare(src, two, paths=["local/claude"], times=False).count == 0
    shutil.rmtree(two / "local")
    restore(src, two, paths=["local/claude"])
    assert os.stat(two / "local").st_mode & 0o777 == 0o711 and os.listdir(two / "local") == ["claude"]
    with pytest.raises(BackupError, match="no 'nothing'"):
        restore(src, two, paths=["nothing"])
    shutil.rmtree(two / "local")
    os.symlink("/tmp", two / "local")
    with pytest.raises(BackupError, match="is a link or no folder"):
        restore(src, two, paths=["local/claude"])


# --- archives that are not as they should be --------------------------------------------------------------------


def test_a_damaged_archive_changes_nothing(odd, tmp_path):
    _one, src, two = odd
    data = Path(src).read_bytes()
    shutil.rmtree(two / "deep")
    state = tree_state(two)
    (tmp_path / "outside").mkdir()
    climbing = io.BytesIO()
    with tarfile.open(fileobj=climbing, mode="w") as archive:
        for name in ("./", "./../outside/evil"):
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
    bad = [data[:len(data) // 2], data[:5120], data[:1024] + bytes([data[1024] ^ 1]) + data[1025:], climbing.getvalue()]
    for number, content in enumerate(bad):
        (tmp_path / str(number)).write_bytes(content)
        with pytest.raises(BackupError):
            restore(str(tmp_path / str(number)), two)
        assert tree_state(two) == state
    assert os.listdir(tmp_path / "outside") == []
