# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _images
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError


@pytest.mark.parametrize(("name", "expected"), [
    ("site", "site:latest"),
    ("site:1", "site:1"),
    ("docker.io/library/postgres:16", "postgres:16"),
    ("docker.io/bitnami/moodle", "bitnami/moodle:latest"),
    ("registry.example.org:5000/site", "registry.example.org:5000/site:latest"),
    ("registry.example.org:5000/site:2", "registry.example.org:5000/site:2"),
    ("site@sha256:" + "0" * 64, "site@sha256:" + "0" * 64),
])
def test_normalized(name, expected):
    assert _images.normalized(name) == expected


@pytest.mark.parametrize(("image", "name", "tags"), [
    ({"id": "sha256:1", "name": "site"}, "site", ["site:latest"]),
    ({"id": "sha256:1", "name": "site", "tags": ["b", "a:1"]}, "site", ["a:1", "b:latest"]),
    ({"id": "sha256:1", "name": "sha256:1", "tags": []}, "sha256:1", []),
    ({"id": "sha256:1", "name": "sha256:1"}, "sha256:1", []),
    ({"id": "sha256:1", "name": "site@sha256:1"}, "site@sha256:1", []),
    ({"id": "sha256:1", "tags": ["a:1"]}, "a:1", ["a:1"]),
    ({"id": "sha256:1"}, "sha256:1", []),
])
def test_wanted(image, name, tags):
    wanted = _images._wanted(image)
    assert (wanted["name"], wanted["tags"]) == (name, tags)


@pytest.mark.parametrize("image", [{}, {"name": "site"}, {"id": "abc"}, {"id": None, "name": "x"}])
def test_an_entry_without_an_id_is_refused(image):
    with pytest.raises(UsageError, match="without a full 'id'"):
        _images._wanted(image)


@pytest.mark.parametrize("content", [
    None,
    "not json",
    json.dumps([]),
    json.dumps({"images": [], "size": 4}),
    json.dumps({"images": [{"name": "x"}], "size": 3}),
    json.dumps({"size": 3}),
    json.dumps({"images": None, "size": 3}),
])
def test_an_index_that_does_not_fit_is_none(tmp_path, content):
    archive = tmp_path / "images.tar"
    archive.write_bytes(b"abc")
    if content is not None:
        (tmp_path / "images.tar.json").write_text(content)
    assert _images.read_index(str(archive)) is None


def test_an_index_that_fits(tmp_path):
    archive = tmp_path / "images.tar"
    archive.write_bytes(b"abc")
    index = {"images": [{"id": "sha256:1"}], "size": 3}
    (tmp_path / "images.tar.json").write_text(json.dumps(index))
    assert _images.read_index(str(archive)) == index
