<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Maintenance modes: a page in dataroot that stops every web request, or the older setting for the web alone.
defined('MOODLE_INTERNAL') || die();

function maintenance_enable_cli(): void {
    global $CFG, $SITE;
    $title = htmlspecialchars($SITE->fullname ?? 'Site');
    $message = !empty($CFG->maintenance_message) ? $CFG->maintenance_message : 'This site is undergoing maintenance and is currently not available';
    site_write("$CFG->dataroot/climaintenance.html", "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>$title</title></head>"
        . "<body><h1>$title</h1><div>$message</div></body></html>\n");
}

/** The older mode: the pages are closed to everybody but administrators. */
function maintenance_check_web(): void {
    global $CFG, $USER;
    $due = !empty($CFG->maintenance_later) && $CFG->maintenance_later <= time();
    if ((!empty($CFG->maintenance_enabled) || $due) && !is_siteadmin($USER)) {
        throw new standin_error('This site is undergoing maintenance and is currently not available', 503);
    }
}
