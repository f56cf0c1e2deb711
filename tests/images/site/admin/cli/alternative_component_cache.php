<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Writes the list of plugins to the file that $CFG->alternative_component_cache names.

define('CLI_SCRIPT', true);
define('ABORT_AFTER_CONFIG', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['file' => false, 'rebuild' => false, 'print' => false], [], 2);
if (!$options['rebuild'] && !$options['file'] && !$options['print']) {
    cli_help(['help' => true], "Create alternative component cache file.\n--rebuild\n--file=filepath\n--print");
}
$content = "<?php\n\$cache = " . var_export(array_map(fn($plugin) => (array)$plugin, plugins_on_disk()), true) . ";\n";
if ($options['print']) {
    echo $content;
    exit(0);
}
if ($options['rebuild'] && empty($CFG->alternative_component_cache)) {
    fwrite(STDERR, "config.php does not contain \$CFG->alternative_component_cache setting\n");
    exit(2);
}
$target = $options['rebuild'] ? $CFG->alternative_component_cache : $options['file'];
if (!@file_put_contents($target, $content)) {
    fwrite(STDERR, "Error writing to $target\n");
    exit(1);
}
echo "File $target was updated\n";
