<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Users and courses.
defined('MOODLE_INTERNAL') || die();

function fill_people(standin_draw $draw, int $users, int $courses, string $password): array {
    global $DB;
    return $DB->transaction(function () use ($draw, $users, $courses, $password) {
        global $DB;
        $have = (int)$DB->value("SELECT count(*) FROM {user} WHERE username LIKE 'student%'");
        $people = fill_users($draw, $have, $users, $password);
        $made = [];
        for ($index = 0; $index < $courses; $index++) {
            $made[] = fill_course($draw, $index, $people);
        }
        return ['users' => count($people), 'courses' => count($made)];
    });
}

/** Ids of new users. Hashing is slow on purpose, so at most 20 different hashes of the password are made. */
function fill_users(standin_draw $draw, int $first, int $count, string $password): array {
    global $DB, $CFG;
    $hashes = [];
    for ($index = 0; $index < min($count, 20); $index++) {
        $hashes[] = password_make($password, bin2hex($draw->bytes("salt/$index", 0, 8)));
    }
    $made = [];
    for ($index = 0; $index < $count; $index++) {
        $name = sprintf('student%04d', $first + $index + 1);
        $made[] = $user = $DB->insert('user', ['username' => $name, 'password' => $hashes[$index % 20], 'confirmed' => 1,
            'mnethostid' => $CFG->mnet_localhost_id, 'firstname' => ucfirst($draw->words("first/$name", 1)), 'lastname' => "O'" . $draw->words("last/$name", 1),
            'email' => "$name@example.com", 'city' => "Z\u{fc}rich", 'description' => $index % 10 ? $draw->words("about/$name", 30) : standin_draw::STRANGE,
            'timecreated' => 1700000000 + $index, 'timemodified' => 1700000000 + $index]);
        context_add(30, $user, 1);
        $DB->insert('user_preferences', ['userid' => $user, 'name' => 'htmleditor', 'value' => 'tiny']);
    }
    return $made;
}

/** One course with two modules and the users enrolled as students. */
function fill_course(standin_draw $draw, int $index, array $people): int {
    global $DB;
    $time = 1700000000;
    $number = (int)$DB->value('SELECT count(*) FROM {course}');
    $course = $DB->insert('course', ['category' => 1, 'sortorder' => 10000 + $number, 'fullname' => 'Course ' . $draw->words("course/$index", 3),
        'shortname' => "C$number", 'summary' => $index ? $draw->words("summary/$index", 60) : standin_draw::STRANGE, 'summaryformat' => 1,
        'startdate' => $time, 'timecreated' => $time, 'timemodified' => $time]);
    $context = context_add(50, $course, (int)$DB->value('SELECT id FROM {context} WHERE contextlevel = 40 ORDER BY id LIMIT 1'));
    $DB->execute('UPDATE {course_categories} SET coursecount = coursecount + 1 WHERE id = 1');
    $section = $DB->insert('course_sections', ['course' => $course, 'section' => 0, 'summary' => '', 'timemodified' => $time]);
    $modules = [];
    foreach (['page' => ['content' => $draw->words("page/$index", 500)], 'resource' => []] as $kind => $more) {
        $instance = $DB->insert($kind, ['course' => $course, 'name' => ucfirst($kind) . ' ' . $draw->words("$kind/$index", 2), 'intro' => '', 'timemodified' => $time] + $more);
        $modules[] = $module = $DB->insert('course_modules', ['course' => $course, 'instance' => $instance, 'section' => $section, 'added' => $time,
            'module' => $DB->value('SELECT id FROM {modules} WHERE name = $1', [$kind])]);
        context_add(70, $module, $context);
    }
    $DB->execute('UPDATE {course_sections} SET sequence = $2 WHERE id = $1', [$section, implode(',', $modules)]);
    $enrol = $DB->insert('enrol', ['enrol' => 'manual', 'courseid' => $course, 'roleid' => 5, 'timecreated' => $time, 'timemodified' => $time]);
    foreach ($people as $user) {
        $DB->insert('user_enrolments', ['enrolid' => $enrol, 'userid' => $user, 'timecreated' => $time, 'timemodified' => $time]);
        $DB->insert('role_assignments', ['roleid' => 5, 'contextid' => $context, 'userid' => $user, 'timemodified' => $time]);
    }
    return $course;
}
