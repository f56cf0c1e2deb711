# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dump and the stored files of a backup belong together, whatever the site does at the worst moment."""

from __future__ import annotations

import json
import os

import pytest
from lab.closure import held, lacking, needed
from lab.leaks import Watch
from lab.site import Site

NAME = "mcb-mol-content"
ELSEWHERE = 2  # what every stand-in site knows by reference only


@pytest.fixture(scope="module")
def site():
    made = Site(NAME, fill={"users": 2, "files": 8, "size-mb": 1, "rows": 50})
    try:
        made.destroy()
        made.create()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def backup(engine, site, tmp_path):
    """A function that backs up the site's content in this process and returns the result (dict).

    Its arguments: functions that are called before and after each dump with the number of the dump, filedir (dict of
    options besides those that are always needed), and options of the module.
    """
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    from ansible_collections.moodleclaude.backup.plugins.module_utils import _content
    from ansible_collections.moodleclaude.backup.plugins.module_utils._module import DOCKER_OPTIONS

    folder = tmp_path / "backups" / "one"
    folder.mkdir(parents=True)

    def run(before=None, after=None, filedir=None, **args):
        places = {"volume": NAME + "-data", "path": "filedir", "trash": "trashdir", "dest": str(folder / "filedir.sha1"),
                  "pool": str(tmp_path / "pools" / "school" / "filedir")}
        given = dict({"container": site.db, "database": site.dbname, "username": site.dbuser, "password": site.dbpass,
                      "dest": str(folder / "database.dump.zst"), "roles_dest": str(folder / "database_roles.sql"),
                      "filedir": dict(places, **(filedir or {}))}, **args)
        call = _content.CONTENT_BACKUP
        checked = ArgumentSpecValidator({**DOCKER_OPTIONS, **call.options}, **call.rules).validate(given)
        assert checked.error_messages == []
        whole_dump, count = _content._Run._dump, 0

        def dump(self, client, **options):
            nonlocal count
            count += 1
            if before:
                before(count)
            result = whole_dump(self, client, **options)
            if after:
                after(count)
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_content._Run, "_dump", dump)
            result = call.work(engine, checked.validated_parameters, False, False)
        assert result["attempts"] == count
        json.dumps(result)
        return result

    run.folder, run.root = folder, tmp_path
    return run


def at(number, action):
    """Return a function that does something when it is called with this number."""
    return lambda count: action() if count == number else None


def left(backup):
    """Return the names of all files in the backup's folder."""
    return sorted(os.listdir(backup.folder))


def closed(backup, site, result, prefix="mdl_"):
    assert (result["complete"], result["reasons"]) == (True, [])
    assert lacking(backup.folder, site.db, prefix) == set()
    assert left(backup) in (["database.dump.zst", "database_roles.sql", "filedir.sha1"],
                            ["database.dump.zst", "database_roles.sql", "filedir.tar.zst"])


def test_one_login_is_enough(backup, site, monkeypatch):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _dump, postgresql

    logins = []

    def log_in(*words, admin=False):
        logins.append(admin)
        return whole_log_in(*words, admin=admin)

    whole_log_in = postgresql.log_in
    monkeypatch.setattr(postgresql, "log_in", log_in)
    monkeypatch.setattr(_dump, "log_in", log_in)
    closed(backup, site, backup())
    assert logins.count(False) == 1


def test_nothing_happens(backup, site, stored):
    name = stored.upload()
    result = backup()
    closed(backup, site, result)
    assert result["attempts"] == 1 and result["elsewhere"] == ELSEWHERE and len(result["warnings"]) == 1
    assert name in needed(backup.folder / "database.dump.zst", site.db)
    assert result["filedir"]["files"] == len(held(backup.folder)) == result["filedir"]["new"]
    assert result["filedir"]["missing"] == result["filedir"]["site_damage"] == {"count": 0, "examples": []}


def test_deleted_before_the_dump(backup, site, stored):
    """What the first pass has taken and the dump does not refer to does no harm."""
    name = stored.upload()
    result = backup(before=at(1, lambda: (stored.delete(name), stored.purge())))
    closed(backup, site, result)
    assert result["attempts"] == 1 and name not in needed(backup.folder / "database.dump.zst", site.db)


def test_deleted_and_purged_after_the_dump(backup, site, stored):
    """The dump refers to what is gone for good; the first pass has kept it."""
    name = stored.upload()
    result = backup(after=at(1, lambda: (stored.delete(name), stored.purge())))
    closed(backup, site, result)
    assert result["attempts"] == 1 and result["filedir"]["promoted"] == 0
    assert name in needed(backup.folder / "database.dump.zst", site.db)


def test_uploaded_after_the_first_pass(backup, site, stored):
    names = []
    result = backup(before=at(1, lambda: names.append(stored.upload())))
    closed(backup, site, result)
    assert result["attempts"] == 1 and set(names) <= needed(backup.folder / "database.dump.zst", site.db)


def test_uploaded_after_the_first_pass_and_deleted_after_the_dump(backup, site, stored):
    """The content is in the trash by the time the second pass comes."""
    names = []
    result = backup(before=at(1, lambda: names.append(stored.upload())), after=at(1, lambda: stored.delete(names[0])))
    closed(backup, site, result)
    assert result["attempts"] == 1 and result["filedir"]["promoted"] == 1
    assert set(names) <= needed(backup.folder / "database.dump.zst", site.db)


def test_uploaded_deleted_and_purged_around_the_dump(backup, site, stored):
    """No pass has seen the content; another dump no longer refers to it."""
    names = []
    result = backup(before=at(1, lambda: names.append(stored.upload())),
                    after=at(1, lambda: (stored.delete(names[0]), stored.purge())))
    closed(backup, site, result)
    assert result["attempts"] == 2 and result["filedir"]["missing"]["count"] == 0
    assert not set(names) & needed(backup.folder / "database.dump.zst", site.db)


def _vanish_at_each_dump(stored, names):
    """Return (before, after): at each dump another file is stored, whose content somebody removes; its row stays."""
    return (lambda _count: names.append(stored.upload())), (lambda _count: stored.path(names[-1]).unlink())


@pytest.mark.parametrize("form", ["pool", "archive"])
def test_what_vanishes_behind_the_sites_back_is_an_error(backup, site, stored, form):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError

    names = []
    filedir = {} if form == "pool" else {
        "archive": True, "pool": str(backup.folder / ".pool"), "dest": str(backup.folder / "filedir.tar.zst")}
    before, after = _vanish_at_each_dump(stored, names)
    with pytest.raises(IntegrityError) as caught:
        backup(before, after, filedir)
    assert len(names) == 3  # so often it was tried
    assert set(caught.value.details["missing"]["examples"]) == set(names)
    assert all(name in caught.value.message for name in names) and "accept_incomplete" in caught.value.hint
    assert [name for name in left(backup) if name != ".pool"] == []


def test_a_backup_that_is_not_closed_does_not_replace_one_that_is(backup, site, stored):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError

    closed(backup, site, backup())
    state = {name: (backup.folder / name).read_bytes() for name in left(backup)}
    before, after = _vanish_at_each_dump(stored, [])
    with pytest.raises(IntegrityError):
        backup(before, after, {"overwrite": True}, overwrite=True)
    assert state == {name: (backup.folder / name).read_bytes() for name in left(backup)}
    stored.forget()
    closed(backup, site, backup(filedir={"overwrite": True}, overwrite=True))


def test_what_vanishes_behind_the_sites_back_can_be_accepted(backup, site, stored):
    names = []
    result = backup(*_vanish_at_each_dump(stored, names), accept_incomplete=True)
    assert result["complete"] is False and "3 stored files vanished" in result["reasons"][0]
    assert any("not complete" in warning for warning in result["warnings"])
    assert set(result["filedir"]["missing"]["examples"]) == lacking(backup.folder, site.db) == set(names)


@pytest.mark.parametrize("attempts", [1, 2])
def test_the_number_of_attempts_is_obeyed(backup, site, stored, attempts):
    names = []
    result = backup(*_vanish_at_each_dump(stored, names), accept_incomplete=True, attempts=attempts)
    assert result["attempts"] == attempts == len(names)


def test_what_was_missing_or_damaged_before_is_the_sites_own(backup, site, stored):
    lost, spoiled = stored.upload(), stored.upload()
    stored.path(lost).unlink()
    stored.path(spoiled).write_bytes(b"x" * 100)
    result = backup()
    assert (result["complete"], result["reasons"], result["attempts"]) == (True, [], 1)
    assert result["filedir"]["site_damage"] == {"count": 2, "examples": sorted([lost, spoiled])}
    assert result["filedir"]["missing"]["count"] == 0
    assert result["filedir"]["rejected"] == {"count": 1, "examples": [spoiled]}
    assert any("2 stored files were missing or damaged on the site before" in warning for warning in result["warnings"])
    assert lacking(backup.folder, site.db) == {lost, spoiled}


def test_a_file_that_vanishes_while_another_one_was_missing(backup, stored):
    """The site's own damage does not cover what goes wrong meanwhile."""
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import IntegrityError

    lost, names = stored.upload(), []
    stored.path(lost).unlink()
    with pytest.raises(IntegrityError) as caught:
        backup(*_vanish_at_each_dump(stored, names))
    assert sorted(caught.value.details["missing"]["examples"]) == sorted(names)


def test_references_to_elsewhere(backup, site, stored):
    """A row that refers to another repository need not have content here; its content is taken if it is there."""
    here = stored.upload()
    stored.row(here, reference="7")
    stored.row("f" * 40, reference="8")
    stored.row("e" * 40, size=0)
    result = backup()
    closed(backup, site, result)
    assert result["elsewhere"] == ELSEWHERE + 1
    assert any("%d files are references to other places" % (ELSEWHERE + 1) in warning for warning in result["warnings"])


def test_an_external_store_is_refused_unless_it_is_accepted(backup, site):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError

    with pytest.raises(UsageError) as caught:
        backup(external_files=True)
    assert "external store" in caught.value.message and "accept_incomplete" in caught.value.hint
    assert left(backup) == [] and os.listdir(backup.root) == ["backups"]
    result = backup(external_files=True, accept_incomplete=True)
    assert (result["complete"], result["reasons"]) == (False, ["files are kept in an external store"])
    assert lacking(backup.folder, site.db) == set()


def test_an_archive_holds_the_same(backup, site, stored):
    kept, trashed, purged = stored.upload(), [], []

    def before(count):
        trashed.append(stored.upload())
        if count == 1:
            purged.append(stored.upload())

    def after(count):
        stored.delete(trashed[-1])
        if count == 1:
            stored.delete(purged[0])
            stored.purge()

    result = backup(before, after, {"archive": True, "pool": str(backup.folder / ".pool"),
                                    "dest": str(backup.folder / "filedir.tar.zst")})
    closed(backup, site, result)
    assert left(backup) == ["database.dump.zst", "database_roles.sql", "filedir.tar.zst"]
    assert result["attempts"] == 2 and result["filedir"]["dest"] == str(backup.folder / "filedir.tar.zst")
    assert {kept, trashed[-1]} <= held(backup.folder) and purged[0] not in held(backup.folder)


def test_tables_with_another_prefix(backup, site, stored):
    site.sql("CREATE TABLE other_files (LIKE mdl_files INCLUDING ALL)")
    try:
        lost = stored.upload()
        stored.path(lost).unlink()
        names = [stored.upload(prefix="other_")]
        result = backup(before=at(1, lambda: names.append(stored.upload(prefix="other_"))),
                        after=at(1, lambda: [os.rename(stored.path(name), stored.path(name).with_suffix(".tmp"))
                                             for name in names[:1]]), prefix="other_")
        closed(backup, site, result, "other_")
        # What only the other table refers to is no concern of this site.
        assert result["filedir"]["site_damage"]["count"] == 0
        assert needed(backup.folder / "database.dump.zst", site.db, "other_") == set(names)
    finally:
        site.sql("DROP TABLE other_files")


def test_a_bare_prefix_is_the_tables_name(backup, site, stored):
    site.sql("CREATE TABLE files (LIKE mdl_files INCLUDING ALL)")
    try:
        name = stored.upload(prefix="")
        closed(backup, site, backup(prefix=""), "")
        assert needed(backup.folder / "database.dump.zst", site.db, "") == {name}
    finally:
        site.sql("DROP TABLE files")


def test_what_a_killed_run_has_left_is_gone(backup, site):
    (backup.folder / ".filedir.sha1.open.work").mkdir()
    for name in (".filedir.sha1.open.work/wanted", ".filedir.sha1.open", ".database.dump.zst.open", ".database_roles.sql.open"):
        (backup.folder / name).write_text("left")
    closed(backup, site, backup())


def test_a_database_without_the_table(backup):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import BackupError

    with pytest.raises(BackupError) as caught:
        backup(prefix="none_")
    assert "none_files" in caught.value.message
    assert left(backup) == []


def test_check_mode_writes_nothing(ok, site, tmp_path):
    arguments = {"container": site.db, "database": site.dbname, "username": site.dbuser, "dest": str(tmp_path / "dump"),
                 "filedir": {"volume": NAME + "-data", "path": "filedir", "pool": str(tmp_path / "pool"),
                             "dest": str(tmp_path / "list")}}
    result = ok("moodle_content_backup", check=True, **arguments)
    assert result["changed"] and result["filedir"]["new"] > 0 and result["database"]["database"] == site.dbname
    assert os.listdir(tmp_path) == []


def test_no_password_is_ever_seen(run_module, site, tmp_path):
    password = site.dbpass
    arguments = {"container": site.db, "database": site.dbname, "username": site.dbuser, "password": password,
                 "dest": str(tmp_path / "dump"), "roles_dest": str(tmp_path / "roles"),
                 "filedir": {"volume": NAME + "-data", "path": "filedir", "pool": str(tmp_path / "pool"),
                             "dest": str(tmp_path / "list")}}
    with Watch({"database password": password}, tmp_path) as watch:
        result = run_module("moodle_content_backup", arguments)
    assert not result.get("failed"), result
    assert watch.seen == [] and password not in json.dumps(result)
    # Where it has no business it is refused, and its value is not repeated.
    arguments["filedir"]["password"] = "a password in the wrong place"
    del arguments["password"]
    result = run_module("moodle_content_backup", arguments)
    assert result["failed"] and "password" in result["msg"] and "wrong place" not in result["msg"]


@pytest.mark.parametrize(("filedir", "text"), [
    ({"required": "/x"}, "required"), ({"expected": "/x", "missing_dest": "/y"}, "expected"),
    ({"pool": None}, "pool"), ({"dest": None}, "dest"), ({"container": "other"}, "mutually exclusive"),
    ({"path": "none"}, "There is no folder")])
def test_bad_options_of_the_stored_files(backup, filedir, text):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import BackupError

    with pytest.raises(BackupError) as caught:
        backup(filedir=filedir)
    assert text in caught.value.message
    assert left(backup) == []


def test_what_is_there_is_not_overwritten_unasked(backup, site):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import ExistsError

    for name in ("database.dump.zst", "database_roles.sql", "filedir.sha1"):
        (backup.folder / name).write_text("precious")
        with pytest.raises(ExistsError):
            backup()
        assert left(backup) == [name] and (backup.folder / name).read_text() == "precious"
        (backup.folder / name).unlink()
    closed(backup, site, backup())


def test_two_files_of_one_name_are_refused(backup):
    from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError

    with pytest.raises(UsageError) as caught:
        backup(filedir={"dest": str(backup.folder / "database.dump.zst")})
    assert "same path" in caught.value.message and left(backup) == []
