# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import time

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _backup_set, _lock, _pause, _restore_session
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    CommandError,
    EngineError,
    ExistsError,
    NotFoundError,
)
from ansible_collections.moodleclaude.backup.plugins.modules import moodle_pause


class Engine:
    """Containers with states, and a page in a data directory; dies at a call (number) if it is told so.

    What is in broken cannot be started.
    """

    def __init__(self, *names, stopped=(), page=None):
        self.states = {name: name not in stopped for name in names}
        self.page, self.calls, self.dies_at, self.rc, self.broken = page, [], None, None, set()

    def _call(self, *what):
        self.calls.append(what)
        if self.dies_at == len(self.calls):
            raise KeyboardInterrupt

    def container(self, name):
        return {"State": {"Running": self.states[name]}}

    def find_container(self, name):
        return self.container(name) if name in self.states else None

    def ensure_reachable(self):
        pass

    def stop(self, name):
        self._call("stop", name)
        self.states[name] = False

    def start(self, name):
        self._call("start", name)
        if name in self.broken:
            raise EngineError("Starting container '%s': port is already allocated" % name)
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
    assert _pause.resume(engine, root, "school") == (True, [])
    assert engine.calls[2:] == [("start", "web"), ("start", "cron")] and engine.states["off"] is False
    assert not _pause.held(root, "school") and _pause.resume(engine, root, "school") == (False, [])


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
    assert _pause.resume(engine, root, "school") == (True, [])
    assert all(engine.states.values()) and engine.page is None


def test_the_way_back_can_be_gone_twice(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    engine.dies_at = len(engine.calls) + 2
    with pytest.raises(KeyboardInterrupt):
        _pause.resume(engine, root, "school")
    assert _pause.held(root, "school")
    engine.dies_at = None
    assert _pause.resume(engine, root, "school") == (True, []) and all(engine.states.values())


def test_a_container_that_is_gone_stops_nobody(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    del engine.states["web"]
    done, warnings = _pause.resume(engine, root, "school")
    assert done and engine.states == {"cron": True} and not _pause.held(root, "school")
    assert len(warnings) == 1 and "Container 'web' of stack 'school'" in warnings[0] and "is gone" in warnings[0]


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
    assert _pause.resume_dead(engine, root) == (["dead"], [])
    assert _pause.held(root, "alive") and not _pause.held(root, "dead")
    assert root.lock("dead").owner() is None and root.lock("alive").owner()["token"] == "alive"
    assert _pause.resume_dead(engine, root) == ([], [])


def test_where_nothing_was_ever_held_there_is_nothing_to_do(root):
    assert _pause.resume_dead(Engine(), root) == ([], []) and not os.path.exists(root.path)


def test_the_next_backup_lets_the_site_go_on(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    begun = _backup_set.begin(root, "school", "one", "me", engine)
    assert "what held the site still" in begun["removed"] and all(engine.states.values())
    assert begun["resumed"] is True and begun["warnings"] == []


# --- what cannot be undone ----------------------------------------------------------------------------------------


def record_of(root, stack="school"):
    return os.path.join(root.path, "pauses", "%s.json" % stack)


def gone(engine):
    del engine.states["web"]


def stopped(engine):
    engine.states["web"] = False


def full(engine):
    engine.rc = 1


@pytest.mark.parametrize(("happens", "why"), [
    (gone, "the container is gone"), (stopped, "the container does not run"), (full, "No space left")])
def test_a_page_that_cannot_be_removed_is_told_and_not_forgotten(root, happens, why):
    engine = Engine("web", "cron")
    pause(engine, root, "maintenance")
    happens(engine)
    done, (warning,) = _pause.resume(engine, root, "school")
    assert not done and _pause.held(root, "school") and engine.page is not None
    for words in ("stack 'school'", "container 'web'", "/data/climaintenance.html", why, record_of(root)):
        assert words in warning
    assert ("start", "web") not in engine.calls, "it was not a backup that stopped it"
    engine.states["web"], engine.rc = True, None
    assert _pause.resume(engine, root, "school") == (True, []) and engine.page is None


def test_what_cannot_be_started_is_told_and_does_not_stop_the_others(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    engine.broken = {"web"}
    done, (warning,) = _pause.resume(engine, root, "school")
    assert not done and _pause.held(root, "school") and engine.states == {"web": False, "cron": True}
    for words in ("Container 'web' of stack 'school'", "port is already allocated", record_of(root)):
        assert words in warning
    engine.broken = set()
    assert _pause.resume(engine, root, "school") == (True, []) and engine.states["web"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"mode": "stopped"}'])
def test_a_record_that_cannot_be_read_blocks_nobody(root, content):
    engine = Engine("web", "cron")
    pause(engine, root)
    with open(record_of(root), "w") as handle:
        handle.write(content)
    done, (warning,) = _pause.resume(engine, root, "school")
    assert not done and record_of(root) in warning and "stack 'school'" in warning


def test_one_bad_stack_does_not_keep_the_others_held(root):
    engine = Engine("web", "cron", "app")
    for stack, container in (("bad", "web"), ("good", "app"), ("worse", "web")):
        root.prepare()
        _pause.pause(engine, root, stack, "stopped", container, [container], "/data", [33, 34])
    os.makedirs(root.lock("worse").path)
    with open(record_of(root, "not a name"), "w"):
        pass
    engine.broken = {"web"}
    stacks, warnings = _pause.resume_dead(engine, root)
    assert stacks == ["good"] and engine.states["app"]
    assert sorted(word for word in ("'bad'", "'not a name'", "'worse'") for text in warnings if word in text) == [
        "'bad'", "'not a name'", "'worse'"] and len(warnings) == 3
    assert root.lock("bad").owner() is None


def call(engine, root, state, **more):
    params = dict({"root": root.path, "lock_timeout": 60, "stack": "school", "run": "me", "state": state,
                   "mode": "maintenance", "container": "web", "containers": ["web"], "dataroot": "/data",
                   "owner": [33, 34]}, **more)
    return moodle_pause.work(engine, params, False)


def test_who_has_held_a_site_still_is_not_done_before_it_goes_on(root):
    engine = Engine("web", "cron")
    root.prepare()
    root.lock("school").acquire("me", "backup", "one")
    assert call(engine, root, "paused")["changed"] and not call(engine, root, "paused")["changed"]
    gone(engine)
    with pytest.raises(EngineError, match="Stack 'school' is still held still. .*container is gone"):
        call(engine, root, "resumed")
    result = call(engine, root, "resumed", stack=None)
    assert result["stacks"] == [] and result["warnings"] == [], "this run is alive"
    root.lock("school").release("me")
    assert "container is gone" in call(engine, root, "resumed", stack=None)["warnings"][0]
    engine.states["web"] = True
    assert call(engine, root, "resumed", stack=None) == {"changed": True, "stacks": ["school"], "warnings": []}


def test_a_site_is_not_held_still_over_what_is_not_undone(root):
    """The record says just one of the two."""
    engine = Engine("web", "cron")
    pause(engine, root, containers=["cron"])
    engine.broken = {"cron"}
    begun = _backup_set.begin(root, "school", "one", "me", engine)
    assert begun["resumed"] is False and "port is already allocated" in begun["warnings"][0]
    with pytest.raises(ExistsError) as caught:
        call(engine, root, "paused")
    assert "Stack 'school'" in caught.value.message and record_of(root) in caught.value.hint
    assert engine.page is None and _pause.held(root, "school")


# --- a restore ----------------------------------------------------------------------------------------------------


def session(engine, root, state, run="me"):
    params = {"root": root.path, "lock_timeout": 60, "stack": "school", "run": run, "state": state, "backup": "one",
              "transaction": "t1", "plan": {"x": 1}}
    return _restore_session.work(engine, params, False)


@pytest.fixture
def left(root):
    """An engine without the web container, whose maintenance page a dead backup has left; there is a backup."""
    engine = Engine("web", "cron")
    pause(engine, root, "maintenance")
    os.mkdir(root.folder("one"))
    del engine.states["web"]
    return engine


def test_a_restore_does_not_need_the_site_that_is_held_still(root, left):
    begun = session(left, root, "begun")
    assert begun["unfinished"] is None and "container is gone" in begun["warnings"][0]
    left.states["web"] = True
    assert session(left, root, "proved")["changed"] and not _pause.held(root, "school")
    assert session(left, root, "finished")["warnings"] == []
    assert _backup_set.read_record(root, "school") is None and root.lock("school").owner() is None


def test_what_was_held_still_goes_on_when_the_restore_is_undone(root, left):
    session(left, root, "begun")
    assert not session(left, root, "finished", run="somebody else")["changed"] and _pause.held(root, "school")
    left.states["web"] = True
    assert session(left, root, "finished")["changed"]
    assert left.page is None and not _pause.held(root, "school")


def test_nothing_that_half_a_restore_has_left_is_started(root):
    engine = Engine("web", "cron")
    pause(engine, root)
    os.mkdir(root.folder("one"))
    engine.broken = {"web"}
    session(engine, root, "begun")
    session(engine, root, "interrupted")
    engine.broken, engine.states["cron"] = set(), False
    assert _pause.resume_dead(engine, root) == ([], [])
    begun = session(engine, root, "begun", run="you")
    assert begun["unfinished"]["backup"] == "one" and begun["warnings"] == [] and not any(engine.states.values())
    session(engine, root, "finished", run="you")
    assert all(engine.states.values()) and not _pause.held(root, "school")


@pytest.mark.parametrize("unfinished", [False, True])
@pytest.mark.parametrize("error", [NotFoundError("Listing containers"), KeyboardInterrupt()])
def test_a_restore_that_could_not_begin_has_not_begun(root, left, monkeypatch, error, unfinished):
    if unfinished:
        session(left, root, "begun", run="earlier")
        session(left, root, "interrupted", run="earlier")

    def fail(_lock):
        raise error

    monkeypatch.setattr(left, "remove_helpers", fail)
    with pytest.raises(type(error)):
        session(left, root, "begun")
    assert root.lock("school").owner() is None
    assert (_backup_set.read_record(root, "school") is not None) is unfinished
