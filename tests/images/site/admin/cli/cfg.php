<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Shows and changes settings.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['component' => null, 'name' => null, 'set' => null, 'unset' => false, 'shell-arg' => false, 'json' => false, 'no-eol' => false]);
cli_help($options, "Displays or sets a setting.\n--component=NAME --name=NAME [--set=VALUE | --unset] [--json] [--shell-arg] [--no-eol]", 2);
[$component, $name] = [$options['component'], $options['name']];

if ($options['unset'] || $options['set'] !== null) {
    if (!$name) {
        cli_fail('Missing configuration variable name', 2);
    }
    $forced = $component ? ($CFG->forced_plugin_settings[$component] ?? []) : $CFG->config_php_settings;
    if (array_key_exists($name, $forced)) {
        cli_fail('The configuration variable is hard-set in the config.php, unable to change.', 4);
    }
    $old = get_config($component, $name);
    set_config($name, $options['unset'] ? null : $options['set'], $component);
    $DB->insert('config_log', ['userid' => 0, 'timemodified' => time(), 'plugin' => $component, 'name' => $name,
        'value' => $options['unset'] ? null : $options['set'], 'oldvalue' => $old === false ? null : $old]);
    exit(0);
}
if ($name === null) {
    $found = get_config($component);
    if ($options['json']) {
        echo json_encode($found), "\n";
        exit(0);
    }
    foreach ((array)$found as $key => $value) {
        if (is_scalar($value)) {
            echo $key, "\t", $options['shell-arg'] ? escapeshellarg((string)$value) : $value, "\n";
        }
    }
    exit(0);
}
$value = get_config($component, $name);
if ($value === false) {
    cli_fail('No such configuration variable found.', 3);
}
$value = $options['shell-arg'] ? escapeshellarg((string)$value) : $value;
echo $options['json'] ? json_encode($value) : $value, $options['no-eol'] ? '' : "\n";
