# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.moodleclaude.backup.plugins.module_utils import _copy_scripts, _copy_sites, _json_file
from ansible_collections.moodleclaude.backup.plugins.module_utils._copy_kinds import _SFTP
from ansible_collections.moodleclaude.backup.plugins.module_utils._copy_restic import address_secrets, hidden
from ansible_collections.moodleclaude.backup.plugins.module_utils._copy_rsync import Store
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import (
    CommandError,
    IntegrityError,
    LockedError,
    StorageError,
)
from ansible_collections.moodleclaude.backup.plugins.module_utils._remote_shell import Shell

ODD = ["two words", "it's", '"quoted"', "$HOME `id` $(id)", "line\nbreak", "*", "-rf", ""]


def test_a_value_never_becomes_a_part_of_a_script():
    said = Shell().text("saying", """for value in "$@"; do printf '<%s>' "$value"; done""", *ODD)
    assert said == "".join("<%s>" % value for value in ODD)


def test_nor_for_the_shell_at_the_other_end():
    shell = Shell({"host": "there"})
    command = shell._command("printf '%s\\0' \"$@\"", ODD)[-1]
    said = subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True).stdout
    assert said.split("\0")[:-1] == ODD
    shell.close()


def test_a_script_that_fails_anywhere_fails():
    with pytest.raises(CommandError) as caught:
        Shell().text("trying", "false; echo done")
    assert caught.value.message.startswith("this host: trying failed")
    with pytest.raises(CommandError):
        Shell().text("trying", 'echo "$nothing"')


@pytest.mark.parametrize(("stderr", "rc", "kind", "hint"), [
    ("Host key verification failed.", 255, CommandError, "Is it the right host?"),
    ("u@h: Permission denied (publickey).", 255, CommandError, "authorized_keys of u@h"),
    ("ssh: connect to host h port 22: No route to host", 255, CommandError, "goes on where it stopped"),
    ("rsync: write failed: No space left on device (28)", 11, StorageError, "Make room there"),
    ("rsync: read errors mapping \"x\": Input/output error (5)", 23, IntegrityError, None),
    ("sh: 1: rsync: not found", 127, CommandError, "It needs sh"),
    ("sudo: a password is required", 1, CommandError, "sudo without a password"),
    ("mkdir: cannot create directory: Permission denied", 1, CommandError, "who owns the folder"),
])
def test_each_failure_says_what_to_do(stderr, rc, kind, hint):
    error = Shell({"host": "h", "user": "u"}).failure("trying", CommandError("x", rc=rc, stderr=stderr))
    assert error.__class__ is kind and (hint is None or hint in error.hint)
    assert error.message.startswith("u@h: trying failed: ")


def test_one_at_a_time_holds_a_lock(tmp_path):
    (tmp_path / "lock").touch()
    with Shell().holding(str(tmp_path / "lock"), False, "it") as check:
        check()
        with pytest.raises(LockedError), Shell().holding(str(tmp_path / "lock"), False, "it"):
            pass
    for _attempt in range(2):
        with Shell().holding(str(tmp_path / "lock"), True, "it"), Shell().holding(str(tmp_path / "lock"), True, "it"):
            pass
    with pytest.raises(CommandError):
        Shell().holding(str(tmp_path / "missing"), True, "it").__enter__()


def test_stored_files_are_kept_as_long_as_any_folder_lists_them(tmp_path):
    """Whatever its state: a backup, one that is being copied, one whose metadata nobody can read."""
    names = ["%040x" % number for number in range(5)]
    pool = tmp_path / "pools" / "school" / "filedir" / "00" / "00"
    pool.mkdir(parents=True)
    for name in names:
        (pool / name).touch()
    for folder, name in (("good", names[0]), (".partial_copy_school@x", names[1]), ("broken", names[2])):
        (tmp_path / "backups" / folder).mkdir(parents=True)
        (tmp_path / "backups" / folder / "filedir.sha1").write_text("%s  ../x\n" % name)
    assert Store(Shell(), str(tmp_path)).sweep("school") == 2
    assert sorted(path.name for path in pool.iterdir()) == names[:3]
    # One that has lost its list may need anything.
    (tmp_path / "backups" / "good" / "filedir.sha1").unlink()
    (tmp_path / "backups" / "good" / "backup_manifest.txt").write_text("%s  filedir.sha1\n" % ("0" * 64))
    with pytest.raises(CommandError) as caught:
        Store(Shell(), str(tmp_path)).sweep("school")
    assert "has lost its list" in caught.value.message and len(list(pool.iterdir())) == 3
    assert not list((tmp_path / "pools" / "school").glob(".sweep*"))


def test_what_lies_in_a_copy_besides_is_passed_over(tmp_path):
    for name, text in (("a b", "{}"), ("good", '{\n "created": 1.5,\n "name": "good",\n "stack": "s"\n}\n'),
                       ("renamed", '{\n "created": 1.5,\n "name": "other",\n "stack": "s"\n}\n'),
                       ("broken", "{"), ("future", '{\n "created": 1e30,\n "name": "future",\n "stack": "s"\n}\n')):
        (tmp_path / "backups" / name).mkdir(parents=True)
        (tmp_path / "backups" / name / "backup.json").write_text(text)
        (tmp_path / "backups" / name / "backup_manifest.txt").write_text("x\n")
    (tmp_path / "backups" / "file").touch()
    found = Store(Shell(), str(tmp_path)).list()
    assert list(found) == ["good"] and found["good"]["created"] == 1.5 and len(found["good"]["manifest"]) == 64
    assert found["good"]["site"] is None
    assert Store(Shell(), str(tmp_path / "nowhere")).list() == {}


def test_the_site_is_read_in_the_list(tmp_path):
    for name, site in (("one", {"siteidentifier": 'a "b", c', "version": "1"}), ("two", {"siteidentifier": None})):
        (tmp_path / "backups" / name).mkdir(parents=True)
        (tmp_path / "backups" / name / "backup_manifest.txt").touch()
        document = {"created": 1.5, "name": name, "stack": "s", "site": site, "page": {"x": '  "siteidentifier": "x"'}}
        _json_file.write(str(tmp_path / "backups" / name / "backup.json"), document)
    found = Store(Shell(), str(tmp_path)).list()
    assert found["one"]["site"] == _copy_sites.digest('a "b", c') and found["two"]["site"] is None


def test_every_script_is_sh(tmp_path):
    for name, script in vars(_copy_scripts).items():
        if name.isupper():
            subprocess.run(["sh", "-n", "-c", script], check=True)


@pytest.mark.parametrize(("address", "parts"), [
    ("sftp:u@h:/path", ("u", "h", None)), ("sftp:h:path", (None, "h", None)),
    ("sftp://u@h:2222//path", ("u", "h", "2222")), ("sftp://h/path", (None, "h", None)),
    ("s3:http://h/b", None), ("/sftp", None),
])
def test_addresses_over_sftp(address, parts):
    match = _SFTP.match(address)
    assert (match and match.group("user", "host", "port")) == parts


def test_a_password_in_an_address_is_hidden():
    address = "rest:https://me:se%20cret@h:8000/x"
    assert hidden(address, address_secrets(address)) == "rest:https://me:********@h:8000/x"
    assert address_secrets("/path") == address_secrets("s3:http://h/b") == address_secrets("sftp:u@h:/x") == []
