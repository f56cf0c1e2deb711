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
        "trees": [DATA, SETTINGS], "filedir": FILES, "database": {"container": "db", "name": "moodle"}}


def accepted(made):
    """Assert that side_by_side takes these jobs; return them by name."""
    params = {"jobs": made, "processes": 0, **dict.fromkeys(_jobs.DOCKER_OPTIONS)}
    assert len(_jobs._prepared(params, 2)) == len(made)
    return {job["name"]: job["args"] for job in made}


def test_the_databases_image_is_loaded_first():
    backup = {"database": {"container": "db"},
              "containers": [{"name": "web", "image_id": WEB}, {"name": "db", "image_id": DB}]}
    web, database, both = {"images": [{"id": WEB}]}, {"images": [{"id": DB}]}, {"images": [{"id": WEB}, {"id": DB}]}
    assert restore_plan.database_images(backup, [web, database]) == {"database": [database], "others": [web]}
    # An old backup has all images in one archive.
    assert restore_plan.database_images(backup, [both]) == {"database": [both], "others": []}
    assert restore_plan.database_images(backup, []) == {"database": [], "others": []}


def test_images_are_loaded_from_the_backup():
    artefact = {"file": "image_x.tar.zst", "images": [{"id": WEB, "name": "x"}]}
    args = accepted(restore_plan.image_jobs([artefact], "/backups/one"))["load image_x.tar.zst"]
    assert args == {"src": "/backups/one/image_x.tar.zst", "images": artefact["images"]}


@pytest.mark.parametrize(("actions", "absent", "new"), [
    ([], [], []), (["create volume data"], [], [DATA]), (["create volume database"], [], []), ([], ["web"], [CODE]),
    (["create volume data"], ["web"], [DATA, CODE])])
def test_what_was_just_made_needs_no_comparison(actions, absent, new):
    parts = restore_plan.split_new([DATA, CODE, SETTINGS], {"actions": actions, "absent": absent})
    assert parts["new"] == new and parts["there"] == [entry for entry in (DATA, CODE, SETTINGS) if entry not in new]


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
    results = {"compare moodledata.tar.zst": {"different": False}, "compare configuration.tar.zst": {"different": True},
               "compare application.tar.zst": {}}
    assert restore_plan.different([DATA, SETTINGS, CODE], results) == [SETTINGS, CODE]
    assert restore_plan.different([DATA], {}) == [DATA]


def test_preparing_is_comparing_without_the_question():
    prepared = accepted(restore_plan.prepare_jobs([DATA], OPTIONS))["prepare moodledata.tar.zst"]
    compared = accepted(restore_plan.compare_jobs([DATA], OPTIONS))["compare moodledata.tar.zst"]
    assert dict(prepared, compare=True) == compared and "compare" not in prepared


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


def test_a_new_layer_is_filled_at_once():
    layer = dict(FILES, tree={"container": "web", "path": "/data/filedir", "storage": "layer"})
    made = accepted(restore_plan.layer_jobs([CODE, layer], OPTIONS))
    assert made["fill application.tar.zst"]["phase"] == made["all filedir.sha1"]["phase"] == "all"
    assert made["all filedir.sha1"]["src"] == "/backups/one/filedir.sha1" and made["all filedir.sha1"]["check"] is True


def test_all_are_offered_as_filters():
    offered = restore_plan.FilterModule().filters()
    assert all(getattr(restore_plan, name) is function for name, function in offered.items())
    assert {"split_new", "compare_jobs", "different", "prepare_jobs", "filedir_job", "phase_jobs", "layer_jobs",
            "image_jobs", "database_images"} == set(offered)
