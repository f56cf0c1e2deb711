<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Options of scripts for the command line, in Moodle's manner.
defined('MOODLE_INTERNAL') || die();

/** Read --name, --name=value, --no-name and -x from the command line. Ends with $unknown when one is not known. */
function cli_options(array $defaults, array $short = [], int $unknown = 1): array {
    $short += ['h' => 'help'];
    $found = $defaults + ['help' => false];
    $strange = [];
    foreach (array_slice($_SERVER['argv'], 1) as $argument) {
        if ($argument === '--') {
            break;
        }
        [$key, $value] = explode('=', $argument, 2) + [1 => true];
        $name = str_starts_with($key, '--') ? substr($key, 2) : ($short[substr($key, 1)] ?? null);
        if ($name !== null && $value === true && str_starts_with($name, 'no-') && array_key_exists(substr($name, 3), $found)) {
            [$name, $value] = [substr($name, 3), false];
        }
        if ($name !== null && $key[0] === '-' && array_key_exists($name, $found)) {
            $found[$name] = $value;
        } else {
            $strange[] = $argument;
        }
    }
    if ($strange) {
        cli_fail("Unrecognised options:\n  " . implode("\n  ", $strange) . "\nPlease use --help option.", $unknown);
    }
    return $found;
}

function cli_fail(string $text, int $code = 1): never {
    fwrite(STDERR, $text . "\n\n");
    exit($code);
}

/** Show the help of the options and end, when it was asked for. */
function cli_help(array $options, string $text, int $code = 0): void {
    if ($options['help']) {
        echo $text, "\n-h, --help    Print out this help\n";
        exit($code);
    }
}

/** Ask on the terminal or read a line of standard input. */
function cli_ask(string $question): string {
    echo $question, "\n: ";
    return rtrim((string)fgets(STDIN), "\r\n");
}
