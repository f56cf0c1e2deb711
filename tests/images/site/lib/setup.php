<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// First stage: checks and completes $CFG. With ABORT_AFTER_CONFIG nothing else is loaded and no database is needed.

if (!isset($CFG)) {
    exit(1);
}

function standin_fatal(string $reason): never {
    if (isset($_SERVER['REMOTE_ADDR'])) {
        header($_SERVER['SERVER_PROTOCOL'] . ' 500 Internal Server Error');
    }
    echo "Fatal error: $reason\n";
    exit(1);
}

$CFG->dirroot = dirname(__DIR__);
$CFG->libdir = __DIR__;
$CFG->directorypermissions ??= 02777;
$CFG->filepermissions ??= $CFG->directorypermissions & 0666;
$CFG->umaskpermissions ??= ($CFG->directorypermissions & 0777) ^ 0777;
umask($CFG->umaskpermissions);

if (!isset($CFG->dataroot)) {
    standin_fatal('config.php does not set $CFG->dataroot');
}
$CFG->dataroot = realpath($CFG->dataroot);
if ($CFG->dataroot === false) {
    standin_fatal('the folder in $CFG->dataroot does not exist or cannot be reached');
}
if (!is_writable($CFG->dataroot)) {
    standin_fatal('the folder in $CFG->dataroot is not writable');
}
if (!isset($CFG->wwwroot) || $CFG->wwwroot === 'http://example.com/moodle') {
    standin_fatal('config.php does not set $CFG->wwwroot');
}

$CFG->prefix ??= '';
$CFG->admin ??= 'admin';
$CFG->tempdir ??= "$CFG->dataroot/temp";
$CFG->backuptempdir ??= "$CFG->tempdir/backup";
$CFG->cachedir ??= "$CFG->dataroot/cache";
$CFG->localcachedir ??= "$CFG->dataroot/localcache";
$CFG->localrequestdir ??= sys_get_temp_dir() . '/requestdir';
$CFG->langotherroot ??= "$CFG->dataroot/lang";
$CFG->langlocalroot ??= "$CFG->dataroot/lang";

if (!defined('CLI_SCRIPT')) {
    define('CLI_SCRIPT', false);
}
if (CLI_SCRIPT === isset($_SERVER['REMOTE_ADDR'])) {
    echo CLI_SCRIPT ? 'This script runs from the command line only' : "Scripts for the command line define CLI_SCRIPT first\n";
    exit(1);
}

define('CLI_MAINTENANCE', file_exists("$CFG->dataroot/climaintenance.html"));
if (CLI_MAINTENANCE && !CLI_SCRIPT) {
    header($_SERVER['SERVER_PROTOCOL'] . ' 503 Moodle under maintenance');
    header('Status: 503 Moodle under maintenance');
    header('Retry-After: 300');
    header('Content-type: text/html; charset=utf-8');
    header('Cache-Control: no-store, no-cache, must-revalidate');
    readfile("$CFG->dataroot/climaintenance.html");
    die;
}

// As in Moodle: what config.php said is kept once more, so the database password stands in $CFG twice.
if (!isset($CFG->config_php_settings)) {
    $CFG->config_php_settings = (array)$CFG;
    unset($CFG->config_php_settings['forced_plugin_settings']);
    $CFG->forced_plugin_settings ??= [];
}
$CFG->httpswwwroot = $CFG->wwwroot;

defined('MOODLE_INTERNAL') || define('MOODLE_INTERNAL', true);
define('MATURITY_STABLE', 200);
require_once(__DIR__ . '/plugins.php');

if (defined('ABORT_AFTER_CONFIG')) {
    error_reporting(0);
    return;
}

require_once(__DIR__ . '/bootstrap.php');
