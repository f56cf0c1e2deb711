<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A logged-in user's own page.

require(__DIR__ . '/../config.php');
web_require_current();
require_login();
maintenance_check_web();
$name = htmlspecialchars("$USER->firstname $USER->lastname");
$items = '';
foreach ($DB->all('SELECT c.id, c.fullname FROM {course} c JOIN {enrol} e ON e.courseid = c.id
        JOIN {user_enrolments} ue ON ue.enrolid = e.id WHERE ue.userid = $1 ORDER BY c.id', [$USER->id]) as $course) {
    $items .= '<li>' . htmlspecialchars($course->fullname) . '</li>';
}
web_page('Dashboard', "<h1>Hi, $name!</h1>\n<ul>$items</ul>\n"
    . "<a href=\"$CFG->wwwroot/login/logout.php?sesskey=$_SESSION[sesskey]\">Log out</a>");
