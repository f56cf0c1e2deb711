<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Shows the plugin's encrypted setting in the clear, or with --set stores the first line of standard input.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['set' => false]);
cli_help($options, "Shows the encrypted setting local_moodleclaude/apitoken.\n--set    store the first line of standard input instead");
if ($options['set']) {
    set_config('apitoken', encryption_encrypt(rtrim((string)fgets(STDIN), "\r\n")), 'local_moodleclaude');
    exit(0);
}
$stored = get_config('local_moodleclaude', 'apitoken');
if ($stored === false) {
    cli_fail('The setting is not there', 3);
}
echo encryption_decrypt($stored), "\n";
