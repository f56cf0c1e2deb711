<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Numbers and bytes that depend on the seed and a name alone, so that their order of use does not matter.
defined('MOODLE_INTERNAL') || die();

class standin_draw {
    public const STRANGE = "It's \"quoted\" back\\slash \\N \\. \$1 %s <b>&amp;</b>\ttab\nnew line\r\nGr\u{fc}\u{df}e \u{4f60}\u{597d} \u{1f600} e\u{301} \u{202e}rtl; -- '; DROP";
    private const WORDS = ['course', 'learning', 'forum', 'answer', 'quiz', 'teacher', 'student', 'grade', 'lesson', 'wiki', 'badge', 'question'];

    public function __construct(private readonly string $seed) {
    }

    /** A whole number from 0 to $below - 1. */
    public function number(string $name, int $below): int {
        return (int)(unpack('J', hash('sha256', "$this->seed/$name", true))[1] & PHP_INT_MAX) % $below;
    }

    public function words(string $name, int $count): string {
        $picked = [];
        for ($index = 0; $index < $count; $index++) {
            $picked[] = self::WORDS[$this->number("$name/$index", count(self::WORDS))];
        }
        return implode(' ', $picked);
    }

    /** $length incompressible bytes; the same for the same name and block. */
    public function bytes(string $name, int $block, int $length): string {
        $key = hash('sha256', "$this->seed/$name", true);
        return sodium_crypto_stream($length, str_pad(pack('J', $block), SODIUM_CRYPTO_STREAM_NONCEBYTES, "\0"), $key);
    }

    /** $length bytes of text that compresses well. */
    public function text(string $name, int $length): string {
        $line = $this->words($name, 40) . "\n";
        return substr(str_repeat($line, intdiv($length, strlen($line)) + 1), 0, $length);
    }
}
