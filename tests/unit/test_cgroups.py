# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What removes control groups after tests. Here they are plain folders, and a file stands for a process."""

from __future__ import annotations

import pytest
from lab import cgroups


@pytest.fixture
def top(tmp_path):
    """Two hierarchies with a group of two containers, and one with another group."""
    for folder in ("memory/mine/one", "memory/mine/two", "pids/mine/one", "memory/other"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def left(top):
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def test_a_group_goes_with_all_below_it_and_no_other(top):
    cgroups.remove("mine", top=top)
    assert left(top) == ["memory", "memory/other", "pids"]
    cgroups.remove("mine", top=top)  # what is not there is no mistake


def test_a_group_with_a_process_is_an_error(top):
    (top / "memory/mine/one/process").touch()
    with pytest.raises(OSError, match="memory/mine/one"):
        cgroups.remove("mine", seconds=0, top=top)


def test_of_a_shared_group_only_what_is_empty_goes(top):
    (top / "memory/mine/one/process").touch()
    cgroups.remove_empty("mine", top=top)
    assert left(top) == ["memory", "memory/mine", "memory/mine/one", "memory/mine/one/process", "memory/other", "pids"]
