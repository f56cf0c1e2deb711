<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Rows in bulk: the log, the plugin's own table, a running session, tasks, flags, and an encrypted setting.
defined('MOODLE_INTERNAL') || die();

function fill_rows(standin_draw $draw, int $count): array {
    global $DB;
    return $DB->transaction(function () use ($draw, $count) {
        global $DB;
        $columns = ['eventname', 'component', 'action', 'target', 'objecttable', 'objectid', 'crud', 'edulevel', 'contextid', 'contextlevel',
                    'contextinstanceid', 'userid', 'courseid', 'relateduserid', 'anonymous', 'other', 'timecreated', 'origin', 'ip', 'realuserid'];
        $logged = $DB->copy('logstore_standard_log', $columns, fill_log($draw, $count));
        $notes = $DB->copy('local_moodleclaude_note', ['userid', 'title', 'body', 'payload', 'price', 'timecreated'], fill_notes($draw, max(50, intdiv($count, 100))));
        fill_odds_and_ends($draw);
        return ['log_rows' => $logged, 'note_rows' => $notes];
    });
}

function fill_log(standin_draw $draw, int $count): Generator {
    $kinds = [['\core\event\course_viewed', 'core', 'viewed', 'course'], ['\mod_page\event\course_module_viewed', 'mod_page', 'viewed', 'course_module'],
              ['\core\event\user_loggedin', 'core', 'loggedin', 'user'], ['\mod_forum\event\post_created', 'mod_forum', 'created', 'post']];
    $strange = json_encode(['text' => standin_draw::STRANGE], JSON_UNESCAPED_UNICODE);
    // One drawn number feeds a cheap generator: a million rows would otherwise cost a million hashes.
    $state = $draw->number('log', 1 << 31);
    for ($index = 0; $index < $count; $index++) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $kind = $kinds[($state >> 8) & 3];
        $user = 2 + ($state >> 12) % 1000;
        $other = $index % 100 === 0 ? $strange : ($index % 3 ? "{\"courseid\":$user,\"n\":\"$state\"}" : null);
        yield [...$kind, $index % 2 ? 'course' : null, $user, 'r', 2, 1 + $user % 50, 50, $user, $user, $user % 7, null, 0, $other,
               1700000000 + $index, 'web', '192.0.2.' . $state % 255, null];
    }
}

function fill_notes(standin_draw $draw, int $count): Generator {
    for ($index = 0; $index < $count; $index++) {
        $title = $index % 5 ? $draw->words("note/$index", 4) : mb_substr(standin_draw::STRANGE, 0, 120);
        $body = match ($index % 4) {
            0 => standin_draw::STRANGE,
            1 => null,
            2 => '',
            default => $draw->words("body/$index", 50),
        };
        yield [2, $title, $body, base64_encode($draw->bytes('payload', $index, 300)), $index % 3 ? sprintf('%.4f', $index / 7) : null, 1700000000 + $index];
    }
}

function fill_odds_and_ends(standin_draw $draw): void {
    global $DB;
    $now = time();
    $DB->insert('sessions', ['sid' => bin2hex($draw->bytes('sid', 0, 13)), 'userid' => 2, 'timecreated' => $now, 'timemodified' => $now, 'firstip' => '192.0.2.1', 'lastip' => '192.0.2.1']);
    $DB->insert('cache_flags', ['flagtype' => 'userpreferenceschanged', 'name' => '2', 'timemodified' => $now, 'value' => '1', 'expiry' => $now + 3600]);
    $DB->insert('task_adhoc', ['component' => 'local_moodleclaude', 'classname' => '\local_moodleclaude\task\later', 'nextruntime' => $now + 86400 * 365,
        'customdata' => json_encode(['text' => standin_draw::STRANGE]), 'timecreated' => $now]);
    set_config('apitoken', encryption_encrypt('token ' . bin2hex($draw->bytes('token', 0, 16))), 'local_moodleclaude');
    set_config('motto', standin_draw::STRANGE, 'local_moodleclaude');
}
