<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Stores the uploaded "file" under the plugin's name: POST with sesskey, answered as JSON.

require(__DIR__ . '/../../config.php');
require_login();
require_sesskey();
maintenance_check_web();

$upload = $_FILES['file'] ?? null;
if (!$upload || $upload['error'] !== UPLOAD_ERR_OK) {
    throw new standin_error('No file was uploaded', 404);
}
$name = basename($upload['name']);
$place = ['contextid' => 1, 'component' => 'local_moodleclaude', 'filearea' => 'files', 'itemid' => (int)($_POST['itemid'] ?? 0),
          'filepath' => '/', 'filename' => $name];
if ($DB->value('SELECT id FROM {files} WHERE pathnamehash = $1', [files_row($place, '', 0)['pathnamehash']])) {
    throw new standin_error('A file with that name exists already', 409);
}
$id = files_store($place, $upload['tmp_name'], ['userid' => $USER->id, 'mimetype' => 'application/octet-stream', 'source' => $name]);
$file = $DB->one('SELECT contenthash, filesize FROM {files} WHERE id = $1', [$id]);
web_json(['id' => $id, 'contenthash' => $file->contenthash, 'filesize' => (int)$file->filesize,
          'url' => "$CFG->wwwroot/pluginfile.php/1/local_moodleclaude/files/$place[itemid]/" . rawurlencode($name)]);
