# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _image_sources, _images
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


class FakeEngine:
    """An engine of two images that cannot save: whoever asks for that fails."""

    IMAGES = {
        "site:1": {"Id": "sha256:a", "RepoTags": ["site:1"], "Size": 1000},
        "db:1": {"Id": "sha256:b", "RepoTags": ["db:1", "db:2"], "Size": 200},
    }

    def image(self, name):
        return next((image for tag, image in self.IMAGES.items() if name in (tag, image["Id"])), None)


@pytest.fixture
def earlier(tmp_path):
    """An archive of an earlier backup that holds both images."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    archive = folder / "images.tar.zst"
    archive.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(96))
    return {
        "path": str(archive), "sha256": "0" * 64, "size": 100, "raw_size": 400,
        "images": [{"id": "sha256:b", "name": "db:1", "tags": ["db:1"]},
                   {"id": "sha256:a", "name": "site:1", "tags": ["site:1"]}],
    }


def parameters(folder, candidates, **others):
    return dict({
        "images": ["site:1", "db:1"], "dest": str(folder / "images.tar.zst"), "overwrite": False, "compression": "zstd",
        "compression_level": None, "processes": 0, "transport": "auto", "earlier": candidates}, **others)


def test_an_earlier_archive_of_the_same_images_is_shared(tmp_path, earlier):
    params = parameters(tmp_path, [dict(earlier, path=str(tmp_path / "gone")), earlier])
    assert _images.estimate(FakeEngine(), params) == 0
    predicted = _images.export(FakeEngine(), params, True)
    assert predicted["changed"] and not os.path.exists(params["dest"])
    result = _images.export(FakeEngine(), params, False)
    assert {key: result[key] for key in ("changed", "shared", "size", "sha256", "raw_size")} == {
        "changed": True, "shared": True, "size": 100, "sha256": "0" * 64, "raw_size": 400}
    assert os.path.samefile(params["dest"], earlier["path"])
    assert _images.read_index(params["dest"])["images"] == result["images"]
    again = _images.export(FakeEngine(), params, False)
    assert (again["changed"], again["sha256"]) == (False, "0" * 64)
    assert sorted(os.listdir(tmp_path)) == ["earlier", "images.tar.zst", "images.tar.zst.json"]


@pytest.mark.parametrize("change", [
    lambda earlier: earlier["images"].pop(),
    lambda earlier: earlier["images"].append({"id": "sha256:c", "name": "more:1", "tags": ["more:1"]}),
    lambda earlier: earlier["images"][0].update(id="sha256:c"),
    lambda earlier: earlier["images"][0].update(name="db:2"),
    lambda earlier: earlier["images"][0].update(tags=["db:2"]),
    lambda earlier: earlier["images"][0].pop("id"),
    lambda earlier: earlier.update(size=99),
    lambda earlier: os.unlink(earlier["path"]),
    lambda earlier: os.rename(earlier["path"], earlier["path"] + "-") or os.symlink(
        earlier["path"] + "-", earlier["path"]),
    lambda earlier: os.truncate(earlier["path"], 0) or os.truncate(earlier["path"], 100),  # no zstd any more
], ids=["fewer", "more", "id", "name", "tags", "no id", "size", "gone", "link", "plain"])
def test_another_archive_is_not_shared(tmp_path, monkeypatch, earlier, change):
    change(earlier)
    written = {"size": 3, "sha256": "1" * 64, "raw_size": 5, "transport": "api"}
    monkeypatch.setattr(_images, "write", lambda engine, images, params: written)
    params = parameters(tmp_path, [earlier])
    assert _images.estimate(FakeEngine(), params) > 0
    result = _images.export(FakeEngine(), params, False)
    assert (result["shared"], result["sha256"], result["transport"]) == (False, "1" * 64, "api")
    assert not os.path.lexists(params["dest"])


@pytest.mark.parametrize(("others", "expected"), [
    ({"earlier": []}, 600),
    ({"earlier": [], "compression": "none"}, 1200),
    ({"images": ["site:1"]}, 250),
    ({"images": ["site:1", "site=sha256:a"], "earlier": []}, 500),
])
def test_the_room_that_is_needed(tmp_path, earlier, others, expected):
    assert _images.estimate(FakeEngine(), parameters(tmp_path, [earlier], **others)) == expected


def test_an_image_is_asked_for_by_all_the_names_that_it_is_wanted_under():
    images = _images.describe(FakeEngine(), ["site:1", "other:1=sha256:a", "db:1"])
    assert _image_sources._references(FakeEngine(), images) == {"sha256:a": ["site:1"], "sha256:b": ["db:1"]}
    images = _images.describe(FakeEngine(), ["other:1=sha256:a"])
    assert _image_sources._references(FakeEngine(), images) == {"sha256:a": ["sha256:a"]}
