<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Empties the caches. Like Moodle's it runs as anybody: what it makes anew then belongs to whoever ran it.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(array_fill_keys(['muc', 'courses', 'theme', 'lang', 'js', 'filter', 'other'], false), [], 2);
cli_help($options, "Invalidates the site's caches: all of them, or one of --muc --courses --theme --lang --js --filter --other");
$chosen = array_filter($options);
if (!$chosen || isset($chosen['muc']) || isset($chosen['other'])) {
    caches_purge();
}
