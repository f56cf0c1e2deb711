<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which plugins the code holds, and which of them are part of the standard distribution.
defined('MOODLE_INTERNAL') || die();

/** Plugin type => folder below the root of the code. */
function plugin_types(): array {
    return json_decode(file_get_contents(__DIR__ . '/components.json'), true)['plugintypes'];
}

/** Component => object with version and folder, read from each plugin's version.php. */
function plugins_on_disk(): array {
    global $CFG;
    $found = [];
    foreach (plugin_types() as $type => $folder) {
        foreach (glob("$CFG->dirroot/$folder/*/version.php") as $file) {
            $plugin = new stdClass();
            include($file);
            $component = $type . '_' . basename(dirname($file));
            $found[$component] = (object)['version' => $plugin->version, 'folder' => dirname($file)];
        }
    }
    ksort($found);
    return $found;
}

/** Components that the standard distribution has, from lib/plugins.json. */
function plugins_standard(): array {
    $found = [];
    foreach (json_decode(file_get_contents(__DIR__ . '/plugins.json'), true)['standard'] as $type => $names) {
        foreach ($names as $name) {
            $found[] = "{$type}_$name";
        }
    }
    return $found;
}

/** One hash over all versions on disk: when it differs from the one in the settings, an upgrade is due. */
function versions_hash(): string {
    global $CFG;
    require("$CFG->dirroot/version.php");
    $versions = ['core' => $version];
    foreach (plugins_on_disk() as $component => $plugin) {
        $versions[$component] = $plugin->version;
    }
    return sha1(serialize($versions));
}
