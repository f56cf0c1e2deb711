# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a Moodle person knows: where a site keeps its settings, how PHP is asked, what can be rebuilt.

Facts come from Moodle 4.5's lib/setup.php, lib/plugins.json, lib/components.json and admin/cli.
"""
from __future__ import annotations

import json
import posixpath

from ._errors import CommandError, NotFoundError

# Where images keep the code; the first that holds a Moodle wins.
CODE_ROOTS = (
    "/var/www/html", "/var/www/moodle", "/var/www/html/moodle", "/bitnami/moodle", "/opt/bitnami/moodle", "/app",
    "/srv/moodle", "/usr/share/nginx/html", "/moodle",
)

# Prints the folders among its arguments that hold an installed Moodle (5.1 and later keep the code in public/).
FIND_CODE = r"""
for d in "$@"; do
  if [ -f "$d/config.php" ] && grep -q "lib/setup.php" "$d/config.php" 2>/dev/null; then
    if [ -f "$d/version.php" ] || [ -f "$d/public/version.php" ]; then printf '%s\n' "$d"; fi
  fi
done
exit 0
"""

# The folders in filedir that hold stored files; they have a place of their own in a backup.
STORED_FOLDERS = "[0-9a-f][0-9a-f]"

_MARK = "@@MOODLE@@"

# Lets PHP itself read config.php, so getenv, includes and loops in it work. Passwords are not among the keys.
_PROBE = r"""
define('CLI_SCRIPT', true);
define('ABORT_AFTER_CONFIG', true);
require($argv[1]);
defined('MOODLE_INTERNAL') || define('MOODLE_INTERNAL', true);
foreach (['ALPHA' => 50, 'BETA' => 100, 'RC' => 150, 'STABLE' => 200] as $k => $v) {
    defined("MATURITY_$k") || define("MATURITY_$k", $v);
}
$keep = ['dbtype', 'dbhost', 'dbname', 'dbuser', 'prefix', 'wwwroot', 'dataroot', 'tempdir', 'backuptempdir',
    'cachedir', 'localcachedir', 'localrequestdir', 'langotherroot', 'langlocalroot', 'filedir', 'trashdir',
    'altcacheconfigpath', 'secretdataroot', 'file_lock_root', 'session_file_save_path',
    'alternative_file_system_class', 'alternative_component_cache', 'sslproxy', 'reverseproxy'];
$out = ['cfg' => []];
foreach ($keep as $k) {
    if (isset($CFG->$k)) {
        $out['cfg'][$k] = $CFG->$k;
    }
}
$options = isset($CFG->dboptions) && is_array($CFG->dboptions) ? $CFG->dboptions : [];
foreach (['dbport', 'dbsocket', 'dbschema'] as $k) {
    if (isset($options[$k])) {
        $out['cfg'][$k] = $options[$k];
    }
}
// config.php itself may be a link to somewhere else; the code is where the link is.
$root = realpath(dirname($argv[1]));
$code = is_file("$root/version.php") ? $root : "$root/public";
$read = function ($file) {
    $module = $plugin = new stdClass();
    @include($file);
    $seen = get_defined_vars();
    unset($seen['file'], $seen['module'], $seen['plugin']);
    return $seen + (array) $plugin;
};
$out['version'] = array_intersect_key($read("$code/version.php"), array_flip(['version', 'release', 'branch']));
$out['config'] = realpath($argv[1]);
$out['root'] = $root;
$out['code'] = $code;
$out['dataroot'] = realpath($CFG->dataroot);
$out['owner'] = [fileowner($CFG->dataroot), filegroup($CFG->dataroot)];
$out['php'] = PHP_VERSION;
$json = function ($file) {
    return is_file($file) ? (array) json_decode(file_get_contents($file), true) : [];
};
$standard = $json("$code/lib/plugins.json")['standard'] ?? null;
$types = $json("$code/lib/components.json")['plugintypes'] ?? [];
$out['plugins_known'] = $standard !== null && $types;
$out['plugins'] = [];
while ($types && $standard !== null) {
    $nested = [];
    foreach ($types as $type => $folder) {
        foreach (glob("$code/$folder/*/version.php") ?: [] as $file) {
            $dir = dirname($file);
            $name = basename($dir);
            foreach (($json("$dir/db/subplugins.json")['plugintypes'] ?? []) as $sub => $subfolder) {
                $nested[$sub] = $subfolder;
            }
            if (!in_array($name, $standard[$type] ?? [])) {
                $found = $read($file);
                $out['plugins'][] = ['component' => "{$type}_{$name}", 'path' => substr($dir, strlen($root) + 1),
                    'version' => (string) ($found['version'] ?? ''), 'release' => (string) ($found['release'] ?? '')];
            }
        }
    }
    $types = array_diff_key($nested, $types);
}
echo "\n@@MOODLE@@", json_encode($out, JSON_UNESCAPED_SLASHES | JSON_PARTIAL_OUTPUT_ON_ERROR
    | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
"""

_PASSWORD = r"""define('CLI_SCRIPT', true); define('ABORT_AFTER_CONFIG', true); require($argv[1]); echo $CFG->dbpass;"""


# Errors do not mix with the answer, and a stack trace shows no arguments, among which are passwords.
_SETTINGS = ("-d", "display_errors=stderr", "-d", "zend.exception_ignore_args=1")


def probe_command(config):
    """Return the command (list of str) that prints a site's settings. config: str, path of config.php."""
    return ["php", *_SETTINGS, "-r", _PROBE, "--", config]


def password_command(config):
    """Return the command (list of str) that prints the database password of a site, and nothing else."""
    return ["php", *_SETTINGS, "-r", _PASSWORD, "--", config]


def parse_probe(output, where):
    """Return the settings (dict) that the probe printed.

    :param output: bytes. :param where: str, for messages.
    :returns: {"cfg", "version", "config" (path of the file itself), "root", "code", "dataroot", "owner", "php",
        "plugins", "plugins_known"}.
    :raises: CommandError if PHP ended before the end, with what Moodle said.
    """
    said, found, document = output.decode("utf-8", "replace").rpartition(_MARK)
    if not found:
        raise CommandError(
            "PHP cannot read the settings of the Moodle in %s: %s" % (where, document.strip()[-500:] or "no message"),
            "Check that its data directory exists and that the web server may write to it.",
        )
    try:
        settings = json.loads(document)
    except ValueError as error:
        raise CommandError("The settings of the Moodle in %s cannot be read: %s" % (where, error)) from error
    if not settings["cfg"].get("dataroot") or not settings.get("dataroot"):
        raise NotFoundError("The Moodle in %s has no data directory" % where)
    return settings


def rebuilt_paths(cfg, dataroot):
    """Return what Moodle makes anew by itself, as exclude patterns relative to the data directory (list of str).

    The folders stay, empty. The trash is one of them: what of it a backup needs comes in by way of the stored files.
    """
    folders = {"localcache", "temp", "sessions", "lock", "trashdir"}
    for key in ("localcachedir", "tempdir", "localrequestdir", "file_lock_root", "session_file_save_path", "trashdir"):
        path = posixpath.normpath(str(cfg.get(key) or "/"))
        if path.startswith(dataroot + "/"):
            folders.add(path[len(dataroot) + 1:])
    patterns = ["%s/*" % escape_pattern(folder) for folder in sorted(folders)]
    return patterns + ["climaintenance.html"]


def escape_pattern(path):
    """Return a path (str) as an exclude pattern that means just this path."""
    return "".join("\\" + char if char in "*?[]\\" else char for char in path)


def stored_files(cfg, dataroot):
    """Return the folders (filedir, trashdir) of a site's stored files and of those that it has deleted (str)."""
    wanted = ("filedir", "trashdir")
    return tuple(posixpath.normpath(str(cfg.get(key) or posixpath.join(dataroot, key))) for key in wanted)


def extra_data_folders(cfg, dataroot):
    """Return the folders outside the data directory that must be kept (list of (setting, path))."""
    wanted = ("langotherroot", "langlocalroot", "altcacheconfigpath", "secretdataroot")
    found = []
    for key in wanted:
        path = posixpath.normpath(str(cfg.get(key) or dataroot))
        if path != dataroot and not path.startswith(dataroot + "/"):
            found.append((key, path))
    return found


def warnings(settings):
    """Return what about a site's settings limits a backup (list of str)."""
    cfg, said = settings["cfg"], []
    if cfg.get("alternative_file_system_class"):
        said.append(
            "Files are kept in an external store (%s): those that are not in the data directory are not in the backup."
            % cfg["alternative_file_system_class"]
        )
    if not settings["plugins_known"]:
        said.append(
            "This Moodle does not list its core plugins, so additional plugins cannot be told apart; they are in the"
            " application files. Name their folders in 'plugin_paths' to have them in an archive of their own."
        )
    return said
