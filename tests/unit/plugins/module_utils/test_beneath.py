# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _beneath
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import NotFoundError, UsageError


@pytest.fixture
def host(tmp_path):
    """A "host" with a secret, and the root of a container in it; returns (root's folder, its descriptor)."""
    root = tmp_path / "container"
    for folder in ("etc", "srv/data/deep", "a"):
        (root / folder).mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "secret").write_text("of the host")
    (root / "etc" / "secret").write_text("of the container")
    (root / "srv" / "data" / "file").write_text("data")
    fd = _beneath.open_root(str(root))
    yield root, fd
    os.close(fd)


def content(found):
    with open(_beneath.through(found.fd)) as handle:
        return handle.read()


@pytest.mark.parametrize("path", [
    b"/etc/secret", b"etc/secret", b"/../../etc/secret", b"/srv/../etc//./secret", b"/absolute/secret",
    b"/climbing/secret", b"/a/chain/secret", b"/srv/data/deep/../../../../../../etc/secret",
])
def test_every_way_ends_inside(host, path):
    root, fd = host
    (root / "absolute").symlink_to("/etc")
    (root / "climbing").symlink_to("../../../../../../etc")
    (root / "a" / "chain").symlink_to("../absolute")
    with _beneath.resolve(fd, path) as found:
        assert content(found) == "of the container"
        assert found.path == b"/etc/secret"
        assert found.name == b"secret"
        assert os.listdir(_beneath.through(found.parent)) == [b"secret"]


@pytest.mark.parametrize("path", [b"/absolute/secret", b"/climbing/secret", b"/../etc/secret"])
def test_strict_refuses_what_leads_out(host, path):
    root, fd = host
    (root / "absolute").symlink_to("/etc")
    (root / "climbing").symlink_to("../../etc")
    with pytest.raises(UsageError):
        _beneath.resolve(fd, path, strict=True)


def test_strict_follows_links_that_stay_inside(host):
    root, fd = host
    (root / "a" / "link").symlink_to("../srv/data")
    with _beneath.resolve(fd, b"/a/link/file", strict=True) as found:
        assert content(found) == "data"


def test_links_in_circles(host):
    root, fd = host
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(UsageError, match="circles"):
        _beneath.resolve(fd, b"/one")


def test_files_are_no_folders(host):
    _root, fd = host
    with pytest.raises(NotFoundError, match="is not a folder"):
        _beneath.resolve(fd, b"/etc/secret/x")


def test_what_is_missing(host):
    _root, fd = host
    with _beneath.resolve(fd, b"/srv/nothing") as found:
        assert found.fd is None and found.parent is not None and found.path == b"/srv/nothing"
    with _beneath.resolve(fd, b"/no/thing/here") as found:
        assert found.fd is None and found.parent is None


@pytest.mark.parametrize(("create", "made"), [("all", ["x", "x/y", "x/y/z"]), ("parents", ["x", "x/y"])])
def test_making_folders(host, create, made):
    root, fd = host
    (root / "dangling").symlink_to("/x/y")
    old = os.umask(0o077)
    try:
        with _beneath.resolve(fd, b"/dangling/z", create=create) as found:
            assert found.made is (create == "all")
    finally:
        os.umask(old)
    assert [name for name in ("x", "x/y", "x/y/z") if (root / name).is_dir()] == made
    assert (root / "x").stat().st_mode & 0o777 == 0o755


def test_mounts_of_a_container_that_does_not_run(host, tmp_path):
    """What is mounted is found by the table: over a folder, where nothing is, in another mount, and behind a link."""
    root, fd = host
    volume = tmp_path / "volume"
    (volume / "inner").mkdir(parents=True)
    (volume / "file").write_text("of the volume")
    (root / "link").symlink_to("/srv/data")
    (volume / "back").symlink_to("/etc/secret")

    def opener():
        return os.open(volume, os.O_PATH)

    table = {b"/srv/data": opener, b"/missing/folder": opener, b"/srv/data/inner": opener}
    for path, mount in ((b"/link/file", b"/srv/data"), (b"/missing/folder/file", b"/missing/folder"),
                        (b"/srv/data/inner/file", b"/srv/data/inner")):
        with _beneath.resolve(fd, path, table) as found:
            assert content(found) == "of the volume"
            assert found.mount == mount
    with _beneath.resolve(fd, b"/srv/data/back", table) as found:
        assert content(found) == "of the container"
        assert found.mount is None
    with _beneath.resolve(fd, b"/srv/data/../../missing/folder/..", table) as found:
        assert found.path == b"/missing"


def test_open_folder_follows_nothing(host):
    root, fd = host
    (root / "link").symlink_to("srv")
    os.close(_beneath.open_folder(fd, b"srv/data"))
    with pytest.raises(NotADirectoryError):
        _beneath.open_folder(fd, b"link/data")
    with pytest.raises(NotADirectoryError):
        _beneath.open_folder(fd, b"link")


def test_no_descriptor_stays_open(host):
    _root, fd = host
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"/srv/data/deep", b"/no/thing", b"/../.."):
        with _beneath.resolve(fd, path):
            pass
    with pytest.raises(NotFoundError):
        _beneath.resolve(fd, b"/etc/secret/x")
    assert len(os.listdir("/proc/self/fd")) == before
