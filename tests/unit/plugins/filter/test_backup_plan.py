# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.filter.backup_plan import (
    FilterModule,
    artefacts,
    backup_plan,
    jobs,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils import _jobs
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import BackupError

WEB, DB = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DATA = {"volume": "data", "path": "/", "storage": "volume", "role": "data", "file": "moodledata",
        "exclude": ["temp/*"], "keep": ["filedir"]}
CODE = {"container": "web", "path": "/var/www/html", "storage": "layer", "role": "application", "file": "application",
        "exclude": [], "keep": []}
STACK = {
    "name": "school",
    "web": {"name": "web", "image": "moodle:1", "image_id": WEB},
    "database": {"container": "db", "name": "moodle", "user": "moodleuser", "prefix": "m_",
                 "password_command": ["php", "-r"]},
    "containers": [{"name": "web", "image_id": WEB, "running": True}, {"name": "db", "image_id": DB, "running": True},
                   {"name": "cron", "image_id": WEB, "running": False}],
    "images": ["moodle:1=" + WEB, "moodle:cron=" + WEB, "postgres:15=" + DB],
    "moodle": {"root": "/var/www/html", "config": "/var/www/html/config.php", "wwwroot": "http://x",
               "external_files": False},
    "trees": [CODE, DATA],
    "filedir": {"volume": "data", "path": "filedir", "storage": "volume", "role": "filedir", "file": "filedir",
                "trash": {"volume": "data", "path": "trashdir", "storage": "volume"}},
    "plugin_paths": ["local/own"],
    "compose": {"project": None, "working_dir": None, "config_files": [], "files": []},
    "configuration": [],
}
SETTINGS = {"path": "/srv", "paths": [".env"], "role": "configuration", "storage": "bind", "file": "configuration"}
OPTIONS = {"folder": "/backups/.partial", "pool": "/pools/school/filedir", "earlier": [], "compression": "zstd",
           "database_format": "custom", "transport": "auto", "images": True, "self_contained": False,
           "accept_incomplete": False, "stopped": False, "site_check": True}


def plan(stack=(), **options):
    return backup_plan(dict(STACK, **dict(stack)), dict(OPTIONS, **options))


def job(made, name):
    return next(entry for entry in made if entry["name"] == name)


def test_everything_has_a_job():
    assert [entry["name"] for entry in plan()] == [
        "content", "image moodle_1", "image postgres_15", "application", "moodledata", "plugins", "containers", "site"]
    assert [entry["name"] for entry in plan(images=False, site_check=False)] == [
        "content", "application", "moodledata", "plugins", "containers"]
    assert "plugins" not in [entry["name"] for entry in plan({"plugin_paths": []})]
    assert sorted(FilterModule().filters()) == ["artefacts", "backup_plan", "jobs"]


@pytest.mark.parametrize("options", [
    {}, {"self_contained": True, "stopped": True}, {"compression": "none", "database_format": "plain"}])
def test_each_job_is_one_that_side_by_side_takes(options):
    stack = {"compose": {"config_files": ["/srv/compose.yml"]},
             "configuration": [SETTINGS]}
    made = jobs(plan(stack, **options))
    params = {"jobs": [{"after": [], **entry} for entry in made], "processes": 0,
              **dict.fromkeys(_jobs.DOCKER_OPTIONS)}
    checked = _jobs._prepared(params, 2)
    assert [entry.name for entry in checked] == [entry["name"] for entry in made]
    params["jobs"][0]["args"]["unknown"] = 1
    with pytest.raises(BackupError):
        _jobs._prepared(params, 2)


def test_the_database_and_its_files_go_together():
    args = job(plan(), "content")["args"]
    assert args["dest"] == "/backups/.partial/database.dump.zst" and args["prefix"] == "m_"
    assert args["roles_dest"] == "/backups/.partial/database_roles.sql"
    assert args["filedir"] == {"volume": "data", "path": "filedir", "trash": "trashdir", "transport": "auto",
                               "pool": "/pools/school/filedir", "dest": "/backups/.partial/filedir.sha1"}
    assert (args["password_container"], args["password_command"]) == ("web", ["php", "-r"])
    args = job(plan(database_format="plain", compression="gzip"), "content")["args"]
    assert args["dest"] == "/backups/.partial/database.sql.gz"


def test_a_stopped_web_container_is_not_asked_for_the_password():
    assert not {"password_container", "password_command"} & set(job(plan(stopped=True), "content")["args"])


@pytest.mark.parametrize("stopped", [True, False])
def test_containers_count_as_running_that_ran_before_the_backup_stopped_them(stopped):
    args = job(plan(stopped=stopped), "containers")["args"]
    assert args["containers"] == ["web", "db", "cron"] and args["running"] == ["web", "db"]


@pytest.mark.parametrize("accept", [True, False])
def test_what_is_known_of_completeness_is_handed_on(accept):
    moodle = dict(STACK["moodle"], external_files=True)
    args = job(plan({"moodle": moodle}, accept_incomplete=accept), "content")["args"]
    assert (args["external_files"], args["accept_incomplete"]) == (True, accept)


def test_a_self_contained_backup_has_a_pool_of_its_own():
    files = job(plan(self_contained=True), "content")["args"]["filedir"]
    assert files["archive"] is True and files["pool"] == "/backups/.partial/.pool"
    assert files["dest"] == "/backups/.partial/filedir.tar.zst"


@pytest.mark.parametrize("trash", [
    {"volume": "other", "path": "x"}, {"path": "/srv/trash"}, {"container": "web", "path": "/t"}])
def test_a_trash_that_is_somewhere_else_is_left_out(trash):
    assert "trash" not in job(plan({"filedir": dict(STACK["filedir"], trash=trash)}), "content")["args"]["filedir"]


def test_folders_of_the_host_come_with_an_image_to_reach_them():
    bind = {"path": "/srv/data", "storage": "bind", "role": "data", "file": "moodledata", "exclude": [], "keep": []}
    filedir = dict(bind, path="/srv/data/filedir", role="filedir", trash={"path": "/srv/data/trashdir"})
    made = plan({"trees": [CODE, bind], "filedir": filedir})
    assert job(made, "moodledata")["args"]["image"] == WEB
    assert job(made, "content")["args"]["filedir"]["image"] == WEB
    assert job(made, "moodledata")["tree"] == {"path": "/srv/data", "storage": "bind", "exclude": [], "keep": []}
    assert "image" not in job(made, "application")["args"]


def test_images_are_grouped_by_what_they_are():
    args = job(plan(), "image moodle_1")["args"]
    assert args["images"] == ["moodle:1=" + WEB, "moodle:cron=" + WEB]
    assert args["dest"] == "/backups/.partial/image_moodle_1.tar.zst"
    made = [entry for entry in plan({"images": ["a/b:1=" + WEB, "a_b:1=" + DB, "sha256:" + "c" * 64]})
            if entry["role"] == "images"]
    assert len({entry["name"] for entry in made}) == len({entry["args"]["dest"] for entry in made}) == 3


def earlier(role, tree=None, **more):
    entry = {"path": "/backups/old/x", "sha256": "f" * 64, "size": 1, "raw_size": 2, "role": role,
             "fingerprint": "fp", "files": 3}
    return dict(entry, **({"tree": tree} if tree else {}), **more)


def described(tree):
    return {key: tree[key] for key in ("volume", "container", "path", "storage", "exclude", "keep") if key in tree}


def test_only_archives_of_the_same_thing_are_offered_again():
    fits = earlier("data", described(DATA))
    offered = [fits, earlier("data", dict(described(DATA), exclude=[])), earlier("mount", described(DATA)),
               earlier("data"), earlier("images", images=[{"id": WEB}]),
               earlier("images", images=[{"id": WEB}, {"id": DB}]), earlier("plugins"),
               {key: value for key, value in fits.items() if key != "raw_size"}]
    made = plan(earlier=offered)
    keys = {"path", "sha256", "size", "raw_size"}
    assert [set(entry) for entry in job(made, "moodledata")["args"]["earlier"]] == [keys | {"fingerprint", "files"}]
    assert job(made, "application")["args"]["earlier"] == []
    assert job(made, "image moodle_1")["args"]["earlier"] == [
        {"path": "/backups/old/x", "sha256": "f" * 64, "size": 1, "raw_size": 2, "images": [{"id": WEB}]}]
    assert job(made, "image postgres_15")["args"]["earlier"] == []
    assert len(job(made, "plugins")["args"]["earlier"]) == 1


def test_a_tree_is_archived_as_it_was_described():
    entry = job(plan(), "moodledata")
    assert entry["tree"] == described(DATA)
    assert {key: entry["args"][key] for key in ("volume", "path", "exclude", "dest", "transport")} == {
        "volume": "data", "path": "/", "exclude": ["temp/*"], "transport": "auto",
        "dest": "/backups/.partial/moodledata.tar.zst"}
    entry = job(plan({"configuration": [SETTINGS]}, transport="api"), "configuration")
    assert (entry["args"]["transport"], entry["args"]["paths"]) == ("direct", [".env"])
    assert "tree" not in job(plan(), "plugins")  # a part of the application once more: nothing to restore


def written(file, **more):
    return dict({"dest": "/backups/.partial/" + file, "size": 5, "sha256": "e" * 64, "raw_size": 9}, **more)


def results():
    return {
        "content": {"database": written("database.dump.zst", tables={"m_user": 1}, roles=written("database_roles.sql")),
                    "filedir": written("filedir.sha1", files=7, new=0, missing={"count": 1},
                                       attributes={"owner": [1, 2]})},
        "image moodle_1": written("image_moodle_1.tar.zst", images=[{"id": WEB}], shared=True),
        "image postgres_15": written("image_postgres_15.tar.zst", images=[{"id": DB}], shared=False),
        "application": written("application.tar.zst", fingerprint=None),
        "moodledata": written("moodledata.tar.zst", fingerprint="fp"),
        "plugins": written("plugins.tar.zst"),
        "containers": written("container_info.json", compose=written("docker-compose.yml"), compose_files=[]),
        "site": {"changed": False},
    }


def test_every_file_that_was_written_is_described_once():
    found = {entry["file"]: entry for entry in artefacts(plan(), results(), STACK)}
    assert {name: entry["role"] for name, entry in found.items()} == {
        "database.dump.zst": "database", "database_roles.sql": "roles", "filedir.sha1": "filedir",
        "image_moodle_1.tar.zst": "images", "image_postgres_15.tar.zst": "images", "application.tar.zst": "application",
        "moodledata.tar.zst": "data", "plugins.tar.zst": "plugins", "container_info.json": "containers",
        "docker-compose.yml": "compose"}
    assert found["filedir.sha1"]["tree"] == {"volume": "data", "path": "filedir", "storage": "volume"}
    assert (found["filedir.sha1"]["attributes"], found["filedir.sha1"]["new"]) == ({"owner": [1, 2]}, 0)
    assert found["moodledata.tar.zst"]["tree"] == described(DATA) and found["moodledata.tar.zst"]["fingerprint"] == "fp"
    assert found["image_moodle_1.tar.zst"]["shared"] is True and "shared" not in found["image_postgres_15.tar.zst"]
    assert "fingerprint" not in found["application.tar.zst"] and "dest" not in found["application.tar.zst"]


def test_what_was_copied_beside_the_containers_is_described_too():
    made = results()
    made["containers"].update(compose=None, compose_files=[written("compose.yml"), written("compose_2.yml")])
    files = [entry["file"] for entry in artefacts(plan(), made, STACK) if entry["role"] == "compose"]
    assert files == ["compose.yml", "compose_2.yml"]


def test_in_check_mode_nothing_has_a_size():
    made = {name: {} for name in results()}
    made["content"] = {"database": {"dest": "/x/database.dump.zst"}, "filedir": {"files": 3, "new": 3}}
    made["application"] = {"dest": "/x/application.tar.zst"}
    found = artefacts(plan(), made, STACK)
    unknown = {"size": None, "sha256": None}
    assert found == [dict(unknown, role="database", file="database.dump.zst"),
                     dict(unknown, role="application", file="application.tar.zst", tree=described(CODE))]
