<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Where a visitor lands when there is no config.php.

if (file_exists(__DIR__ . '/config.php')) {
    header('Location: index.php');
    exit;
}
echo "<!DOCTYPE html>\n<html><head><title>Installation - Moodle 4.5.6 (stand-in)</title></head>\n"
    . "<body>This site has no config.php yet: run admin/cli/install.php. It is a stand-in for tests, not Moodle.</body></html>\n";
