<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Enables, disables and shows maintenance modes.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['enable' => false, 'enablelater' => 0, 'enableold' => false, 'disable' => false]);
cli_help($options, "Maintenance mode settings; without an option the state is shown.\n--enable\n--enablelater=MINUTES\n--enableold\n--disable");
echo "== Maintenance mode ($CFG->wwwroot) ==\n";
$file = "$CFG->dataroot/climaintenance.html";

if ($options['enablelater']) {
    if (file_exists($file)) {
        echo "Status: enabled\n";
        exit(0);
    }
    set_config('maintenance_later', time() + $options['enablelater'] * 60);
    echo "Status: enabled later\n";
} elseif ($options['enable']) {
    file_exists($file) || maintenance_enable_cli();
    set_config('maintenance_enabled', 0);
    set_config('maintenance_later', null);
    echo "Your site is currently in CLI maintenance mode, no web access is allowed.\n";
} elseif ($options['enableold']) {
    set_config('maintenance_enabled', 1);
    set_config('maintenance_later', null);
    echo "Your site is currently in maintenance mode; only administrators can log in.\n";
} elseif ($options['disable']) {
    set_config('maintenance_enabled', 0);
    set_config('maintenance_later', null);
    if (file_exists($file)) {
        unlink($file);
    }
    echo "Maintenance mode has been disabled and the site is running normally again\n";
} elseif (!empty($CFG->maintenance_enabled) || file_exists($file)) {
    echo "Status: enabled\n";
} else {
    echo isset($CFG->maintenance_later) ? "Status: enabled later\n" : "Status: disabled\n";
}
