# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _config_php, _secret_settings
from ansible_collections.moodleclaude.backup.plugins.modules import moodle_config

SECRET = "s3cr'et\\wo\"rd"
MIXED = {"wwwroot": "http://copy.example", "noemailever": True, "dbhost": "db", "dbpass": SECRET, "salt": "abc",
         "own": 1, "yes": True, "nothing": None, "empty": ""}
HIDDEN = _secret_settings.HIDDEN


def test_only_what_is_known_to_be_harmless_is_shown():
    assert _secret_settings.shown(MIXED) == {
        "wwwroot": "http://copy.example", "noemailever": True, "dbhost": "db", "dbpass": HIDDEN, "salt": HIDDEN,
        "own": HIDDEN, "yes": HIDDEN, "nothing": HIDDEN, "empty": HIDDEN}


@pytest.mark.parametrize("name", [
    "dbpass", "passwordsaltmain", "cronremotepassword", "proxypassword", "smtppass", "upgradekey", "session_redis_auth",
    "siteidentifier", "tool_mine_token", "WWWROOT"])
def test_secrets_and_what_nobody_knows_are_not(name):
    assert _secret_settings.shown({name: "x"}) == {name: HIDDEN}
    assert _secret_settings.secret_texts({name: "four"}) == {"four"}


def test_no_value_that_would_make_holes_in_everything_is_looked_for():
    assert _secret_settings.secret_texts(MIXED) == {SECRET}
    assert _secret_settings.secret_texts({"a": True, "b": 12345, "c": 1.5, "d": "abc", "e": None}) == set()


@pytest.mark.parametrize(("given", "secret", "shown"), [
    (json.dumps({"dbpass": "pass word", "lang": "en"}), {"pass word"}, {"dbpass": HIDDEN, "lang": "en"}),
    ("dbpass=password wwwroot=http://x", {"password"}, {"dbpass": HIDDEN, "wwwroot": "http://x"}),
    ("password", {"password"}, HIDDEN),
    ([{"dbpass": "password"}, "other"], {"password", "other"}, HIDDEN),
    ({"dboptions": {"auth": ["password", 5]}}, {"password"}, {"dboptions": HIDDEN}),
    (None, set(), None), ({}, set(), {}), (5, set(), HIDDEN),
])
def test_whatever_somebody_gives(given, secret, shown):
    assert _secret_settings.secret_texts(given) == secret
    assert _secret_settings.shown(given) == shown


@pytest.fixture
def module_output(shown_by):
    """A function that runs moodle_config and returns (result, everything that was shown or logged as str)."""
    given = {"container": "mcb-none", "config": "/config.php", "docker_host": "unix:///nonexistent.sock"}
    return lambda **args: shown_by(moodle_config.main, {**given, **args})


@pytest.mark.parametrize(("args", "words"), [
    ({"settings": MIXED}, "unix:///nonexistent.sock"),
    ({"settings": json.dumps(MIXED)}, "unix:///nonexistent.sock"),
    ({"settings": MIXED, "nonsense": 1}, "Unsupported parameters"),
    ({"settings": MIXED, "timeout": "very"}, "timeout"),
    ({"settings": [SECRET]}, "settings"),
    ({"settings": SECRET}, "settings"),
])
def test_the_module_never_shows_a_secret_setting(module_output, args, words):
    result, shown = module_output(**args)
    assert result["failed"] is True and words in result["msg"]
    for form in (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], "s3cr"):
        assert form not in shown
    if words.startswith("unix"):
        assert result["invocation"]["module_args"]["settings"] == {
            **_secret_settings.shown(MIXED), "wwwroot": "http://copy.example"}


@pytest.mark.parametrize("diff", [False, True])
def test_what_the_module_returns_holds_no_secret_setting(module_output, monkeypatch, diff):
    content = b"<?php\nrequire_once('lib/setup.php');\n"
    written = []
    monkeypatch.setattr(_config_php, "_real_path", lambda _engine, _container, path: path)
    monkeypatch.setattr(_config_php, "_read", lambda *_: (None, content))
    monkeypatch.setattr(_config_php, "_write", lambda *args: written.append(args[-1]))
    result, shown = module_output(settings=MIXED, _ansible_diff=diff)
    assert result["changed"] and result["settings"] == sorted(MIXED) and "s3cr" not in shown
    assert b"s3cr" in written[0] and b"$CFG->salt = 'abc';" in written[0]
    assert result["invocation"]["module_args"]["settings"] == _secret_settings.shown(MIXED)
