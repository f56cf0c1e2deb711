# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive is installed where nothing else of the collection is, and everything in it runs there.

The control node is no Docker host but has the engine's socket, so the files of the site go through the Docker API. With
the oldest release of ansible-core that the collection supports, with the last one for Debian 12's Python, and with
the newest one that PyPI offers for Debian 13's. The Pythons come from Debian, so those of this machine do not matter.
"""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path

import pytest
import yaml
from lab import release
from lab.control import Control, dependencies, install_core
from lab.site import Site
from lab.state import differences

ROOT = Path(__file__).resolve().parents[2]
# {name: (requirement, release of Debian, its Python)}
CORES = {"2.17": ("ansible-core==2.17.*", "12", "3.11"), "newest": ("ansible-core", "13", "3.13"),
         "2.19": ("ansible-core==2.19.*", "12", "3.11")}
RESTORING = list(CORES)[:2]  # what is between them differs too little for the time that it takes
NAMESPACE = "moodleclaude.backup."
HOSTS = "localhost ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n"
SITE = Path(sysconfig.get_path("purelib"))  # here are the other collections


@pytest.fixture(scope="module")
def site():
    made = Site("mcb-installed")
    try:
        made.destroy()
        made.create()
        made.backups.mkdir(mode=0o700)
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def original(site):
    """What the site is before anything is done to it."""
    return site.state()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    return release.build(release.copy_of(ROOT, folder / "tree"), folder)


@pytest.fixture(scope="module", params=CORES)
def core(request, tmp_path_factory):
    """Name of a release, its version, and the folder that it is in."""
    requirement, _debian, python = CORES[request.param]
    folder = tmp_path_factory.mktemp("core")
    return request.param, install_core(requirement, python, folder), folder


@pytest.fixture(scope="module")
def needed():
    """The collections that come with this one, as galaxy.yml says, and their folders."""
    wanted = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    return dependencies(wanted, SITE)


@pytest.fixture(scope="module")
def more(needed):
    """Those that a playbook names besides; its documentation says that its user has to install them."""
    used = set()
    for pattern in ("playbooks/*.yml", "roles/*/tasks/**/*.yml", "roles/*/handlers/*.yml"):
        for path in ROOT.glob(pattern):
            used.update(re.findall(r"^[ -]*([a-z_]+\.[a-z_]+)\.\w+:", path.read_text(encoding="utf-8"), re.MULTILINE))
    return dependencies(sorted(used - set(needed) - {"ansible.builtin", "moodleclaude.backup"}), SITE)


@pytest.fixture(scope="module")
def node(core, site, archive, needed, more, require_image):
    """A control node on which a user has installed the archive."""
    name, _version, folder = core
    image = require_image("moodleclaude-test/control:%s" % CORES[name][1])
    with Control("%s-control" % site.name, image, folder, site.backups, needed, more) as made:
        made.copy(archive, "/root/")
        made.write("/root/hosts.ini", HOSTS)
        made.run("ansible-galaxy", "collection", "install", "--offline", archive.name)
        yield made


def names_of(*patterns):
    return sorted(NAMESPACE + path.stem for pattern in patterns for path in ROOT.glob(pattern))


def play(node, playbook, **settings):
    """Run a playbook as a user does. What a backup warns of is no matter here, what Ansible is going to refuse is."""
    command = ("ansible-playbook", "-i", "hosts.ini", NAMESPACE + playbook, "-e", json.dumps(settings))
    return node.run(*command, refused="DEPRECATION WARNING]")


def test_release_is_the_one_that_is_meant(core, node, record_property):
    name, version, _folder = core
    record_property("ansible-core", version)
    numbers = tuple(int(number) for number in version.split(".")[:2])
    assert numbers > (2, 19) if name == "newest" else version.startswith(name + ".")
    assert "core %s]" % version in node.run("ansible-playbook", "--version")


def test_archive_is_installed_as_it_was_built(node, archive):
    listed = json.loads(node.run("ansible-galaxy", "collection", "list", "--format", "json", "moodleclaude.backup"))
    (found,) = (collections["moodleclaude.backup"] for collections in listed.values())
    assert "moodleclaude-backup-%s.tar.gz" % found["version"] == archive.name
    said = node.run("ansible-galaxy", "collection", "verify", "--offline", "moodleclaude.backup")
    assert "Successfully verified" in said


def test_documentation_of_everything_can_be_read(node):
    everything = {"module": names_of("plugins/modules/*.py"), "filter": names_of("plugins/filter/*.yml"),
                  "role": names_of("roles/*")}
    for kind, names in everything.items():
        listed = json.loads(node.run("ansible-doc", "--json", "--list", "--type", kind, "moodleclaude.backup"))
        assert set(names) <= set(listed), kind
        shown = json.loads(node.run("ansible-doc", "--json", "--type", kind, *names))
        for name in names:
            assert shown[name]["entry_points" if kind == "role" else "doc"], name


def test_every_playbook_is_understood(node):
    names = names_of("playbooks/*.yml")
    said = node.run("ansible-playbook", "-i", "hosts.ini", "--syntax-check", *names, more=True)
    assert said.count("playbook: ") == len(names)


def backed_up(node, core, site):
    """Make a backup, if this release has none yet; return its name."""
    name = "core-%s" % core[0]
    if not (site.backups / "backups" / name).is_dir():
        play(node, "backup", moodle_backup_container=site.web, moodle_backup_name=name, moodle_backup_images=False)
    return name


def test_a_site_is_backed_up(node, core, site):
    """The backups of all releases are in one place, so that each finds those of the others."""
    name = backed_up(node, core, site)
    play(node, "list", moodle_backup_format="json", moodle_backup_list_file="/root/list.json")
    assert '"%s"' % name in node.run("cat", "list.json")
    play(node, "verify", moodle_backup_name=name)


# pytest goes by the number of a parameter to run what has the same one together, so these have to be the first ones.
@pytest.mark.parametrize("core", RESTORING, indirect=True, scope="module")
def test_a_site_is_restored(node, core, site, original):
    name = backed_up(node, core, site)
    site.change()
    assert differences(original, site.state()) != []
    play(node, "restore", moodle_backup_name=name)
    assert differences(original, site.state()) == []
