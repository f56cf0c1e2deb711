# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _turns

ITEMS = st.dictionaries(st.text("0123456789abcdef", min_size=1, max_size=6), st.integers(0, 1000), max_size=40)


def turn(state, items, parts, members=None):
    """Take a turn as _verify_parts does. Return the next state and the keys that were read."""
    now = _turns.begin(state, parts, 10.0, members or {})
    left = [item for item in sorted(items.items()) if item[0] > now["cursor"]]
    read = [item[0] for item in _turns.portion(lambda: iter(left), now["left"])]
    after = dict(now, left=now["left"] - 1, cursor=read[-1] if read else now["cursor"])
    return (after if after["left"] else {}), read


@given(ITEMS, st.integers(1, 12))
def test_so_many_turns_read_everything_exactly_once(items, parts):
    state, read = {}, []
    for _number in range(parts):
        state, keys = turn(state, items, parts)
        read += keys
    assert sorted(read) == sorted(items) and state == {}


@given(ITEMS, st.integers(2, 12))
def test_no_turn_reads_much_more_than_its_share(items, parts):
    state, largest = {}, max(items.values(), default=0)
    for _number in range(parts):
        left = parts if not state else state["left"]
        unread = sum(size for key, size in items.items() if key > state.get("cursor", ""))
        state, keys = turn(state, items, parts)
        assert sum(items[key] for key in keys) <= unread / left + largest


@given(ITEMS, st.lists(st.tuples(ITEMS, st.lists(st.integers(0, 39), max_size=5)), min_size=1, max_size=8))
def test_what_stays_is_read_once_whatever_comes_and_goes(items, changes):
    parts, state, read, stayed, items = len(changes), {}, [], set(items), dict(items)
    for new, gone in changes:
        state, keys = turn(state, items, parts)
        read += keys
        items.update((key, size) for key, size in new.items() if key not in items)
        for number in gone:
            if number < len(items):
                key = sorted(items)[number]
                del items[key]
                stayed.discard(key)
    assert state == {} and len(read) == len(set(read)) and stayed <= set(read)


@given(ITEMS, st.integers(2, 6), st.integers(2, 6), st.integers(1, 3))
def test_another_number_of_parts_ends_the_round_in_time(items, first, second, turns):
    state, read = {}, []
    for _number in range(min(turns, first - 1)):
        state, keys = turn(state, items, first)
        read += keys
    for _number in range(second):
        state, keys = turn(state, items, second)
        read += keys
        if not state:
            break
    assert state == {} and sorted(read) == sorted(items)


def test_one_part_is_everything_now_even_in_the_middle_of_a_round():
    items = {"a": 1, "b": 1, "c": 1}
    state, read = turn({}, items, 3)
    assert read == ["a"] and state["left"] == 2
    assert turn(state, items, 1) == ({}, ["a", "b", "c"])


@pytest.mark.parametrize("state", [
    {"cursor": 7, "left": 2, "members": {}, "bad": [], "began": 1}, {"cursor": "a"}, {"left": "x"},
    {"cursor": "a", "left": 0, "members": {}, "bad": [], "began": 1},
    {"cursor": "a", "left": 2, "members": {}, "bad": [], "began": None},
])
def test_a_spoilt_state_begins_a_new_round(state):
    assert _turns.begin(state, 5, 3.0, {"one": "x"}) == {
        "cursor": "", "left": 5, "parts": 5, "began": 3.0, "members": {"one": "x"}, "bad": []}
