# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.moodleclaude.backup.plugins.filter.given import FilterModule, as_dict, as_list, as_text


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
    ("[1.10, 1_0, yes, 2]", ["1.10", "1_0", "yes", "2"]),
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
    with pytest.raises(AnsibleFilterError, match="no dictionary") as caught:
        as_dict(given)
    # It may be a password.
    assert str(given) not in str(caught.value) and caught.value.__cause__ is None


def arrived(answer):
    """An answer to a survey as a job has it: ansible-core takes it for what it would be in YAML without quotes."""
    loader = yaml.SafeLoader("")
    return loader.construct_object(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, answer, (True, False)), answer))


@pytest.mark.parametrize(("answer", "text"), [
    ("before the update", "before the update"),
    ("v1.10", "v1.10"),
    ("1.10.2", "1.10.2"),
    ("07:30", "07:30"),
    ("2026-11-27", "2026-11-27"),
    ('"2026-11-27"', "2026-11-27"),
    ('"1.10"', "1.10"),
    ("'1_0'", "1_0"),
    ('"on"', "on"),
    ('"quoted"', '"quoted"'),
    ('"', '"'),
    ("", None),  # an answer that is left empty
])
def test_a_text_is_what_was_written(answer, text):
    assert as_text(arrived(answer), "x") == text


@pytest.mark.parametrize("answer", [
    "1.10", "1_0", "010", "20261127", "22:30", "0x1f", "on", "False", "2026-11-27 10:00:00"])
def test_a_text_that_has_become_something_else_is_refused(answer):
    with pytest.raises(AnsibleFilterError, match="moodle_backup_name is .*, which is no text.*in quotes"):
        as_text(arrived(answer), "moodle_backup_name")


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_what_never_was_a_text_is_refused(value):
    with pytest.raises(AnsibleFilterError, match="no text"):
        as_text(value, "x")


def test_they_are_filters():
    assert FilterModule().filters() == {"as_list": as_list, "as_dict": as_dict, "as_text": as_text}
