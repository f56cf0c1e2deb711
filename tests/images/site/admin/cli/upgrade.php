<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Brings the database up to the code.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['allow-unstable' => false, 'is-maintenance-required' => false, 'is-pending' => false, 'lang' => '',
    'maintenance' => true, 'non-interactive' => false, 'set-ui-upgrade-lock' => false, 'unset-ui-upgrade-lock' => false,
    'verbose-settings' => false]);
cli_help($options, "Command line upgrade.\n--is-pending           exit code 2 when an upgrade is required\n--non-interactive");
if (empty($CFG->version)) {
    cli_fail('Missing $CFG->version. Please use admin/cli/install_database.php to install the site.');
}
[$version, $release] = upgrade_code();
if ($version < (float)$CFG->version) {
    cli_fail('The code is older than the version in the database; going back is not possible.');
}
if (!upgrade_needed()) {
    cli_fail("No upgrade needed for the installed version $release ($version). Thanks for coming anyway!", 0);
}
if ($options['is-pending'] || $options['is-maintenance-required']) {
    cli_fail('An upgrade is pending.', 2);
}
if (!$options['non-interactive'] && strtolower(cli_ask("Upgrade from $CFG->release ($CFG->version) to $release ($version)? y/n")) !== 'y') {
    exit(1);
}
upgrade_run();
echo "Command line upgrade from $CFG->release completed successfully.\n";
