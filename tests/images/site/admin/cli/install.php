<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Writes config.php and creates the tables. Asks nothing: --non-interactive is required, unlike in Moodle.

define('CLI_SCRIPT', true);
define('MOODLE_INTERNAL', true);
require_once(__DIR__ . '/../../lib/clilib.php');

$defaults = ['chmod' => '2777', 'lang' => 'en', 'wwwroot' => '', 'dataroot' => '', 'dbtype' => 'mysqli', 'dbhost' => 'localhost',
    'dbname' => 'moodle', 'dbuser' => 'root', 'dbpass' => '', 'dbport' => '', 'dbsocket' => '', 'prefix' => 'mdl_', 'fullname' => '',
    'shortname' => '', 'summary' => '', 'adminuser' => 'admin', 'adminpass' => '', 'adminemail' => '', 'supportemail' => '',
    'upgradekey' => '', 'non-interactive' => false, 'agree-license' => false, 'allow-unstable' => false, 'skip-database' => false];

$file = dirname(__DIR__, 2) . '/config.php';
if (file_exists($file)) {
    require($file);
    cli_fail($DB->tables() ? 'The configuration file config.php already exists. Please use admin/cli/upgrade.php to upgrade the site.'
        : 'The configuration file config.php already exists. Please use admin/cli/install_database.php to install the site.');
}
$options = cli_options($defaults);
cli_help($options, "Command line installer. Options:\n--" . implode("\n--", array_keys($defaults)));
if (!$options['non-interactive']) {
    cli_fail('The stand-in installs with --non-interactive only');
}
foreach (['wwwroot', 'fullname', 'shortname', ...($options['skip-database'] ? [] : ['adminpass'])] as $name) {
    if ($options[$name] === '' || $options[$name] === true) {
        cli_fail("Missing value for \"$name\"");
    }
}
if (!$options['agree-license']) {
    cli_fail('You have to agree to the license. --help prints out the help');
}
if ($options['dbtype'] !== 'pgsql') {
    cli_fail('Incorrect value for "dbtype": the stand-in works with pgsql');
}
$mode = octdec($options['chmod']);
$options['dataroot'] = $options['dataroot'] ?: dirname(__DIR__, 3) . '/moodledata';
umask(0);
if (!is_dir($options['dataroot']) && !@mkdir($options['dataroot'], $mode, true)) {
    cli_fail('The data folder cannot be created');
}
if (!is_writable($options['dataroot'])) {
    cli_fail('The data folder is not writable');
}
chmod($options['dataroot'], $mode);
file_put_contents($options['dataroot'] . '/.htaccess', "Require all denied\n");

$text = "<?php  // Moodle configuration file (written by the stand-in's installer)\n\nunset(\$CFG);\nglobal \$CFG;\n\$CFG = new stdClass();\n\n";
$settings = ['dbtype' => 'pgsql', 'dblibrary' => 'native'];
foreach (['dbhost', 'dbname', 'dbuser', 'dbpass', 'prefix'] as $name) {
    $settings[$name] = $options[$name];
}
$settings['dboptions'] = ['dbpersist' => 0, 'dbport' => $options['dbport'], 'dbsocket' => $options['dbsocket']];
$settings += ['wwwroot' => $options['wwwroot'], 'dataroot' => $options['dataroot'], 'admin' => 'admin'];
foreach ($settings as $name => $value) {
    $text .= sprintf("\$CFG->%-9s = %s;\n", $name, var_export($value, true));
}
$text .= sprintf("\n\$CFG->directorypermissions = 0%o;\n\nrequire_once(__DIR__ . '/lib/setup.php');\n", $mode);
if (@file_put_contents($file, $text) !== strlen($text)) {
    cli_fail('The file config.php cannot be written');
}
chmod($file, 0640);
if ($options['skip-database']) {
    echo "The configuration is written; the database was left out as asked.\n";
    exit(0);
}

// Included by hand, because config.php was read by no one yet.
require($file);
require_once($CFG->libdir . '/installer.php');
install_site($options);
echo "Installation completed successfully.\n";
