# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/backup-format.md to the letter: what it says of the files of a backup, and how it restores one by hand.

The blocks of the page are run as they stand, with nothing of this collection. Only the name of the folder of the backup is
replaced, as the reader does it.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from lab.play import run  # noqa: E402
from lab.site import Site  # noqa: E402
from lab.state import differences  # noqa: E402
from markdown_pages import Page  # noqa: E402

PAGE = Page(Path(__file__).resolve().parents[2] / "docs/backup-format.md")
EXAMPLE = "/var/backups/moodleclaude/backups/school_20250131_201530"

# One site has its code in the container, its data on a volume, a companion, files beside the compose file, and images that
# nobody else has; the other one has all of its files in folders of the host, and a dump in plain format. With both, the
# names of the database and its owner have to be quoted wherever they are used.
LAYOUTS = {
    "volumes": ({"companion": True, "project": "mcb-byhand", "own_images": True, "odd_names": True}, {},
                "database.dump.zst"),
    "folders": ({"code": "bind", "data": "bind"},
                {"moodle_backup_self_contained": True, "moodle_backup_compression": "gzip",
                 "moodle_backup_images": False, "moodle_backup_database_format": "plain"}, "database.sql.gz"),
}


@pytest.fixture(scope="module", params=list(LAYOUTS))
def backed_up(request, require_image):
    """A site, what it was, and the folder of its backup."""
    for image in ("moodle", "postgresql:15", "tiny"):
        require_image("moodleclaude-test/%s" % image)
    layout, settings, dump = LAYOUTS[request.param]
    site = Site("mcb-byhand", dbname='sch"ool', dbuser="moodle owner", **layout)
    try:
        site.destroy()
        site.create()
        if site.project:
            second = site.engine.networks.create("%s-second" % site.name)
            second.connect(site.web, aliases=["other"])
        code, output = run("backup", dict(
            settings, moodle_backup_root=str(site.backups), moodle_backup_container=site.web, moodle_backup_name="one"))
        assert code == 0, output[-3000:]
        folder = site.backups / "backups" / "one"
        assert [path.name for path in folder.glob("database.*")] == [dump]
        yield site, site.state(), folder
    finally:
        site.destroy()


def blocks():
    """The shell blocks of the section, in their order."""
    start = PAGE.text[:PAGE.text.index("## Restore by hand")].count("\n")
    return [block.text for block in PAGE.blocks if block.language == "shell" and block.line > start]


def shell(folder, scripts):
    """Run blocks in one shell, after going to the folder as the first block says. Return the finished process."""
    assert EXAMPLE in scripts[0]
    script = "\n".join([scripts[0].replace(EXAMPLE, str(folder)), *scripts[1:]])
    return subprocess.run(["bash", "-euo", "pipefail"], input=script, capture_output=True, text=True, timeout=300,
                          env={"PATH": os.environ["PATH"], "HOME": "/root"}, check=False)


def test_every_file_is_on_the_page(backed_up):
    _site, _state, folder = backed_up
    patterns = {cell.strip(" `") for table in PAGE.tables for row in table[1:] for cell in row[0].split(",")}
    patterns |= {pattern.replace(".zst", ".gz") for pattern in patterns} | {"compose.yml"}
    names = {path.name for path in folder.iterdir()}
    assert len(names) > 10
    assert {name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)} == set()
    root = {path.name for path in folder.parents[1].iterdir()}
    assert {name for name in root if not any(pattern.startswith(name + "/") for pattern in patterns)} == set()


def test_damage_is_seen_before_anything_is_done(backed_up):
    site, _state, folder = backed_up
    copy = site.folder / "damaged"
    shutil.copytree(folder, copy, copy_function=os.link)
    archive = next(path for path in copy.glob("application.tar*"))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.unlink()
    archive.write_bytes(content)
    done = shell(copy, blocks()[:2])
    assert done.returncode != 0 and archive.name in done.stdout


def test_restore_by_hand_gives_the_same_site(backed_up):
    site, before, folder = backed_up
    site.empty()
    done = shell(folder, blocks())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert int(done.stdout.split()[-1]) > 0  # the login form
    found = [line for line in differences(before, site.state()) if not expected(line)]
    assert found == []
    site.visit()


def expected(line):
    """True for what the page does not bring back: the time of a folder that exists in the image, set by docker cp."""
    return line.startswith("trees > code > . > mtime:")
