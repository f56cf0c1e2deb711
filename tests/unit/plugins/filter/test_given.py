# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.moodleclaude.backup.plugins.filter.given import FilterModule, as_dict, as_list


@pytest.mark.parametrize(("given", "items"), [
    (["a", "b, c"], ["a", "b, c"]),
    (("a",), ["a"]),
    ([], []),
    (None, []),
    ("", []),
    (" \n , ", []),
    ("one", ["one"]),
    ("one\ntwo words\n\n", ["one", "two words"]),
    ("one, two,three", ["one", "two", "three"]),
    ('["one", "two, three"]', ["one", "two, three"]),
    ("\n [one, two]\n", ["one", "two"]),
    ("[]", []),
])
def test_a_list_is_read_however_it_was_given(given, items):
    assert as_list(given) == items


@pytest.mark.parametrize("given", [7, {"a": 1}, '["one"', "[one] two", True])
def test_what_is_no_list_is_refused(given):
    with pytest.raises(AnsibleFilterError, match="none|no list"):
        as_list(given)


@pytest.mark.parametrize(("given", "entries"), [
    ({"a": 1}, {"a": 1}),
    ({}, {}),
    (None, {}),
    ("  ", {}),
    ('{"sslproxy": true, "dbhost": "db"}', {"sslproxy": True, "dbhost": "db"}),
    ("a=1, b=two", {"a": "1", "b": "two"}),
])
def test_a_dictionary_is_read_however_it_was_given(given, entries):
    assert as_dict(given) == entries


@pytest.mark.parametrize("given", ["words", "{broken", ["a"], 7])
def test_what_is_no_dictionary_is_refused(given):
    with pytest.raises(AnsibleFilterError, match="no dictionary"):
        as_dict(given)


def test_they_are_filters():
    assert FilterModule().filters() == {"as_list": as_list, "as_dict": as_dict}
