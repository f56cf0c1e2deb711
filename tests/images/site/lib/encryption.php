<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Encrypted settings. As in Moodle the key is made silently when it is missing; what an older key encrypted is then lost.
defined('MOODLE_INTERNAL') || die();

function encryption_key(): string {
    global $CFG;
    $path = ($CFG->secretdataroot ?? "$CFG->dataroot/secret") . '/key/sodium.key';
    if (!file_exists($path) && empty($CFG->nokeygeneration)) {
        site_folder(dirname($path));
        file_put_contents($path, sodium_crypto_secretbox_keygen());
        chmod($path, 0400);
    }
    $key = @file_get_contents($path);
    if ($key === false || strlen($key) !== SODIUM_CRYPTO_SECRETBOX_KEYBYTES) {
        throw new standin_error('Error: The encryption key cannot be read', 500);
    }
    return $key;
}

function encryption_encrypt(string $text): string {
    $nonce = random_bytes(SODIUM_CRYPTO_SECRETBOX_NONCEBYTES);
    return 'sodium:' . base64_encode($nonce . sodium_crypto_secretbox($text, $nonce, encryption_key()));
}

function encryption_decrypt(string $data): string {
    $raw = base64_decode(substr($data, strlen('sodium:')), true);
    $nonce = substr((string)$raw, 0, SODIUM_CRYPTO_SECRETBOX_NONCEBYTES);
    if (!str_starts_with($data, 'sodium:') || strlen($nonce) !== SODIUM_CRYPTO_SECRETBOX_NONCEBYTES) {
        throw new standin_error('Error: The value is not an encrypted one', 500);
    }
    $text = sodium_crypto_secretbox_open(substr($raw, strlen($nonce)), $nonce, encryption_key());
    if ($text === false) {
        throw new standin_error('Error: The value was encrypted with another key', 500);
    }
    return $text;
}
