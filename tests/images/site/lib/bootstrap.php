<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Second stage: error handling, database, settings, and for web requests the address check and the session.
defined('MOODLE_INTERNAL') || die();

foreach (['database', 'cache', 'settings', 'upgrade', 'files', 'password', 'encryption', 'session', 'web', 'maintenance'] as $part) {
    require_once(__DIR__ . "/$part.php");
}

/** Ends the script with a page or with exit code 1; a text that is not to be shown on pages goes to the log alone. */
class standin_error extends Exception {
    public function __construct(string $text, public readonly int $status = 404, public readonly bool $shown = true) {
        parent::__construct($text);
    }
}

function standin_show_error(Throwable $error): void {
    if (CLI_SCRIPT) {
        fwrite(STDERR, '!!! ' . $error->getMessage() . " !!!\n");
    } else {
        error_log(get_class($error) . ': ' . $error->getMessage() . ' in ' . $error->getFile() . ':' . $error->getLine());
        web_error_page($error);
    }
    exit(1);
}

error_reporting(E_ALL);
ini_set('display_errors', CLI_SCRIPT ? 'stderr' : '0');
ini_set('log_errors', CLI_SCRIPT ? '0' : '1');
set_exception_handler('standin_show_error');

global $DB, $USER, $SESSION, $SITE;
$DB = new standin_database($CFG);
settings_load();
site_identifier_load();
$SITE = empty($CFG->version) ? null : $DB->one('SELECT * FROM {course} WHERE category = 0');

if (!CLI_SCRIPT) {
    web_check_address();
    if (!empty($CFG->version)) {
        session_begin();
    }
}
