<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Sets the password of a user with the authentication method "manual".

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['username' => '', 'password' => '', 'ignore-password-policy' => false],
    ['u' => 'username', 'p' => 'password', 'i' => 'ignore-password-policy']);
cli_help($options, "Reset local user passwords.\n-u, --username=username\n-p, --password=newpassword\n--ignore-password-policy");
$username = $options['username'] ?: cli_ask('Enter username (manual authentication only)');
$user = $DB->one("SELECT id FROM {user} WHERE auth = 'manual' AND username = $1 AND mnethostid = $2", [$username, $CFG->mnet_localhost_id]);
if (!$user) {
    cli_fail("Can not find user '$username'");
}
$password = $options['password'] ?: cli_ask('Enter new password');
if (!$options['ignore-password-policy'] && ($wrong = password_policy($password))) {
    cli_fail($wrong);
}
$DB->execute('UPDATE {user} SET password = $2 WHERE id = $1', [$user->id, password_make($password)]);
echo "Password changed\n";
