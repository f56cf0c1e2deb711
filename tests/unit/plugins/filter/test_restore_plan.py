# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.moodleclaude.backup.plugins.filter import restore_plan
from ansible_collections.moodleclaude.backup.plugins.module_utils import _jobs

WEB, DB = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DATA = {"role": "data", "file": "moodledata.tar.zst", "tree": {
    "volume": "data", "path": "/", "storage": "volume", "exclude": ["x"], "keep": ["filedir"]}}
CODE = {"role": "application", "file": "application.tar.zst", "tree": {
    "container": "web", "path": "/code", "storage": "layer", "exclude": [], "keep": []}}
SETTINGS = {"role": "configuration", "file": "configuration.tar.zst", "tree": {
    "path": "/srv", "paths": [".env"], "storage": "bind"}}
FILES = {"role": "filedir", "file": "filedir.sha1",
         "attributes": {"owner": [33, 33], "file_mode": "0666", "folder_mode": "2777"},
         "tree": {"volume": "data", "path": "filedir", "storage": "volume"}}
OPTIONS = {"image": "moodle:1", "transport": "api", "transaction": "r1", "folder": "/backups/one",
           "pool": "/pools/x/filedir", "check": True}
PLAN = {"transaction": "r1", "image": "moodle:1", "folder": "/backups/one", "pool": "/pools/x/filedir",
        "src": "/backups/one/container_info.json", "containers": ["db", "web", "cron"],
        "trees": [DATA, SETTINGS], "filedir": FILES, "database": {"container": "db", "name": "moodle"}}


def accepted(made):
    """Assert that side_by_side takes these jobs; return them by name."""
    made = [{"after": [], **job} for job in made]
    params = {"jobs": made, "processes": 0, **dict.fromkeys(_jobs.DOCKER_OPTIONS)}
    assert len(_jobs._prepared(params, 2)) == len(made)
    return {job["name"]: job["args"] for job in made}


def order(made):
    return [job["name"] for job in made]


def image_archive(*identifiers):
    images = [{"id": one, "name": "x"} for one in identifiers]
    return {"file": "image_%s.tar.zst" % identifiers[0][7:9], "images": images}


def test_the_database_waits_for_its_own_image_only():
    backup = {"database": {"container": "db"},
              "containers": [{"name": "web", "image_id": WEB, "running": True}, {"name": "db", "image_id": DB,
                             "running": True}, {"name": "off", "image_id": WEB, "running": False}]}
    web, database, both = image_archive(WEB), image_archive(DB), image_archive(WEB, DB)
    made = restore_plan.base_jobs(PLAN, backup, [web, database])
    assert order(made) == ["load image_bb.tar.zst", "prepare the containers", "load image_aa.tar.zst"]
    assert made[1]["after"] == ["load image_bb.tar.zst"] and not made[2].get("after")
    jobs = accepted(made)
    assert jobs["load image_aa.tar.zst"] == {"src": "/backups/one/image_aa.tar.zst", "images": web["images"]}
    assert jobs["prepare the containers"] == {
        "src": "/backups/one/container_info.json", "transaction": "r1", "phase": "prepare", "ready": ["db"],
        "check_images": False, "started": ["web", "db"]}
    # An old backup has all images in one archive.
    assert order(restore_plan.base_jobs(PLAN, backup, [both])) == ["load image_aa.tar.zst", "prepare the containers"]
    # Nobody loads images that the backup does not have.
    assert accepted(restore_plan.base_jobs(PLAN, backup, []))["prepare the containers"]["check_images"] is True


@pytest.mark.parametrize(("actions", "absent", "there"), [
    ([], [], [DATA, CODE, SETTINGS]), (["create volume data"], [], [CODE, SETTINGS]),
    (["create volume database"], [], [DATA, CODE, SETTINGS]), ([], ["web"], [DATA, SETTINGS]),
    (["create volume data"], ["web"], [SETTINGS])])
def test_only_what_was_there_can_be_looked_at_in_check_mode(actions, absent, there):
    found = restore_plan.already_there([DATA, CODE, SETTINGS], {"actions": actions, "absent": absent})
    assert found == there


def test_comparing_writes_nothing_and_leaves_the_stored_files_alone():
    made = accepted(restore_plan.compare_jobs([DATA, SETTINGS, FILES], OPTIONS))
    assert sorted(made) == ["compare configuration.tar.zst", "compare moodledata.tar.zst"]
    args = made["compare moodledata.tar.zst"]
    assert args["compare"] is True and args["phase"] == "prepare" and args["keep"] == ["filedir"]
    assert (args["src"], args["volume"], args["transport"]) == ("/backups/one/moodledata.tar.zst", "data", "api")
    args = made["compare configuration.tar.zst"]
    assert (args["transport"], args["paths"], args["keep"]) == ("direct", [".env"], [])


def test_a_tree_whose_fingerprint_is_known_may_be_left_unread():
    data = dict(DATA, fingerprint="ab" * 32, tree=dict(DATA["tree"], exclude=["cache/*"]))
    args = accepted(restore_plan.compare_jobs([data], OPTIONS))["compare moodledata.tar.zst"]
    assert (args["fingerprint"], args["exclude"]) == ("ab" * 32, ["cache/*"])


def test_only_what_is_known_to_be_right_is_left_alone():
    results = {"prepare moodledata.tar.zst": {"different": False}, "prepare configuration.tar.zst": {"different": True},
               "compare application.tar.zst": {}}
    assert restore_plan.different([DATA, SETTINGS, CODE], results) == [SETTINGS, CODE]
    assert restore_plan.different([CODE], {"compare application.tar.zst": {"different": False}}) == []
    assert restore_plan.different([DATA], {"prepare moodledata.tar.zst": {"files": 3}}) == [DATA]
    assert restore_plan.different([DATA], {}) == [DATA]


def test_configuration_within_another_tree_comes_back_with_that():
    def tree(role, path, storage="bind"):
        return {"role": role, "tree": {"path": path, "storage": storage}}

    code, beside = tree("application", "/srv/moodle/code"), tree("configuration", "/srv/moodle")
    same, below = tree("configuration", "/srv/moodle/code"), tree("configuration", "/srv/moodle/code/docker")
    other, volume = tree("configuration", "/srv/moodle/code2"), tree("data", "", "volume")
    assert restore_plan.apart([code, beside, same, below, other, volume]) == [code, beside, other, volume]
    assert restore_plan.apart([tree("data", "/srv/moodle/code", "volume"), same])[1:] == [same]


def test_what_may_be_right_already_is_compared_before_it_is_unpacked():
    data = dict(DATA, fingerprint="ab" * 32)
    made = accepted(restore_plan.prepare_jobs([SETTINGS, data], OPTIONS))
    compared = accepted(restore_plan.compare_jobs([data], OPTIONS))["compare moodledata.tar.zst"]
    prepared = made["prepare moodledata.tar.zst"]
    assert prepared.pop("unless_same") is True and compared.pop("compare") is True and prepared == compared
    assert "fingerprint" not in made["prepare configuration.tar.zst"]


def test_what_is_to_be_unpacked_in_any_case_is_not_compared():
    made = accepted(restore_plan.prepare_jobs([SETTINGS, DATA], OPTIONS, [DATA["file"]]))
    assert made["prepare moodledata.tar.zst"]["unless_same"] is False
    assert made["prepare configuration.tar.zst"]["unless_same"] is True


def tree(file, role="mount", **place):
    return {"role": role, "file": file, "tree": place}


VOLUME = tree("application", "application", volume="code", path="/", storage="volume")
INNER = tree("inner", volume="code", path="settings", storage="volume")
BIND = tree("bind", path="/srv/school/html", storage="bind")
BESIDE = tree("configuration", "configuration", path="/srv/school/html", paths=["config.php", ".env"], storage="bind")


def config_place(place, trees=(VOLUME, INNER, BIND, DATA, SETTINGS), layers=(CODE,), **more):
    plan = dict(PLAN, trees=list(trees), layers=list(layers))
    moodle = {} if place is None else {"config_place": place}
    return restore_plan.config_place(plan, {"web": {"name": "web"}, "moodle": moodle}, **more)


@pytest.mark.parametrize(("place", "trees", "containers"), [
    ({"volume": "code", "path": "config.php", "storage": "volume"}, ["application"], []),
    ({"volume": "code", "path": "moodle/config.php", "storage": "volume"}, ["application"], []),
    ({"volume": "code", "path": "settings/config.php", "storage": "volume"}, ["inner"], []),
    ({"volume": "code", "path": "settings2/config.php", "storage": "volume"}, ["application"], []),
    ({"volume": "data", "path": "config.php", "storage": "volume"}, ["moodledata.tar.zst"], []),
    ({"path": "/srv/school/html/config.php", "storage": "bind"}, ["bind"], []),
    ({"path": "/srv/.env", "storage": "bind"}, ["configuration.tar.zst"], []),
    # In the container itself, be it the image's or not.
    ({"container": "web", "path": "/code/config.php", "storage": "layer"}, [], ["web"]),
    ({"container": "web", "path": "/etc/moodle/config.php", "storage": "layer"}, [], ["web"]),
    # An older backup says nothing of it.
    (None, ["application", "inner", "bind", "moodledata.tar.zst"], ["web"]),
])
def test_what_holds_the_settings_is_replaced_if_they_are_changed(place, trees, containers):
    assert config_place(place) == {"trees": trees, "containers": containers, "refusal": ""}
    assert config_place(place, changes=False) == {"trees": [], "containers": [], "refusal": ""}


def test_a_file_beside_the_compose_file_is_in_the_code_too():
    place = {"path": "/srv/school/html/config.php", "storage": "bind"}
    for trees in ([BIND, BESIDE], [BESIDE, BIND]):
        assert config_place(place, trees)["trees"] == ["bind"]
    assert config_place(place, [BESIDE])["trees"] == ["configuration"]


def test_older_backups_keep_their_code_in_other_containers_too():
    other = dict(CODE, tree=dict(CODE["tree"], container="another"))
    assert config_place(None, layers=[CODE, other])["containers"] == ["another", "web"]
    assert config_place(None, layers=[])["containers"] == ["web"]


@pytest.mark.parametrize(("place", "trees", "words"), [
    ({"path": "/srv/config.php", "storage": "bind"}, [tree("x", path="/srv/config.php", storage="bind")],
     "/srv/config.php is mounted as a single file. Mount the folder that holds it"),
    ({"path": "/etc/moodle/config.php", "storage": "bind"}, [BIND, VOLUME], "/etc/moodle/config.php is in no archive"),
    ({"volume": "other", "path": "config.php", "storage": "volume"}, [VOLUME], "config.php of volume 'other' is in no"),
    ({"container": "web", "path": "/run/config.php", "storage": "tmpfs"}, [VOLUME], "config.php of container 'web'"),
    ({"path": "/srv/school/config.php", "storage": "bind"}, [BIND, SETTINGS], "in no archive"),
])
def test_settings_that_could_not_be_put_back_are_refused(place, trees, words):
    found = config_place(place, trees)
    assert words in found["refusal"] and not found["trees"] and not found["containers"]
    assert config_place(place, trees, changes=False)["refusal"] == ""


def test_the_rest_waits_for_the_containers():
    backup = {"database": {"container": "db"}, "containers": [{"name": "db", "image_id": DB}]}
    rest = restore_plan.with_containers(restore_plan.prepare_jobs([DATA], OPTIONS))
    accepted(restore_plan.base_jobs(PLAN, backup, [image_archive(DB)]) + rest)
    assert [job["after"] for job in rest] == [["prepare the containers"]]


def test_stored_files_come_back_with_owner_and_modes():
    args = accepted(restore_plan.filedir_job(FILES, OPTIONS))["prepare filedir.sha1"]
    assert args == {"volume": "data", "path": "filedir", "image": "moodle:1", "transport": "api", "phase": "prepare",
                    "transaction": "r1", "src": "/backups/one/filedir.sha1", "pool": "/pools/x/filedir", "check": True,
                    "owner": [33, 33], "file_mode": "0666", "folder_mode": "2777"}
    assert restore_plan.filedir_job({}, OPTIONS) == []
    assert accepted(restore_plan.filedir_job(dict(FILES, attributes=None), dict(OPTIONS, check=False)))[
        "prepare filedir.sha1"]["check"] is False


@pytest.mark.parametrize("phase", ["switch", "commit", "rollback"])
def test_each_phase_is_for_all(phase):
    made = accepted(restore_plan.phase_jobs(PLAN, "auto", phase))
    assert sorted(made) == sorted("%s %s" % (phase, what) for what in (
        "configuration.tar.zst", "database", "filedir.sha1", "moodledata.tar.zst"))
    assert {args["phase"] for args in made.values()} == {phase}
    order = [job["name"].split()[1] for job in restore_plan.phase_jobs(PLAN, "auto", phase)]
    trees = ["moodledata.tar.zst", "configuration.tar.zst"]
    assert order[:3] == (["filedir.sha1", *trees] if phase == "rollback" else [*trees, "filedir.sha1"])
    assert {args["transaction"] for args in made.values()} == {"r1"}
    assert ("src" in made["%s filedir.sha1" % phase]) == (phase == "switch")
    assert "owner" not in made["%s filedir.sha1" % phase]
    assert "%s database" % phase not in accepted(restore_plan.phase_jobs(PLAN, "auto", phase, database=False))


def test_a_plan_of_an_older_run_has_no_stored_files_of_their_own():
    old = {key: value for key, value in PLAN.items() if key not in ("filedir", "pool")}
    assert sorted(accepted(restore_plan.phase_jobs(old, "auto", "rollback"))) == [
        "rollback configuration.tar.zst", "rollback database", "rollback moodledata.tar.zst"]


def test_switching_is_done_with_the_site_stopped():
    made = restore_plan.switch_jobs(PLAN, "auto", ["db"], ["web", "db"])
    middle = order(restore_plan.phase_jobs(PLAN, "auto", "switch"))
    assert order(made) == ["stop the site", *middle, "create the containers"]
    jobs = accepted(made)
    assert jobs["stop the site"] == {"containers": ["web", "cron"], "state": "stopped"}
    assert jobs["create the containers"] == {
        "src": PLAN["src"], "transaction": "r1", "phase": "switch", "state": "created", "containers": ["web", "cron"],
        "recreate": ["web"]}
    assert accepted(restore_plan.switch_jobs(PLAN, "auto", [], ["db"]))["create the containers"]["recreate"] == ["db"]


def test_committing_is_for_the_containers_too():
    made = restore_plan.commit_jobs(PLAN, "auto")
    assert order(made) == [*order(restore_plan.phase_jobs(PLAN, "auto", "commit")), "commit the containers"]
    assert accepted(made)["commit the containers"] == {"transaction": "r1", "phase": "commit"}


@pytest.mark.parametrize(("path", "mount", "touches"), [
    ("/srv/data", "/srv/data", True), ("/srv/data", "/srv", True), ("/srv", "/srv/data", True),
    ("/srv/data", "/", True),
    ("/srv/data", "/srv/dat", False), ("/srv/data", "/srv/data2", False)])
def test_paths_touch_a_mount_that_is_theirs_or_around_or_in_them(path, mount, touches):
    assert restore_plan.touching([path, "/other"], [mount]) == [path] * touches + ["/other"] * (mount == "/")
    assert restore_plan.touching([path], []) == []


def test_the_layer_of_a_new_container_is_filled_at_once():
    stored = dict(FILES, tree={"container": "web", "path": "/data/filedir", "storage": "layer"})
    other = dict(CODE, file="other.tar.zst", tree=dict(CODE["tree"], container="web2"))
    created = {"create the containers": {"actions": [
        "set container web aside as web_old", "create container web", "remove container web2"]}}
    jobs = restore_plan.layer_jobs([stored, CODE, other], created, OPTIONS)
    made = accepted(jobs)
    assert order(jobs) == ["fill application.tar.zst", "all filedir.sha1"]
    assert jobs[1]["after"] == ["fill application.tar.zst"]
    assert made["fill application.tar.zst"]["phase"] == made["all filedir.sha1"]["phase"] == "all"
    assert made["all filedir.sha1"]["src"] == "/backups/one/filedir.sha1" and made["all filedir.sha1"]["check"] is True
    assert restore_plan.layer_jobs([CODE], {"create the containers": {"actions": []}}, OPTIONS) == []


def test_all_are_offered_as_filters():
    offered = restore_plan.FilterModule().filters()
    assert all(getattr(restore_plan, name) is function for name, function in offered.items())
    assert {"base_jobs", "with_containers", "already_there", "compare_jobs", "different", "prepare_jobs", "filedir_job",
            "phase_jobs", "switch_jobs", "layer_jobs", "commit_jobs", "config_place", "touching",
            "apart"} == set(offered)
