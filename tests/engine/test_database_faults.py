# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""database_dump and database_restore when things go wrong: nothing half-done is taken for whole, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from database_server import DATABASE, USER_PASSWORD, Server

from ansible_collections.moodleclaude.backup.plugins.module_utils._engines import _databases

MEMORY_LIMIT = 150 * 1024 * 1024  # bytes, of the module and all its children
ROW_COUNT = 100_000
SMALL = "CREATE TABLE t (id int, word text); INSERT INTO t SELECT i, 'word' || i FROM generate_series(1, 1000) i;"
BIG = """
CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 100) AS text FROM generate_series(1, %d) i;
CREATE TABLE "t" (id int);
INSERT INTO t VALUES (1);
""" % ROW_COUNT
REST = ["postgres", "template0", "template1"]


@pytest.fixture(scope="module")
def shared(engine, require_image):
    """A server for all tests here."""
    name = "mcb-test-%s" % os.urandom(4).hex()
    try:
        yield Server(engine, name, require_image("moodleclaude-test/postgresql:15"))
    finally:
        engine.remove_container(name, volumes=True)


@pytest.fixture
def server(shared):
    """A server with one small database."""
    shared.drop()
    shared.create(content=SMALL, settings=False)
    return shared


@pytest.fixture
def big(shared):
    """A server whose database has some 320 MB of text in it. Tests must leave it as it is."""
    if shared.databases() != [DATABASE, *REST] or "big" not in shared.sql("SELECT relname FROM pg_class;", DATABASE):
        shared.drop()
        shared.create(content=BIG, settings=False)
    return shared


@pytest.fixture
def dump(server, run_module, tmp_path):
    """A function that dumps the small database in a format, not compressed, and returns the path."""

    def make(format="custom"):
        path = tmp_path / ("source." + format)
        result = run_module("database_dump", server.login(dest=str(path), format=format, compression="none"))
        assert "msg" not in result, result
        return path

    return make


def refused(result, *words):
    """The result (dict) is a failure whose message has these words, and no secret is in it."""
    assert result.get("failed"), result
    for word in words:
        assert word in result["msg"], result["msg"]
    assert json.dumps(USER_PASSWORD)[1:-1] not in json.dumps(result)


def start(module_command, module_environment, name, arguments):
    process = subprocess.Popen(module_command(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=module_environment)
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    return process


def until(condition, process=None):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        assert process is None or process.poll() is None, process.stdout.read()
        time.sleep(0.01)


def partial(dest):
    path = dest.parent / (".%s.partial" % dest.name)
    return lambda: path.exists() and path.stat().st_size > 2_000_000


def command_lines():
    """Return the arguments of every process on this machine (list of bytes)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


# --- dump -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_killed_dump_leaves_no_file_no_pg_dump_and_a_healthy_server(
        big, module_command, module_environment, tmp_path, compression):
    dest = tmp_path / "dump"
    arguments = big.login(dest=str(dest), compression=compression, compression_level=12)
    process = start(module_command, module_environment, "database_dump", arguments)
    until(partial(dest), process)
    inside, outside = big.processes(), command_lines()
    process.kill()
    process.wait()
    process.stdout.close()
    assert any("pg_dump" in line for line in inside)
    assert not any(USER_PASSWORD in line for line in inside)
    assert not any(USER_PASSWORD.encode() in line for line in outside)
    assert not dest.exists()
    until(lambda: not any("pg_dump" in line or "zstd" in line for line in big.processes()))
    assert big.answers()
    assert "was terminated by signal" not in big.log()


def test_a_container_that_is_stopped_in_the_middle_is_named(big, engine, module_command, module_environment, tmp_path):
    dest = tmp_path / "dump"
    arguments = big.login(dest=str(dest), compression="gzip", compression_level=9)
    process = start(module_command, module_environment, "database_dump", arguments)
    until(partial(dest), process)
    engine.stop(big.name, timeout=1)
    try:
        refused(json.loads(process.stdout.read()), "pg_dump", big.name)
    finally:
        process.wait()
        process.stdout.close()
        engine.start(big.name)
        big.wait()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_called_so(big, run_module, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        result = run_module("database_dump", big.login(dest=str(folder / "dump"), compression="none"))
        refused(result, str(folder / "dump"), "No space left on device")
        assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", folder], check=True)
    until(lambda: not any("pg_dump" in line for line in big.processes()))


@pytest.mark.parametrize("format", ["custom", "plain"])
def test_memory_stays_small_both_ways(big, measure_module, tmp_path, format):
    dest = tmp_path / "dump.zst"
    wanted = {"table": "big", "column": "id", "dest": str(tmp_path / "ids")}
    result, peak = measure_module("database_dump", big.login(dest=str(dest), format=format, references=[wanted]))
    assert result["references"][0]["count"] == ROW_COUNT
    assert result["tables"] == {"public.big": ROW_COUNT, "public.t": 1}
    assert result["raw_size"] > 300_000_000
    assert peak < MEMORY_LIMIT
    result, peak = measure_module("database_restore", big.admin(src=str(dest)))
    assert result["tables"] == {"public.big": ROW_COUNT, "public.t": 1}
    assert peak < MEMORY_LIMIT


def test_a_wrong_password_is_an_error(server, run_module, tmp_path):
    arguments = dict(server.login(dest=str(tmp_path / "d")), password="wr0ng-'%$")
    result = run_module("database_dump", arguments)
    refused(result, "password authentication failed", server.name)
    assert "wr0ng" not in json.dumps(result)
    assert os.listdir(tmp_path) == []


def test_a_locked_table_ends_the_dump_after_the_timeout(server, run_module, tmp_path):
    locker = threading.Thread(target=server.sql, args=("BEGIN; LOCK TABLE t; SELECT pg_sleep(8); COMMIT;", DATABASE))
    locker.start()
    try:
        until(lambda: server.sql("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted;", DATABASE))
        result = run_module("database_dump", server.login(dest=str(tmp_path / "d"), timeout=2))
        refused(result, "LOCK TABLE public.t", DATABASE)
    finally:
        locker.join()


def test_what_makes_no_sense_is_refused(server, run_module, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("precious")
    there = server.login(dest=str(taken))
    refused(run_module("database_dump", there), "exists already")
    refused(run_module("database_dump", there, check=True), "exists already")
    refused(run_module("database_dump", dict(there, dest=str(tmp_path / "no" / "d"))), "does not exist")
    refused(run_module("database_dump", dict(there, dest=str(tmp_path))), "is a folder")
    assert taken.read_text() == "precious"
    new = dict(there, dest=str(tmp_path / "new"))
    refused(run_module("database_dump", dict(new, database="nix")), "Database 'nix' does not exist")
    refused(run_module("database_dump", dict(new, database="x" * 64)), "longer than 63 bytes")
    refused(run_module("database_dump", dict(new, container="mcb-test-none")), "mcb-test-none")
    refused(run_module("database_dump", dict(new, password_command=["x"])), "mutually exclusive")
    assert os.listdir(tmp_path) == ["taken"]


# --- restore --------------------------------------------------------------------------------------------------------


def unharmed(server, before):
    assert server.databases() == [DATABASE, *REST]
    assert server.text() == before


@pytest.mark.parametrize("format", ["custom", "plain"])
def test_a_truncated_dump_changes_nothing(server, dump, run_module, format):
    before, path = server.text(), dump(format)
    content = path.read_bytes()
    for size in (len(content) // 2, content.index(b"777\tword777\n")):
        path.write_bytes(content[:size])
        refused(run_module("database_restore", server.admin(src=str(path))))
        unharmed(server, before)


def test_a_truncated_compressed_dump_changes_nothing(server, dump, run_module):
    before, path = server.text(), dump("plain")
    for program in (["zstd", "-qc"], ["gzip", "-c"]):
        packed = subprocess.check_output([*program, path])
        path.with_suffix(".packed").write_bytes(packed[:-20])
        refused(run_module("database_restore", server.admin(src=str(path.with_suffix(".packed")))))
        unharmed(server, before)


def test_an_sql_error_is_a_failure(server, dump, run_module):
    before, path = server.text(), dump("plain")
    path.write_bytes(path.read_bytes().replace(b"\n500\tword500\n", b"\n5x0\tword500\n"))
    refused(run_module("database_restore", server.admin(src=str(path))), "invalid input syntax", "5x0")
    unharmed(server, before)


def test_rows_that_are_missing_are_a_failure(server, dump, run_module):
    before, path = server.text(), dump("plain")
    path.write_bytes(path.read_bytes().replace(b"\n500\tword500\n", b"\n"))
    arguments = server.admin(src=str(path), tables={"public.t": 1000, "public.gone": 7})
    result = run_module("database_restore", arguments)
    refused(result, "public.t has 999 rows instead of 1000", "public.gone has no rows instead of 7")
    assert result["mismatches"]["public.t"] == {"expected": 1000, "found": 999}
    unharmed(server, before)


def test_the_server_knows_statistics_of_what_was_restored(server, dump, run_module):
    assert "msg" not in run_module("database_restore", server.admin(src=str(dump())))
    assert server.sql("SELECT attname FROM pg_stats WHERE tablename = 't' ORDER BY 1;", DATABASE) == ["id", "word"]


def test_statistics_that_cannot_be_collected_are_a_failure(server, dump, run_module):
    server.sql("""
        CREATE FUNCTION trap(number int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF current_query() LIKE 'ANALYZE%' THEN RAISE 'not today'; END IF;
            RETURN number;
        END $$;
        CREATE INDEX ON t (trap(id));
        """, DATABASE)
    before = server.text()
    refused(run_module("database_restore", server.admin(src=str(dump()))), "not today")
    unharmed(server, before)


def test_missing_roles_are_noticed_before_anything_is_loaded(server, dump, run_module):
    path = dump()
    server.drop()
    result = run_module("database_restore", server.admin(src=str(path)))
    refused(result, "has no role", "Give roles_src")
    assert server.databases() == REST


def test_a_role_that_is_missing_for_a_privilege_is_a_failure(server, dump, run_module):
    server.sql('GRANT SELECT ON t TO "the reader";', DATABASE)
    path = dump()
    server.sql('REVOKE SELECT ON t FROM "the reader";', DATABASE)
    server.sql('DROP ROLE "the reader";')
    before = server.text()
    result = run_module("database_restore", server.admin(src=str(path)))
    refused(result, '"the reader" does not exist', "Give roles_src")
    unharmed(server, before)


def test_a_dump_of_a_newer_server_is_refused_at_once(server, dump, run_module):
    before, path = server.text(), dump()
    path.write_bytes(path.read_bytes().replace(b"15.", b"99.", 1))
    refused(run_module("database_restore", server.admin(src=str(path))), "PostgreSQL 99", "version 15")
    refused(run_module("database_restore", server.admin(src=str(path)), check=True), "PostgreSQL 99")
    unharmed(server, before)


def test_a_locale_that_the_server_does_not_know_is_named(server, dump, run_module):
    before, path = server.text(), dump()
    content = path.read_bytes()
    assert content.count(b"'C.UTF-8'") == 1
    path.write_bytes(content.replace(b"'C.UTF-8'", b"'xx_YY-9'"))
    refused(run_module("database_restore", server.admin(src=str(path))), "xx_YY-9", "the same locales")
    unharmed(server, before)


def test_a_killed_restore_leaves_the_old_database_and_can_be_run_again(big, module_command, module_environment,
                                                                       run_module, tmp_path):
    path = tmp_path / "dump.zst"
    assert "msg" not in run_module("database_dump", big.login(dest=str(path)))
    arguments = big.admin(src=str(path), phase="prepare", transaction="kill")
    names = _databases.names_of(DATABASE, "kill")
    process = start(module_command, module_environment, "database_restore", arguments)
    until(lambda: names.load in big.databases(), process)
    until(lambda: int(big.sql("SELECT pg_database_size(:'name');".replace(
        ":'name'", "'%s'" % names.load.replace("'", "''")))[0]) > 12_000_000, process)
    process.kill()
    process.wait()
    process.stdout.close()
    until(lambda: not any("pg_restore" in line for line in big.processes()))
    assert sorted(big.databases()) == sorted([DATABASE, names.load, *REST])
    refused(run_module("database_restore", dict(arguments, phase="switch")), "Nothing is prepared")
    again = run_module("database_restore", arguments)
    assert again["tables"]["public.big"] == ROW_COUNT
    assert run_module("database_restore", dict(arguments, phase="rollback"))["changed"]
    assert big.databases() == [DATABASE, *REST]
    assert big.sql("SELECT count(*) FROM big;", DATABASE) == [str(ROW_COUNT)]
    assert "was terminated by signal" not in big.log()


def test_sessions_on_the_database_do_not_stop_the_switch(server, dump, run_module):
    path, over = dump(), threading.Event()
    arguments = server.admin(src=str(path), transaction="t1")
    assert "msg" not in run_module("database_restore", dict(arguments, phase="prepare"))

    def knock():
        while not over.is_set():
            server._psql(DATABASE, "SELECT pg_sleep(0.02) FROM generate_series(1, 100);", check=False)

    guests = [threading.Thread(target=knock) for _number in range(3)]
    for guest in guests:
        guest.start()
    try:
        until(lambda: len(server.sql("SELECT 1 FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep';")) == 3)
        for phase, changed in (("switch", True), ("switch", False), ("rollback", True), ("rollback", False)):
            result = run_module("database_restore", dict(arguments, phase=phase))
            assert result["changed"] is changed, result
    finally:
        over.set()
        for guest in guests:
            guest.join()
    assert server.databases() == [DATABASE, *REST]


def test_every_phase_twice_and_back_onto_an_empty_server(server, dump, run_module):
    path = dump()
    server.sql('DROP DATABASE "%s";' % DATABASE.replace('"', '""'))
    arguments = server.admin(src=str(path), transaction="t1")
    for phase, changed in (("prepare", True), ("prepare", True), ("switch", True), ("switch", False),
                           ("rollback", True), ("rollback", False), ("prepare", True), ("switch", True),
                           ("commit", True), ("commit", False)):
        result = run_module("database_restore", dict(arguments, phase=phase))
        assert result.get("changed") is changed, (phase, result)
        if phase == "rollback":
            assert server.databases() == REST
    assert server.databases() == [DATABASE, *REST]
    refused(run_module("database_restore", dict(arguments, phase="switch")), "Nothing is prepared")


@pytest.mark.parametrize("more, words", [
    ({"src": "/nowhere/x"}, ["/nowhere/x does not exist"]),
    ({"database": "template1"}, ["belongs to the server itself"]),
    ({"transaction": "a-b"}, ["cannot be the name of a transaction"]),
    ({"transaction": "x" * 25}, ["cannot be the name of a transaction"]),
    ({"phase": "switch"}, ["transaction"]),
    ({"tables": {"t": "many"}}, ["number of rows"]),
    ({"src": "/dev/null"}, ["/dev/null does not exist on this host, or is no file"]),
])
def test_restores_that_make_no_sense_are_refused(server, dump, run_module, more, words):
    refused(run_module("database_restore", dict(server.admin(src=str(dump())), **more)), *words)


def test_a_stopped_container_is_refused(server, engine, run_module, prefix, dump):
    engine.create_container(prefix, {"Image": "moodleclaude-test/postgresql:15"})
    arguments = dict(server.admin(src=str(dump())), container=prefix)
    refused(run_module("database_restore", arguments), "is not running", prefix)


def test_a_user_who_may_not_create_databases_is_told_so(server, dump, run_module, engine, prefix):
    path = dump()
    address = engine.container(server.name)["NetworkSettings"]["IPAddress"]
    engine.create_container(prefix, {"Image": "moodleclaude-test/postgresql:15", "Cmd": ["sleep", "600"]})
    engine.start(prefix)
    arguments = dict(server.login(src=str(path)), container=prefix, login_host=address)
    refused(run_module("database_restore", arguments), "may not create databases")
