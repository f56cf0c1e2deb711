# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore that changes settings in config.php, and goes wrong, leaves config.php as it was to the last byte.

The site has not changed since the backup, so nothing else would have to be restored.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from lab.play import Play, run
from lab.site import Site
from lab.state import differences

CHANGED = {"moodle_backup_restore_settings": {"own_setting": "of the copy"}}


def made(site):
    """Make a site and a backup of it; yield both and the site's state, and remove everything in the end."""
    try:
        site.destroy()
        site.create()
        settings = {"moodle_backup_root": str(site.backups), "moodle_backup_container": site.web,
                    "moodle_backup_images": False, "moodle_backup_name": "good"}
        code, output = run("backup", settings)
        assert code == 0, output
        yield site, settings, site.state()
    finally:
        site.destroy()


@pytest.fixture(scope="module")
def behind_link():
    """A site whose config.php is a link into another volume than that of the code."""
    yield from made(Site("mcb-mol-settings", code="links"))


@pytest.fixture(scope="module")
def single_file():
    """A site whose config.php is a bind mount of its own, and whose compose file is in the folder with the code."""
    yield from made(Site("mcb-mol-single", code="bind", data="bind", project="mcb-mol-single", project_in_code=True))


def config_of(site):
    """Return where config.php of the site behind a link is on this host (Path)."""
    return Path(site.engine.volumes.get("%s-settings" % site.name).attrs["Mountpoint"]) / "config.php"


def moved(site):
    """Return the variables of a restore under another address, at which the site can be reached too (dict)."""
    return dict(CHANGED, moodle_backup_restore_wwwroot=site.address().replace("127.0.0.1", "localhost"))


def file_state(path):
    status = path.stat()
    return path.read_bytes(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, path.parent.stat().st_mtime_ns


def traces(site):
    """Return what an unfinished restore may have left (list of str), but for the site's own state."""
    return sorted(str(path) for part in ("locks", "restores") for path in (site.backups / part).glob("*")) + [
        item.name for item in site.engine.containers.list(all=True, ignore_removed=True)
        if item.name.startswith(site.name) and "_mb_" in item.name]


def forge(site, edit):
    """Make another backup out of the good one whose metadata are edited; return its name."""
    folder = site.backups / "backups"
    target = folder / "forged"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / "good", target)
    metadata = dict(json.loads((target / "backup.json").read_text()), name=target.name)
    edit(metadata)
    (target / "backup.json").write_text(json.dumps(metadata))
    manifest = target / "backup_manifest.txt"
    names = sorted(path.name for path in target.iterdir() if path != manifest)
    manifest.write_text("".join("%s  %s\n" % (hashlib.sha256((target / name).read_bytes()).hexdigest(), name) for name in names))
    return target.name


@pytest.mark.parametrize("older", [False, True], ids=["a backup", "a backup that does not say where config.php is"])
def test_a_change_is_undone_if_the_restore_fails(behind_link, older):
    site, settings, state = behind_link

    def edit(metadata):
        metadata["site"]["siteidentifier"] = "another site's"
        if older:
            del metadata["moodle"]["config_place"]

    before = file_state(config_of(site))
    code, output = run("restore", dict(settings, **moved(site), moodle_backup_name=forge(site, edit)))
    assert code != 0
    message = output.rsplit("Nothing was restored on localhost: ", maxsplit=1)[-1]
    assert "job 'check the site'" in message and "What was there before has been put back." in message
    assert file_state(config_of(site)) == before
    assert differences(state, site.state()) == []
    assert traces(site) == []


def test_a_change_is_undone_if_the_restore_is_cut_off(behind_link):
    site, settings, state = behind_link
    before = file_state(config_of(site))

    def changed():
        try:
            return b"of the copy" in config_of(site).read_bytes()
        except FileNotFoundError:
            return False  # it is being switched

    play = Play("restore", dict(settings, **CHANGED))
    play.wait_for(changed, "the new settings")
    play.kill()
    assert changed()
    code, output = run("rollback", settings)
    assert code == 0 and "is undone: what was there before runs again." in output
    assert file_state(config_of(site)) == before
    assert differences(state, site.state()) == []
    assert traces(site) == []


def test_a_change_is_the_same_if_it_is_made_again(behind_link):
    site, settings, state = behind_link
    original = config_of(site).read_bytes()
    found = []
    for _time in range(2):
        code, output = run("restore", dict(settings, **moved(site)))
        assert code == 0, output
        found.append(config_of(site).read_bytes())
    assert found[0] == found[1] and found[0].count(b"$CFG->own_setting = 'of the copy';") == 1
    assert b"$CFG->wwwroot = 'http://localhost:" in found[0]
    assert len(found[0].splitlines()) == len(original.splitlines()) + 4
    code, output = run("restore", settings)
    assert code == 0, output
    assert config_of(site).read_bytes() == original
    assert differences(state, site.state()) == []
    site.visit()


def test_a_change_that_could_not_be_undone_is_refused(single_file):
    site, settings, state = single_file
    web = site.engine.containers.get(site.web)
    code, output = run("restore", dict(settings, **CHANGED))
    assert code != 0
    message = output.rsplit("Nothing was restored on localhost: ", maxsplit=1)[-1]
    assert "%s is mounted as a single file. Mount the folder" % (site.folder / "settings" / "config.php") in message
    assert "What was there before" not in message
    assert differences(state, site.state()) == []
    assert traces(site) == []
    now = site.engine.containers.get(site.web)
    assert (now.id, now.attrs["State"]["StartedAt"]) == (web.id, web.attrs["State"]["StartedAt"])


def test_a_compose_file_beside_the_code_comes_back_with_it(single_file):
    site, settings, state = single_file
    secret = site.project_folder / ".env"
    before = file_state(secret)[:4]
    secret.write_text("DB_PASSWORD=another\n")
    site.change()
    code, output = run("restore", settings)
    assert code == 0, output
    assert file_state(secret)[:4] == before
    assert differences(state, site.state()) == []
    assert traces(site) == []
