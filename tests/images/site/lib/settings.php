<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Settings in the tables config and config_plugins, cached in files; config.php always wins.
defined('MOODLE_INTERNAL') || die();

/** name => value of one component's settings; null when the site is not installed. */
function settings_of(string $component): ?array {
    global $DB;
    $cached = cache_get('config', $component);
    if ($cached !== null) {
        return $cached;
    }
    try {
        $rows = $component === 'core' ? $DB->all('SELECT name, value FROM {config}')
            : $DB->all('SELECT name, value FROM {config_plugins} WHERE plugin = $1', [$component]);
    } catch (standin_error) {
        return null;
    }
    $found = array_column($rows, 'value', 'name');
    if ($found) {
        cache_set('config', $component, $found);
    }
    return $found;
}

function settings_load(): void {
    global $CFG;
    foreach (settings_of('core') ?? [] as $name => $value) {
        if (!array_key_exists($name, $CFG->config_php_settings)) {
            $CFG->$name = $value;
        }
    }
}

function get_config(?string $component, ?string $name = null): mixed {
    global $CFG;
    $component = in_array($component, [null, '', 'moodle', 'core'], true) ? 'core' : $component;
    $forced = $component === 'core' ? $CFG->config_php_settings : ($CFG->forced_plugin_settings[$component] ?? []);
    $found = $forced + (settings_of($component) ?? []);
    return $name === null ? (object)$found : ($found[$name] ?? false);
}

/** Set, or with null remove, a setting. */
function set_config(string $name, mixed $value, ?string $component = null): void {
    global $DB, $CFG;
    $core = in_array($component, [null, '', 'moodle', 'core'], true);
    [$table, $where, $key] = $core ? ['config', 'name = $1', ['name' => $name]]
        : ['config_plugins', 'plugin = $1 AND name = $2', ['plugin' => $component, 'name' => $name]];
    $keys = array_values($key);
    if ($value === null) {
        $DB->execute("DELETE FROM {{$table}} WHERE $where", $keys);
    } elseif (!$DB->execute("UPDATE {{$table}} SET value = \$" . (count($keys) + 1) . " WHERE $where", [...$keys, (string)$value])) {
        $DB->insert($table, [...$key, 'value' => (string)$value]);
    }
    if ($core && !array_key_exists($name, $CFG->config_php_settings)) {
        $CFG->$name = $value === null ? null : (string)$value;
    }
    cache_delete('config', $core ? 'core' : $component);
}

/** What the local copy of early settings belongs to; another database or folder makes it worthless. */
function local_copy_key(): string {
    global $CFG;
    return sha1(serialize([$CFG->dbhost, $CFG->dbname, $CFG->dbuser, $CFG->prefix, $CFG->dataroot, $CFG->wwwroot]));
}

/** The site's identifier, from the local cache when that fits, as Moodle reads it before anything else. */
function site_identifier_load(): void {
    global $CFG;
    if (empty($CFG->version)) {
        return;
    }
    $path = "$CFG->localcachedir/bootstrap.php";
    if (is_readable($path)) {
        include($path);
    }
    if (($CFG->bootstraphash ?? '') !== local_copy_key()) {
        $CFG->siteidentifier = settings_of('core')['siteidentifier'] ?? null;
        if (!$CFG->siteidentifier) {
            set_config('siteidentifier', random_text(32) . (parse_url($CFG->wwwroot, PHP_URL_HOST) ?: 'localhost'));
        }
        site_write($path, "<?php\n// Generated during runtime.\n\$CFG->siteidentifier = " . var_export($CFG->siteidentifier, true)
            . ";\n\$CFG->bootstraphash = '" . local_copy_key() . "';\n");
    }
}

function random_text(int $length): string {
    $letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    return implode('', array_map(fn() => $letters[random_int(0, 61)], range(1, $length)));
}
