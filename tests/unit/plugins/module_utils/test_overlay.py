# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.moodleclaude.backup.plugins.module_utils import _overlay

DATA = {
    "LowerDir": "/o/c-init/diff:/o/b/diff", "UpperDir": "/o/c/diff", "WorkDir": "/o/c/work", "MergedDir": "/o/c/merged",
}


def link(path):
    return "l/" + path.split("/")[2].upper()


def test_reading_makes_the_containers_layer_the_topmost_one():
    assert _overlay.mount_options(DATA, link, False, True) == "lowerdir=l/C:l/C-INIT:l/B"


def test_writing_is_as_the_engine_does_it():
    options = "lowerdir=l/C-INIT:l/B,upperdir=/o/c/diff,workdir=/o/c/work"
    assert _overlay.mount_options(DATA, link, True, False) == options
    assert _overlay.mount_options(DATA, link, True, True) == "index=off," + options


def test_supported():
    assert _overlay.supported({"Name": "overlay2", "Data": DATA})
    assert not _overlay.supported({"Name": "overlay2", "Data": None})
    assert not _overlay.supported({"Name": "btrfs", "Data": DATA})
    assert _overlay.home(DATA) == "/o"
