# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be seen of a PostgreSQL server in a container: its roles, and each database to the last row."""

from __future__ import annotations

import hashlib
import json
import re

from . import ignored

_VERSION = "SELECT to_jsonb(current_setting('server_version'))"
_DATABASES = """
SELECT jsonb_object_agg(datname, json_build_object('owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
    'collate', datcollate, 'ctype', datctype, 'connection_limit', datconnlimit, 'privileges', datacl::text,
    'comment', shobj_description(oid, 'pg_database'),
    'settings', (SELECT json_agg(setconfig ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = pg_database.oid)))
FROM pg_database WHERE NOT datistemplate
"""
# The password of the server's first role is hashed anew whenever a server is made; logging in proves that it is the same.
_ROLES = """
SELECT jsonb_object_agg(rolname, json_build_object('superuser', rolsuper, 'createdb', rolcreatedb, 'createrole', rolcreaterole,
    'login', rolcanlogin, 'limit', rolconnlimit, 'settings',
    (SELECT json_agg(setconfig) FROM pg_db_role_setting WHERE setrole = pg_authid.oid AND setdatabase = 0),
    'password', CASE WHEN oid = 10 THEN NULL ELSE md5(rolpassword) END,
    'member_of', (SELECT json_agg(pg_get_userbyid(roleid)) FROM pg_auth_members WHERE member = pg_authid.oid)))
FROM pg_authid WHERE rolname !~ '^pg_'
"""
_TABLES = """
SELECT coalesce(jsonb_agg(json_build_array(schemaname, tablename, format('%I.%I', schemaname, tablename))), '[]')
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""
_SEQUENCES = """
SELECT coalesce(jsonb_object_agg(format('%I.%I', schemaname, sequencename), last_value), '{}') FROM pg_sequences
"""


class Postgres:
    """A PostgreSQL server in a container of the engine (docker.DockerClient), reached through its own client."""

    def __init__(self, engine, container: str):
        self.container = engine.containers.get(container)
        environment = dict(entry.partition("=")[::2] for entry in self.container.attrs["Config"]["Env"])
        self.user = environment.get("POSTGRES_USER") or "postgres"
        self.password = environment.get("POSTGRES_PASSWORD") or ""

    def run(self, command: list[str], database: str) -> str:
        """Run a client program; the database's name is never on its command line."""
        environment = {"PGUSER": self.user, "PGPASSWORD": self.password, "PGDATABASE": database, "PGTZ": "UTC"}
        code, output = self.container.exec_run(command, environment=environment, demux=True)
        if code != 0:
            raise RuntimeError("%s failed: %s" % (command[0], (output[1] or b"").decode(errors="replace")))
        return (output[0] or b"").decode()

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run SQL and return what it prints, without frames."""
        each = [word for statement in statements for word in ("-c", statement)]
        return self.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *each], database).rstrip("\n")

    def _values(self, *statements: str, database: str = "postgres") -> list:
        """Return the one value of jsonb, thus on one line, that each statement gives."""
        return [json.loads(line or "null") for line in self.sql(*statements, database=database).split("\n")]

    def state(self) -> dict:
        """Describe the server: version, roles, and every database but the templates."""
        version, roles, databases = self._values(_VERSION, _ROLES, _DATABASES)
        for name, described in databases.items():
            tables, sequences = self._values(_TABLES, _SEQUENCES, database=name)
            described["tables"] = self._contents(name, tables)
            described["sequences"] = {
                sequence: value for sequence, value in sequences.items()
                if not any(sequence.endswith(table + "_id_seq") for table in ignored.TABLES)
            }
            described["schema"] = self._schema(name)
        return {"version": version, "roles": roles, "databases": databases}

    def _contents(self, database: str, tables: list) -> dict:
        """Return table -> [number of rows, hash of all rows in a fixed order]."""
        prefix = next((name[: -len("config_plugins")] for _schema, name, _quoted in tables if name.endswith("config_plugins")), "")
        parts = []
        for _schema, name, quoted in tables:
            plain = name[len(prefix):] if name.startswith(prefix) else name
            if plain in ignored.TABLES:
                continue
            parts.append("SELECT '%s' AS name, count(*) AS number, md5(string_agg(h, '' ORDER BY h COLLATE \"C\")) AS content"
                         " FROM (SELECT md5(%s) AS h FROM %s AS t%s) AS rows"
                         % (quoted.replace("'", "''"), _row_expression(plain), quoted, _condition(plain)))
        found = {}
        for start in range(0, len(parts), 100):  # one argument of a program holds 128 KB
            found.update(self._values("SELECT jsonb_object_agg(name, json_build_array(number, content)) FROM (%s) AS tables"
                                      % " UNION ALL ".join(parts[start:start + 100]), database=database)[0])
        return found

    def _schema(self, database: str) -> dict:
        """Return the definition of each object -> hash."""
        text = self.run(["pg_dump", "--schema-only"], database)
        text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)  # a new random word in every dump
        found: dict[str, str] = {}
        for part in text.split("\n-- Name: ")[1:]:
            title = part.split("\n", 1)[0]
            found[title] = hashlib.md5((found.get(title, "") + part).encode(), usedforsecurity=False).hexdigest()
        return found


def _row_expression(table: str) -> str:
    columns = [column for other, column in ignored.COLUMNS if other == table]
    return "(to_jsonb(t) - ARRAY['%s'])::text" % "','".join(columns) if columns else "t::text"


def _condition(table: str) -> str:
    return " WHERE name NOT IN ('%s')" % "','".join(ignored.SETTINGS) if table == "config" else ""
