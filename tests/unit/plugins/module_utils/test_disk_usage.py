# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

from ansible_collections.moodleclaude.backup.plugins.module_utils import _disk_usage


def write(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_links_count_once_and_come_free_with_the_last_name(tmp_path):
    own = write(tmp_path / "one/own", 1)
    inside = write(tmp_path / "one/folder/inside", 10)
    shared = write(tmp_path / "one/shared", 100)
    os.link(inside, tmp_path / "one/inside too")
    os.link(shared, tmp_path / "elsewhere")
    write(tmp_path / "far/away", 1000)
    os.symlink("../far/away", tmp_path / "one/link")
    os.symlink("../far", tmp_path / "one/link to a folder")
    links = len("../far/away") + len("../far")
    found = _disk_usage.usage(str(tmp_path / "one"))
    assert _disk_usage.taken(found) == 111 + links and _disk_usage.freed(found) == 11 + links
    assert _disk_usage.usage(str(own)) == {(own.stat().st_dev, own.stat().st_ino): (1, 1, 1)}


def test_what_is_too_much_or_gone_is_not_known(tmp_path):
    for number in range(5):
        write(tmp_path / ("%d" % number), 1)
    assert _disk_usage.usage(str(tmp_path), most=4) is None and len(_disk_usage.usage(str(tmp_path), most=5)) == 5
    assert _disk_usage.usage(str(tmp_path / "gone")) is None
    assert _disk_usage.taken(None) is None and _disk_usage.freed(None) is None
