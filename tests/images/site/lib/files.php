<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Stored files: rows in the table files, content under filedir by SHA-1, deleted content in trashdir.
defined('MOODLE_INTERNAL') || die();

const EMPTY_HASH = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';

function files_folder(string $which): string {
    global $CFG;
    $path = $CFG->$which ?? "$CFG->dataroot/$which";
    if (!is_dir($path)) {
        site_folder($path);
        if ($which === 'filedir') {
            site_write("$path/warning.txt", "The site manages these files. Do not change, add or remove any by hand.\n");
        }
    }
    return $path;
}

function files_path(string $hash, string $which = 'filedir'): string {
    return files_folder($which) . '/' . substr($hash, 0, 2) . '/' . substr($hash, 2, 2) . "/$hash";
}

/** Put a file's content into the pool: copied as <hash>.tmp, then renamed. Returns hash and size. */
function files_add_content(string $source): array {
    global $CFG;
    $hash = sha1_file($source);
    $size = filesize($source);
    $path = files_path($hash);
    if (file_exists($path) && filesize($path) === $size) {
        return [$hash, $size];
    }
    site_folder(dirname($path));
    $trashed = files_path($hash, 'trashdir');
    if (file_exists($trashed) && sha1_file($trashed) === $hash) {
        rename($trashed, $path);
    } elseif (!copy($source, "$path.tmp") || sha1_file("$path.tmp") !== $hash || !rename("$path.tmp", $path)) {
        @unlink("$path.tmp");
        throw new standin_error('Error: cannot store the file, the disk may be full', 500);
    }
    chmod($path, $CFG->filepermissions);
    return [$hash, $size];
}

/** The row of a file as the table wants it; $place has contextid, component, filearea, itemid, filepath, filename. */
function files_row(array $place, string $hash, int $size, array $more = []): array {
    $full = "/$place[contextid]/$place[component]/$place[filearea]/$place[itemid]$place[filepath]$place[filename]";
    $now = time();
    return $place + ['contenthash' => $hash, 'pathnamehash' => sha1($full), 'filesize' => $size] + $more
        + ['userid' => null, 'mimetype' => null, 'source' => null, 'author' => null, 'license' => 'unknown',
           'timecreated' => $now, 'timemodified' => $now, 'referencefileid' => null];
}

/** Store content first and its row afterwards, with the row of the folder it is in. Returns the new row's id. */
function files_store(array $place, string $source, array $more = []): int {
    global $DB;
    [$hash, $size] = files_add_content($source);
    $folder = files_row(['filename' => '.'] + $place, EMPTY_HASH, 0);
    if (!$DB->value('SELECT id FROM {files} WHERE pathnamehash = $1', [$folder['pathnamehash']])) {
        $DB->insert('files', $folder);
    }
    return $DB->insert('files', files_row($place, $hash, $size, $more));
}

/** Remove a row; content that nothing refers to any more goes to the trash. */
function files_delete(int $id): void {
    global $DB;
    $hash = $DB->value('DELETE FROM {files} WHERE id = $1 RETURNING contenthash', [$id]);
    if (!$hash || $hash === EMPTY_HASH || $DB->value('SELECT 1 FROM {files} WHERE contenthash = $1 LIMIT 1', [$hash])) {
        return;
    }
    $path = files_path($hash);
    if (file_exists($path)) {
        $trashed = files_path($hash, 'trashdir');
        site_folder(dirname($trashed));
        file_exists($trashed) ? @unlink($path) : @rename($path, $trashed);
    }
}

/** Empty the trash when the last time is longer ago than the configured period; unset means now. */
function files_clean_trash(): void {
    global $CFG;
    $period = (int)($CFG->filescleanupperiod ?? 86400);
    if (!empty($CFG->fileslastcleanup) && $CFG->fileslastcleanup > time() - $period) {
        return;
    }
    set_config('fileslastcleanup', time());
    folder_empty(files_folder('trashdir'));
}

/** Send a stored file to the browser in constant memory. */
function files_send(stdClass $file, bool $download): never {
    $path = files_path($file->contenthash);
    if ($file->referencefileid !== null || !is_readable($path)) {
        throw new standin_error('Sorry, the requested file could not be found', 404);
    }
    session_write_close();
    while (ob_get_level()) {
        ob_end_clean();
    }
    $kind = $download ? 'attachment' : 'inline';
    header('Content-Type: ' . ($download || !$file->mimetype ? 'application/x-forcedownload' : $file->mimetype));
    header("Content-Disposition: $kind; filename=\"" . addcslashes($file->filename, '"\\') . '"');
    header('Content-Length: ' . filesize($path));
    header("Etag: \"$file->contenthash\"");
    header('Cache-Control: private, max-age=21600, no-transform');
    readfile($path);
    exit;
}
