# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _room
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import StorageError, UsageError

MIB = 1 << 20


@pytest.fixture
def disks(tmp_path, monkeypatch):
    """A function that says how many bytes are free, and that folders are file systems of their own."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def free(size):
        monkeypatch.setattr(_room, "_free", lambda folder: size)
        return tmp_path

    return free


def test_what_fits_is_told(disks):
    root = disks(1000 * MIB)
    needs = {"one": (str(root / "a/x"), 10 * MIB), "two": (str(root / "b/none/none/y"), 5 * MIB)}
    assert _room.check(needs) == [
        {"folder": str(root / "a"), "needed": 15 * MIB, "free": 1000 * MIB, "jobs": {"one": 10 * MIB, "two": 5 * MIB}},
    ]


def test_needs_of_one_file_system_are_added(disks):
    root = disks(200 * MIB)
    _room.check({"one": (str(root / "a/x"), 100 * MIB)})
    with pytest.raises(StorageError) as caught:
        _room.check({"one": (str(root / "a/x"), 60 * MIB), "two": (str(root / "b/y"), 90 * MIB)})
    assert caught.value.message == (
        "There is not enough room in '%s': about 150.0 MiB are needed (two 90.0 MiB, one 60.0 MiB) and 71.5 MiB are to"
        " stay free, but 200.0 MiB are free" % (root / "a")
    )
    assert "check_space" in caught.value.hint and "old backups" in caught.value.hint
    assert caught.value.details["space"][0]["jobs"] == {"one": 60 * MIB, "two": 90 * MIB}


@pytest.mark.parametrize(("need", "margin", "fits"), [(150, 50, True), (151, 50, False), (200, 0, True),
                                                      (0, 300, True)])
def test_margin(disks, need, margin, fits):
    root = disks(200 * MIB)
    needs = {"one": (str(root / "x"), need * MIB)}
    if fits:
        _room.check(needs, margin * MIB)
    else:
        with pytest.raises(StorageError):
            _room.check(needs, margin * MIB)


def test_nothing_asked_nothing_told():
    assert _room.check({}) == []


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"),
                                            (1 << 30, "1.0 GiB"), (5000 << 40, "5000.0 TiB")])
def test_human(size, text):
    assert _room.human(size) == text


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("1000", 1000), ("20M", 20 * MIB), ("1.5K", 1536)])
def test_sizes_are_read_as_people_write_them(text, size):
    assert _room.bytes_of(text, "rate_limit") == size


@pytest.mark.parametrize("text", ["fast", "", "-1", "20 bananas"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="rate_limit: '.*' is not a size"):
        _room.bytes_of(text, "rate_limit")
