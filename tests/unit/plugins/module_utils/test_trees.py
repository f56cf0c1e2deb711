# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.moodleclaude.backup.plugins.module_utils import _trees


def container(*mounts, name="web"):
    keys = ("type", "name", "source", "destination")
    return {"name": name, "mounts": [dict(zip(keys, mount)) for mount in mounts]}


def tree(label, storage, role="mount", exclude=()):
    return {"label": label, "role": role, "storage": storage, "exclude": list(exclude)}


def test_the_longest_mount_wins():
    web = container(("volume", "v", "", "/var/www"), ("bind", "", "/srv/data", "/var/www/data"))
    assert _trees.resolve(web, "/var/www/html") == ("volume", "v", "html")
    assert _trees.resolve(web, "/var/www") == ("volume", "v", "")
    assert _trees.resolve(web, "/var/www/data/x") == ("bind", "/srv/data/x", "")
    assert _trees.resolve(web, "/var/www/database") == ("volume", "v", "database")
    assert _trees.resolve(web, "/etc") == ("layer", "web", "/etc")


def test_a_tmpfs_is_known_as_such():
    assert _trees.resolve(container(("tmpfs", "", "", "/tmp")), "/tmp/x")[0] == "tmpfs"


def test_one_storage_is_archived_once_under_its_first_role():
    planned = _trees.plan([
        tree("application", ("volume", "v", "html"), "application", ["a"]),
        tree("moodledata", ("volume", "v", "data"), "data"),
        tree("volume.v", ("volume", "v", "")), tree("again", ("volume", "v", "data")),
    ])
    assert [entry["file"] for entry in planned] == ["application", "moodledata", "volume.v"]
    assert planned[0] == {"volume": "v", "path": "html", "storage": "volume", "role": "application",
                          "file": "application", "exclude": ["a"], "keep": []}
    assert planned[2]["exclude"] == planned[2]["keep"] == ["html", "data"]


def test_nested_binds_and_layers():
    planned = _trees.plan([
        tree("application", ("bind", "/srv/site", "")), tree("moodledata", ("bind", "/srv/site/data[1]", "")),
        tree("layer", ("layer", "web", "/var/www")), tree("inner", ("layer", "web", "/var/www/html")),
        tree("other", ("layer", "cron", "/var/www/html")),
    ])
    assert [entry["exclude"] for entry in planned] == [["data\\[1\\]"], [], ["html"], [], []]
    assert planned[0] == {"path": "/srv/site", "storage": "bind", "role": "mount", "file": "application",
                          "exclude": ["data\\[1\\]"], "keep": ["data\\[1\\]"]}
    assert planned[4]["container"] == "cron"


def test_what_has_a_place_of_its_own_is_kept_when_its_tree_comes_back():
    files = dict(tree("moodledata.filedir", ("volume", "v", "filedir"), "data"), keep=["[0-9a-f][0-9a-f]"])
    planned = _trees.plan([files, tree("moodledata", ("volume", "v", ""), "data", ["temp/*"])])
    assert (planned[0]["exclude"], planned[0]["keep"]) == (["[0-9a-f][0-9a-f]"], ["[0-9a-f][0-9a-f]"])
    assert (planned[1]["exclude"], planned[1]["keep"]) == (["temp/*", "filedir"], ["filedir"])


def test_a_place_is_named_as_the_modules_name_it():
    assert _trees.source(("volume", "v", "")) == {"volume": "v", "path": "/", "storage": "volume"}
    assert _trees.source(("bind", "/srv", "")) == {"path": "/srv", "storage": "bind"}
    assert _trees.source(("layer", "web", "/d")) == {"container": "web", "path": "/d", "storage": "layer"}


def test_windows_into_the_host_are_known():
    for source in ("/", "/etc", "/var/run/docker.sock", "/run/x", "/proc/1", "/etc/localtime", "/tmp/app.sock"):
        assert _trees.is_system(source)
    for source in ("/srv/moodle", "/home/me/site/config.php", "/etcetera", "/opt/site/php.ini"):
        assert not _trees.is_system(source)
