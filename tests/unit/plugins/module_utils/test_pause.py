# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _lock, _pause
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import CommandError


class Engine:
    """Containers with states, and a page in a data directory; dies at a call (number) if it is told so."""

    def __init__(self, *names, stopped=(), page=None):
        self.states = {name: name not in stopped for name in names}
        self.page, self.calls, self.dies_at, self.rc = page, [], None, None

    def _call(self, *what):
        self.calls.append(what)
        if self.dies_at == len(self.calls):
            raise KeyboardInterrupt

    def container(self, name):
        return {"State": {"Running": self.states[name]}}

    def find_container(self, name):
        return {} if name in self.states else None

    def stop(self, name):
        self._call("stop", name)
        self.states[name] = False

    def start(self, name):
        self._call("start", name)
        self.states[name] = True

    def remove_helpers(self, _lock):
        return 0

    def run(self, container, command, stdin=b"", user=None, check=True):
        self._call("run", container, user)
        mark = command[-1]
        assert command[-2] == "/data/climaintenance.html" and not check
        if self.rc is not None:
            return self.rc, b"", "No space left on device"
        if self.page is not None and mark not in self.page:
            return 9 if stdin else 0, b"", ""
        self.page = stdin.decode() if stdin else None
        return 0, b"", ""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "find_controller", lambda: None)
    return _backup_set.Root(str(tmp_path / "root"), lock_timeout=60)


def pause(engine, root, mode="stopped", containers=("web", "cron"), stack="school"):
    root.prepare()
    return _pause.pause(engine, root, stack, mode, "web", list(containers), "/data", [33, 34])


def test_what_ran_is_stopped_and_started_again_in_order(root):
    engine = Engine("web", "cron", "off", stopped=["off"])
    assert pause(engine, root, containers=["web", "off", "cron"]) == ["web", "cron"]
    assert engine.calls == [("stop", "cron"), ("stop", "web")] and _pause.held(root, "school")
    assert _pause.resume(engine, root, "school") is True
    assert engine.calls[2:] == [("start", "web"), ("start", "cron")] and engine.states["off"] is False
    assert not _pause.held(root, "school") and _pause.resume(engine, root, "school") is False


def test_the_record_is_there_before_anything_is_done(root):
    engine = Engine("web", "cron")
    engine.dies_at = 1
    with pytest.raises(KeyboardInterrupt):
        pause(engine, root)
    path = os.path.join(root.path, "pauses", "school.json")
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    with open(path) as handle:
        assert json.load(handle)["containers"] == ["web", "cron"]


@pytest.mark.parametrize("point", [1, 2])
@pytest.mark.parametrize("mode", ["stopped", "maintenance"])
def test_whenever_it_dies_the_site_goes_on(root, mode, point):
    engine = Engine("web", "cron")
    engine.dies_at = point
    try:
        pause(engine, root, mode)
    except KeyboardInterrupt:
        pass
    engine.dies_at = None
    assert _pause.resume(engine, root, "school") is True
    assert all(engine.states.values()) and engine.page is None


def test_the_way_back_can_be_gone_twice(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    engine.dies_at = len(engine.calls) + 2
    with pytest.raises(KeyboardInterrupt):
        _pause.resume(engine, root, "school")
    assert _pause.held(root, "school")
    engine.dies_at = None
    assert _pause.resume(engine, root, "school") is True and all(engine.states.values())


def test_a_container_that_is_gone_stops_nobody(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    del engine.states["web"]
    assert _pause.resume(engine, root, "school") is True and engine.states == {"cron": True}


def test_the_page_belongs_to_the_owner_and_goes_again(root):
    engine = Engine("web", "cron")
    assert pause(engine, root, "maintenance") == []
    assert "backed up" in engine.page and engine.calls == [("run", "web", "33:34")] and all(engine.states.values())
    _pause.resume(engine, root, "school")
    assert engine.page is None


def test_somebody_elses_page_stays(root):
    engine = Engine("web", "cron", page="closed by the owner")
    pause(engine, root, "maintenance")
    _pause.resume(engine, root, "school")
    assert engine.page == "closed by the owner" and not _pause.held(root, "school")


def test_a_page_that_cannot_be_written_is_an_error(root):
    engine = Engine("web", "cron")
    engine.rc = 2
    with pytest.raises(CommandError) as caught:
        pause(engine, root, "maintenance")
    assert "climaintenance.html" in caught.value.message and "No space left" in caught.value.message


def test_only_what_is_dead_is_let_go(root):
    engine = Engine("web", "cron")
    for stack in ("alive", "dead"):
        root.prepare()
        root.lock(stack).acquire(stack, "backup", "one")
        pause(engine, root, stack=stack)
    past = time.time() - 1000
    os.utime(root.lock("dead").path, (past, past))
    with open(os.path.join(root.path, "pauses", ".school.json.partial"), "w"):
        pass
    assert _pause.resume_dead(engine, root) == ["dead"]
    assert _pause.held(root, "alive") and not _pause.held(root, "dead")
    assert root.lock("dead").owner() is None and root.lock("alive").owner()["token"] == "alive"
    assert _pause.resume_dead(engine, root) == []


def test_where_nothing_was_ever_held_there_is_nothing_to_do(root):
    assert _pause.resume_dead(Engine(), root) == [] and not os.path.exists(root.path)


def test_the_next_backup_lets_the_site_go_on(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    begun = _backup_set.begin(root, "school", "one", "me", engine)
    assert "what held the site still" in begun["removed"] and all(engine.states.values())
