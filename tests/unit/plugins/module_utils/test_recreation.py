# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import NotFoundError
from ansible_collections.moodleclaude.backup.plugins.module_utils._recreation import Recreation


def content(**running):
    """Return a record of containers, with whether each ran."""
    empty = {"config": {}, "host_config": {}, "networks": {}}
    return {"containers": {name: {"definition": dict(empty, running=ran)} for name, ran in running.items()}}


@pytest.mark.parametrize(("started", "expected"), [
    (None, {"web": False, "db": True}), ([], {"web": False, "db": False}), (["web"], {"web": True, "db": False})])
def test_somebody_else_may_know_better_what_ran(started, expected):
    record, work = content(web=False, db=True), Recreation(None, "t1", False)
    work.read(record, None, [], started=started)
    assert {name: definition["running"] for name, definition in work.definitions.items()} == expected
    assert record == content(web=False, db=True)


def test_only_what_is_recorded_can_be_started():
    work = Recreation(None, "t1", False)
    work.read(content(web=False, db=True), ["web"], [], started=["db"])
    assert sorted(work.definitions) == ["web"]
    with pytest.raises(NotFoundError, match="The record does not describe nobody"):
        work.read(content(web=False), None, [], started=["nobody"])
