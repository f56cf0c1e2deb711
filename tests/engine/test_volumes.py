# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""volume_archive and volume_restore on the real engine: what comes back is what was there, by every transport."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest
from odd_tree import make_odd_tree
from tree_state import difference, tree_state, whole_seconds, without

# What the engine's archive endpoint cannot carry; the second is what it does carry for some entries only.
LOST = ("xattrs", "sparse")


def assert_same(one, two):
    assert difference(one, two) == []


def in_container(engine, name, *argv, stdin=b""):
    return engine.run(name, list(argv), stdin=stdin, user="0")[1]


# --- everything comes back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", ["direct", "api"])
@pytest.mark.parametrize("out", ["direct", "api"])
def test_round_trip_of_a_volume(ok, volume, debian, tmp_path, out, back):
    name, folder = volume("from")
    other, there = volume("to")
    make_odd_tree(folder)
    state = tree_state(folder)
    dest = str(tmp_path / "tree.tar.zst")
    result = ok("volume_archive", volume=name, dest=dest, transport=out, image=debian)
    assert result["transport"] == {"direct": "direct", "api": "exec"}[out]
    assert any("socket ignored" in str(warning) for warning in result["warnings"])
    assert result["files"] == len(state)
    assert_same(tree_state(folder), state)
    os.mkdir(os.path.join(there, "old"))
    ok("volume_restore", volume=other, src=dest, transport=back, image=debian)
    assert_same(tree_state(there), state)


def test_direct_and_exec_write_the_same_bytes(ok, volume, debian, tmp_path):
    name, folder = volume("from")
    make_odd_tree(folder, sparse=0)  # GNU tar writes its process number into the headers of sparse files
    sums = [
        ok("volume_archive", volume=name, dest=str(tmp_path / way), transport=way, image=debian, compression="none",
           exclude=["cache/*", "star\\*"])["sha256"]
        for way in ("direct", "api")
    ]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("back", ["direct", "endpoint"])
def test_round_trip_through_the_archive_endpoint(ok, volume, tiny, tmp_path, back):
    name, folder = volume("from")
    other, there = volume("to")
    make_odd_tree(folder, sparse=8 << 20)
    dest = str(tmp_path / "tree.tar")
    result = ok("volume_archive", volume=name, dest=dest, transport="api", image=tiny, compression="none")
    assert result["transport"] == "archive"
    assert any("whole seconds" in str(warning) for warning in result["warnings"])
    if back == "direct":
        ok("volume_restore", volume=other, src=dest, transport="direct")
    else:
        ok("volume_restore", volume=other, src=dest, transport="api", image=tiny)
    wanted, found = (without(whole_seconds(tree_state(path)), *LOST) for path in (folder, there))
    # The mask of an ACL shows as the group's rights; without the ACL it stays so.
    assert_same(found, wanted)


def test_full_archive_goes_back_through_the_endpoint(ok, volume, tiny, tmp_path):
    """An archive with extended attributes and holes can be restored where there is no GNU tar."""
    name, folder = volume("from")
    other, there = volume("to")
    make_odd_tree(folder, sparse=8 << 20)
    dest = str(tmp_path / "tree.tar.gz")
    ok("volume_archive", volume=name, dest=dest, transport="direct", compression="gzip")
    ok("volume_restore", volume=other, src=dest, transport="api", image=tiny)
    assert_same(*(without(whole_seconds(tree_state(path)), *LOST) for path in (folder, there)))


def test_sparse_file_of_ten_gigabytes_is_quick(ok, volume, debian, tmp_path):
    name, folder = volume("from")
    other, there = volume("to")
    with open(os.path.join(folder, "sparse"), "wb") as handle:
        handle.truncate(10 << 30)
        handle.seek(5 << 30)
        handle.write(b"island")
    for way in ("direct", "api"):
        dest = str(tmp_path / way)
        result = ok("volume_archive", volume=name, dest=dest, transport=way, image=debian)
        assert result["raw_size"] < 1 << 20
        ok("volume_restore", volume=other, src=dest, transport=way, image=debian)
        assert_same(tree_state(there), tree_state(folder))


def test_memory_stays_small(measure_module, ok, volume, debian, tmp_path):
    name, folder = volume("from")
    other, there = volume("to")
    piece = os.urandom(1 << 20)
    for number in range(42):
        with open(os.path.join(folder, "file%d" % number), "wb") as handle:
            handle.write(piece * 50)
    for number in range(5000):
        with open(os.path.join(folder, "small%d" % number), "wb") as handle:
            handle.write(b"x")
    for way in ("direct", "api"):
        dest = str(tmp_path / way)
        result, peak = measure_module("volume_archive", {
            "volume": name, "dest": dest, "transport": way, "image": debian})
        assert not result.get("failed"), result
        assert result["raw_size"] > 2 << 30
        print("volume_archive %s: %d MB" % (way, peak >> 20))
        assert peak < 150 << 20
        result, peak = measure_module("volume_restore", {
            "volume": other, "src": dest, "transport": way, "image": debian})
        assert not result.get("failed"), result
        print("volume_restore %s: %d MB" % (way, peak >> 20))
        assert peak < 150 << 20
        assert len(os.listdir(there)) == 5042


# --- where trees lie --------------------------------------------------------------------------------------------


def test_the_ways_into_one_tree_agree(engine, ok, volume, container, debian, tmp_path):
    """A volume by name, in a running and a stopped container, behind a link, and the source of a bind mount."""
    name, folder = volume("data")
    make_odd_tree(folder, sparse=0)  # GNU tar writes its process number into the headers of sparse files
    running = container("running", debian, [name + ":/srv/data"])
    in_container(engine, running, "ln", "-s", "/srv/data", "/link")
    stopped = container("stopped", debian, [name + ":/srv/data"])
    in_container(engine, stopped, "ln", "-s", "/srv/data", "/link")
    engine.stop(stopped, 0)
    sums = {}
    for number, where in enumerate((
        {"volume": name}, {"path": folder},
        {"container": running, "path": "/srv/data"}, {"container": running, "path": "/link"},
        {"container": stopped, "path": "/srv/data"}, {"container": stopped, "path": "/link"},
        {"container": running, "path": "/link", "transport": "api"},
        {"path": folder, "transport": "api", "image": debian},
    )):
        result = ok("volume_archive", dest=str(tmp_path / str(number)), compression="none", **where)
        sums[str(where)] = result["sha256"]
    assert len(set(sums.values())) == 1, sums
    result = ok("volume_archive", dest=str(tmp_path / "endpoint"), transport="api", container=stopped, path="/link")
    assert result["transport"] == "archive"


def test_what_the_image_and_the_writable_layer_hold(engine, ok, container, debian, tmp_path):
    running = container("web", debian)
    in_container(engine, running, "sh", "-c",
                 "mkdir /var/www/html/new && echo 1 > /var/www/html/new/file && rm /etc/motd")
    common = {"container": running, "path": "/", "exclude": ["usr", "lib*", "var/lib"], "compression": "none"}
    one = ok("volume_archive", dest=str(tmp_path / "running"), **common)
    assert set(one["other_mounts"]) >= {"proc", "sys", "dev", "etc/hosts", "etc/hostname", "etc/resolv.conf"}
    engine.stop(running, 0)
    two = ok("volume_archive", dest=str(tmp_path / "stopped"), **common)
    listing = [
        subprocess.run(["tar", "-tvf", tmp_path / name], capture_output=True, check=True, text=True).stdout.splitlines()
        for name in ("running", "stopped")
    ]
    names = [{line.split(None, 5)[5] for line in lines} for lines in listing]
    assert names[0] == names[1]
    assert "./var/www/html/new/file" in names[0]
    assert "./etc/motd" not in names[0]
    assert two["transport"] == "direct"


def test_other_mounts_are_not_crossed(engine, ok, volume, container, debian, tmp_path):
    code, code_folder = volume("code")
    data, data_folder = volume("data")
    config = tmp_path / "config.php"
    config.write_text("<?php // of the host\n")
    with open(os.path.join(data_folder, "upload"), "w") as handle:
        handle.write("1")
    with open(os.path.join(code_folder, "index.php"), "w") as handle:
        handle.write("1")
    name = container("web", debian, [
        code + ":/var/www/html", data + ":/var/www/html/data", "%s:/var/www/html/config.php" % config])
    archives = []
    for way, state in (("direct", "running"), ("api", "running"), ("direct", "stopped"), ("api", "stopped")):
        if state == "stopped":
            engine.stop(name, 0)
        dest = str(tmp_path / ("%s-%s" % (way, state)))
        result = ok("volume_archive", container=name, path="/var/www/html", dest=dest, transport=way,
                    compression="none")
        assert result["other_mounts"] == ["config.php", "data"]
        archives.append(dest)
        listing = subprocess.run(["tar", "-tf", dest], capture_output=True, check=True, text=True).stdout.split()
        assert sorted(listing) == ["./", "./index.php"]
    # The single file by itself is the host's.
    for way in ("direct", "api"):
        dest = str(tmp_path / ("config-" + way))
        ok("volume_archive", container=name, path="/var/www/html/config.php", dest=dest, transport=way)
        config.write_text("<?php // changed\n")
        before = os.listdir(tmp_path)
        ok("volume_restore", container=name, path="/var/www/html/config.php", src=dest, transport=way)
        assert config.read_text() == "<?php // of the host\n"
        assert sorted(os.listdir(tmp_path)) == sorted(before)
    # What is mounted stays when the tree is restored, and keeps being mounted in the running container.
    engine.start(name)
    with open(os.path.join(code_folder, "plugin.php"), "w") as handle:
        handle.write("later")
    for way in ("direct", "api"):
        ok("volume_restore", container=name, path="/var/www/html", src=archives[0], transport=way)
        assert in_container(engine, name, "ls", "/var/www/html") == b"config.php\ndata\nindex.php\n"
        assert in_container(engine, name, "cat", "/var/www/html/data/upload") == b"1"
    ok("volume_restore", volume=code, src=archives[0])
    assert in_container(engine, name, "cat", "/var/www/html/data/upload") == b"1"
    assert in_container(engine, name, "cat", "/var/www/html/config.php") == b"<?php // of the host\n"


def test_a_bind_mount_that_is_missing_is_made(ok, fails, tmp_path, debian):
    source = tmp_path / "source"
    source.mkdir()
    make_odd_tree(source)
    dest = str(tmp_path / "tree.tar.zst")
    ok("volume_archive", path=str(source), dest=dest)
    state = tree_state(source)
    target = tmp_path / "a" / "b" / "c"
    assert ok("volume_restore", path=str(target), src=dest, check=True)["changed"]
    assert not (tmp_path / "a").exists()
    ok("volume_restore", path=str(target), src=dest)
    assert_same(tree_state(target), state)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    other = tmp_path / "api"
    ok("volume_restore", path=str(other), src=dest, transport="api", image=debian)
    assert_same(tree_state(other), state)
    # Given up or failed, it is gone again.
    cut = tmp_path / "cut"
    cut.write_bytes((tmp_path / "tree.tar.zst").read_bytes()[:-100])
    for way in ("direct", "api"):
        fails("volume_restore", path=str(tmp_path / "failed"), src=str(cut), transport=way, image=debian)
        assert not (tmp_path / "failed").exists()
    third = tmp_path / "third"
    ok("volume_restore", path=str(third), src=dest, phase="prepare", transaction="t1")
    ok("volume_restore", path=str(third), phase="rollback", transaction="t1")
    assert not third.exists()


# --- links that point at the host -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["direct", "api"])
def test_links_to_the_host_neither_leak_nor_overwrite(engine, ok, fails, volume, container, debian, tmp_path, way):
    secret = tmp_path / "host"
    secret.mkdir()
    (secret / "secret").write_text("of the host\n")
    name, folder = volume("data")
    os.symlink(secret, os.path.join(folder, "evil"))
    os.mkdir(os.path.join(folder, "good"))
    web = container("web", debian, [name + ":/data"])
    in_container(engine, web, "sh", "-c", "mkdir -p '%s' && echo inside > '%s/secret'" % (secret, secret))
    # In the container the link means the container's own folder.
    dest = str(tmp_path / "one.tar")
    ok("volume_archive", container=web, path="/data/evil", dest=dest, transport=way, compression="none")
    content = subprocess.run(["tar", "-xOf", dest, "./secret"], capture_output=True, check=True).stdout
    assert content == b"inside\n"
    ok("volume_restore", container=web, path="/data/evil/secret/../made", src=dest, transport="direct")
    assert in_container(engine, web, "cat", "%s/made/secret" % secret) == b"inside\n"
    assert os.listdir(secret) == ["secret"]
    # A volume alone does not say what the link means.
    again = {"volume": name, "dest": dest, "overwrite": True, "transport": way}
    assert "link" in fails("volume_archive", path="evil", **again)
    assert "link" in fails("volume_archive", path="evil/secret", **again)
    assert "link" in fails("volume_restore", volume=name, path="evil", src=dest, transport=way)
    # Nor is a link followed below the root.
    assert "link" in fails("volume_archive", paths=["evil/secret"], **again)
    tree = tmp_path / "tree"
    (tree / "evil").mkdir(parents=True)
    (tree / "evil" / "secret").write_text("overwritten\n")
    bad = str(tmp_path / "bad.tar")
    ok("volume_archive", path=str(tree), dest=bad)
    fails("volume_restore", volume=name, src=bad, paths=["evil/secret"], transport=way)
    assert (secret / "secret").read_text() == "of the host\n"
    assert sorted(os.listdir(folder)) == ["evil", "good"]
    # As a whole the archive's folder takes the link's place.
    ok("volume_restore", volume=name, src=bad, transport=way)
    assert (secret / "secret").read_text() == "of the host\n"
    assert not os.path.islink(os.path.join(folder, "evil"))


def test_an_archive_that_tries_to_get_out(fails, volume, tmp_path):
    name, folder = volume("data")
    victim = tmp_path / "victim"
    victim.write_text("safe")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "x").write_text("evil")
    for transform in ("s,^./x,../../../../../..%s," % victim, "s,^./x,./a/../../../../../../..%s," % victim):
        bad = tmp_path / "bad.tar"
        subprocess.run(["tar", "-C", tree, "-cPf", bad, "--transform", transform, "./"], check=True)
        fails("volume_restore", volume=name, src=str(bad))
        assert victim.read_text() == "safe"
        assert os.listdir(folder) == []


# --- what is left out, what alone is taken ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["direct", "exec", "endpoint"])
def test_patterns_and_paths(ok, fails, volume, debian, tiny, tmp_path, way):
    name, folder = volume("data")
    for path in ("cache/a/b", "keep/cache/x", "local/claude/version.php", "local/other/version.php", "star*x", "starx",
                 "mod/z"):
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as handle:
            handle.write(path)
    os.chown(os.path.join(folder, "local"), 33, 33)
    os.chmod(os.path.join(folder, "local"), 0o2711)
    common = {"volume": name, "transport": "direct" if way == "direct" else "api", "overwrite": True,
              "image": tiny if way == "endpoint" else debian, "compression": "none", "dest": str(tmp_path / "a.tar")}

    def archived(**args):
        ok("volume_archive", **common, **args)
        out = subprocess.run(["tar", "-tf", common["dest"]], capture_output=True, check=True, text=True).stdout
        return {line.strip("/")[2:] for line in out.splitlines()} - {""}

    everything = archived()
    assert "cache/a/b" in everything and "keep/cache/x" in everything
    assert everything - archived(exclude=["cache"]) == {"cache", "cache/a", "cache/a/b"}
    assert everything - archived(exclude=["cache/*", "*/cache"]) == {
        "cache/a", "cache/a/b", "keep/cache", "keep/cache/x"}
    assert everything - archived(exclude=["star\\*x", "[lm]o[!x]"]) == {"star*x", "mod", "mod/z"}
    assert archived(paths=["local/claude", "mod"]) == {
        "local", "local/claude", "local/claude/version.php", "mod", "mod/z"}
    assert archived(paths=["local/claude", "local"], exclude=["local/*/version.php"]) == {
        "local", "local/claude", "local/other"}
    assert "no 'local/nothing'" in fails("volume_archive", **common, paths=["local/nothing"])
    assert "not a path below" in fails("volume_archive", **common, paths=["../x"])
    assert "not a path below" in fails("volume_archive", **common, exclude=["/cache"])

    # Only the named path is replaced, and a missing folder above it comes back as it was.
    archived()
    other, there = volume("other")
    os.makedirs(os.path.join(there, "mod"))
    for path in ("mod/z", "mod/mine"):
        with open(os.path.join(there, path), "w") as handle:
            handle.write("other")
    restore = {"volume": other, "transport": common["transport"], "image": common["image"], "src": common["dest"]}
    ok("volume_restore", paths=["mod/z", "local/claude"], **restore)
    assert open(os.path.join(there, "mod/z")).read() == "mod/z"
    assert open(os.path.join(there, "mod/mine")).read() == "other"
    assert os.listdir(os.path.join(there, "local")) == ["claude"]
    found = os.stat(os.path.join(there, "local"))
    assert (found.st_uid, found.st_mode & 0o7777) == (33, 0o2711)
    assert "nothing" in fails("volume_restore", paths=["nothing"], **restore)

    # What is kept stays, also below a folder that is replaced.
    ok("volume_restore", keep=["mod/m*", "cache"], **restore)
    assert sorted(os.listdir(there)) == sorted(set(os.listdir(folder)) - {"cache"})
    assert sorted(os.listdir(os.path.join(there, "mod"))) == ["mine", "z"]


def test_compression_and_overwriting(ok, fails, volume, tmp_path):
    name, folder = volume("data")
    make_odd_tree(folder)
    dest = tmp_path / "tree"
    for compression, magic in (("zstd", b"\x28\xb5\x2f\xfd"), ("gzip", b"\x1f\x8b"), ("none", b"./")):
        ok("volume_archive", volume=name, dest=str(dest), compression=compression, overwrite=True)
        assert dest.read_bytes().startswith(magic)
    before = dest.read_bytes()
    assert "exists already" in fails("volume_archive", volume=name, dest=str(dest))
    assert dest.read_bytes() == before
    assert dest.stat().st_mode & 0o777 == 0o600
    assert "does not exist" in fails("volume_archive", volume=name, dest=str(tmp_path / "no" / "x"))
    assert "lies in the tree" in fails("volume_archive", path=str(tmp_path), dest=str(tmp_path / "x"))
    assert "no volume" in fails("volume_archive", volume=name + "-no", dest=str(tmp_path / "x"))
    assert "There is no" in fails("volume_archive", path="/nowhere/x", dest=str(tmp_path / "x"))
    assert os.listdir(tmp_path) == ["tree"]


# --- phases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["direct", "exec", "endpoint"])
def test_phases(ok, fails, volume, debian, tiny, tmp_path, way):
    name, folder = volume("data")
    new = tmp_path / "new"
    new.mkdir()
    for path in ("both", "only new"):
        (new / path).write_text("new")
    os.chmod(new, 0o751)
    os.chown(new, 33, 34)
    os.utime(new, ns=(0, 1_600_000_000_000_000_000))
    src = str(tmp_path / "new.tar.zst")
    ok("volume_archive", path=str(new), dest=src)
    make_odd_tree(folder, nodes=way != "endpoint")
    with open(os.path.join(folder, "both"), "w") as handle:
        handle.write("old")
    old_state, new_state = tree_state(folder), tree_state(new)
    if way != "direct":
        # Nothing in a helper can take an attribute away, and busybox brings times back to the second.
        os.removexattr(folder, "user.root")
        os.utime(folder, ns=(0, 1_500_000_000_000_000_000))
        old_state = tree_state(folder)
    common = {"volume": name, "transport": "direct" if way == "direct" else "api", "transaction": "t1",
              "image": tiny if way == "endpoint" else debian}

    def phase(word, check=False, **extra):
        return ok("volume_restore", phase=word, check=check, **common, **extra)["changed"]

    assert phase("prepare", src=src)
    names = os.listdir(folder)
    assert ".moodle_backup_t1_new" in names
    assert os.stat(os.path.join(folder, ".moodle_backup_t1_new")).st_mode & 0o777 == 0o700
    if way == "direct":
        assert "not been switched" in fails("volume_restore", phase="commit", **common)
        assert "not finished" in fails("volume_restore", src=src, phase="prepare", **dict(common, transaction="t2"))
        # An archive that is taken meanwhile does not have the prepared tree in it.
        ok("volume_archive", volume=name, dest=str(tmp_path / "meanwhile"), compression="none")
        listing = subprocess.run(["tar", "-tf", tmp_path / "meanwhile"], capture_output=True, check=True).stdout
        assert b"moodle_backup" not in listing
        assert phase("rollback")
        assert_same(tree_state(folder), old_state)
        assert phase("prepare", check=True, src=src) and not phase("rollback") and phase("prepare", src=src)

    assert phase("prepare", src=src)
    assert phase("switch", check=True) and phase("switch") and not phase("switch")
    assert sorted(set(os.listdir(folder)) - {".moodle_backup_t1_live", ".moodle_backup_t1_old"}) == ["both", "only new"]
    with open(os.path.join(folder, "made meanwhile"), "w") as handle:
        handle.write("by the site")
    if way == "direct":
        assert "switched already" in fails("volume_restore", src=src, phase="prepare", **common)
    assert phase("rollback") and not phase("rollback")
    assert_same(tree_state(folder), old_state)

    assert phase("prepare", src=src) and phase("switch")
    assert phase("commit", check=True) and phase("commit") and not phase("commit")
    assert_same(tree_state(folder), new_state)
    assert "Nothing is prepared" in fails("volume_restore", phase="switch", **common)


def test_rollback_of_what_does_not_exist(ok, fails, prefix):
    missing = {"volume": prefix + "-missing", "transaction": "t1"}
    assert not ok("volume_restore", phase="rollback", **missing)["changed"]
    assert "no volume" in fails("volume_restore", phase="switch", **missing)
    assert "no name" in fails("volume_restore", phase="rollback", **dict(missing, transaction="../x"))


def test_single_files(engine, ok, fails, volume, tmp_path):
    name, folder = volume("data")
    for word in ("one", "two"):
        with open(os.path.join(folder, word), "w") as handle:
            handle.write(word)
        os.chmod(os.path.join(folder, word), 0o640)
        os.setxattr(os.path.join(folder, word), "user.x", word.encode())
        ok("volume_archive", volume=name, path=word, dest=str(tmp_path / word))
    state = tree_state(folder)
    for word in ("one", "two"):
        with open(os.path.join(folder, word), "w") as handle:
            handle.write("changed")
    changed = tree_state(folder)
    # Two files of one folder in the same transaction do not meet.
    for phase in ("prepare", "switch", "rollback", "prepare", "switch", "commit"):
        for word in ("one", "two"):
            ok("volume_restore", volume=name, path=word, src=str(tmp_path / word), phase=phase, transaction="t1")
        if phase == "rollback":
            assert_same(without(tree_state(folder), "mtime_ns"), without(changed, "mtime_ns"))
    # The folder's own time says that something was put there.
    found = tree_state(folder)
    assert_same({**found, b".": state[b"."]}, state)
    assert "single file" in fails("volume_restore", volume=name, src=str(tmp_path / "one"))
    again = {"volume": name, "path": "one", "dest": str(tmp_path / "y")}
    assert "is a single file" in fails("volume_archive", exclude=["x"], **again)
    os.unlink(os.path.join(folder, "one"))
    ok("volume_restore", volume=name, path="one", src=str(tmp_path / "one"))
    assert os.getxattr(os.path.join(folder, "one"), "user.x") == b"one"


# --- failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["direct", "api"])
def test_damaged_archives_leave_the_tree_alone(fails, ok, volume, debian, tmp_path, way):
    name, folder = volume("data")
    make_odd_tree(folder, sparse=4 << 20)
    with open(os.path.join(folder, "big"), "wb") as handle, open("/dev/urandom", "rb") as source:
        handle.write(source.read(4 << 20))
    for compression in ("zstd", "gzip", "none"):
        whole = tmp_path / compression
        ok("volume_archive", volume=name, dest=str(whole), compression=compression)
        data = whole.read_bytes()
        middle = len(data) // 2
        cut, flipped = tmp_path / "cut", tmp_path / "flipped"
        cut.write_bytes(data[:middle])
        flipped.write_bytes(data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1:])
        state = tree_state(folder)
        # Plain tar has no checksum of the content; that is the manifest's task.
        for bad in (cut,) if compression == "none" else (cut, flipped):
            fails("volume_restore", volume=name, src=str(bad), transport=way, image=debian)
            assert_same(tree_state(folder), state)
    blocks = (tmp_path / "none").read_bytes()[:10240]
    (tmp_path / "boundary").write_bytes(blocks[:2048])
    fails("volume_restore", volume=name, src=str(tmp_path / "boundary"), transport=way, image=debian)
    assert_same(tree_state(folder), state)
    (tmp_path / "text").write_text("hello")
    assert "text" in fails("volume_restore", volume=name, src=str(tmp_path / "text"), transport=way, image=debian)
    assert "no archive" in fails("volume_restore", volume=name, src=str(tmp_path / "no"), transport=way)


def test_full_disks(fails, ok, volume, small_disk, tmp_path):
    name, folder = volume("data")
    with open(os.path.join(folder, "big"), "wb") as handle, open("/dev/urandom", "rb") as source:
        handle.write(source.read(8 << 20))
    assert "No space left" in fails("volume_archive", volume=name, dest=str(small_disk / "x"))
    assert os.listdir(small_disk) == []
    ok("volume_archive", volume=name, dest=str(tmp_path / "x"))
    target = small_disk / "tree"
    target.mkdir()
    (target / "old").write_text("old")
    state = tree_state(target)
    assert "No space left" in fails("volume_restore", path=str(target), src=str(tmp_path / "x"))
    assert_same(tree_state(target), state)


@pytest.mark.parametrize("way", ["direct", "api"])
def test_killed_in_the_middle(engine, ok, volume, debian, module_command, module_environment, tmp_path, way):
    """kill -9 while it unpacks: the tree is as it was, and the next run works and leaves nothing behind."""
    name, folder = volume("data")
    new = tmp_path / "new"
    new.mkdir()
    for number in range(3000):
        (new / ("file%d" % number)).write_bytes(b"x" * 20000)
    src = str(tmp_path / "new.tar")
    ok("volume_archive", path=str(new), dest=src, compression="none")
    with open(os.path.join(folder, "old"), "w") as handle:
        handle.write("old")
    args = {"volume": name, "src": src, "transport": way, "image": debian}
    process = subprocess.Popen(module_command("volume_restore"), stdin=subprocess.PIPE, env=module_environment,
                               stdout=subprocess.DEVNULL)
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
    process.stdin.close()
    part = os.path.join(folder, ".moodle_backup_alone_part", "tree")
    deadline = time.monotonic() + 60
    while not (os.path.isdir(part) and len(os.listdir(part)) > 50):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert open(os.path.join(folder, "old")).read() == "old"
    for helper in engine.containers(filters={"label": "org.moodleclaude.backup.helper"}):
        if any(mount.get("Name") == name for mount in helper["Mounts"]):
            engine.remove_container(helper["Id"])
    ok("volume_restore", **args)
    assert_same(tree_state(folder), tree_state(new))


def test_container_stopped_in_mid_archive(engine, fails, volume, container, debian, module_command, tmp_path,
                                          module_environment):
    """A stream that is cut never becomes an archive."""
    name, folder = volume("data")
    with open(os.path.join(folder, "big"), "wb") as handle:
        for _megabyte in range(512):
            handle.write(bytes(1 << 20))
    web = container("web", debian, [name + ":/data"])
    args = {"container": web, "path": "/data", "dest": str(tmp_path / "x"), "transport": "api", "compression": "none"}
    process = subprocess.Popen(module_command("volume_archive"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=module_environment)
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
    process.stdin.close()
    deadline = time.monotonic() + 60
    while not any(entry.stat().st_size > 1 << 20 for entry in os.scandir(tmp_path)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    engine.stop(web, 0)
    result = json.loads(process.stdout.read())
    process.wait()
    assert result.get("failed"), result
    assert os.listdir(tmp_path) == []


# --- writable layers --------------------------------------------------------------------------------------------


@pytest.fixture
def changed_layer(engine, ok, container, debian, tmp_path):
    """A container whose code differs from its image; returns (archive of /etc/apache2, its names, the state of it)."""
    name = container("origin", debian)
    in_container(engine, name, "sh", "-ec", (
        "cd /etc/apache2; echo changed > apache2.conf; rm envvars; mkdir -p new/deep; echo 1 > new/deep/file;"
        "ln new/deep/file new/hard; chmod 2711 conf-enabled; chown 33:33 ports.conf; ln -s /etc/passwd new/link;"
        "rm -r sites-available; echo file > sites-available; rm magic; mkdir magic; echo x > magic/inside"
    ))
    dest = str(tmp_path / "layer.tar.zst")
    ok("volume_archive", container=name, path="/etc/apache2", dest=dest)
    return name, dest


def _layer_state(engine, name, tmp_path, ok):
    """Return the state of a container's /etc/apache2 through an archive made by the engine itself."""
    target = tmp_path / ("state-" + os.urandom(4).hex())
    target.mkdir()
    with subprocess.Popen(["tar", "-xp", "--numeric-owner", "-C", target], stdin=subprocess.PIPE) as process:
        for chunk in engine.get_archive(name, "/etc/apache2/."):
            process.stdin.write(chunk)
        process.stdin.close()
    assert process.returncode == 0
    state = tree_state(target)
    shutil.rmtree(target)
    return without(whole_seconds(state), *LOST)


def _changes(engine, name):
    return sorted((change["Path"], change["Kind"]) for change in engine.changes(name))


def test_layer_of_a_created_container(engine, ok, fails, container, debian, changed_layer, tmp_path):
    origin, src = changed_layer
    name = container("copy", debian, start=False)
    ok("volume_restore", container=name, path="/etc/apache2", src=src, check=True)
    assert engine.changes(name) == []
    assert "writable layer" in fails(
        "volume_restore", container=name, path="/etc/apache2", src=src, phase="prepare", transaction="t1")
    result = ok("volume_restore", container=name, path="/etc/apache2", src=src)
    assert result["changed"] and "apache2.conf" in result["changed_paths"]
    assert "mods-available" not in result["changed_paths"]
    assert_same(_layer_state(engine, name, tmp_path, ok), _layer_state(engine, origin, tmp_path, ok))
    # Nothing but what differs is in the new layer.
    changed = [{change["Path"] for change in engine.changes(each) if change["Path"].startswith("/etc/apache2")}
               for each in (origin, name)]
    assert changed[1] <= changed[0]
    before = _changes(engine, name)
    again = ok("volume_restore", container=name, path="/etc/apache2", src=src)
    assert not again["changed"] and again["changed_paths"] == [] and again["files"] == result["files"]
    assert _changes(engine, name) == before
    engine.start(name)
    assert in_container(engine, name, "cat", "/etc/apache2/new/deep/file") == b"1\n"
    assert b"moodle_backup" not in in_container(engine, name, "ls", "-a", "/etc/apache2")
    ok("volume_restore", container=name, path="/etc/apache2", src=src)


def test_a_layer_that_is_right_is_not_touched(engine, ok, fails, container, debian, tmp_path, changed_layer):
    """Not even by looking; and a damaged archive changes nothing."""
    origin, src = changed_layer
    name, dest = container("copy", debian, start=False), str(tmp_path / "image.tar")
    ok("volume_archive", container=name, path="/etc/apache2", dest=dest)
    assert not ok("volume_restore", container=name, path="/etc/apache2", src=dest)["changed"]
    with open(src, "rb") as whole, open(str(tmp_path / "cut"), "wb") as cut:
        cut.write(whole.read()[:-200])
    fails("volume_restore", container=name, path="/etc/apache2", src=str(tmp_path / "cut"))
    assert engine.changes(name) == []


def test_compare_writes_nothing(engine, ok, fails, volume, container, debian, changed_layer, tmp_path):
    """In a volume, a running container's layer and a single file; through the API everything counts as different."""
    origin, src = changed_layer
    there = {"container": origin, "path": "/etc/apache2", "src": src, "compare": True}
    changes = _changes(engine, origin)
    result = ok("volume_restore", **there)
    assert result["different"] is False and result["changed"] is False and result["changed_paths"] == []
    assert ok("volume_restore", phase="prepare", transaction="t1", **there)["different"] is False
    assert ok("volume_restore", transport="api", **there)["different"] is True
    assert _changes(engine, origin) == changes
    other = ok("volume_restore", **dict(there, container=container("other", debian)), diff=True)
    assert other["different"] is True and other["changed"] is False
    assert {"apache2.conf", "envvars", "new", "magic"} <= set(other["changed_paths"])
    assert "apache2.conf\n" in other["diff"]["before"]
    assert "go with" in fails("volume_restore", phase="rollback", transaction="t1", **there)

    name, folder = volume("data")
    make_odd_tree(folder)
    dest = str(tmp_path / "data.tar.zst")
    ok("volume_archive", volume=name, dest=dest)
    state = tree_state(folder)
    here = {"volume": name, "src": dest, "compare": True}
    assert ok("volume_restore", **here)["different"] is False
    with open(os.path.join(folder, "empty", "new"), "w") as handle:
        handle.write("1")
    result = ok("volume_restore", **here)
    assert result["different"] is True and result["changed_paths"] == ["empty/new"]
    assert ok("volume_restore", keep=["empty/*"], **here)["different"] is False
    assert ok("volume_restore", paths=["odd folders"], **here)["different"] is False
    unless = {"volume": name, "src": dest, "unless_same": True, "phase": "prepare", "transaction": "t1"}
    assert ok("volume_restore", **unless, check=True)["changed"] is True
    result = ok("volume_restore", keep=["empty/*"], **unless)
    assert result["different"] is False and result["changed"] is False
    assert not [entry for entry in os.listdir(folder) if entry.startswith(".moodle_backup")]
    result = ok("volume_restore", **unless)
    assert result["different"] is True and result["changed"] is True and result["files"] > 10
    assert ".moodle_backup_t1_new" in os.listdir(folder)
    ok("volume_restore", volume=name, phase="rollback", transaction="t1")
    os.unlink(os.path.join(folder, "empty", "new"))
    assert_same({**tree_state(folder), b"empty": state[b"empty"]}, state)

    config = str(tmp_path / "config.tar")
    ok("volume_archive", volume=name, path="owned", dest=config)
    one = {"volume": name, "path": "owned", "src": config, "compare": True}
    assert ok("volume_restore", **one)["different"] is False
    os.chown(os.path.join(folder, "owned"), 34, -1)
    assert ok("volume_restore", **one)["different"] is True
    assert ok("volume_restore", **dict(one, path="missing"))["different"] is True
    assert "single file" in fails("volume_restore", **dict(one, path="cache"))
    assert ok("volume_restore", **dict(here, volume=None, path=str(tmp_path / "no" / "such")))["different"] is True
    assert ok("volume_restore", **dict(here, volume=name + "-none"))["different"] is True
    assert ok("volume_restore", **dict(there, container=origin + "-none"))["different"] is True
    assert engine.volume(name + "-none") is None
    assert not os.path.exists(tmp_path / "no")


def test_layer_through_the_api(engine, ok, container, debian, changed_layer, tmp_path):
    origin, src = changed_layer
    name = container("copy", debian, start=False)
    result = ok("volume_restore", container=name, path="/etc/apache2", src=src, transport="api")
    assert result["extra"] == ["envvars"]
    engine.start(name)
    in_container(engine, name, "rm", "/etc/apache2/envvars")
    wanted, found = (without(_layer_state(engine, each, tmp_path, ok), "mtime_ns") for each in (origin, name))
    assert_same(found, wanted)


def test_layer_keeps_what_it_should(engine, ok, volume, container, debian, changed_layer):
    _origin, src = changed_layer
    data, _folder = volume("data")
    name = container("copy", debian, [data + ":/etc/apache2/mods-enabled"], start=False)
    result = ok("volume_restore", container=name, path="/etc/apache2", src=src, keep=["envvars", "conf-available/*"])
    assert result["changed"]
    engine.start(name)
    names = in_container(engine, name, "ls", "/etc/apache2").split()
    assert b"envvars" in names and b"mods-enabled" in names
    ok("volume_restore", container=name, path="/etc/apache2", src=src, paths=["new/deep", "magic"])


def test_single_file_in_a_layer(engine, ok, container, debian, tmp_path):
    one, two = container("one", debian), container("two", debian, start=False)
    in_container(engine, one, "sh", "-c", "echo '<?php' > /var/www/html/config.php; chown 33 /var/www/html/config.php")
    dest = str(tmp_path / "config.tar")
    ok("volume_archive", container=one, path="/var/www/html/config.php", dest=dest)
    for way, name in (("direct", two), ("api", container("three", debian, start=False))):
        ok("volume_restore", container=name, path="/var/www/html/config.php", src=dest, transport=way)
        engine.start(name)
        assert in_container(engine, name, "stat", "-c", "%u %s", "/var/www/html/config.php") == b"33 6\n"
        listings = [in_container(engine, each, "ls", "-A", "/var/www/html") for each in (one, name)]
        assert listings[0] == listings[1]
