# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module does, apart from being a module: so that the same work can also be one job among several."""
from __future__ import annotations

from collections import namedtuple

# options: the module's argument spec (dict), without those of the Docker connection.
# rules: what else AnsibleModule checks (dict with mutually_exclusive, required_if, required_by ...).
# work: function(engine, params, check_mode, diff) that returns the module's result (dict) or raises BackupError.
# estimate: function(engine, params) that returns how many bytes work would write at the most or about so (int), asked
# before anything is written; None if that is not worth asking. They are written at params["pool"] or params["dest"],
# and by a call without dest, into the tree that params describe.
# look: function(engine, params) that finds out, before anything is written, what both estimate and work would have to
# (something JSON can carry, or None); they get it as params["seen"]. None if there is no such thing.
Call = namedtuple("Call", "options rules work estimate look", defaults=(None, None))

COMPRESSION = {
    "compression": {"type": "str", "choices": ["zstd", "gzip", "none"], "default": "zstd"},
    "compression_level": {"type": "int"},
    "processes": {"type": "int", "default": 0},
}
PHASE = {
    "phase": {"type": "str", "choices": ["all", "prepare", "switch", "commit", "rollback"], "default": "all"},
    "transaction": {"type": "str"},
}
PHASE_RULES = {
    "required_if": [
        ("phase", "all", ["src"]),
        ("phase", "prepare", ["src", "transaction"]),
        ("phase", "switch", ["transaction"]),
        ("phase", "commit", ["transaction"]),
        ("phase", "rollback", ["transaction"]),
    ],
}
