<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Ends every session.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

cli_help(cli_options([], [], 2), 'Kill all sessions.');
$DB->execute('DELETE FROM {sessions}');
foreach (glob(($CFG->session_file_save_path ?? "$CFG->dataroot/sessions") . '/sess_*') as $file) {
    @unlink($file);
}
