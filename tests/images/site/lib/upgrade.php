<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Comparing the code's versions with those in the database, and bringing the database up to the code's.
defined('MOODLE_INTERNAL') || die();

/** version and release of the code. */
function upgrade_code(): array {
    global $CFG;
    require("$CFG->dirroot/version.php");
    return [$version, $release];
}

/** True when nothing works before an upgrade: not installed, or core's version on disk is another one. */
function upgrade_is_major(): bool {
    global $CFG;
    return empty($CFG->version) || (float)$CFG->version < upgrade_code()[0];
}

/** True when the code, core or any plugin, differs from what the database was last made for. */
function upgrade_needed(): bool {
    global $CFG;
    return upgrade_is_major() || ($CFG->allversionshash ?? '') !== versions_hash();
}

function upgrade_log(string $plugin, ?string $from, string $to, string $info): void {
    global $DB;
    $DB->insert('upgrade_log', ['type' => 0, 'plugin' => $plugin, 'version' => $from, 'targetversion' => $to, 'info' => $info,
                                'userid' => 0, 'timemodified' => time()]);
}

/** Record the versions of the code in the database; the tables of new plugins are made. */
function upgrade_run(): void {
    global $DB, $CFG;
    require_once(__DIR__ . '/schema.php');
    [$version, $release] = upgrade_code();
    $have = $DB->tables();
    foreach (schema_tables() as $name => $table) {
        if (!in_array($name, $have, true)) {
            $DB->script(schema_statements($name, $table, $DB->prefix));
        }
    }
    foreach (plugins_on_disk() as $component => $plugin) {
        $old = get_config($component, 'version');
        if ($old !== (string)$plugin->version) {
            set_config('version', $plugin->version, $component);
            upgrade_log($component, $old === false ? null : $old, (string)$plugin->version, $old === false ? 'Plugin installed' : 'Plugin upgraded');
        }
    }
    if (($CFG->version ?? '') !== (string)$version) {
        upgrade_log('core', $CFG->version ?? null, (string)$version, 'Core upgraded');
    }
    set_config('version', (string)$version);
    set_config('release', $release);
    set_config('branch', '405');
    set_config('allversionshash', versions_hash());
    caches_purge();
}
