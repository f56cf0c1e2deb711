# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does what a restored site needs before it is used: what moodle_site_finish does."""
from __future__ import annotations

from . import _site
from ._call import Call


def work(engine, params, check_mode):
    """Return the result of moodle_site_finish (dict).

    :param params: dict, the options of moodle_site_finish.
    """
    if check_mode:
        return {"changed": True, "steps": []}
    replace = (params["old_wwwroot"], params["wwwroot"]) if params["old_wwwroot"] else None
    result, warnings = _site.finish(
        engine, params["container"], params["moodle"], params["wait_seconds"], replace, params["clone"]
    )
    return dict(result, changed=True, warnings=warnings)


SITE_FINISH = Call(
    options={
        "container": {"type": "str", "required": True},
        "moodle": {"type": "dict", "required": True},
        "old_wwwroot": {"type": "str"},
        "wwwroot": {"type": "str"},
        "clone": {"type": "bool", "default": False},
        "wait_seconds": {"type": "int", "default": 60},
    },
    rules={"required_by": {"old_wwwroot": "wwwroot"}},
    work=lambda engine, params, check_mode, _diff: work(engine, params, check_mode),
)
