<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Scheduled and ad-hoc tasks. A running one is marked in its row by start time, host and process, as in Moodle.
defined('MOODLE_INTERNAL') || die();

/** Work of the tasks that the stand-in knows; others succeed at once. */
function task_work(string $class, ?string $data): void {
    global $DB, $CFG;
    match (ltrim($class, '\\')) {
        'core\task\session_cleanup_task' => $DB->execute('DELETE FROM {sessions} WHERE timemodified < $1',
            [time() - (int)($CFG->sessiontimeout ?? 28800)]),
        'core\task\file_trash_cleanup_task' => files_clean_trash(),
        'core\task\cache_cleanup_task' => $DB->execute('DELETE FROM {cache_flags} WHERE expiry < $1', [time()]),
        'core\task\task_log_cleanup_task' => $DB->execute('DELETE FROM {task_log} WHERE timestart < $1', [time() - 28 * 86400]),
        'local_moodleclaude\task\wait' => sleep((int)(json_decode((string)$data)->seconds ?? 0)),
        default => null,
    };
}

/** When a schedule of the simple forms "*", "N" and "* /N" is due next after a time. */
function task_next(stdClass $task, int $after): int {
    $fits = function (string $rule, int $value): bool {
        return $rule === '*' || (str_starts_with($rule, '*/') ? $value % (int)substr($rule, 2) === 0 : (int)$rule === $value);
    };
    for ($time = $after - $after % 60 + 60; $time < $after + 366 * 86400; $time += 60) {
        [$minute, $hour] = [(int)gmdate('i', $time), (int)gmdate('G', $time)];
        if ($fits($task->minute, $minute) && $fits($task->hour, $hour)) {
            return $time;
        }
    }
    return $after + 86400;
}

/** Tasks that are marked as running, oldest first. */
function tasks_running(): array {
    global $DB;
    return $DB->all("SELECT 'scheduled' AS type, classname, timestarted, hostname, pid FROM {task_scheduled} WHERE timestarted IS NOT NULL
        UNION ALL SELECT 'adhoc', classname, timestarted, hostname, pid FROM {task_adhoc} WHERE timestarted IS NOT NULL ORDER BY 3");
}

function task_run(string $table, stdClass $task): void {
    global $DB;
    $start = microtime(true);
    $where = "UPDATE {{$table}} SET timestarted = \$2, hostname = \$3, pid = \$4 WHERE id = \$1 AND timestarted IS NULL";
    if (!$DB->execute($where, [$task->id, (int)$start, gethostname(), getmypid()])) {
        return;
    }
    echo "Execute $table: $task->classname\n";
    task_work($task->classname, $task->customdata ?? null);
    if ($table === 'task_adhoc') {
        $DB->execute('DELETE FROM {task_adhoc} WHERE id = $1', [$task->id]);
    } else {
        $DB->execute('UPDATE {task_scheduled} SET timestarted = NULL, hostname = NULL, pid = NULL, lastruntime = $2, nextruntime = $3
            WHERE id = $1', [$task->id, (int)$start, task_next($task, time())]);
    }
    $DB->insert('task_log', ['type' => $table === 'task_adhoc' ? 1 : 0, 'component' => $task->component, 'classname' => $task->classname,
        'userid' => 0, 'timestart' => sprintf('%.6f', $start), 'timeend' => sprintf('%.6f', microtime(true)), 'dbreads' => $DB->reads,
        'dbwrites' => $DB->writes, 'result' => 0, 'output' => "done\n", 'hostname' => gethostname(), 'pid' => getmypid()]);
}

/** One pass over what is due. False when another process asked running crons to stop. */
function tasks_run_due(int $started): bool {
    global $DB;
    $stopped = fn() => (int)$DB->value("SELECT value FROM {config} WHERE name = 'scheduledtaskreset'") >= $started
        || CLI_MAINTENANCE || file_exists($GLOBALS['CFG']->dataroot . '/climaintenance.html');
    foreach (['task_scheduled' => 'AND disabled = 0', 'task_adhoc' => ''] as $table => $more) {
        foreach ($DB->all("SELECT * FROM {{$table}} WHERE nextruntime <= \$1 AND timestarted IS NULL $more ORDER BY nextruntime, id", [time()]) as $task) {
            if ($stopped()) {
                return false;
            }
            task_run($table, $task);
        }
    }
    return !$stopped();
}
