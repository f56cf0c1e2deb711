# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _layer_changes

ROOT = os.geteuid() == 0


@pytest.fixture
def layers(tmp_path):
    """Three folders: the container's layer, the image's upper one, the image's lowest one."""
    made = [tmp_path / name for name in ("upper", "middle", "lowest")]
    for folder in made:
        folder.mkdir()
    return made


def changed(layers, skip=lambda path: False):
    upper, *lowers = layers
    data = {"UpperDir": str(upper), "LowerDir": ":".join(str(folder) for folder in lowers)}
    return _layer_changes.changed_paths(data, skip)


def put(folder, path, content="x"):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_nothing_changed(layers):
    put(layers[1], "etc/hosts")
    assert changed(layers) == []


def test_what_is_new_is_told_with_all_below_it(layers):
    put(layers[2], "etc/hosts")
    put(layers[0], "etc/hosts", "changed")
    put(layers[0], "etc/new")
    put(layers[0], "srv/a/b")
    assert changed(layers) == ["/etc/new", "/srv", "/srv/a", "/srv/a/b"]


def test_every_layer_of_the_image_counts(layers):
    put(layers[1], "a/one")
    put(layers[2], "a/two")
    for name in ("one", "two", "three"):
        put(layers[0], "a/" + name)
    assert changed(layers) == ["/a/three"]


def test_what_does_not_matter_is_not_looked_into(layers):
    put(layers[0], "tmp/x")
    put(layers[0], "tmpfile")
    assert changed(layers, lambda path: path == "/tmp") == ["/tmpfile"]


@pytest.mark.skipif(not ROOT, reason="only root makes devices")
def test_what_was_removed_is_told(layers):
    put(layers[1], "etc/hosts")
    (layers[0] / "etc").mkdir()
    os.mknod(layers[0] / "etc/hosts", stat.S_IFCHR, os.makedev(0, 0))
    assert changed(layers) == ["/etc/hosts"]
    os.unlink(layers[0] / "etc/hosts")
    os.mknod(layers[0] / "etc/hosts", stat.S_IFCHR, os.makedev(1, 3))  # /dev/null is no whiteout
    assert changed(layers) == []


@pytest.mark.skipif(not ROOT, reason="only root sets such attributes")
def test_a_folder_that_was_made_anew_hides_what_was_there(layers):
    put(layers[1], "etc/hosts")
    put(layers[0], "etc/hosts")
    assert changed(layers) == []
    try:
        os.setxattr(layers[0] / "etc", "trusted.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system has no such attributes")
    assert changed(layers) == ["/etc/hosts"]


def test_no_link_is_followed(layers, tmp_path):
    outside = tmp_path / "outside"
    put(outside, "secret")
    (layers[0] / "link").symlink_to(outside)
    put(layers[1], "folder/file")
    (layers[2] / "other").symlink_to(outside)
    put(layers[0], "other/secret")
    assert changed(layers) == ["/link", "/other/secret"]
    assert changed([layers[1], layers[2]]) == ["/folder", "/folder/file"]


def test_an_engine_that_keeps_its_layers_elsewhere_is_an_error(layers):
    layers[0].rmdir()
    with pytest.raises(OSError, match="No such file"):
        changed(layers)
