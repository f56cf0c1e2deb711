<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Shaped as in Moodle 4.5, because tools read these four variables.
defined('MOODLE_INTERNAL') || die();

$version  = 2024100706.00;
$release  = '4.5.6 (stand-in) (Build: 20250811)';
$branch   = '405';
$maturity = MATURITY_STABLE;
