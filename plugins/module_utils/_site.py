# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks a running Moodle site about itself, and finishes a restored one. All of it through PHP in the web container."""
from __future__ import annotations

import json
import posixpath
import time
from urllib.parse import urlsplit

from ._errors import BackupError, CommandError, IntegrityError

_MARK = "@@MOODLE@@"
_REPLACE = "../tool/replace/cli/replace.php"  # relative to admin/cli

# Sets $db from $CFG; false if the server refuses. The database password stays inside PHP.
CONNECT = r"""
$quote = function ($value) {
    return "'" . str_replace(['\\', "'"], ['\\\\', "\\'"], (string) $value) . "'";
};
$options = isset($CFG->dboptions) && is_array($CFG->dboptions) ? $CFG->dboptions : [];
$socket = !empty($options['dbsocket']) && ($CFG->dbhost === 'localhost' || $CFG->dbhost === '127.0.0.1');
$parts = ['dbname' => $CFG->dbname, 'user' => $CFG->dbuser, 'password' => $CFG->dbpass, 'connect_timeout' => 10];
if (!$socket) {
    $parts['host'] = $CFG->dbhost;
} elseif (strpos((string) $options['dbsocket'], '/') !== false) {
    $parts['host'] = $options['dbsocket'];
}
if (!empty($options['dbport'])) {
    $parts['port'] = $options['dbport'];
}
$info = [];
foreach ($parts as $key => $value) {
    $info[] = $key . '=' . $quote($value);
}
$db = @pg_connect(implode(' ', $info), PGSQL_CONNECT_FORCE_NEW);
"""

# Input on stdin: JSON {"config", "content", "finish", "clone"}.
_REPORT = r"""
$in = json_decode(stream_get_contents(STDIN), true);
define('CLI_SCRIPT', true);
define('ABORT_AFTER_CONFIG', true);
require($in['config']);
""" + CONNECT + r"""
if (!$db) {
    $why = preg_replace('~^pg_connect\\(\\): ~', '', error_get_last()['message'] ?? '');
    fwrite(STDERR, 'The site cannot connect to its database ' . $CFG->dbname . ' on ' . $CFG->dbhost . '. ' . $why);
    exit(3);
}
$query = function ($sql) use ($db) {
    $result = @pg_query($db, $sql);
    if (!$result) {
        fwrite(STDERR, pg_last_error($db));
        exit(4);
    }
    return $result;
};
$table = function ($name) use ($db, $CFG) {
    return pg_escape_identifier($db, $CFG->prefix . $name);
};
$value = function ($sql) use ($query) {
    $row = pg_fetch_row($query($sql));
    return $row ? $row[0] : null;
};
$setting = function ($name) use ($value, $table) {
    return $value("SELECT value FROM {$table('config')} WHERE name = '$name'");
};
$out = ['siteidentifier' => $setting('siteidentifier'), 'version' => $setting('version'),
    'fullname' => $value("SELECT fullname FROM {$table('course')} WHERE category = 0 ORDER BY id LIMIT 1"),
    'shortname' => $value("SELECT shortname FROM {$table('course')} WHERE category = 0 ORDER BY id LIMIT 1"),
    'users' => (int) $value("SELECT count(*) FROM {$table('user')}"),
    'courses' => (int) $value("SELECT count(*) FROM {$table('course')}"),
    'external_files' => !empty($CFG->alternative_file_system_class),
    'files' => ['needed' => 0, 'missing' => 0, 'damaged' => 0, 'examples' => []]];
if (!empty($in['finish'])) {
    $out['tasks_reset'] = 0;
    foreach (['task_scheduled', 'task_adhoc'] as $name) {
        $known = $value("SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema()"
            . " AND table_name = " . pg_escape_literal($db, $CFG->prefix . $name) . " AND column_name = 'timestarted'");
        if ($known) {
            $out['tasks_reset'] += pg_affected_rows($query("UPDATE {$table($name)} SET timestarted = NULL,"
                . " hostname = NULL, pid = NULL WHERE timestarted IS NOT NULL"));
        }
    }
}
if (!empty($in['clone'])) {
    $query("DELETE FROM {$table('config')} WHERE name = 'siteidentifier'");
}
$filedir = $CFG->filedir ?? "{$CFG->dataroot}/filedir";
$query('BEGIN');
$query("DECLARE needed NO SCROLL CURSOR FOR SELECT DISTINCT contenthash FROM {$table('files')}"
    . " WHERE filesize > 0 AND referencefileid IS NULL");
do {
    $rows = pg_fetch_all_columns($query('FETCH 10000 FROM needed'), 0);
    foreach ($rows as $hash) {
        $out['files']['needed']++;
        $path = "$filedir/" . substr($hash, 0, 2) . '/' . substr($hash, 2, 2) . "/$hash";
        $state = !is_file($path) ? 'missing' : ($in['content'] && sha1_file($path) !== $hash ? 'damaged' : null);
        if ($state) {
            $out['files'][$state]++;
            if (count($out['files']['examples']) < 5) {
                $out['files']['examples'][] = $hash;
            }
        }
    }
} while ($rows);
$query('ROLLBACK');
$keys = glob(($CFG->secretdataroot ?? "{$CFG->dataroot}/secret") . '/key/*') ?: [];
$prints = [];
foreach ($keys as $key) {
    $prints[basename($key)] = hash_file('sha256', $key);
}
$out['keys'] = (object) $prints;
echo "\n@@MOODLE@@", json_encode($out, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
"""

# Input on stdin: JSON {"url", "https", "places": ["host:port", ...]}. Moodle needs PHP's curl, so it is there.
_LOGIN_PAGE = r"""
$in = json_decode(stream_get_contents(STDIN), true);
$tried = [];
foreach ($in['places'] as $place) {
    $curl = curl_init($in['url']);
    $headers = $in['https'] ? ['X-Forwarded-Proto: https', 'X-Forwarded-Port: 443'] : [];
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 60, CURLOPT_CONNECTTIMEOUT => 5,
        CURLOPT_CONNECT_TO => ["::$place"], CURLOPT_HTTPHEADER => $headers, CURLOPT_PROXY => '',
        CURLOPT_SSL_VERIFYPEER => false, CURLOPT_SSL_VERIFYHOST => 0, CURLOPT_COOKIEFILE => '']);
    $body = curl_exec($curl);
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    $token = $body !== false && strpos($body, 'name="logintoken"') !== false;
    $title = $body !== false && preg_match('~<title>(.*?)</title>~s', $body, $match) ? trim($match[1]) : null;
    $tried[] = ['place' => $place, 'status' => $status, 'token' => $token, 'title' => $title,
        'error' => $body === false ? curl_error($curl) : null];
    if ($status == 200 && $token) {
        break;
    }
}
echo "\n@@MOODLE@@", json_encode($tried, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
"""


def ask(engine, container, script, question, what, user="0"):
    """Run a PHP script in a container and return the JSON that it prints after the mark @@MOODLE@@.

    :param script: str. :param question: JSON-serialisable, for its standard input. :param what: str, for messages.
    :raises: CommandError.
    """
    settings = ("display_errors=stderr", "memory_limit=-1", "zend.exception_ignore_args=1")
    argv = ["php"] + [part for setting in settings for part in ("-d", setting)] + ["-r", script]
    rc, out, err = engine.run(
        container, argv, stdin=json.dumps(question).encode(), user=user, check=False,
    )
    _said, found, document = out.decode("utf-8", "replace").rpartition(_MARK)
    if rc != 0 or not found:
        said = err or document.strip()[-500:] or "no message"
        raise CommandError("%s failed in container '%s' (exit code %d): %s" % (what, container, rc, said), rc=rc)
    return json.loads(document)


def report(engine, container, config, content=True, finish=False, clone=False):
    """Return what a site knows of itself (dict).

    :param config: str, path of config.php in the container. :param content: bool, read every needed file and compare
        its SHA-1, not only look whether it is there. :param finish: bool, also forget the tasks that were running when
        the backup was made. :param clone: bool, also forget the site's identifier, so that Moodle makes another one.
    :returns: {"siteidentifier", "version", "fullname", "shortname", "users", "courses", "external_files",
        "files": {"needed", "missing", "damaged", "examples"}, "keys": {name: SHA-256}}.
    """
    question = {"config": config, "content": content, "finish": finish, "clone": clone}
    return ask(engine, container, _REPORT, question, "Asking the site about itself")


def places(wwwroot, ports, companions=()):
    """Return where a site's web server may listen, as seen from its web container (list of "host:port").

    :param ports: exposed ports of the web container (list of str, "80/tcp"). :param companions: names of other
        containers, in case a separate web server stands before PHP.
    """
    url = urlsplit(wwwroot)
    own = [port.split("/")[0] for port in ports if port.endswith("/tcp")]
    likely = ["80", "8080", "443", "8443"]
    wanted = [port for port in likely if port in own] + [port for port in likely if port not in own]
    wanted += [port for port in own if port not in wanted and port != "9000"]
    if url.scheme == "http":
        wanted = [port for port in wanted if port not in ("443", "8443")]
    here = ["127.0.0.1:%s" % port for port in wanted]
    return here + ["%s:%s" % (name, port) for name in companions for port in ("80", "8080")]


def login_page(engine, container, wwwroot, companions=()):
    """Fetch a site's login page through its own web server.

    :returns: {"url", "place", "status", "title"}. :raises: IntegrityError if no place answers with a login form.
    """
    exposed = list(engine.container(container)["Config"].get("ExposedPorts") or {})
    url = wwwroot.rstrip("/") + "/login/index.php"
    https = urlsplit(wwwroot).scheme == "https"
    tried = []
    # A proxy that ends TLS talks plain HTTP to the web server; Moodle believes X-Forwarded-Proto from it.
    for scheme in ("http", "https") if https else ("http",):
        question = {
            "url": urlsplit(url)._replace(scheme=scheme).geturl(), "https": https,
            "places": places("%s://" % scheme, exposed, companions),
        }
        tried += ask(engine, container, _LOGIN_PAGE, question, "Fetching the login page")
        if tried[-1]["status"] == 200 and tried[-1]["token"]:
            return {"url": url, "place": tried[-1]["place"], "status": 200, "title": tried[-1]["title"]}
    answers = [entry for entry in tried if entry["status"]] or tried
    said = "; ".join(
        "%s: %s" % (entry["place"], "status %d, title %s" % (entry["status"], entry["title"]) if entry["status"]
                    else entry["error"])
        for entry in answers[:4]
    )
    raise IntegrityError("The site %s does not show its login page (%s)" % (wwwroot, said), "See the container's log.",
                         tried=tried)


def patiently(function, seconds):
    """Return what function() returns, once it raises no BackupError any more; raise it after these seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return function()
        except BackupError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)


def compare(expected, found, clone=False):
    """Return what differs between a site as it was backed up and as it is now (list of str). Both as report() gives.

    :param clone: bool, the site is a copy, so its identifier has to be another one.
    """
    problems = []
    for key, name in (("siteidentifier", "site identifier"), ("version", "version"), ("fullname", "site title")):
        if clone and key == "siteidentifier":
            if found[key] and found[key] == expected.get(key):
                problems.append("the copy has the %s of the original" % name)
        elif key in expected and expected[key] != found[key]:
            problems.append("%s is '%s' and was '%s'" % (name, found[key], expected[key]))
    for name, digest in (expected.get("keys") or {}).items():
        if found["keys"].get(name) != digest:
            problems.append("encryption key %s is %s" % (name, "another" if name in found["keys"] else "missing"))
    if not found["external_files"]:
        before, now = expected.get("files") or {}, found["files"]
        for state in ("missing", "damaged"):
            if now[state] > before.get(state, 0):
                problems.append("%d stored files are %s, such as %s" % (now[state], state, now["examples"][0]))
    return problems


def cli_steps(alternative_component_cache, replace=None):
    """Return what is run after a restore: list of (script, arguments, accepted exit codes, whether a failure is only
    a warning).

    :param replace: (old address, new address) to be replaced in the site's texts, or None.
    """
    steps = []
    if replace:
        old, new = (address.partition(":")[2] for address in replace)
        arguments = ["--search=%s" % old, "--replace=%s" % new, "--shorten", "--non-interactive"]
        steps.append((_REPLACE, arguments, (0,), True))
    steps.append(("purge_caches.php", [], (0,), False))
    if alternative_component_cache:
        steps.append(("alternative_component_cache.php", ["--rebuild"], (0,), False))
    steps.append(("kill_all_sessions.php", [], (0,), True))
    # 0: nothing pending, 2: the code is newer than the database.
    steps.append(("upgrade.php", ["--is-pending"], (0,), True))
    steps.append(("check_database_schema.php", [], (0,), True))
    return steps


def finish(engine, container, moodle, wait_seconds=0, replace=None, clone=False):
    """Do what a Moodle needs after a restore.

    :param moodle: dict with "config", "code", "owner" and "alternative_component_cache", as moodle_stack_info gives.
    :param wait_seconds: how long to wait for the database after a start. :param replace: see cli_steps().
    :param clone: bool, see report().
    :returns: ({"steps": list of str}, warnings: list of str). :raises: CommandError.
    """
    site = patiently(
        lambda: report(engine, container, moodle["config"], content=False, finish=True, clone=clone), wait_seconds
    )
    done, said = ["reset %d running tasks" % site["tasks_reset"]], []
    user = "%d:%d" % tuple(moodle["owner"])
    for script, arguments, accepted, lenient in cli_steps(moodle["alternative_component_cache"], replace):
        path = posixpath.join(moodle["code"], "admin/cli", script)
        # Before 4.x some of the scripts do not exist.
        if engine.run(container, ["test", "-f", path], user="0", check=False)[0] != 0:
            if script == _REPLACE:
                said.append("The old address is still in the site's texts: there is no %s." % script)
            continue
        rc, out, err = engine.run(container, ["php", path] + arguments, user=user, check=False)
        if rc in accepted:
            done.append(script)
            continue
        words = (err or out.decode("utf-8", "replace")).strip()[-500:]
        message = "%s ended with exit code %d: %s" % (script, rc, words)
        if not lenient:
            raise CommandError("%s in container '%s'" % (message, container), rc=rc)
        said.append(message)
    return {"steps": done}, said
