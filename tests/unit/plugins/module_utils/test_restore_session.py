# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _restore_session
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import EngineError

PLAN = {"containers": ["web", "cron", "db", "gone"]}


class Engine:
    """Stands for an engine with containers (dict of name to whether it runs)."""

    def __init__(self, broken=(), **containers):
        self.broken = broken
        self.containers = containers

    def ensure_reachable(self):
        pass

    def remove_helpers(self, lock):
        pass

    def find_container(self, name):
        return {"State": {"Running": self.containers[name]}} if name in self.containers else None

    def start(self, name):
        if name in self.broken:
            raise EngineError("no start for %s" % name)
        self.containers[name] = True


@pytest.fixture
def root(tmp_path):
    (tmp_path / "backups" / "good").mkdir(parents=True)
    (tmp_path / "pauses").mkdir()
    return tmp_path


def begin(root, engine, run="one", transaction="r1"):
    return _restore_session.work(engine, {
        "root": str(root), "lock_timeout": 900, "stack": "school", "run": run, "state": "begun", "backup": "good",
        "transaction": transaction, "plan": PLAN}, False)


def end(root, engine, run="one", state="interrupted"):
    return _restore_session.work(engine, {
        "root": str(root), "lock_timeout": 900, "stack": "school", "run": run, "state": state}, False)


def test_what_runs_is_written_down(root):
    engine = Engine(web=True, cron=False, db=True)
    begun = begin(root, engine)
    assert begun["running"] == ["web", "db"] and begun["unfinished"] is None
    assert json.loads((root / "restores" / "school.json").read_text())["plan"] == dict(PLAN, running=["web", "db"])


def test_what_ran_before_the_first_of_two_restores_counts(root):
    engine = Engine(web=True, db=True)
    begin(root, engine)
    engine.containers["web"] = False
    end(root, engine)
    begun = begin(root, engine, "two", "r2")
    assert "running" not in begun
    assert begun["unfinished"]["plan"]["running"] == ["web", "db"]


@pytest.mark.parametrize("broken", [(), ("web",)])
def test_what_a_backup_has_stopped_ran_if_it_can(root, broken):
    """A rollback would fail that tried to start a container which did not start before either."""
    (root / "pauses" / "school.json").write_text(json.dumps({
        "mode": "stopped", "container": "web", "containers": ["web"], "dataroot": "/data", "owner": [33, 33]}))
    begun = begin(root, Engine(broken, web=False, cron=False, db=True))
    assert begun["running"] == (["db"] if broken else ["web", "db"])
    assert bool(begun["warnings"]) == bool(broken)
    assert json.loads((root / "restores" / "school.json").read_text())["plan"]["running"] == begun["running"]
