<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The front page.

if (!file_exists(__DIR__ . '/config.php')) {
    // Moodle opens its web installer here; the stand-in has only the one for the command line.
    header('Location: install.php');
    exit;
}
require(__DIR__ . '/config.php');
web_require_current();
maintenance_check_web();
if (!empty($CFG->forcelogin)) {
    require_login();
}
if ($USER->id && ($CFG->defaulthomepage ?? '') === '1' && !isset($_GET['redirect'])) {
    web_redirect("$CFG->wwwroot/my/");
}
$name = htmlspecialchars($SITE->fullname);
$items = '';
foreach ($DB->all('SELECT id, fullname FROM {course} WHERE category > 0 AND visible = 1 ORDER BY sortorder, id LIMIT 50') as $course) {
    $items .= "<li data-courseid=\"$course->id\">" . htmlspecialchars($course->fullname) . '</li>';
}
web_page('Home', "<h1>$name</h1>\n<div>$SITE->summary</div>\n<ul>$items</ul>\n<a href=\"$CFG->wwwroot/login/index.php\">Log in</a>");
