# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _manifest
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError, UsageError

DIGEST = "0123456789abcdef" * 4
paths = st.lists(
    st.text(st.characters(blacklist_characters="\n\\/\0", blacklist_categories=("Cs",)), min_size=1).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1, max_size=3,
).map("/".join)
manifests = st.dictionaries(paths, st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1)


@given(manifests)
def test_what_is_rendered_is_parsed(checksums):
    assert _manifest.parse(_manifest.render(checksums)) == checksums


@given(manifests, st.data())
def test_one_flipped_bit_is_noticed(checksums, data):
    original = _manifest.render(checksums).encode()
    position = data.draw(st.integers(0, len(original) * 8 - 1))
    flipped = bytearray(original)
    flipped[position // 8] ^= 1 << position % 8
    try:
        found = _manifest.parse(flipped.decode())
    except (IntegrityError, UnicodeDecodeError):
        return
    assert _manifest.differences(found, checksums)


@pytest.mark.parametrize("text", ["", "x", DIGEST + "  a", DIGEST + " a\n", DIGEST + "  ../a\n", DIGEST + "  a\n\n",
                                  DIGEST.upper() + "  a\n", (DIGEST + "  a\n") * 2])
def test_damaged_manifests(text):
    with pytest.raises(IntegrityError):
        _manifest.parse(text)


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/../b", ".", "a\nb", "a\\b"])
def test_paths_that_need_escaping_are_refused(path):
    with pytest.raises(UsageError):
        _manifest.render({path: DIGEST})


def test_differences():
    found = _manifest.differences({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "x", "d": "4"})
    assert found == [
        {"path": "b", "problem": "damaged"}, {"path": "c", "problem": "missing"}, {"path": "d", "problem": "unknown"},
    ]
