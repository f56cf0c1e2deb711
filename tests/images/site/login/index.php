<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The login form. Success and failure both answer 303; where to is what tells them apart.

require(__DIR__ . '/../config.php');
web_require_current();

if (isset($_GET['testsession'])) {
    if ((int)$_GET['testsession'] === (int)$USER->id && $USER->id) {
        $target = $_SESSION['wantsurl'] ?? "$CFG->wwwroot/my/";
        unset($_SESSION['wantsurl']);
        web_redirect($target);
    }
    $_SESSION['loginerror'] = 'Your session could not be kept: cookies are not enabled';
}

if ($_SERVER['REQUEST_METHOD'] === 'POST' && isset($_POST['username'], $_POST['password'])) {
    $token = session_take_login_token();
    $user = $DB->one('SELECT * FROM {user} WHERE username = $1 AND mnethostid = $2 AND deleted = 0',
        [strtolower(trim($_POST['username'])), $CFG->mnet_localhost_id]);
    if ($token === '' || !hash_equals($token, (string)($_POST['logintoken'] ?? ''))) {
        $_SESSION['loginerror'] = 'Your session has most likely timed out. Please log in again.';
    } elseif (!$user || $user->suspended || $user->auth !== 'manual' || $user->username === 'guest' || !password_is($_POST['password'], $user->password)) {
        $_SESSION['loginerror'] = 'Invalid login, please try again';
    } else {
        session_login($user);
        setcookie('MOODLEID1_', encryption_encrypt($user->username), ['expires' => time() + 60 * 86400, 'path' => '/', 'httponly' => true]);
        web_redirect("$CFG->wwwroot/login/index.php?testsession=$user->id");
    }
    web_redirect("$CFG->wwwroot/login/index.php?loginredirect=1");
}

if ($USER->id) {
    web_page('Log in to the site', 'You are already logged in as ' . htmlspecialchars($USER->username) . '.');
    exit;
}
$error = htmlspecialchars($_SESSION['loginerror'] ?? '');
unset($_SESSION['loginerror']);
$token = session_login_token();
$alert = $error ? "<a href=\"#\" id=\"loginerrormessage\">$error</a>" : '';
web_page('Log in to the site', <<<HTML
    $alert
    <form class="login-form" action="$CFG->wwwroot/login/index.php" method="post" id="login">
        <input type="hidden" name="anchor" value="">
        <input type="hidden" name="logintoken" value="$token">
        <input type="text" name="username" id="username" autocomplete="username">
        <input type="password" name="password" id="password" autocomplete="current-password">
        <button type="submit" id="loginbtn">Log in</button>
    </form>
    <form action="$CFG->wwwroot/login/index.php" method="post" id="guestlogin">
        <input type="hidden" name="logintoken" value="$token">
        <input type="hidden" name="username" value="guest"><input type="hidden" name="password" value="guest">
        <button type="submit">Access as a guest</button>
    </form>
    HTML);
