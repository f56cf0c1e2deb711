<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Checks of the running system, with the exit codes of monitoring plugins: 0 good, 1 warning, 2 critical.

define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

$options = cli_options(['filter' => '', 'type' => 'status', 'verbose' => false], ['f' => 'filter', 't' => 'type', 'v' => 'verbose']);
cli_help($options, "Run system checks.\n-f, --filter    only checks whose name holds this\n-t, --type\n-v, --verbose   show all");

$last = (int)get_config('tool_task', 'lastcronstart');
$age = time() - $last;
$checks = [
    'core_environment' => extension_loaded('pgsql') && extension_loaded('sodium') ? [0, 'The extensions are there.'] : [2, 'Extensions are missing.'],
    'core_upgradecheck' => upgrade_needed() ? [2, 'An upgrade is pending.'] : [0, 'No upgrade is pending.'],
    'core_dataroot' => is_writable("$CFG->dataroot") ? [0, 'The data folder is writable.'] : [2, 'The data folder is not writable.'],
    'tool_task_cronrunning' => match (true) {
        !$last => [2, 'The admin/cli/cron.php script has never been run and should run every 1 min.'],
        $age > 86400 => [2, 'Cron has not run for a day.'],
        $age > 300 => [1, 'Cron has not run for five minutes.'],
        default => [0, 'Cron is running.'],
    },
];
$labels = ['OK', 'WARNING', 'CRITICAL'];
$checks = array_filter($checks, fn($name) => str_contains($name, (string)$options['filter']), ARRAY_FILTER_USE_KEY);
$worst = max([0, ...array_column($checks, 0)]);
$header = array_key_first(array_filter($checks, fn($check) => $check[0] === $worst));
echo $labels[$worst], ': ', $worst ? "$header ($header)" : 'all checks are good', "\n";
foreach ($checks as $name => [$state, $text]) {
    if ($state || $options['verbose']) {
        printf("%10s| %s\n%10s|     %s\n", $labels[$state], $name, '', $text);
    }
}
exit($worst);
