# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds a way to log in to the PostgreSQL server of a container, and asks it questions with the container's psql.

Passwords reach psql by environment, never by argument. Names reach it as quoted conninfo or as psql variables, so that
no name is ever read as anything else.
"""
from __future__ import annotations

import json
import re
import time
from collections import namedtuple

from .._errors import BackupError, CommandError, EngineError, NotFoundError, UsageError

_USER_VARIABLES = ("POSTGRES_USER", "POSTGRESQL_USERNAME")
_PASSWORD_VARIABLES = ("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD")
_ADMIN_PASSWORD_VARIABLE = "POSTGRESQL_POSTGRES_PASSWORD"  # of user postgres, where images know two users
_POLL = 0.5  # seconds between two tries while waiting for a server
# Words of a server, or of its client, while the server is about to listen.
_STARTING = ("starting up", "Is the server running")
_NAME_LIMIT = 63  # bytes; PostgreSQL cuts off longer names

# The options of every module that logs in; kept in step with plugins/doc_fragments/database.py.
OPTIONS = {
    "container": {"type": "str", "required": True},
    "database": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "password_container": {"type": "str", "no_log": False},
    "password_command": {"type": "list", "elements": "str", "no_log": False},
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int"},
}
RULES = {
    "mutually_exclusive": [("password", "password_command")],
    "required_by": {"password_container": ["password_command"]},
}

# One way to log in: PostgreSQL's user, the password ("" for none), the operating system user that runs psql.
_Login = namedtuple("_Login", "user password os_user")

_WHO = """
SELECT json_build_object(
    'version_number', current_setting('server_version_num')::int,
    'version', current_setting('server_version'),
    'user', current_user,
    'listens', current_setting('listen_addresses') <> '',
    'superuser', r.rolsuper,
    'createdb', r.rolsuper OR r.rolcreatedb
) FROM pg_catalog.pg_roles r WHERE r.rolname = current_user;
"""


def check_name(name):
    """:raises: UsageError if name (str) cannot be the name of a database."""
    if not name or "\0" in name:
        raise UsageError("'%s' cannot be the name of a database" % name)
    if len(name.encode("utf-8", "surrogateescape")) > _NAME_LIMIT:
        raise UsageError("The database name '%s' is longer than %d bytes" % (name, _NAME_LIMIT))


def conninfo(database):
    """Return what -d needs (str): libpq would take a bare name that holds '=' for connection options."""
    return "dbname='%s'" % database.replace("\\", "\\\\").replace("'", "\\'")


class Client:
    """PostgreSQL's client programs in a container, logged in by a way that works.

    version (int, server_version_num), version_text (str), user (str), superuser, createdb (bool) tell who we are.
    """

    def __init__(self, engine, container, login, host, port, who, database):
        self.engine, self.container = engine, container
        self._login, self._host, self._port = login, host, port
        self.database = database
        self.version, self.version_text = who["version_number"], who["version"]
        self.listens = who["listens"]  # on TCP
        self.user, self.superuser, self.createdb = who["user"], who["superuser"], who["createdb"]

    @property
    def major(self):
        return self.version // 10000

    @property
    def os_user(self):
        return self._login.os_user

    def environment(self, options=""):
        """Return the environment (dict of str) for a client program; options: "-c name=value ..." for its session."""
        return _environment(self._login, self._host, self._port, options)

    def query(self, sql, database=None, options="", **variables):
        """Run SQL. Return its output: a list with the JSON value of each line.

        :param sql: str; the name of a variable is written :'x' as a literal and :"x" as an identifier.
        """
        done = _psql(self.engine, self.container, self._login, self._host, self._port, database or self.database, sql,
                     options, variables)
        if done[0] != 0:
            raise CommandError(
                "psql in container '%s' failed on database '%s': %s"
                % (self.container, database or self.database, _words(done)), rc=done[0], stderr=_words(done),
            )
        return [json.loads(line) for line in done[1].decode("utf-8", "backslashreplace").splitlines()]

    def copy_out(self, sql, **variables):
        """Run one COPY … TO STDOUT. Yield what it writes (bytes); raise CommandError if it fails.

        :param sql: str, see query().
        """
        argv = _psql_command(self.database, variables)
        stream = self.engine.exec_stream(
            self.container, argv, environment=dict(self.environment(), PGCLIENTENCODING="UTF8"), user=self.os_user,
            stdin=True,
        )
        try:
            stream.feed([sql.encode()])
            yield from stream.chunks()
            stream.finish()
        finally:
            stream.abort()

    def client_major(self, program):
        """Return the major version (int) of a client program in the container."""
        text = self.engine.run(self.container, [program, "--version"], user=self.os_user)[1]
        found = re.search(rb"(\d+)(?:\.\d|devel|beta|rc)", text)
        if not found:
            raise CommandError("%s in container '%s' does not tell its version" % (program, self.container))
        return int(found.group(1))


def _environment(login, host, port, options):
    return {
        "PGHOST": host or None, "PGPORT": str(port) if port else None,
        "PGUSER": login.user, "PGPASSWORD": login.password or None,
        "PGOPTIONS": options, "PGAPPNAME": "moodleclaude.backup", "PGCONNECT_TIMEOUT": "15",
        # Nothing that the container sets for its own purposes may change where or how we connect: None unsets.
        "PGDATABASE": None, "PGSERVICE": None, "PGHOSTADDR": None, "PGCLIENTENCODING": None, "LC_ALL": "C",
    }


def _psql_command(database, variables):
    """Return the command (list of str) that reads SQL from its standard input."""
    argv = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]
    for name, value in dict(variables or {}, ON_ERROR_STOP="1").items():
        argv += ["--set", "%s=%s" % (name, value)]
    return argv + ["--dbname", conninfo(database)]


def _psql(engine, container, login, host, port, database, sql, options="", variables=None):
    environment = dict(_environment(login, host, port, options), PGCLIENTENCODING="UTF8")
    return engine.run(
        container, _psql_command(database, variables), environment=environment, user=login.os_user,
        stdin=sql.encode(), check=False,
    )


def _words(done):
    """Return what a program had to say (str) of (rc, stdout, stderr); the engine's own refusal is on stdout."""
    text = done[2] or done[1][-2000:].decode("utf-8", "replace").strip() or "exit code %d" % done[0]
    return re.sub(r"^psql: (error: )?", "", text)


def running(engine, name):
    """Return the description of a container (dict); NotFoundError if it is missing, UsageError if it does not run."""
    found = engine.container(name)
    if not found["State"]["Running"]:
        raise UsageError(
            "Container '%s' is not running (%s)" % (name, found["State"]["Status"]),
            "Start it; 'docker logs %s' tells why it ended." % name,
        )
    return found


def log_in(engine, params, databases, admin=False):
    """Find a way to log in.

    :param params: dict with the keys of OPTIONS.
    :param databases: list of str; the first one that exists is used for questions.
    :param admin: bool; look further than the user that was named until somebody may create databases.
    :returns: Client. :raises: CommandError that tells every way that was tried, never the password.
    """
    found = running(engine, params["container"])
    named, others = _logins(engine, found, params)
    failures, best = [], None
    for login in named or others:
        client = _try(engine, params, login, databases, failures)
        if client and (client.superuser or not admin):
            return client
        best = best or client
    if named and best is None:
        raise _refused(params, databases, failures)
    for login in others if named and admin else []:
        client = _try(engine, params, login, databases, failures)
        if client and client.superuser:
            return client
    if best is None:
        raise _refused(params, databases, failures)
    return best


def _try(engine, params, login, databases, failures):
    """Return a Client, or None after adding what the server said to failures."""
    host, port = params["login_host"], params["login_port"]
    for database in databases:
        try:
            done = _psql(engine, params["container"], login, host, port, database, _WHO)
        except EngineError as error:  # there is no such operating system user in the container
            failures.append((login, error.message))
            return None
        if done[0] == 0:
            return Client(engine, params["container"], login, host, port, json.loads(done[1]), database)
        failures.append((login, _words(done)))
        if not _unknown_database(done[2], database):
            break
    return None


def _unknown_database(words, database):
    return 'database "%s" does not exist' % database in words


def _refused(params, databases, failures):
    for database in databases:
        if any(_unknown_database(words, database) for _login, words in failures):
            return NotFoundError("Database '%s' does not exist in container '%s'" % (database, params["container"]))
    tried = []
    for login, words in failures:
        way = "with a password" if login.password else "without a password"
        tried.append("as '%s' %s: %s" % (login.user, way, " ".join(words.split())))
    return CommandError(
        "Nobody could log in to PostgreSQL in container '%s': %s" % (params["container"], "; ".join(tried)),
        "Check 'username' and 'password', and that the server runs.",
    )


def _logins(engine, found, params):
    """Return two lists of _Login: for the user that was named, and what the container itself offers."""
    environment = dict(item.partition("=")[::2] for item in found["Config"].get("Env") or [])
    user = _setting(engine, found, environment, _USER_VARIABLES) or "postgres"
    password = _setting(engine, found, environment, _PASSWORD_VARIABLES)
    others = [_Login(user, password, "0")]
    admin_password = _setting(engine, found, environment, (_ADMIN_PASSWORD_VARIABLE,))
    if admin_password:
        others.append(_Login("postgres", admin_password, "0"))
    others.append(_Login(user, "", "postgres"))
    if user != "postgres":
        others.append(_Login("postgres", "", "postgres"))
    given = _given_password(engine, params)
    if not params["username"]:
        if given:
            return [_Login(user, given, "0")], others
        return [], others
    if given:
        return [_Login(params["username"], given, "0")], others
    own = [login for login in others if login.user == params["username"]]
    return own or [_Login(params["username"], "", "0"), _Login(params["username"], "", "postgres")], others


def _given_password(engine, params):
    if params["password"] or not params["password_command"]:
        return params["password"] or ""
    container = params["password_container"] or params["container"]
    running(engine, container)
    try:
        _rc, output, _stderr = engine.run(container, params["password_command"])
    except BackupError as error:
        raise CommandError("The password could not be read: %s" % error.message, "Check 'password_command'.") from error
    text = output.decode("utf-8", "surrogateescape")
    return text[:-1] if text.endswith("\n") else text


def _setting(engine, found, environment, names):
    """Return the first of these variables of the container that is set (str), or the content of the file it names."""
    for name in names:
        if environment.get(name):
            return environment[name]
        if environment.get(name + "_FILE"):
            rc, content, _stderr = engine.run(
                found["Id"], ["cat", "--", environment[name + "_FILE"]], user="0", check=False,
            )
            if rc == 0:
                return content.decode("utf-8", "surrogateescape").rstrip("\n")
    return ""


def wait_until_ready(engine, params, databases, seconds):
    """Wait until the server has left its first start behind and somebody can log in.

    During the first start, images run a server for themselves alone that is stopped again: it does not listen on TCP,
    and the container's first process is still the entry point's shell.

    :param seconds: int, how long at the most. :raises: what log_in() raises, once the time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        settled = False
        try:
            _wait_for_container(engine, params["container"], deadline)
            settled = _first_process(engine, params["container"]) == b"postgres"
            client = log_in(engine, params, databases)
            if settled or client.listens:
                return
            problem = CommandError("PostgreSQL in container '%s' is still in its first start" % params["container"])
        except (CommandError, EngineError) as error:
            problem = error
            if settled and "FATAL" in error.message and not any(word in error.message for word in _STARTING):
                raise  # a server that is up has said no to every way; time will not change that
        if time.monotonic() >= deadline:
            raise problem
        time.sleep(_POLL)


def _wait_for_container(engine, name, deadline):
    while True:
        state = engine.container(name)["State"]
        if state["Status"] not in ("created", "restarting") or time.monotonic() >= deadline:
            running(engine, name)
            return
        time.sleep(_POLL)


def _first_process(engine, container):
    return engine.run(container, ["cat", "/proc/1/comm"], user="0", check=False)[1].strip()
