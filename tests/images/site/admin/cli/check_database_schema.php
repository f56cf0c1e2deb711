<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Compares the database with the table definitions of the code.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/schema.php');

cli_help(cli_options([]), 'Validate database structure.');
if (empty($CFG->version)) {
    echo "Database is not yet installed.\n";
    exit(2);
}
$problems = schema_differences($DB);
if (!$problems) {
    echo "Database structure is ok.\n";
    exit(0);
}
foreach ($problems as $table => $items) {
    echo str_repeat('-', 79), "\n$table\n * ", implode("\n * ", $items), "\n";
}
exit(1);
