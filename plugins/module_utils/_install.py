# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installs a Moodle whose code is in a running container into an empty database, through Moodle's own CLI."""
from __future__ import annotations

import json
import posixpath

from . import _site
from ._errors import BackupError, CommandError, ExistsError, IntegrityError, NotFoundError, UsageError

# Prints which of these files and folders below $1 there are, one on a line.
_LOOK = r"""
cd -- "$1" || exit 0
for f in config.php version.php public/version.php lib/setup.php admin/cli/install_database.php \
    public/admin/cli/install_database.php; do
  if [ -f "$f" ]; then printf '%s\n' "$f"; fi
done
"""

# $1: data directory, $2: uid:gid. A directory that holds anything is left as it is.
_CLAIM_DATA = r"""
set -e
if [ ! -d "$1" ]; then mkdir -p -- "$1"; fi
if [ -n "$(ls -A -- "$1")" ]; then exit 0; fi
if [ "$(stat -c %u:%g -- "$1")" != "$2" ]; then chown "$2" "$1"; chmod 0770 "$1"; echo claimed; fi
"""

# $1: config.php, $2: group. The file appears whole, and never in the place of another one.
_WRITE_CONFIG = r"""
set -e
umask 077
trap 'rm -f -- "$1.$$"' EXIT
cat > "$1.$$"
chown "0:$2" "$1.$$"
chmod 0640 "$1.$$"
ln -- "$1.$$" "$1"
"""

# Input on stdin: JSON {"config": path or null, "database": what $CFG needs to connect, if there is no config}.
_STATE = r"""
$in = json_decode(stream_get_contents(STDIN), true);
define('CLI_SCRIPT', true);
define('ABORT_AFTER_CONFIG', true);
if ($in['config'] !== null) {
    require($in['config']);
} else {
    $CFG = (object) $in['database'];
}
""" + _site.CONNECT + r"""
$out = ['error' => null, 'own' => 0, 'others' => 0, 'examples' => [], 'version' => null, 'complete' => false];
if (!$db) {
    $out['error'] = error_get_last()['message'] ?? 'no reason given';
} else {
    $schema = empty($options['dbschema']) ? 'current_schema()' : pg_escape_literal($db, $options['dbschema']);
    $tables = pg_fetch_all(pg_query($db, "SELECT c.relname AS name, n.nspname = $schema AS here"
        . " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        . " WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
        . " ORDER BY 1")) ?: [];
    $here = array_column(array_filter($tables, fn($table) => $table['here'] === 't'), 'name');
    $own = array_filter($here, fn($name) => strncmp($name, $CFG->prefix, strlen($CFG->prefix)) === 0);
    $out['own'] = count($own);
    $out['others'] = count($tables) - count($own);
    $out['examples'] = array_slice(array_column($tables, 'name'), 0, 3);
    if (in_array("{$CFG->prefix}config", $here)) {
        $config = (empty($options['dbschema']) ? '' : pg_escape_identifier($db, $options['dbschema']) . '.')
            . pg_escape_identifier($db, "{$CFG->prefix}config");
        $rows = pg_fetch_all(pg_query($db, "SELECT name, value FROM $config WHERE name IN ('version', 'rolesactive')"));
        $settings = array_column($rows ?: [], 'value', 'name');
        $out['version'] = $settings['version'] ?? null;
        $out['complete'] = $out['version'] !== null && !empty($settings['rolesactive']);
    }
}
echo "\n@@MOODLE@@", json_encode($out, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
"""

# Moodle's installer takes the password as an argument; given like this no process list ever shows it.
# Input on stdin: JSON {"script": path, "arguments": list}.
_RUN_SCRIPT = r"""
(function () {
    $in = json_decode(stream_get_contents(STDIN), true);
    $_SERVER['argv'] = $GLOBALS['argv'] = array_merge([$in['script']], $in['arguments']);
    $_SERVER['argc'] = $GLOBALS['argc'] = count($_SERVER['argv']);
    $_SERVER['PHP_SELF'] = $_SERVER['SCRIPT_NAME'] = $_SERVER['SCRIPT_FILENAME'] = $in['script'];
    chdir(dirname($in['script']));
})();
require($_SERVER['SCRIPT_FILENAME']);
"""

# Messages of the server that waiting does not mend.
_FINAL = ("password authentication failed", "does not exist", "no pg_hba.conf entry", "Call to undefined function")


def php_string(value):
    """Return a str as a PHP literal. Between single quotes only these two characters are special."""
    return "'%s'" % value.replace("\\", "\\\\").replace("'", "\\'")


def config_php(site, setup="lib/setup.php"):
    """Return the text of a config.php.

    :param site: dict with "database" (as database_settings() gives), "wwwroot", "dataroot" and "ssl_proxy".
    :param setup: str, path of Moodle's setup.php, relative to config.php.
    """
    database = site["database"]
    lines = ["<?php  // Moodle configuration file", "", "unset($CFG);", "global $CFG;", "$CFG = new stdClass();", ""]
    lines += ["$CFG->dbtype    = 'pgsql';", "$CFG->dblibrary = 'native';"]
    for key in ("dbhost", "dbname", "dbuser", "dbpass", "prefix"):
        lines.append("$CFG->%-9s = %s;" % (key, php_string(database[key])))
    port = php_string(database["dboptions"]["dbport"])
    lines += ["$CFG->dboptions = ['dbpersist' => 0, 'dbport' => %s, 'dbsocket' => ''];" % port, ""]
    lines.append("$CFG->wwwroot   = %s;" % php_string(site["wwwroot"]))
    lines.append("$CFG->dataroot  = %s;" % php_string(site["dataroot"]))
    lines.append("$CFG->admin     = 'admin';")
    if site["ssl_proxy"]:
        lines.append("$CFG->sslproxy  = true;")
    lines += ["", "$CFG->directorypermissions = 02770;", "", "require_once(__DIR__ . %s);" % php_string("/" + setup)]
    return "\n".join(lines) + "\n"


def database_settings(params):
    """Return the database part of $CFG (dict) for the options of the module."""
    return {
        "dbhost": params["database_host"], "dbname": params["database"], "dbuser": params["database_user"],
        "dbpass": params["database_password"], "prefix": params["prefix"],
        "dboptions": {"dbport": str(params["database_port"] or "")},
    }


def arguments(params):
    """Return the arguments (list of str) for Moodle's install_database.php."""
    wanted = {
        "lang": params["language"], "adminuser": params["admin_user"], "adminpass": params["admin_password"],
        "adminemail": params["admin_email"], "fullname": params["full_name"], "shortname": params["short_name"],
    }
    return ["--agree-license"] + ["--%s=%s" % (key, value) for key, value in wanted.items() if value]


def wanted_step(found, where):
    """Return what is to be done with a database (str): "install", or "nothing" if Moodle is in it.

    :param found: dict as state() gives: "own" and "others" count the tables with and without the prefix.
    :raises: ExistsError, IntegrityError if the database holds anything else; it is never touched then.
    """
    if found["complete"]:
        return "nothing"
    if found["own"]:
        raise IntegrityError(
            "The database of %s holds %d table(s) of an installation that was not completed" % (where, found["own"]),
            "Drop them, or remove the database's volume if it is a fresh one, and run this again.",
        )
    if found["others"]:
        raise ExistsError(
            "The database of %s holds %d table(s) of something else, such as %s"
            % (where, found["others"], ", ".join(found["examples"])),
            "Nothing is installed beside them. Name another database.",
        )
    return "install"


def look(engine, container, code):
    """Return the relative paths (set of str) of what matters below the code's root in a container."""
    _rc, out, _err = engine.run(container, ["sh", "-c", _LOOK, "sh", code], user="0")
    return set(out.decode("utf-8", "replace").splitlines())


def state(engine, container, config, database):
    """Return what is in the database (dict "own", "others", "examples", "version", "complete").

    :param config: str, path of config.php, or None to connect with database (dict) instead.
    :raises: CommandError if the server cannot be reached.
    """
    found = _site.ask(engine, container, _STATE, {"config": config, "database": database}, "Looking at the database")
    if found["error"]:
        raise CommandError(
            "Container '%s' cannot connect to its database: %s" % (container, found["error"]),
            "See the log of the database's container.",
        )
    return found


def _awaited(function, seconds):
    """Call function() until it succeeds, as _site.patiently(), but give up at once where waiting is of no use."""
    def attempt():
        try:
            return function(), None
        except CommandError as error:
            if any(message in error.message for message in _FINAL):
                return None, error
            raise

    found, error = _site.patiently(attempt, seconds)
    if error is not None:
        raise error
    return found


def _installed_by_image(engine, params):
    """Return the state of a site that its image has installed; raise as long as it has not."""
    container, code = params["container"], params["code_path"]
    if "config.php" not in look(engine, container, code):
        raise NotFoundError("Container '%s' has no config.php in %s" % (container, code),
                            "See the container's log. An image that does not install Moodle by itself needs"
                            " moodle_backup_setup_installer=collection.")
    found = state(engine, container, posixpath.join(code, "config.php"), None)
    if not found["complete"]:
        raise NotFoundError("Container '%s' has not installed its Moodle" % container, "See the container's log.")
    return found


def ensure(engine, params, check_mode):
    """Make sure that the Moodle of a container is installed.

    :param params: dict with the options of the module moodle_install.
    :returns: {"changed", "config_written", "installed", "version"}.
    """
    container, code = params["container"], params["code_path"]
    inspect = engine.find_container(container)
    if inspect is None or not inspect["State"]["Running"]:
        if check_mode:  # a task before this one would have made it
            return {"changed": True, "config_written": True, "installed": True, "version": None}
        raise UsageError("Container '%s' %s" % (container, "is not running" if inspect else "does not exist"))
    if not params["install"]:
        found = _site.patiently(lambda: _installed_by_image(engine, params), params["wait_seconds"])
        return {"changed": False, "config_written": False, "installed": False, "version": found["version"]}
    return _install(engine, params, check_mode, look(engine, container, code))


def _install(engine, params, check_mode, files):
    container, code = params["container"], params["code_path"]
    scripts = [path for path in sorted(files) if path.endswith("install_database.php")]
    if not scripts or not files & {"version.php", "public/version.php"}:
        raise NotFoundError("There is no Moodle in %s of container '%s'" % (code, container), "See 'code_path'.")
    claimed = False if check_mode else _claim_data(engine, params)
    config = posixpath.join(code, "config.php") if "config.php" in files else None
    found = _awaited(lambda: state(engine, container, config, database_settings(params)), params["wait_seconds"])
    install = wanted_step(found, "container '%s'" % container) == "install"
    result = {"changed": claimed or install or not config, "config_written": not config, "installed": install,
              "version": found["version"]}
    if check_mode or not (install or not config):
        return result
    if not config:
        config = _write_config(engine, params, files)
    if install:
        try:
            _run_installer(engine, params, posixpath.join(code, scripts[0]))
            result["version"] = _proved(state(engine, container, config, None), container)
        except BackupError:
            if result["config_written"]:  # so that the next run may be given other settings
                engine.run(container, ["rm", "-f", "--", config], user="0", check=False)
            raise
    return result


def _write_config(engine, params, files):
    """Write config.php; return its path (str)."""
    config = posixpath.join(params["code_path"], "config.php")
    site = {"database": database_settings(params), "wwwroot": params["wwwroot"], "dataroot": params["data_path"],
            "ssl_proxy": params["ssl_proxy"]}
    text = config_php(site, "lib/setup.php" if "lib/setup.php" in files else "public/lib/setup.php")
    argv = ["sh", "-c", _WRITE_CONFIG, "sh", config, params["data_owner"].partition(":")[2]]
    engine.run(params["container"], argv, user="0", stdin=text.encode())
    return config


def _claim_data(engine, params):
    argv = ["sh", "-c", _CLAIM_DATA, "sh", params["data_path"], params["data_owner"]]
    return b"claimed" in engine.run(params["container"], argv, user="0")[1]


def _run_installer(engine, params, script):
    if not params["admin_password"]:
        raise UsageError("A new site needs a password for its administrator", "Set 'admin_password'.")
    # An image may set the limits for its web server alone. Passwords are among the arguments in a stack trace.
    settings = ("max_input_vars=5000", "memory_limit=-1", "zend.exception_ignore_args=1")
    argv = ["php"] + [part for setting in settings for part in ("-d", setting)] + ["-r", _RUN_SCRIPT]
    question = {"script": script, "arguments": arguments(params)}
    rc, out, err = engine.run(
        params["container"], argv, user=params["data_owner"], stdin=json.dumps(question).encode(), check=False
    )
    if rc != 0:
        said = "\n".join(part for part in (out.decode("utf-8", "replace").strip()[-500:], err[-1000:]) if part)
        raise CommandError(
            "Moodle's installation in container '%s' failed (exit code %d): %s"
            % (params["container"], rc, said or "no message"), rc=rc,
        )


def _proved(found, container):
    if not found["complete"]:
        raise IntegrityError("Moodle's installation in container '%s' ended, but the site is not complete" % container)
    return found["version"]
