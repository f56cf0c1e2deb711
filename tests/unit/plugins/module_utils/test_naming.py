# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _naming
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError


@pytest.mark.parametrize("name", ["a", "school_20260131_201530", "test_baseline_backup", "v1.2-rc", "9"])
def test_good_names(name):
    assert _naming.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "../a", "/a", ".hidden", "-x", "a..b", "a b", "a\n", "ä", "latest", "x" * 129, "a\0"]
)
def test_bad_names_are_refused_with_the_name_in_the_message(name):
    with pytest.raises(UsageError) as caught:
        _naming.check_name(name)
    assert "'%s'" % name in caught.value.message


def test_default_name():
    assert re.fullmatch(r"school_19700\d\d\d_\d{6}|school_1969\d{4}_\d{6}", _naming.default_name("school", 0))


def test_slug_is_always_a_name():
    assert _naming.slug("a b/c\n") == "a_b_c"
    assert _naming.slug("///") == "unnamed"
    assert _naming.slug("..") == "unnamed"


def test_unique():
    assert _naming.unique(["a", "b", "A", "a"]) == ["a", "b", "A-2", "a-3"]
