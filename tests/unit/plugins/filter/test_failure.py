# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.filter.failure import FilterModule, failure


@pytest.mark.parametrize(("result", "text"), [
    ({"msg": "it broke"}, "it broke"),
    ({}, "no message"),
    ({"msg": 7}, "7"),
    ({"msg": "some", "results": [{"msg": "fine"}, {"failed": True, "msg": "a"}, {"failed": True, "msg": "b"}]}, "a b"),
    ({"msg": "the loop itself failed", "results": []}, "the loop itself failed"),
    ({"msg": "all", "results": [{"failed": True}, {"failed": True, "msg": "why"}]}, "why"),
])
def test_the_reason_is_found(result, text):
    assert failure(result) == text
    assert FilterModule().filters() == {"failure": failure}
