# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _site
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import NotFoundError

SITE = {"siteidentifier": "id", "version": "1", "fullname": "F", "external_files": False,
        "files": {"needed": 2, "missing": 0, "damaged": 0, "examples": []}, "keys": {"sodium.key": "aa"}}


def test_the_same_site_has_no_problems():
    assert _site.compare(SITE, SITE) == []


@pytest.mark.parametrize("change, words", [
    ({"siteidentifier": "other"}, "site identifier"),
    ({"version": "2"}, "version"),
    ({"fullname": "G"}, "site title"),
    ({"keys": {}}, "encryption key sodium.key is missing"),
    ({"keys": {"sodium.key": "bb"}}, "encryption key sodium.key is another"),
    ({"files": {"needed": 2, "missing": 1, "damaged": 0, "examples": ["abc"]}}, "1 stored files are missing, such as"),
    ({"files": {"needed": 2, "missing": 0, "damaged": 1, "examples": ["abc"]}}, "damaged"),
])
def test_each_difference_is_named(change, words):
    problems = _site.compare(SITE, dict(SITE, **change))
    assert len(problems) == 1 and words in problems[0]


def test_damage_that_the_site_had_before_is_no_problem():
    hurt = dict(SITE, files={"needed": 2, "missing": 1, "damaged": 1, "examples": ["abc"]})
    assert _site.compare(hurt, hurt) == []


def test_files_of_an_external_store_are_not_missed():
    files = {"needed": 2, "missing": 2, "damaged": 0, "examples": ["abc"]}
    assert _site.compare(SITE, dict(SITE, external_files=True, files=files)) == []


def test_exposed_ports_are_tried_first_and_fastcgi_never():
    found = _site.places("http://school.example", ["8080/tcp", "9000/tcp", "9100/tcp", "53/udp"], ["nginx"])
    assert found == ["127.0.0.1:8080", "127.0.0.1:80", "127.0.0.1:9100", "nginx:80", "nginx:8080"]
    assert "127.0.0.1:443" in _site.places("https://school.example", [])


def test_patience_ends_with_the_last_error():
    calls = []

    def fail():
        calls.append(1)
        raise NotFoundError("no")

    with pytest.raises(NotFoundError):
        _site.patiently(fail, 0)
    assert len(calls) == 1
    assert _site.patiently(lambda: 5, 0) == 5


def test_a_copy_has_another_identifier():
    assert _site.compare(SITE, dict(SITE, siteidentifier="other"), clone=True) == []
    assert _site.compare(SITE, dict(SITE, siteidentifier=None), clone=True) == []
    assert "of the original" in _site.compare(SITE, SITE, clone=True)[0]


def test_an_address_is_replaced_without_its_scheme():
    step = _site.cli_steps(False, ("http://old.example/x", "https://new.example"))[0]
    assert step[0].endswith("replace.php")
    assert step[1][:2] == ["--search=//old.example/x", "--replace=//new.example"]


def test_components_are_rebuilt_only_where_they_are_used():
    assert not any("component" in step[0] for step in _site.cli_steps(False))
    assert [step[0] for step in _site.cli_steps(True)][:2] == ["purge_caches.php", "alternative_component_cache.php"]
