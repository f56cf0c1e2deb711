# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _moodle
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import CommandError, NotFoundError

GOOD = {"cfg": {"dataroot": "/d", "wwwroot": "http://x"}, "dataroot": "/d", "plugins_known": True}


def output(document, before=b"Notice: something\n"):
    return before + b"\n@@MOODLE@@" + json.dumps(document).encode() + b"\n"


def test_settings_are_found_behind_other_output():
    assert _moodle.parse_probe(output(GOOD), "here") == GOOD


def test_php_that_ends_early_is_an_error_with_its_words():
    with pytest.raises(CommandError) as caught:
        _moodle.parse_probe(b"Fatal error: $CFG->dataroot is not configured properly", "container 'web'")
    assert "container 'web'" in caught.value.message and "dataroot is not configured" in caught.value.message


def test_cut_output_is_an_error():
    with pytest.raises(CommandError):
        _moodle.parse_probe(output(GOOD)[:-20], "here")


def test_a_site_without_data_directory_is_an_error():
    with pytest.raises(NotFoundError):
        _moodle.parse_probe(output(dict(GOOD, dataroot=False)), "here")


def test_rebuilt_paths_follow_the_settings():
    cfg = {"tempdir": "/d/my[temp]", "localcachedir": "/mnt/fast", "session_file_save_path": "/d/sess"}
    patterns = _moodle.rebuilt_paths(cfg, "/d")
    assert "my\\[temp\\]/*" in patterns and "sess/*" in patterns and "temp/*" in patterns
    assert not any("fast" in pattern for pattern in patterns)
    assert not any(pattern.startswith(("filedir", "secret", "muc", "lang")) for pattern in patterns)
    assert "climaintenance.html" in patterns


def test_the_trash_is_no_data_wherever_it_is():
    assert "trashdir/*" in _moodle.rebuilt_paths({}, "/d")
    assert "my trash/*" in _moodle.rebuilt_paths({"trashdir": "/d/my trash/"}, "/d")
    assert not any("elsewhere" in pattern for pattern in _moodle.rebuilt_paths({"trashdir": "/elsewhere/trash"}, "/d"))


def test_stored_files_are_found_where_the_settings_have_them():
    assert _moodle.stored_files({}, "/d") == ("/d/filedir", "/d/trashdir")
    assert _moodle.stored_files({"filedir": "/mnt/files/", "trashdir": ""}, "/d") == ("/mnt/files", "/d/trashdir")


def test_data_outside_the_data_directory_is_kept():
    cfg = {"filedir": "/mnt/files/", "trashdir": "/mnt/trash", "secretdataroot": "/secrets", "langotherroot": "/d",
           "langlocalroot": "/d/lang", "altcacheconfigpath": "/cache/"}
    assert _moodle.extra_data_folders(cfg, "/d") == [("altcacheconfigpath", "/cache"), ("secretdataroot", "/secrets")]


def test_passwords_are_not_asked_for():
    assert "dbpass" not in _moodle._PROBE and "passwordpeppers" not in _moodle._PROBE


def test_external_file_store_is_said_aloud():
    settings = dict(GOOD, cfg=dict(GOOD["cfg"], alternative_file_system_class="\\tool_objectfs\\s3"))
    assert "tool_objectfs" in _moodle.warnings(settings)[0]
    assert _moodle.warnings(GOOD) == []
    assert "plugin_paths" in _moodle.warnings(dict(GOOD, plugins_known=False))[0]
