# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proves that a site works: its login page, its stored files, and that it is the site that it is expected to be."""
from __future__ import annotations

from . import _site
from ._call import Call
from ._errors import BackupError, IntegrityError


def check(engine, params):
    """Return the result of moodle_site_check (dict). Changes nothing.

    :param params: dict with container, config, wwwroot, companions, content, web, expected, clone, wait_seconds.
    """
    container, patience = params["container"], params["wait_seconds"]
    warnings, page = [], None
    site = _site.patiently(lambda: _site.report(engine, container, params["config"], params["content"]), patience)
    try:
        page = _site.patiently(
            lambda: _site.login_page(engine, container, params["wwwroot"], params["companions"]),
            patience if params["web"] else 0,
        )
    except BackupError as error:
        if params["web"]:
            raise
        warnings.append(error.describe())
    if params["expected"]:
        problems = _site.compare(params["expected"], site, params["clone"])
        if problems:
            raise IntegrityError(
                "The site in container '%s' is not what it was: %s" % (container, "; ".join(problems)),
                problems=problems,
            )
    return {"changed": False, "site": site, "page": page, "warnings": warnings}


SITE_CHECK = Call(
    options={
        "container": {"type": "str", "required": True},
        "config": {"type": "str", "required": True},
        "wwwroot": {"type": "str", "required": True},
        "companions": {"type": "list", "elements": "str", "default": []},
        "content": {"type": "bool", "default": True},
        "web": {"type": "bool", "default": True},
        "expected": {"type": "dict"},
        "clone": {"type": "bool", "default": False},
        "wait_seconds": {"type": "int", "default": 60},
    },
    rules={},
    work=lambda engine, params, _check_mode, _diff: check(engine, params),
)
