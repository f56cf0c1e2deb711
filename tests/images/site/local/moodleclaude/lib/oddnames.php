<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Everything that a file system allows and a careless archive loses, below dataroot/odd.
defined('MOODLE_INTERNAL') || die();

const ODD_NAMES = ['two  spaces', "new\nline", "tab\tname", 'single\'quote', 'double"quote', 'back\\slash', '-leading-dash', '--checkpoint=1',
    '$HOME', '`id`', ';semicolon', '* star ?', '[bracket]', '{brace}', '#hash', '~tilde', '%41 percent', ' leading space', 'trailing space ',
    '.hidden', '..dots', "latin1-\xe9\xff", "bell\x07", "\u{fc}\u{4f60}\u{1f600}", "e\u{301} composed", '@', '!bang', '&amp', 'a:b|c<d>e', '=', ','];

function fill_odd_names(standin_draw $draw, int $sparse, bool $asroot): array {
    global $CFG;
    if (file_exists("$CFG->dataroot/odd")) {
        throw new standin_error('Error: The odd names are there already');
    }
    $folder = site_folder("$CFG->dataroot/odd");
    umask(022);
    foreach ([...ODD_NAMES, str_repeat('n', 255)] as $index => $name) {
        odd_file("$folder/$name", $draw->text("odd/$index", 100 + $index), 1500000000 + $index);
    }
    odd_file("$CFG->dataroot/-rf", "leading dash at the top\n", 1500000000);
    $deep = $folder . '/' . implode('/', array_fill(0, 12, str_repeat('deep', 20)));
    mkdir($deep, 0755, true);
    odd_file("$deep/bottom", "deep down\n", 1500000000);
    odd_folders($folder);
    odd_links($folder);
    odd_modes($folder, $draw);
    odd_sparse("$folder/sparse", $sparse);
    $owners = 0;
    if ($asroot) {
        posix_seteuid(0);
        posix_setegid(0);
        $owners = odd_owners($folder);
        odd_attributes($folder);
        posix_setegid(filegroup($CFG->dataroot));
        posix_seteuid(fileowner($CFG->dataroot));
    }
    umask($CFG->umaskpermissions);
    return ['odd_names' => count(ODD_NAMES) + 2, 'odd_owners' => $owners, 'sparse_bytes' => $sparse];
}

function odd_file(string $path, string $content, int $time): void {
    if (file_put_contents($path, $content) === false) {
        throw new standin_error('Error: cannot create ' . json_encode($path, JSON_INVALID_UTF8_SUBSTITUTE), 500);
    }
    touch($path, $time);
}

function odd_folders(string $folder): void {
    foreach (['empty', 'empty with  spaces', "empty\nline", 'nested/empty/inside'] as $name) {
        mkdir("$folder/$name", 0755, true);
    }
    mkdir("$folder/sticky");
    chmod("$folder/sticky", 01777);
    mkdir("$folder/private");
    chmod("$folder/private", 0700);
    odd_file("$folder/private/inside", "private\n", 1500000000);
    touch("$folder/empty", 1400000000);
}

function odd_links(string $folder): void {
    symlink('two  spaces', "$folder/link to spaces");
    symlink('../../../../../../etc/hostname', "$folder/link out");
    symlink('/etc/passwd', "$folder/link absolute");
    symlink('/etc', "$folder/link to folder");
    symlink('nowhere at all', "$folder/link broken");
    symlink('.', "$folder/link to itself");
    link("$folder/two  spaces", "$folder/hard link");
    mkdir("$folder/other");
    link("$folder/two  spaces", "$folder/other/hard link elsewhere");
    posix_mkfifo("$folder/fifo", 0640);
}

function odd_modes(string $folder, standin_draw $draw): void {
    foreach ([0400, 0000, 0200, 0755, 0666, 02755, 04755] as $mode) {
        $path = sprintf('%s/mode %04o', $folder, $mode);
        odd_file($path, $draw->text("mode/$mode", 64), 1500000000);
        chmod($path, $mode);
    }
    odd_file("$folder/empty file", '', 1500000000);
    odd_file("$folder/before 1970", 'old', -86400);
    odd_file("$folder/after 2038", 'new', 4102444800);
}

/** Data at the start, in the middle and at the end, holes between. */
function odd_sparse(string $path, int $size): void {
    $file = fopen($path, 'wb');
    ftruncate($file, $size);
    foreach ([0, intdiv($size, 2), max(0, $size - 4096)] as $offset) {
        fseek($file, $offset);
        fwrite($file, str_repeat(sprintf('data at %d ', $offset), 20));
    }
    ftruncate($file, $size);
    fclose($file);
}

function odd_owners(string $folder): int {
    $owners = [[0, 0], [1, 1], [1001, 1001], [65534, 65534], [123456, 654321], [4000000000, 4000000000]];
    foreach ($owners as [$user, $group]) {
        odd_file("$folder/owned by $user", "owner $user\n", 1500000000);
        chown("$folder/owned by $user", $user);
        chgrp("$folder/owned by $user", $group);
    }
    mkdir("$folder/folder of root");
    return count($owners);
}

/** Extended attributes, where a tool to set them is there; PHP itself cannot. */
function odd_attributes(string $folder): void {
    odd_file("$folder/attributes", "has extended attributes\n", 1500000000);
    $tool = trim((string)shell_exec('command -v setfattr'));
    if ($tool !== '') {
        shell_exec("$tool -n user.comment -v 'kept' " . escapeshellarg("$folder/attributes"));
    }
}
