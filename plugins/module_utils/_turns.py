# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which turns much is read, so that so many turns read everything exactly once. Pure.

Items have an order, by their key. A round goes through all of them; each of its turns reads its share of what is left
and notes the key at which it ended. So a round always ends after as many turns as it began with, also if items come and
go meanwhile; what comes at a place that the round has passed is read in the next one.
"""
from __future__ import annotations

from ._metadata import is_time


def begin(state, parts, now, members):
    """Return the round in which a turn is (dict): the one under way, or a new one.

    :param state: dict, as the last turn has left it; {} if there was none.
    :param parts: in how many turns everything is to be read (int). With 1 a new round begins, which is also its last.
    :param now: seconds since the epoch. :param members: {name: mark} of what the round is about.
    :returns: {"cursor" (key of the last item that was read, "" for none), "left" (turns), "parts", "began" (seconds),
        "members", "bad" (names in which something bad was found)}.
    """
    if parts > 1 and _is_sound(state) and state["left"] > 0:
        return dict(state, left=min(state["left"], parts), parts=parts)
    return {"cursor": "", "left": parts, "parts": parts, "began": now, "members": members, "bad": []}


def _is_sound(state):
    types = {"cursor": str, "left": int, "members": dict, "bad": list}
    return all(isinstance(state.get(key), kind) for key, kind in types.items()) and is_time(state.get("began"))


def portion(items, left):
    """Yield the items of a turn.

    :param items: function that returns an iterator of those items that the round has not read yet, in their order, the
        same each time; an item is a tuple that begins with its key and its bytes.
    :param left: how many turns of the round are left, this one included (int). The last one takes all that is left.
    """
    if left <= 1:
        yield from items()
        return
    share = sum(item[1] for item in items()) / left
    taken = 0
    for item in items():
        if taken >= share:
            return
        yield item
        taken += item[1]
