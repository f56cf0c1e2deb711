# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding a stack, asking a site and finishing it, on two stand-in sites."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lab.site import Site  # noqa: E402

PASSWORD = "Datab4se \"&' $PATH \\ %d"


@pytest.fixture(scope="module")
def sites(require_image):
    """Two sites: one of a Compose project with a companion, one whose code is a bind mount and which uses getenv."""
    for image in ("moodle", "postgresql:15", "tiny"):
        require_image("moodleclaude-test/%s" % image)
    word = "mcb-stack-%s" % os.urandom(3).hex()
    made = [
        Site(word + "a", companion=True, project=word + "a", dbname="school", dbpass=PASSWORD),
        Site(word + "b", code="bind", data="bind", config="getenv", prefix="m_", dbpass=PASSWORD),
    ]
    try:
        for site in made:
            site.create()
        yield made
    finally:
        for site in made:
            site.destroy()


@pytest.fixture
def found(sites, run_module):
    """What is found of each of the two sites."""
    return [run_module("moodle_stack_info", {"container": site.web})["stack"] for site in sites]


def test_several_sites_are_told_apart(sites, run_module):
    failed = run_module("moodle_stack_info", {})
    assert failed["failed"] and {site.web for site in sites} <= {entry["container"] for entry in failed["candidates"]}
    assert all(site.web in failed["msg"] for site in sites) and "'container' or 'project'" in failed["msg"]
    assert run_module("moodle_stack_info", {"project": sites[0].project})["stack"]["web"]["name"] == sites[0].web


def test_all_of_a_site_is_found(sites, found):
    first, second = found
    assert first["name"] == sites[0].project and second["name"] == sites[1].web
    assert [entry["name"] for entry in first["containers"]] == [sites[0].web, sites[0].db, sites[0].name + "-tools"]
    assert [entry["name"] for entry in second["containers"]] == [sites[1].web, sites[1].db]
    assert first["database"]["container"] == sites[0].db and first["database"]["name"] == "school"
    assert first["database"]["server_mounts"] == ["/var/lib/postgresql/data"]
    assert second["database"]["prefix"] == "m_" and second["moodle"]["owner"] == [33, 33]
    assert [plugin["component"] for plugin in first["moodle"]["plugins"]] == ["local_moodleclaude", "local_own"]
    assert first["plugin_paths"] == ["local/moodleclaude", "local/own"]
    assert first["moodle"]["branch"] == "405" and first["warnings"] == []


def test_the_settings_are_where_their_bytes_are(sites, found, run_module):
    assert found[0]["moodle"]["config_place"] == {
        "container": sites[0].web, "path": "/var/www/html/config.php", "storage": "layer"}
    # A file that is mounted by itself, inside another mount.
    config = str(sites[1].folder / "settings" / "config.php")
    assert found[1]["moodle"]["config_place"] == {"path": config, "storage": "bind"}
    # A link into a volume.
    sites[0].sh("mv /var/www/html/config.php /var/www/moodledata/real.php\n"
                "ln -s ../moodledata/real.php /var/www/html/config.php")
    try:
        moodle = run_module("moodle_stack_info", {"container": sites[0].web})["stack"]["moodle"]
    finally:
        sites[0].sh("mv /var/www/moodledata/real.php /var/www/html/config.php")
    assert moodle["config"] == "/var/www/html/config.php"
    assert moodle["config_place"] == {"volume": sites[0].name + "-data", "path": "real.php", "storage": "volume"}


def test_what_will_be_lost_is_said_aloud(sites, run_module):
    sites[0].sh("mkdir -p /etc/php/local && touch /etc/php/local/own.ini /tmp/nothing")
    result = run_module("moodle_stack_info", {"container": sites[0].web})
    assert [said for said in result["stack"]["warnings"] if sites[0].web in said and "/etc/php/local" in said]
    assert len(result["warnings"]) == len(result["stack"]["warnings"])
    sites[0].sh("rm -r /etc/php/local")


def test_every_byte_is_in_one_tree(sites, found):
    def where(stack):
        return {tree["file"]: (tree["storage"], tree.get("volume") or tree.get("container") or tree["path"])
                for tree in stack["trees"]}

    first, second = sites
    assert where(found[0]) == {
        "application": ("layer", first.web), "moodledata": ("volume", first.name + "-data"),
        "moodledata.filedir": ("volume", first.name + "-data"),
        "volume.%s-tools" % first.name: ("volume", first.name + "-tools"),
    }
    assert where(found[1]) == {
        "application": ("bind", str(second.folder / "code")), "moodledata": ("bind", str(second.folder / "moodledata")),
        "moodledata.filedir": ("bind", str(second.folder / "moodledata" / "filedir")),
        "bind.%s_var_www_html_config.php" % second.web: ("bind", str(second.folder / "settings" / "config.php")),
    }
    # The stored files go into a pool, and what the site has deleted only if it is needed.
    assert found[0]["filedir"] == {
        "volume": first.name + "-data", "path": "filedir", "storage": "volume", "role": "filedir", "file": "filedir",
        "trash": {"volume": first.name + "-data", "path": "trashdir", "storage": "volume"},
    }
    data = {tree["file"]: tree for tree in found[0]["trees"]}
    assert {"filedir", "trashdir/*"} <= set(data["moodledata"]["exclude"]) and data["moodledata"]["keep"] == ["filedir"]
    assert data["moodledata.filedir"]["exclude"] == data["moodledata.filedir"]["keep"] == ["[0-9a-f][0-9a-f]"]


def test_no_password_is_told(sites, run_module, engine):
    for site in sites:
        result = run_module("moodle_stack_info", {"container": site.web})
        assert PASSWORD not in str(result) and PASSWORD.replace("\\", "\\\\") not in str(result)
        _rc, password, _err = engine.run(site.web, result["stack"]["database"]["password_command"])
        assert password.decode() == PASSWORD


@pytest.mark.parametrize(("options", "words"), [
    ({"container": "mcb-stack-nowhere"}, "'mcb-stack-nowhere'"),
    ({"project": "mcb-stack-nowhere"}, "Compose project 'mcb-stack-nowhere' holds no installed Moodle"),
    ({"database_container": "mcb-stack-nowhere"}, "'mcb-stack-nowhere'"),
    ({"companions": ["mcb-stack-nowhere"]}, "'mcb-stack-nowhere'"),
    ({"config_paths": ["/mcb/nowhere"]}, "/mcb/nowhere does not exist"),
])
def test_what_is_named_and_not_there_is_named_in_the_error(sites, run_module, options, words):
    given = options if {"container", "project"} & set(options) else dict(options, container=sites[0].web)
    failed = run_module("moodle_stack_info", given)
    assert failed["failed"] and words in failed["msg"]


def test_findings_can_be_overridden(sites, run_module, tmp_path):
    (tmp_path / "settings.env").write_text("A=b\n")
    stack = run_module("moodle_stack_info", {
        "container": sites[0].web, "name": "renamed", "companions": [], "plugin_paths": ["mod/page"],
        "exclude_data": ["cache/*"], "config_paths": [str(tmp_path)],
    })["stack"]
    assert stack["name"] == "renamed" and len(stack["containers"]) == 2
    assert stack["plugin_paths"][-1] == "mod/page"
    assert ["cache/*" in tree["exclude"] for tree in stack["trees"] if tree["file"] == "moodledata"] == [True]
    beside, given = stack["configuration"]
    assert beside["path"] == stack["compose"]["working_dir"] and ".env" in beside["paths"]
    assert given == {"path": str(tmp_path), "role": "configuration", "storage": "bind", "file": "configuration-2"}


def test_a_container_without_a_moodle_says_so(sites, run_module):
    failed = run_module("moodle_stack_info", {"container": sites[0].db})
    assert failed["failed"] and "holds no installed Moodle" in failed["msg"]


def test_a_database_that_does_not_run_is_named(sites, run_module, engine):
    engine.stop(sites[1].db)
    try:
        failed = run_module("moodle_stack_info", {"container": sites[1].web})
        assert failed["failed"] and "'db'" in failed["msg"] and "not a running container" in failed["msg"]
    finally:
        engine.start(sites[1].db)
        sites[1].wait()


def check(run_module, site, stack, **options):
    return run_module("moodle_site_check", dict({
        "container": site.web, "config": stack["moodle"]["config"], "wwwroot": stack["moodle"]["wwwroot"],
        "wait_seconds": 0,
    }, **options))


def test_a_site_is_the_same_as_itself(sites, found, run_module):
    for site, stack in zip(sites, found):
        result = check(run_module, site, stack)
        assert not result["changed"] and re.fullmatch("Log in to the site .*", result["page"]["title"])
        assert result["site"]["files"]["needed"] > 0 and list(result["site"]["keys"]) == ["sodium.key"]
        again = check(run_module, site, stack, expected=result["site"])
        assert again["site"] == result["site"]


def test_damaged_and_missing_files_are_found(sites, found, run_module):
    site, stack = sites[1], found[1]
    before = check(run_module, site, stack)["site"]
    paths = site.sh("cd %s/filedir && find . -type f -path './??/??/*' -size +0 | head -n 2" % site.data_path).split()
    site.sh("cd %s/filedir && cp -p %s /tmp/one && cp -p %s /tmp/two && printf x >> %s && rm %s" % (
        site.data_path, *paths, *paths))
    try:
        hurt = check(run_module, site, stack)["site"]["files"]
        assert (hurt["damaged"], hurt["missing"]) == (1, 1)
        assert check(run_module, site, stack, content=False)["site"]["files"]["damaged"] == 0
        failed = check(run_module, site, stack, expected=before)
        assert failed["failed"] and "1 stored files are missing" in failed["msg"]
        assert "1 stored files are damaged" in failed["msg"]
    finally:
        site.sh("cd %s/filedir && cp -p /tmp/one %s && cp -p /tmp/two %s" % (site.data_path, *paths))
    assert check(run_module, site, stack, expected=before)["site"] == before


def test_a_site_that_does_not_answer_is_no_success(sites, found, run_module):
    site, stack = sites[1], found[1]
    site.sh("touch %s/climaintenance.html" % site.data_path)
    try:
        failed = check(run_module, site, stack)
        assert failed["failed"] and "status 503" in failed["msg"]
        assert check(run_module, site, stack, web=False)["page"] is None
    finally:
        site.sh("rm %s/climaintenance.html" % site.data_path)


def test_finishing_ends_tasks_and_sessions(sites, found, run_module):
    site, stack = sites[0], found[0]
    site.visit()
    site.sql("UPDATE mdl_task_scheduled SET timestarted = 1, hostname = 'h', pid = 1 WHERE id = 1")
    arguments = {"container": site.web, "moodle": stack["moodle"]}
    assert run_module("moodle_site_finish", arguments, check=True)["changed"]
    assert site.sql("SELECT count(*) FROM mdl_task_scheduled WHERE pid = 1") == "1"
    result = run_module("moodle_site_finish", arguments)
    assert "purge_caches.php" in result["steps"] and "kill_all_sessions.php" in result["steps"]
    assert site.sql("SELECT count(*) FROM mdl_task_scheduled WHERE timestarted IS NOT NULL") == "0"
    assert site.sql("SELECT count(*) FROM mdl_sessions") == "0"
    assert site.sh("find %s -user root -newer /proc/1 | head -n 1" % site.data_path) == ""
    assert site.admin_password not in str(result)


def test_settings_are_overridden_and_taken_back(sites, found, run_module, engine):
    site, stack = sites[0], found[0]
    arguments = {"container": site.web, "config": stack["moodle"]["config"], "settings": {"wwwroot": "http://it's.new"}}
    before = site.sh("cd /var/www/html && stat -c '%a %u %g' config.php && cat config.php")
    assert run_module("moodle_config", arguments, check=True)["changed"]
    assert site.sh("cd /var/www/html && stat -c '%a %u %g' config.php && cat config.php") == before
    engine.stop(site.web, 1)
    try:
        assert run_module("moodle_config", arguments)["changed"]
        assert not run_module("moodle_config", arguments)["changed"]
    finally:
        engine.start(site.web)
    moved = run_module("moodle_stack_info", {"container": site.web})["stack"]["moodle"]
    assert moved["wwwroot"] == "http://it's.new"
    assert run_module("moodle_config", dict(arguments, settings={}))["changed"]
    assert site.sh("cd /var/www/html && stat -c '%a %u %g' config.php && cat config.php") == before
    failed = run_module("moodle_config", dict(arguments, config="/etc/passwd"))
    assert failed["failed"] and "lib/setup.php" in failed["msg"]
    single = run_module("moodle_config", dict(arguments, container=sites[1].web, config=found[1]["moodle"]["config"]))
    assert single["failed"]  # a single file that is bind-mounted


def test_a_copy_gets_an_identifier_of_its_own(sites, found, run_module):
    site, stack = sites[0], found[0]
    before = check(run_module, site, stack)["site"]
    finished = run_module("moodle_site_finish", {
        "container": site.web, "moodle": stack["moodle"], "clone": True, "old_wwwroot": "http://a", "wwwroot": "http://b",
    })
    assert any("replace.php" in str(said) for said in finished["warnings"])
    after = check(run_module, site, stack, expected=before, clone=True)
    assert after["site"]["siteidentifier"] != before["siteidentifier"]
    assert check(run_module, site, stack, expected=before)["failed"]


def test_containers_are_started_and_stopped(sites, run_module, engine):
    names = [sites[0].name + "-tools", "mcb-stack-nowhere"]
    stopped = run_module("container_state", {"containers": names, "state": "stopped"}, check=True)
    assert stopped["changed"] and engine.container(names[0])["State"]["Running"]
    stopped = run_module("container_state", {"containers": names, "state": "stopped", "stop_timeout": 1})
    assert stopped["containers"] == names[:1] and stopped["missing"] == names[1:]
    assert not engine.container(names[0])["State"]["Running"]
    assert not run_module("container_state", {"containers": names, "state": "stopped"})["changed"]
    assert run_module("container_state", {"containers": names, "state": "started"})["changed"]
    assert engine.container(names[0])["State"]["Running"]
