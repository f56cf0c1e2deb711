# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _metadata

GOOD = {"created": 1.5, "stack": "school", "name": "one", "format": 2, "complete": True,
        "artefacts": [{"file": "a.tar", "sha256": "ab" * 32, "size": 1}, {"file": "b.txt"}]}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)


def test_what_the_collection_writes_is_right():
    assert _metadata.problem(GOOD) is None
    assert _metadata.problem({key: GOOD[key] for key in ("created", "stack", "name")}) is None


@pytest.mark.parametrize(("key", "value", "word"), [
    ("created", "yesterday", "created"), ("created", None, "created"), ("created", True, "created"),
    ("created", float("nan"), "created"), ("created", 1e300, "created"), ("created", -1, "created"),
    ("created", 10 ** 400, "created"),
    ("stack", ["school"], "stack"), ("stack", "../school", "stack"), ("stack", "", "stack"), ("stack", 7, "stack"),
    ("name", None, "name"), ("name", "x" * 200, "name"), ("format", "2", "format"), ("format", True, "format"),
    ("artefacts", {}, "artefacts"), ("artefacts", "a.tar", "artefacts"), ("artefacts", ["a.tar"], "artefacts"),
    ("artefacts", [{}], "artefacts"), ("artefacts", [{"file": 1}], "artefacts"),
    ("artefacts", [{"file": "a\0"}], "artefacts"), ("artefacts", [{"file": "a", "sha256": 1}], "artefacts"),
    ("artefacts", [{"file": "a", "size": "1"}], "artefacts"),
])
def test_what_is_wrong_is_named(key, value, word):
    assert "'%s'" % word in _metadata.problem(dict(GOOD, **{key: value}))


def test_nothing_is_wrong_too():
    assert _metadata.problem({}) == ""


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), ANYTHING))
def test_anything_can_be_judged(changes):
    assert _metadata.problem(dict(GOOD, **changes)) is None or isinstance(_metadata.problem(dict(GOOD, **changes)), str)
