<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Example of a configuration file. Copy it to config.php and fill it in, or let admin/cli/install.php write one.

unset($CFG);
global $CFG;
$CFG = new stdClass();

$CFG->dbtype    = 'pgsql';
$CFG->dblibrary = 'native';
$CFG->dbhost    = 'localhost';
$CFG->dbname    = 'moodle';
$CFG->dbuser    = 'username';
$CFG->dbpass    = 'password';
$CFG->prefix    = 'mdl_';
$CFG->dboptions = ['dbpersist' => false, 'dbsocket' => false, 'dbport' => ''];

$CFG->wwwroot   = 'http://example.com/moodle';
$CFG->dataroot  = '/home/example/moodledata';
$CFG->admin     = 'admin';
$CFG->directorypermissions = 02777;

// Also honoured: tempdir, cachedir, localcachedir, filedir, trashdir, secretdataroot, altcacheconfigpath,
// session_file_save_path, passwordpeppers, sslproxy, reverseproxy, nokeygeneration, alternative_component_cache.

require_once(__DIR__ . '/lib/setup.php');
