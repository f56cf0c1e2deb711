<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What visitors see before the installation and while an upgrade is due; notices for administrators otherwise.

require(__DIR__ . '/../config.php');
if (empty($CFG->version)) {
    web_page('Installation', '<h1>Installation</h1><p>The database is empty: run admin/cli/install_database.php.</p>');
    exit;
}
if (upgrade_is_major()) {
    web_page('Upgrade', '<h1>Upgrade</h1><p>The code and the database differ: run admin/cli/upgrade.php.</p>');
    exit;
}
require_login();
if (!is_siteadmin($USER)) {
    throw new standin_error('Sorry, but you do not currently have permissions to do that', 403);
}
web_page('Notifications', '<h1>Notifications</h1><p>' . (upgrade_needed() ? 'An upgrade is pending.' : 'No upgrade is pending.') . '</p>');
