<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Deletes one of the plugin's files by the id of its row: POST with sesskey, answered as JSON.

require(__DIR__ . '/../../config.php');
require_login();
require_sesskey();
maintenance_check_web();

$id = (int)($_POST['id'] ?? 0);
$file = $DB->one("SELECT id, contenthash FROM {files} WHERE id = $1 AND component = 'local_moodleclaude' AND filename <> '.'", [$id]);
if (!$file) {
    throw new standin_error('There is no such file', 404);
}
files_delete($id);
web_json(['deleted' => $id, 'contenthash' => $file->contenthash]);
