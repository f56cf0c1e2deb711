<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Creates the tables and the first rows of a new site.
defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/schema.php');

const INSTALL_ROLES = [1 => 'manager', 2 => 'coursecreator', 3 => 'editingteacher', 4 => 'teacher', 5 => 'student', 6 => 'guest',
                       7 => 'user', 8 => 'frontpage'];

/** Component, class, minute, hour, day of month, month, day of week. */
const INSTALL_TASKS = [
    ['moodle', '\core\task\session_cleanup_task', '*', '*', '*', '*', '*'],
    ['moodle', '\core\task\file_trash_cleanup_task', '55', '*/6', '*', '*', '*'],
    ['moodle', '\core\task\cache_cleanup_task', '30', '*', '*', '*', '*'],
    ['moodle', '\core\task\task_log_cleanup_task', '14', '1', '*', '*', '*'],
    ['logstore_standard', '\logstore_standard\task\cleanup_task', '20', '4', '*', '*', '*'],
    ['local_moodleclaude', '\local_moodleclaude\task\tick', '*/5', '*', '*', '*', '*'],
];

/** Options: adminuser, adminpass, adminemail, fullname, shortname, summary, supportemail, lang. */
function install_site(array $options): void {
    global $DB, $CFG;
    if ($DB->tables()) {
        cli_fail('Database tables already exist; the installation cannot continue.');
    }
    foreach (schema_tables() as $name => $table) {
        echo "-->$name\n";
        $DB->script(schema_statements($name, $table, $DB->prefix));
    }
    $DB->transaction(function () use ($options) {
        install_people($options);
        install_course($options);
        install_settings($options);
        install_plugins();
    });
    foreach (['temp', 'lang'] as $folder) {
        site_folder("$CFG->dataroot/$folder");
    }
    files_folder('filedir');
    files_folder('trashdir');
    caches_purge();
}

function install_people(array $options): void {
    global $DB, $CFG;
    $now = time();
    $host = $DB->insert('mnet_host', ['wwwroot' => $CFG->wwwroot, 'ip_address' => '127.0.0.1', 'name' => '', 'public_key' => '']);
    $DB->insert('mnet_host', ['wwwroot' => '', 'name' => 'All Hosts', 'public_key' => '']);
    set_config('mnet_localhost_id', $host);
    $common = ['confirmed' => 1, 'mnethostid' => $host, 'timemodified' => $now];
    $guest = $DB->insert('user', $common + ['username' => 'guest', 'password' => password_make(random_text(20)), 'firstname' => 'Guest user',
        'lastname' => ' ', 'email' => 'root@localhost', 'description' => "This user is special: it can look, but not change anything.\n"]);
    $admin = $DB->insert('user', $common + ['username' => $options['adminuser'], 'password' => password_make($options['adminpass']),
        'firstname' => 'Admin', 'lastname' => 'User', 'email' => $options['adminemail'], 'timecreated' => $now]);
    set_config('siteguest', $guest);
    set_config('siteadmins', $admin);
    foreach (array_values(INSTALL_ROLES) as $order => $name) {
        $DB->insert('role', ['shortname' => $name, 'description' => '', 'sortorder' => $order + 1, 'archetype' => $name]);
    }
}

/** The context row of a thing, below another context; returns its id. */
function context_add(int $level, int $instance, ?int $parent): int {
    global $DB;
    $above = $parent ? $DB->one('SELECT path, depth FROM {context} WHERE id = $1', [$parent]) : null;
    $id = $DB->insert('context', ['contextlevel' => $level, 'instanceid' => $instance, 'depth' => ($above->depth ?? 0) + 1]);
    $DB->execute('UPDATE {context} SET path = $2 WHERE id = $1', [$id, ($above->path ?? '') . "/$id"]);
    return $id;
}

function install_course(array $options): void {
    global $DB;
    $now = time();
    $system = context_add(10, 0, null);
    $course = $DB->insert('course', ['category' => 0, 'sortorder' => 1, 'fullname' => $options['fullname'], 'shortname' => $options['shortname'],
        'summary' => $options['summary'], 'format' => 'site', 'newsitems' => 3, 'timecreated' => $now, 'timemodified' => $now]);
    context_add(50, $course, $system);
    $category = $DB->insert('course_categories', ['name' => 'Category 1', 'sortorder' => 10000, 'depth' => 1, 'timemodified' => $now]);
    $DB->execute('UPDATE {course_categories} SET path = $2 WHERE id = $1', [$category, "/$category"]);
    context_add(40, $category, $system);
    foreach ($DB->all('SELECT id FROM {user} ORDER BY id') as $user) {
        context_add(30, (int)$user->id, $system);
    }
}

function install_settings(array $options): void {
    global $CFG;
    [$version, $release] = upgrade_code();
    $values = ['version' => (string)$version, 'release' => $release, 'branch' => '405', 'allversionshash' => versions_hash(),
        'siteidentifier' => random_text(32) . parse_url($CFG->wwwroot, PHP_URL_HOST), 'lang' => $options['lang'], 'supportemail' => $options['supportemail'],
        'cron_enabled' => 1, 'maintenance_enabled' => 0, 'theme' => 'boost', 'sessiontimeout' => 28800, 'dbsessions' => 0,
        'filescleanupperiod' => 86400, 'defaulthomepage' => 1, 'forcelogin' => 0, 'timezone' => 'UTC', 'rolesactive' => 1,
        'maintenance_message' => '', 'passwordpolicy' => 1, 'noreplyaddress' => 'noreply@localhost', 'backup_version' => 2024100700];
    foreach ($values as $name => $value) {
        set_config($name, $value);
    }
    upgrade_log('core', null, (string)$version, 'Core installed');
}

function install_plugins(): void {
    global $DB;
    $now = time();
    foreach (plugins_on_disk() as $component => $plugin) {
        set_config('version', $plugin->version, $component);
        upgrade_log($component, null, (string)$plugin->version, 'Plugin installed');
        [$type, $name] = explode('_', $component, 2);
        match ($type) {
            'mod' => $DB->insert('modules', ['name' => $name]),
            'block' => $DB->insert('block', ['name' => $name]),
            'repository' => $DB->insert('repository', ['type' => $name, 'sortorder' => 1]),
            'filter' => $DB->insert('filter_active', ['filter' => $name, 'contextid' => 1, 'active' => 1, 'sortorder' => 1]),
            default => null,
        };
    }
    foreach (INSTALL_TASKS as [$component, $class, $minute, $hour, $day, $month, $weekday]) {
        $DB->insert('task_scheduled', ['component' => $component, 'classname' => $class, 'lastruntime' => 0, 'nextruntime' => $now,
            'minute' => $minute, 'hour' => $hour, 'day' => $day, 'month' => $month, 'dayofweek' => $weekday, 'faildelay' => 0]);
    }
}
