# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _filedir, _filedir_live, _pool

CONTENTS = [b"content %d" % number for number in range(6)]
NAMES = [hashlib.sha1(content).hexdigest() for content in CONTENTS]
# Where a blob may be, and how.
PLACES = st.fixed_dictionaries({
    "live": st.sampled_from(["absent", "right", "wrong", "other size"]),
    "trash": st.sampled_from(["absent", "right", "wrong"]),
    "pool": st.sampled_from(["absent", "right", "touched", "wrong", "recorded"]),
    "needed": st.booleans(),
    "known": st.booleans(),
})


def put(folder, name, content):
    path = os.path.join(folder, name[:2], name[2:4], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as handle:
        handle.write(content)
    return path


def spoiled(content, how):
    return {"right": content, "wrong": b"x" + content[1:], "other size": content + b"x"}[how]


class Scene:
    """Folders in which each blob is where a dict of PLACES says."""

    def __init__(self, work, states):
        self.work, self.states = work, states
        self.pool = _pool.Pool(os.path.join(work, "pool", "filedir"))
        for folder in ("live", "trash"):
            os.mkdir(os.path.join(work, folder))
        with self.pool.writer() as writer:
            for name, content, state in zip(NAMES, CONTENTS, states):
                for folder in ("live", "trash"):
                    if state[folder] != "absent":
                        put(os.path.join(work, folder), name, spoiled(content, state[folder]))
                if state["pool"] != "absent":
                    writer.add(name, iter([content]))
        for name, state in zip(NAMES, states):
            self._touch(name, state["pool"])
        self.pool = _pool.Pool(self.pool.path)

    def _touch(self, name, how):
        path = self.pool.path_of(name)
        if how in ("wrong", "recorded"):
            times = os.stat(path).st_mtime_ns
            os.chmod(path, 0o600)
            with open(path, "r+b") as handle:
                handle.write(b"x")
            os.chmod(path, 0o400)
            if how == "recorded":
                os.utime(path, ns=(times, times))
                self.pool.record.update(wrong=[name])
        elif how == "touched":
            os.utime(path)

    def names(self, word):
        return sorted(name for name, state in zip(NAMES, self.states) if state[word])

    def run(self, first):
        """Run a first or a last pass. Return (result, listed names, names in missing_dest)."""
        paths = {}
        for word in ("needed", "known"):
            paths[word] = os.path.join(self.work, word)
            with open(paths[word], "w") as handle:
                handle.writelines(name + "\n" for name in self.names(word))
        params = dict.fromkeys(("expected", "missing_dest", "required", "known_missing"))
        params.update(pool=self.pool.path, dest=os.path.join(self.work, "list"), archive=False, overwrite=False)
        missing = os.path.join(self.work, "missing")
        params.update({"expected": paths["needed"], "missing_dest": missing} if first else
                      {"required": paths["needed"], "known_missing": paths["known"]})
        with contextlib.ExitStack() as cleanup:
            live, trash = (_filedir_live.DirectLive(self._opened(folder, cleanup)) for folder in ("live", "trash"))
            with _filedir._Files(params, cleanup) as files:
                run = _filedir._Run(self.pool, live, trash, files)
                run.work(2)
                result = run.result()
                files.publish(self.pool, result["attributes"])
        with open(params["dest"]) as handle:
            listed = {line[:40] for line in handle}
        with open(missing if first else os.devnull) as handle:
            return result, listed, set(handle.read().split())

    def _opened(self, folder, cleanup):
        fd = os.open(os.path.join(self.work, folder), os.O_PATH | os.O_DIRECTORY)
        cleanup.callback(os.close, fd)
        return fd


def pool_right(state):
    return state["pool"] in ("right", "touched")


@settings(max_examples=60)
@given(states=st.lists(PLACES, min_size=len(NAMES), max_size=len(NAMES)))
def test_a_last_pass_lists_all_that_can_be_had_and_names_the_rest(states):
    with tempfile.TemporaryDirectory() as work:
        scene = Scene(work, states)
        result, listed, _none = scene.run(first=False)
        expected, missing, damage = set(), set(), set()
        for name, state in zip(NAMES, states):
            there = state["live"] != "absent"
            if state["live"] == "right" or (pool_right(state) and (there or state["needed"])) \
                    or (state["needed"] and state["trash"] == "right"):
                expected.add(name)
            elif state["needed"]:
                (damage if state["known"] else missing).add(name)
        assert listed == expected
        assert set(result["missing"]["examples"]) == missing and result["missing"]["count"] == len(missing)
        assert set(result["site_damage"]["examples"]) == damage
        later = _pool.Pool(scene.pool.path)
        assert all(later.has(name) and later.is_right(name) for name in listed)
        # Whoever looks at a damaged blob takes it for what it is, from its stat or from the record.
        assert all(later.is_right(name) for name in NAMES if later.has(name))
        assert result["files"] == len(listed)


@settings(max_examples=60)
@given(states=st.lists(PLACES, min_size=len(NAMES), max_size=len(NAMES)))
def test_a_first_pass_names_what_the_site_lacks_already(states):
    with tempfile.TemporaryDirectory() as work:
        result, _listed, missing = Scene(work, states).run(first=True)
        assert "missing" not in result
        for name, state in zip(NAMES, states):
            # That a file is wrong is seen when it is read: when the pool has none, or another size, or a doubtful one.
            seen = state["live"] == "other size" or (state["live"] == "wrong" and not pool_right(state))
            there = state["live"] in ("right", "wrong") and not seen
            if state["pool"] in ("absent", "wrong", "recorded"):
                there = there or state["trash"] == "right"
            else:
                there = there or state["trash"] != "absent"
            assert (name in missing) == (state["needed"] and not there), (state, missing)


@pytest.mark.parametrize(("path", "name"), [
    (b"%s/%s/%s" % (b"aa", b"bb", b"aabb" + b"0" * 36), "aabb" + "0" * 36),
    (b"aa/cc/aabb" + b"0" * 36, None),
    (b"aa/bb/aabb" + b"0" * 36 + b".tmp", None),
    (b"aa/bb/aabb" + b"0" * 35 + b"G", None),
    (b"aa/bb/aabb" + b"0" * 36 + b"\n", None),
    (b"./aa/bb/aabb" + b"0" * 36, None),
    (b"aabb" + b"0" * 36, None),
    (b"", None),
    (b"\xff/\xff/\xff", None),
])
def test_what_is_a_blob(path, name):
    assert _filedir_live.blob_of(path) == name


def test_a_survey_tells_what_is_most_common():
    survey = _filedir_live.Survey()
    assert survey.attributes() == {"owner": None, "file_mode": None, "folder_mode": None}
    for mode, uid in ((0o100660, 33), (0o100600, 0), (0o100660, 33)):
        survey.file(mode, uid, uid + 1)
    survey.folder(0o042770)
    assert survey.attributes() == {"owner": [33, 34], "file_mode": "0660", "folder_mode": "2770"}


def test_only_unknown_files_are_counted():
    survey = _filedir_live.Survey()
    for path in (b"warning.txt", b"aa/bb/x.tmp", b".moodle_backup_t_new", b"aa/warning.txt", b"aa/bb/note\xff"):
        survey.other(path)
    assert survey.unknown.result() == {"count": 2, "examples": ["aa/warning.txt", "aa/bb/note\\xff"]}


def test_examples_are_limited():
    examples = _filedir_live.Examples(2)
    for name in "abc":
        examples.add(name)
    assert examples.result() == {"count": 3, "examples": ["a", "b"]}
