# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore that goes wrong leaves the old site running; one that was killed is undone, or done again, by one command."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest
from lab.play import Play, run
from lab.site import Site
from lab.state import differences

LOAD = "Bring images, the database, and files that are not right already, beside what is in use"


@pytest.fixture(scope="module")
def site():
    made = Site("mcb-mol-undo", data="bind", companion=True)
    try:
        # What a run that was killed has left.
        subprocess.run(["umount", "-q", made.folder / "moodledata"], check=False)
        made.destroy()
        # A small disk of its own for the data, with room for what is to stay free.
        data = made.folder / "moodledata"
        data.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", data], check=True)
        made.create()
        yield made
    finally:
        subprocess.run(["umount", "-q", made.folder / "moodledata"], check=False)
        made.destroy()


@pytest.fixture(scope="module")
def settings(site):
    return {"moodle_backup_root": str(site.backups), "moodle_backup_container": site.web, "moodle_backup_images": False}


@pytest.fixture(scope="module")
def original(site, settings):
    """What the site was when the backup 'good' was made."""
    code, output = run("backup", dict(settings, moodle_backup_name="good"))
    assert code == 0, output
    return site.state()


@pytest.fixture(scope="module")
def changed(site, original):
    """What the site has become since then, and is before and after each of the tests."""
    site.change()
    state = site.state()
    assert differences(original, state) != []
    return state


@pytest.fixture
def forge(site):
    """A function that makes another backup out of the good one, with a manifest that is right."""
    folder = site.backups / "backups"
    made = []

    def forged(edit):
        target = folder / ("forged%d" % len(list(folder.iterdir())))
        shutil.copytree(folder / "good", target)
        made.append(target)
        metadata = json.loads((target / "backup.json").read_text())
        metadata["name"] = target.name
        edit(target, metadata)
        (target / "backup.json").write_text(json.dumps(metadata))
        manifest = target / "backup_manifest.txt"
        names = sorted(path.name for path in target.iterdir() if path != manifest)
        manifest.write_text("".join("%s  %s\n" % (hashlib.sha256((target / name).read_bytes()).hexdigest(), name) for name in names))
        return target.name

    yield forged
    for path in made:
        shutil.rmtree(path)


@pytest.fixture
def forge_database(site, forge):
    """A function that makes a backup whose record of the database's container is changed by edit(definition)."""

    def forged(edit):
        def changed(folder, _metadata):
            record = json.loads((folder / "container_info.json").read_text())
            edit(record["containers"][site.db]["definition"])
            (folder / "container_info.json").write_text(json.dumps(record))

        return forge(changed)

    return forged


def traces(site):
    """Return what an unfinished restore may have left (list of str), but for the site's own state."""
    return sorted(str(path.relative_to(site.backups)) for part in ("locks", "restores")
                  for path in (site.backups / part).glob("*")) + [
        item.name for item in site.engine.containers.list(all=True, ignore_removed=True)
        if item.name.startswith(site.name) and "_mb_" in item.name]


def fails(site, settings, changed, name, *expected, touched=False, **more):
    """Restore from a backup that cannot work; the site has to be what it was, and run.

    :param touched: bool, the site had to be stopped; if nothing was switched it goes on as if nothing had happened.
    """
    web = site.engine.containers.get(site.web)
    code, output = run("restore", dict(settings, moodle_backup_name=name, **more))
    assert code != 0
    message = output.rsplit("Nothing was restored on localhost: ", maxsplit=1)[-1]
    assert "What was there before has been put back." in message
    noted = json.loads((site.backups / "outcomes" / ("%s.json" % site.web)).read_text())["restore"]
    assert not noted["ok"] and noted["message"].startswith("Nothing was restored on localhost: ")
    for text in expected:
        assert text in message and text in noted["message"]
    assert differences(changed, site.state()) == []
    assert traces(site) == []
    now = site.engine.containers.get(site.web)
    assert touched or (now.id, now.attrs["State"]["StartedAt"]) == (web.id, web.attrs["State"]["StartedAt"])


def test_engine_that_cannot_be_reached(site, settings, changed):
    there = "unix:///nowhere.sock"
    code, output = run("restore", dict(settings, moodle_backup_name="good", moodle_backup_docker_host=there))
    assert code != 0
    message = output.rsplit("Nothing was restored on localhost: ", maxsplit=1)[-1]
    assert "Take the stack for this restore" in message and "%s: the Docker Engine cannot be reached" % there in message
    assert differences(changed, site.state()) == []
    assert traces(site) == []


def test_damaged_images(site, settings, changed, forge):
    def edit(folder, metadata):
        (folder / "images.tar").write_bytes(b"this is no archive of images" * 1000)
        image = {"name": "mcb-mol-undo/missing:1", "id": "sha256:" + "0" * 64}
        metadata["artefacts"].append({"role": "images", "file": "images.tar", "images": [image]})

    fails(site, settings, changed, forge(edit), LOAD, "images.tar")


def test_truncated_dump(site, settings, changed, forge):
    def edit(folder, _metadata):
        plain = subprocess.run(["zstd", "-dc", folder / "database.dump.zst"], check=True, capture_output=True).stdout
        subprocess.run(["zstd", "-qf", "-o", folder / "database.dump.zst"], check=True, input=plain[: len(plain) * 2 // 3])

    fails(site, settings, changed, forge(edit), LOAD)


def test_sql_error(site, settings, changed, forge):
    def edit(folder, _metadata):
        plain = subprocess.run(["zstd", "-dc", folder / "database.dump.zst"], check=True, capture_output=True).stdout
        broken = plain.replace(b"CREATE TABLE public.mdl_course_modules (", b"CREATE TABEL public.mdl_course_modules (")
        assert broken != plain
        subprocess.run(["zstd", "-qf", "-o", folder / "database.dump.zst"], check=True, input=broken)

    fails(site, settings, changed, forge(edit), LOAD, "syntax error", "TABEL")


def test_missing_rows(site, settings, changed, forge):
    def edit(_folder, metadata):
        dump = next(entry for entry in metadata["artefacts"] if entry["role"] == "database")
        dump["tables"]["public.mdl_user"] += 1

    fails(site, settings, changed, forge(edit), LOAD, "public.mdl_user")


def test_disk_full(site, settings, changed):
    def resize(size):
        subprocess.run(["mount", "-o", "remount,size=%s" % size, site.folder / "moodledata"], check=True)

    used = shutil.disk_usage(site.folder / "moodledata").used
    resize(used + 256 * 1024)
    try:
        # The estimate knows; without it, the disk says so when it is full.
        fails(site, settings, changed, "good", "There is not enough room in")
        fails(site, settings, changed, "good", "No space left on device", moodle_backup_check_space=False)
    finally:
        resize("160m")


def test_proof_fails(site, settings, changed, forge):
    def edit(_folder, metadata):
        metadata["site"]["siteidentifier"] = "another site's"

    fails(site, settings, changed, forge(edit), "Start the site, finish it, and prove that it works", "job 'check the site'",
          "site identifier", "another site's", touched=True)


def test_database_container_that_cannot_be_created(site, settings, changed, forge_database):
    """When the rollback begins, no container has the database's name."""
    def edit(definition):
        definition["host_config"]["NanoCpus"] = 10**15

    fails(site, settings, changed, forge_database(edit), "Stop the site, switch its files and its database", "CPUs",
          touched=True)


def test_database_container_that_cannot_be_started(site, settings, original, changed, forge_database, taken_port):
    """Nor what did not run before."""
    tools = site.engine.containers.get("%s-tools" % site.name)
    assert original["containers"][tools.name]["running"]

    def edit(definition):
        definition["config"]["ExposedPorts"] = {"5432/tcp": {}}
        definition["host_config"]["PortBindings"] = {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": taken_port}]}

    tools.stop()
    try:
        fails(site, settings, site.state(), forge_database(edit), "start the site", taken_port, touched=True)
    finally:
        tools.start()


def web_id(site, running=False):
    """Return the ID of the web container (str), or None if there is none, or if it has to run and does not."""
    found = site.engine.api.containers(all=not running, filters={"name": "^/%s$" % site.web})
    return found[0]["Id"] if found else None


def kill_at(site, settings, point, name="good"):
    """Kill a restore of a backup as soon as it has come to a point."""
    before = web_id(site)
    play = Play("restore", dict(settings, moodle_backup_name=name))
    if point == "database loaded":
        play.wait_for(lambda: int(site.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_mb\\_%'")), point)
    elif point == "site started":
        play.wait_for(lambda: web_id(site, running=True) not in (None, before), point)
    elif point == "containers set aside":
        play.wait_for(lambda: site.engine.api.containers(all=True, filters={"name": "^/%s-.*_mb_.*_old$" % site.name}), point)
    else:
        pattern = {"files unpacked": ".moodle_backup_*_new*", "files switched": ".moodle_backup_*_old*"}[point]
        play.wait_for(lambda: list((site.folder / "moodledata").glob(pattern)), point)
    play.kill()


@pytest.mark.parametrize("point", ["database loaded", "files unpacked", "files switched", "containers set aside",
                                   "site started"])
def test_killed_and_rolled_back(site, settings, changed, point, forge_database):
    def edit(definition):
        definition["config"]["Labels"] = dict(definition["config"].get("Labels", {}), other="label")

    # So the database's container is among them.
    kill_at(site, settings, point, forge_database(edit) if point == "containers set aside" else "good")
    if point == "files switched":
        # The site is stopped now; whoever tries something else is told what to do.
        code, output = run("backup", settings)
        assert code != 0 and "did not end" in output
        assert "un the restore again, or undo it with the playbook moodleclaude.backup.rollback" in output
    code, output = run("rollback", settings)
    assert code == 0, output
    assert "is undone: what was there before runs again." in output
    assert differences(changed, site.state()) == []
    assert traces(site) == []


def test_nothing_to_roll_back(site, settings, changed):
    code, output = run("rollback", settings)
    assert code == 0 and "there is nothing to undo" in output and "changed=0" in output
    assert differences(changed, site.state()) == []


@pytest.mark.usefixtures("original")
@pytest.mark.parametrize("ran", [False, True])
def test_rolled_back_where_no_database_is(site, settings, ran):
    """It is nothing to mend if none was there when the restore began, or if it was cut off before it looked."""
    name = "%s-none" % site.name
    plan = {"transaction": "r1", "containers": [name], "started": [name], "database": {"container": name, "name": "moodle"},
            "src": "/none", "image": "none", "folder": "/none", "pool": "/none", "trees": [], "filedir": {}, "layers": []}
    record = site.backups / "restores" / ("%s.json" % name)
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"backup": "good", "transaction": "r1", "proved": False,
                                  "plan": dict(plan, **({"running": [name]} if ran else {}))}))
    try:
        code, output = run("rollback", settings)
        assert (code != 0) == ran == record.exists()
        assert ("Container '%s', which ran before the restore, is gone" % name in output) == ran
    finally:
        record.unlink(missing_ok=True)


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize(("empty", "point"), [(False, "containers set aside"), (True, "site started")],
                         ids=["over the site", "onto nothing"])
def test_killed_and_done_again(site, settings, original, empty, point):
    if empty:
        site.empty()
    kill_at(site, settings, point)
    code, output = run("restore", dict(settings, moodle_backup_name="good"))
    assert code == 0, output
    assert differences(original, site.state()) == []
    assert traces(site) == []
    site.visit()


def test_database_whose_files_have_moved(site, settings, original, forge, engine):
    """The dump goes to where the files are now, and no other container takes over."""
    other = "%s-elsewhere" % site.name

    def edit(folder, _metadata):
        text = (folder / "container_info.json").read_text()
        there = "%s-dbdata" % site.name
        assert text.count('"%s"' % there) and text.count("%s:/var/lib/postgresql/data" % there)
        (folder / "container_info.json").write_text(
            text.replace('"%s"' % there, '"%s"' % other).replace("%s:/var" % there, "%s:/var" % other))

    if differences(original, site.state()) == []:
        site.change()
    before = site.engine.containers.get(site.db)
    try:
        code, output = run("restore", dict(settings, moodle_backup_name=forge(edit)))
        assert code == 0, output
        assert "Container '%s' has something else mounted than recorded at /var/lib/postgresql/data" % site.db in output
        assert differences(original, site.state()) == []
        after = site.engine.containers.get(site.db)
        assert (after.id, after.attrs["State"]["StartedAt"]) == (before.id, before.attrs["State"]["StartedAt"])
        assert traces(site) == []
    finally:
        if engine.volume(other):
            engine.remove_volume(other)


def test_what_was_replaced_cannot_be_removed(site, settings, original):
    """The restored site stays, the stack is free, and the rollback removes the rest."""
    play = Play("restore", dict(settings, moodle_backup_name="good"))
    record = site.backups / "restores" / ("%s.json" % site.web)
    play.wait_for(lambda: record.exists() and '"proved": true' in record.read_text(), "the proof")
    with play.halted():
        site.engine.containers.get(site.db).stop(timeout=10)
    assert play.wait() != 0
    assert "was restored from backup good and works, but what it replaced is still there" in play.output
    noted = json.loads((site.backups / "outcomes" / ("%s.json" % site.web)).read_text())["restore"]
    assert not noted["ok"] and "works, but what it replaced is still there" in noted["message"]
    assert not list((site.backups / "locks").glob("*"))

    site.engine.containers.get(site.db).start()
    site.wait()
    code, output = run("rollback", settings)
    assert code == 0, output
    assert "was complete; what it had replaced is removed." in output
    assert differences(original, site.state()) == []
    assert traces(site) == []
    assert json.loads((site.backups / "outcomes" / ("%s.json" % site.web)).read_text())["restore"]["ok"]
