<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Stored files: real content of a given size, an empty file, references to elsewhere, and something in the trash.
defined('MOODLE_INTERNAL') || die();

const FILL_BLOCK = 1 << 20;

function fill_files(standin_draw $draw, int $count, int $bytes): array {
    global $DB, $CFG;
    $first = (int)$DB->value("SELECT count(*) FROM {files} WHERE component = 'mod_resource' AND filename <> '.'");
    $context = $DB->value('SELECT id FROM {context} WHERE contextlevel = 70 ORDER BY id DESC LIMIT 1');
    $place = $context ? ['contextid' => (int)$context, 'component' => 'mod_resource', 'filearea' => 'content']
        : ['contextid' => 1, 'component' => 'local_moodleclaude', 'filearea' => 'files'];
    $place += ['itemid' => 0, 'filepath' => '/'];
    $partial = site_folder("$CFG->tempdir") . '/fill-' . getmypid();
    $total = 0;
    foreach (fill_sizes($draw, $count, $bytes) as $index => $size) {
        fill_write($draw, "file/$first/$index", $size, $partial);
        $name = fill_name($first + $index);
        files_store(['filename' => $name, 'filepath' => '/' . ($index % 7 ? '' : 'folder ' . $index % 5 . '/')] + $place, $partial,
            ['mimetype' => 'application/octet-stream', 'source' => $name, 'author' => 'Admin User', 'timecreated' => 1700000000, 'timemodified' => 1700000000]);
        $total += $size;
    }
    if (!$first) {
        fill_language($draw);
        fill_special_files($draw, $place, $partial);
    }
    @unlink($partial);
    return ['files' => $count, 'bytes' => $total];
}

/** Sizes that differ by a factor of up to a thousand and add up to $bytes. */
function fill_sizes(standin_draw $draw, int $count, int $bytes): Generator {
    $weight = fn(int $index) => 1 << $draw->number("size/$index", 11);
    $sum = 0;
    for ($index = 0; $index < $count; $index++) {
        $sum += $weight($index);
    }
    $left = $bytes;
    for ($index = 0; $index < $count; $index++) {
        $size = $index === $count - 1 ? $left : min($left, (int)($bytes * $weight($index) / $sum));
        yield $size;
        $left -= $size;
    }
}

/** A file of which the first quarter of every block is text and the rest is noise. */
function fill_write(standin_draw $draw, string $name, int $size, string $path): void {
    $file = fopen($path, 'wb');
    for ($block = 0; $size > 0; $block++) {
        $length = min(FILL_BLOCK, $size);
        $text = intdiv($length, 4);
        $content = $draw->text("$name/$block", $text) . $draw->bytes($name, $block, $length - $text);
        if (fwrite($file, $content) !== $length) {
            throw new standin_error('Error: The disk is full', 500);
        }
        $size -= $length;
    }
    fclose($file);
}

function fill_name(int $index): string {
    return match ($index % 8) {
        1 => "Lecture notes $index.pdf",
        2 => "It's \"$index\".docx",
        3 => "\u{dc}bung $index \u{4f60}.odt",
        4 => "100% + & # $index.zip",
        default => "file$index.bin",
    };
}

/** A language pack: the site has no other copy of it than the one below dataroot. */
function fill_language(standin_draw $draw): void {
    global $CFG;
    foreach (['langconfig', 'moodle', 'admin', 'local_moodleclaude'] as $file) {
        $text = "<?php\n\$string['thislanguage'] = 'Deutsch';\n";
        for ($index = 0; $index < 200; $index++) {
            $text .= "\$string['s$index'] = '" . $draw->words("lang/$file/$index", 6) . "';\n";
        }
        site_write("$CFG->langotherroot/de/$file.php", $text);
    }
}

function fill_special_files(standin_draw $draw, array $place, string $partial): void {
    global $DB;
    file_put_contents($partial, '');
    files_store(['filename' => 'empty.txt'] + $place, $partial, ['mimetype' => 'text/plain']);

    // The same content under two names: one copy in filedir.
    file_put_contents($partial, $draw->text('twice', 5000));
    files_store(['filename' => 'twice a.txt'] + $place, $partial);
    files_store(['filename' => 'twice b.txt'] + $place, $partial);

    // Deleted files: their content is in the trash.
    foreach (['one', 'two', 'three'] as $name) {
        file_put_contents($partial, $draw->text("trash/$name", 3000) . $draw->bytes("trash/$name", 0, 3000));
        files_delete(files_store(['filename' => "$name.tmp"] + $place, $partial));
    }

    // Files that live elsewhere: a row with a reference, and no content here.
    $type = $DB->value("SELECT id FROM {repository} WHERE type = 'upload'");
    $instance = $DB->insert('repository_instances', ['name' => 'Elsewhere', 'typeid' => $type, 'contextid' => 1]);
    foreach (['https://files.example.com/a%20b.pdf', "smb://nas/it's.iso"] as $index => $reference) {
        $id = $DB->insert('files_reference', ['repositoryid' => $instance, 'reference' => $reference, 'referencehash' => sha1($reference)]);
        $DB->insert('files', files_row(['filename' => "elsewhere $index"] + $place, sha1("content of $reference"), 123456, ['referencefileid' => $id]));
    }
}
