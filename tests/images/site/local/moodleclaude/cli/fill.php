<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Fills the site with content. The same options on a fresh site give the same content.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/installer.php');
foreach (['draw', 'people', 'content', 'rows', 'oddnames'] as $part) {
    require_once(__DIR__ . "/../lib/$part.php");
}

$options = cli_options(['size-mb' => 0, 'files' => 0, 'rows' => 0, 'users' => 0, 'courses' => 0, 'odd-names' => false,
                        'sparse-gb' => 10, 'seed' => 1]);
cli_help($options, 'Fills the site with content, the same for the same options.
--users=N       users student0001 ...; their password is the first line of standard input
--courses=N     courses with a section, modules and enrolments (default: one for 20 users)
--files=N       stored files ...
--size-mb=N     ... of this size together, three quarters of it incompressible
--rows=N        rows in the log, with texts that need care
--odd-names     odd names, links, modes and owners below dataroot (run as root to have the owners, too)
--sparse-gb=N   apparent size of the sparse file of --odd-names (default 10)
--seed=N        another number gives other content');

if (empty($CFG->version)) {
    cli_fail('The site is not installed.');
}
foreach (['size-mb', 'files', 'rows', 'users', 'courses', 'sparse-gb', 'seed'] as $name) {
    if (!is_numeric($options[$name]) || $options[$name] < 0) {
        cli_fail("--$name wants a number");
    }
    $options[$name] = $name === 'sparse-gb' || $name === 'size-mb' ? (float)$options[$name] : (int)$options[$name];
}

// As root only the odd names are root's business: everything else belongs to the owner of dataroot.
$owner = stat($CFG->dataroot);
$asroot = posix_geteuid() === 0;
if ($asroot) {
    posix_setegid($owner['gid']);
    posix_seteuid($owner['uid']);
}

$draw = new standin_draw((string)$options['seed']);
$report = [];
if ($options['users'] || $options['courses']) {
    $password = $options['users'] ? rtrim((string)fgets(STDIN), "\r\n") : '';
    if ($options['users'] && $password === '') {
        cli_fail('The password of the users is read from standard input, and nothing came.');
    }
    $report += fill_people($draw, $options['users'], $options['courses'] ?: (int)ceil($options['users'] / 20), $password);
}
if ($options['files'] || $options['size-mb']) {
    $report += fill_files($draw, max(1, $options['files']), (int)($options['size-mb'] * 1048576));
}
if ($options['rows']) {
    $report += fill_rows($draw, $options['rows']);
}
if ($options['odd-names']) {
    $report += fill_odd_names($draw, (int)($options['sparse-gb'] * 1073741824), $asroot);
}
caches_purge();
$report['peak_memory_mb'] = memory_get_peak_usage(true) >> 20;
echo json_encode($report, JSON_UNESCAPED_SLASHES), "\n";
