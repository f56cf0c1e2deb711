<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Runs due tasks, and starts, stops and lists cron processes.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/tasks.php');

$options = cli_options(
    ['stop' => false, 'list' => false, 'force' => false, 'enable' => false, 'disable' => false, 'disable-wait' => false, 'keep-alive' => null],
    ['s' => 'stop', 'l' => 'list', 'f' => 'force', 'e' => 'enable', 'd' => 'disable', 'w' => 'disable-wait', 'k' => 'keep-alive']);
cli_help($options, "Execute periodic cron actions.\n-s, --stop\n-l, --list\n-f, --force\n-e, --enable\n-d, --disable\n-w, --disable-wait=600\n-k, --keep-alive=N");

if ($options['stop']) {
    set_config('scheduledtaskreset', time());
    exit(0);
}
if ($options['enable']) {
    set_config('cron_enabled', 1);
    echo "Cron has been enabled for the site.\n";
    exit(0);
}
if ($options['disable'] || $options['disable-wait']) {
    set_config('cron_enabled', 0);
    set_config('scheduledtaskreset', time());
    echo "Cron has been disabled for the site.\n";
    $end = time() + ($options['disable-wait'] === true ? 600 : (int)$options['disable-wait']);
    while ($options['disable-wait'] && tasks_running()) {
        if (time() >= $end) {
            echo "Wait time elapsed, but ", count(tasks_running()), " task(s) still running.\nExiting with code 1.\n";
            exit(1);
        }
        sleep(1);
    }
    exit(0);
}
if ($options['list']) {
    echo "The list of currently running tasks:\n";
    $format = "%7s %-12s %-9s %-20s %-52s\n";
    printf($format, 'PID', 'HOST', 'TYPE', 'TIME', 'CLASSNAME');
    foreach (tasks_running() as $task) {
        printf($format, $task->pid, substr($task->hostname, 0, 12), $task->type, time() - $task->timestarted . ' secs', substr($task->classname, 0, 52));
    }
    exit(0);
}
if (!get_config('core', 'cron_enabled') && !$options['force']) {
    echo "Cron is disabled. Use --force to override.\n";
    exit(1);
}
if (CLI_MAINTENANCE) {
    echo "CLI maintenance mode active, cron execution suspended.\n";
    exit(1);
}
if (upgrade_needed()) {
    echo "Moodle upgrade pending, cron execution suspended.\n";
    exit(1);
}

$started = time();
set_config('lastcronstart', $started, 'tool_task');
echo 'Server Time: ', date('r'), "\n\n";
$end = $started + (int)($options['keep-alive'] ?? 0);
while (tasks_run_due($started) && time() < $end) {
    sleep(1);
}
echo "Cron run completed.\n";
