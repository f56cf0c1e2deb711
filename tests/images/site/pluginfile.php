<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Sends a stored file: /pluginfile.php/<contextid>/<component>/<filearea>/<itemid><filepath><filename>.

require(__DIR__ . '/config.php');
web_require_current();
maintenance_check_web();

/** May the current user read files of this context: own user's, a course that the user is enrolled in, or as administrator. */
function may_read(stdClass $context): bool {
    global $DB, $USER;
    if (is_siteadmin($USER) || in_array((int)$context->contextlevel, [10, 40], true)) {
        return true;
    }
    if ((int)$context->contextlevel === 30) {
        return $context->instanceid === $USER->id;
    }
    $course = (int)$context->contextlevel === 50 ? $context->instanceid
        : $DB->value('SELECT course FROM {course_modules} WHERE id = $1', [$context->instanceid]);
    return (bool)$DB->value('SELECT 1 FROM {user_enrolments} ue JOIN {enrol} e ON e.id = ue.enrolid
        WHERE e.courseid = $1 AND ue.userid = $2 AND ue.status = 0', [$course, $USER->id]);
}

$path = $_SERVER['PATH_INFO'] ?? ($_GET['file'] ?? '');
$parts = explode('/', ltrim($path, '/'));
if (count($parts) < 4) {
    throw new standin_error('Invalid arguments supplied', 404);
}
// A user's private files are addressed without an item.
if ($parts[1] === 'user' && $parts[2] === 'private') {
    array_splice($parts, 3, 0, '0');
}
$context = $DB->one('SELECT * FROM {context} WHERE id = $1', [(int)$parts[0]]);
if (!$context) {
    throw new standin_error('Sorry, the requested file could not be found', 404);
}
require_login();
$file = $DB->one('SELECT * FROM {files} WHERE pathnamehash = $1', [sha1('/' . implode('/', $parts))]);
if (!$file || $file->filename === '.' || !may_read($context)) {
    throw new standin_error('Sorry, the requested file could not be found', 404);
}
files_send($file, !empty($_GET['forcedownload']));
