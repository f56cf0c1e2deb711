<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Password hashes as Moodle 4.5 keeps them: SHA-512 crypt, with bcrypt of older sites still accepted, and peppers.
defined('MOODLE_INTERNAL') || die();

/** Peppers from config.php, the newest (highest key) first. */
function password_peppers(): array {
    global $CFG;
    $peppers = $CFG->passwordpeppers ?? [];
    krsort($peppers);
    return array_values($peppers);
}

function password_make(string $password, ?string $salt = null, int $rounds = 10000): string {
    return crypt($password . (password_peppers()[0] ?? ''), "\$6\$rounds=$rounds\$" . ($salt ?? random_text(16)) . '$');
}

function password_is(string $password, string $hash): bool {
    foreach ([...password_peppers(), ''] as $pepper) {
        if (password_verify($password . $pepper, $hash)) {
            return true;
        }
    }
    return false;
}

/** Moodle's default policy; returns what is wrong, or an empty text. */
function password_policy(string $password): string {
    $rules = ['/^.{8,}/su' => '8 characters', '/[0-9]/' => '1 digit', '/[a-z]/' => '1 lower case letter',
              '/[A-Z]/' => '1 upper case letter', '/[^a-zA-Z0-9]/' => '1 special character'];
    $missing = array_filter($rules, fn($rule) => !preg_match($rule, $password), ARRAY_FILTER_USE_KEY);
    return $missing ? 'The password must have at least ' . implode(', ', $missing) . '.' : '';
}
