# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _config_php
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError

CONFIG = """<?php
$CFG->wwwroot = getenv('URL');
// require_once('lib/setup.php') comes last
require_once(__DIR__ . '/lib/setup.php'); // Do not edit this line
"""


def test_settings_come_right_before_the_setup():
    changed = _config_php.override(CONFIG, {"wwwroot": "http://it's.\\x", "noemailever": True, "n": 3})
    lines = changed.splitlines()
    assert lines[3:8] == [
        _config_php.BEGIN, "$CFG->n = 3;", "$CFG->noemailever = true;", "$CFG->wwwroot = 'http://it\\'s.\\\\x';",
        _config_php.END,
    ]
    assert lines[8].startswith("require_once(__DIR__")


def test_again_is_the_same_and_nothing_is_the_original():
    changed = _config_php.override(CONFIG, {"a": "b"})
    assert _config_php.override(changed, {"a": "b"}) == changed
    assert "'c'" in _config_php.override(changed, {"a": "c"}) and "'b'" not in _config_php.override(changed, {"a": "c"})
    assert _config_php.override(changed, {}) == CONFIG


@pytest.mark.parametrize("text", ["<?php\n", "<?php\n// require_once('lib/setup.php');\n"])
def test_a_file_without_a_place_is_refused(text):
    with pytest.raises(UsageError):
        _config_php.override(text, {"a": 1})


@pytest.mark.parametrize("name", ["", "a b", "a;", "1a", "a->b"])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(UsageError):
        _config_php.override(CONFIG, {name: 1})
