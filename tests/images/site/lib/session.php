<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Sessions: data in files under dataroot, or with the setting dbsessions in the database. In both cases a row in the
// table sessions is what makes a session valid.
defined('MOODLE_INTERNAL') || die();

/** Keeps session data in the column sessdata of the session's row. */
class standin_session_in_database implements SessionHandlerInterface {
    public function open(string $path, string $name): bool {
        return true;
    }

    public function close(): bool {
        return true;
    }

    public function read(string $id): string {
        global $DB;
        return base64_decode((string)$DB->value('SELECT sessdata FROM {sessions} WHERE sid = $1', [$id]));
    }

    public function write(string $id, string $data): bool {
        global $DB;
        $DB->execute('UPDATE {sessions} SET sessdata = $2 WHERE sid = $1', [$id, base64_encode($data)]);
        return true;
    }

    public function destroy(string $id): bool {
        global $DB;
        $DB->execute('DELETE FROM {sessions} WHERE sid = $1', [$id]);
        return true;
    }

    public function gc(int $lifetime): int {
        return 0;
    }
}

function session_begin(): void {
    global $CFG, $DB, $USER, $SESSION;
    if (!empty($CFG->dbsessions)) {
        session_set_save_handler(new standin_session_in_database(), true);
    } else {
        session_save_path(site_folder($CFG->session_file_save_path ?? "$CFG->dataroot/sessions"));
    }
    $address = parse_url($CFG->wwwroot);
    session_name('MoodleSession' . ($CFG->sessioncookie ?? ''));
    session_set_cookie_params(['path' => ($address['path'] ?? '') . '/', 'httponly' => true,
                               'secure' => $address['scheme'] === 'https']);
    ini_set('session.use_strict_mode', '0');
    session_start();
    $lifetime = (int)($CFG->sessiontimeout ?? 28800);
    $row = $DB->one('SELECT * FROM {sessions} WHERE sid = $1 AND timemodified > $2', [session_id(), time() - $lifetime]);
    if (!$row) {
        $_SESSION = [];
        session_record(0);
    } else {
        $DB->execute('UPDATE {sessions} SET timemodified = $2, lastip = $3 WHERE id = $1', [$row->id, time(), $_SERVER['REMOTE_ADDR']]);
    }
    $SESSION = (object)[];
    $USER = empty($_SESSION['userid']) ? (object)['id' => 0]
        : $DB->one('SELECT * FROM {user} WHERE id = $1 AND deleted = 0 AND suspended = 0', [$_SESSION['userid']]) ?? (object)['id' => 0];
    $_SESSION['sesskey'] ??= random_text(10);
}

/** Make the row that goes with the running session. */
function session_record(int $userid): void {
    global $DB;
    $DB->execute('DELETE FROM {sessions} WHERE sid = $1', [session_id()]);
    $DB->insert('sessions', ['sid' => session_id(), 'userid' => $userid, 'timecreated' => time(), 'timemodified' => time(),
                             'firstip' => $_SERVER['REMOTE_ADDR'], 'lastip' => $_SERVER['REMOTE_ADDR']]);
}

/** Turn the running session into that of a user, with a new id. */
function session_login(stdClass $user): void {
    global $DB;
    $DB->execute('DELETE FROM {sessions} WHERE sid = $1', [session_id()]);
    session_regenerate_id(true);
    session_record((int)$user->id);
    $_SESSION = ['userid' => (int)$user->id, 'sesskey' => random_text(10), 'wantsurl' => $_SESSION['wantsurl'] ?? null];
    $DB->execute('UPDATE {user} SET lastlogin = currentlogin, currentlogin = $2, lastaccess = $2, lastip = $3,
                  firstaccess = CASE firstaccess WHEN 0 THEN $2 ELSE firstaccess END WHERE id = $1',
        [$user->id, time(), $_SERVER['REMOTE_ADDR']]);
    $DB->insert('logstore_standard_log', [
        'eventname' => '\core\event\user_loggedin', 'component' => 'core', 'action' => 'loggedin', 'target' => 'user',
        'objecttable' => 'user', 'objectid' => $user->id, 'crud' => 'r', 'edulevel' => 0, 'contextid' => 1,
        'contextlevel' => 10, 'contextinstanceid' => 0, 'userid' => $user->id, 'courseid' => 0,
        'other' => json_encode(['username' => $user->username]), 'timecreated' => time(), 'origin' => 'web',
        'ip' => $_SERVER['REMOTE_ADDR']]);
}

/** The token that the login form carries; a new one once it was used. */
function session_login_token(): string {
    return $_SESSION['logintoken'] ??= random_text(32);
}

function session_take_login_token(): string {
    $token = $_SESSION['logintoken'] ?? '';
    unset($_SESSION['logintoken']);
    return $token;
}

function require_login(): void {
    global $USER, $CFG;
    if (!$USER->id) {
        $_SESSION['wantsurl'] = web_origin() . $_SERVER['REQUEST_URI'];
        web_redirect("$CFG->wwwroot/login/index.php");
    }
}

function require_sesskey(): void {
    if (!hash_equals($_SESSION['sesskey'], (string)($_POST['sesskey'] ?? ''))) {
        throw new standin_error('Incorrect sesskey submitted, form not accepted!', 404);
    }
}

function is_siteadmin(stdClass $user): bool {
    global $CFG;
    return in_array((string)$user->id, explode(',', (string)($CFG->siteadmins ?? '')), true);
}
