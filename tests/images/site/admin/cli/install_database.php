<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Creates the tables of a site whose config.php exists.

define('CLI_SCRIPT', true);
if (!file_exists(__DIR__ . '/../../config.php')) {
    fwrite(STDERR, "config.php does not exist, the installation cannot continue\n");
    exit(1);
}
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/installer.php');

$options = cli_options(['lang' => 'en', 'adminuser' => 'admin', 'adminpass' => '', 'adminemail' => '', 'fullname' => '',
                        'shortname' => '', 'summary' => '', 'supportemail' => '', 'agree-license' => false]);
cli_help($options, 'Database installer. Options:
--lang=CODE --adminuser=USERNAME --adminpass=PASSWORD --adminemail=STRING --agree-license
--fullname=STRING --shortname=STRING --summary=STRING --supportemail=STRING');
if ($DB->tables()) {
    cli_fail('Database tables already present; CLI installation cannot continue.');
}
if (!$options['agree-license']) {
    cli_fail('You have to agree to the license. --help prints out the help');
}
if ($options['adminpass'] === true || $options['adminpass'] === '') {
    cli_fail('You have to specify admin password. --help prints out the help');
}
foreach (['adminemail', 'supportemail'] as $name) {
    if ($options[$name] && !filter_var($options[$name], FILTER_VALIDATE_EMAIL)) {
        cli_fail("Incorrect value \"$options[$name]\" for \"$name\"");
    }
}
install_site($options);
echo "Installation completed successfully.\n";
