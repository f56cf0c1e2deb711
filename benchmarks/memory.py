# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of every module with a large tree of files, by both transports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import stack
import ways
from stack import Size

# Only the tree has to be large.
SIZE = Size(code_mb=100, code_files=7_000, data_mb=2_000, data_files=12_000, log_rows=300_000, web_image_mb=400,
            db_image_mb=250)


def run(scale: float, work: Path, say: Callable[[str], None]) -> list[dict]:
    size, runs = SIZE.scaled(scale), []
    say(f"setting up the site: {size}")
    site = stack.set_up(size, work, removable=False)
    proof = stack.fingerprint()
    for transport in ("direct", "api"):
        place = work / transport
        place.mkdir()
        way = ways.Ours(place, site, transport)
        for step, words in (("first", way.backup("first")), ("restore-in-place", way.restore("first"))):
            say(f"{step}, transport {transport}")
            runs.append({"step": step, "transport": transport, **ways.run(way, words, place / f"{step}.log")})
        stack.compare(proof, stack.fingerprint(), f"restored by transport {transport}")
    return runs
