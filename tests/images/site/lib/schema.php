<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Reads the table definitions (lib/schema/*.txt and each plugin's db/tables.txt), makes tables, and compares them.
defined('MOODLE_INTERNAL') || die();

const SCHEMA_TYPES = ['int' => 'bigint', 'small' => 'smallint', 'integer' => 'integer', 'text' => 'text',
                      'char' => 'character varying', 'num' => 'numeric'];

/** Table => ['columns' => [name => [type, nullable, default]], 'indexes' => [[columns, unique, name]], 'key' => name]. */
function schema_tables(): array {
    global $CFG;
    $files = glob(__DIR__ . '/schema/*.txt');
    foreach (plugins_on_disk() as $plugin) {
        array_push($files, ...glob("$plugin->folder/db/tables.txt"));
    }
    $tables = [];
    foreach ($files as $file) {
        $text = preg_replace(['/^#.*\n/m', '/\n[ \t]+/'], ['', ' '], file_get_contents($file));
        foreach (array_filter(array_map('trim', explode("\n", $text))) as $line) {
            [$name, $parts] = explode(':', $line, 2);
            $tables[$name] = schema_table($parts);
        }
    }
    ksort($tables);
    return schema_with_names($tables);
}

/** Give every index a name, without the site's prefix, that no other has: names are shortened and so may meet. */
function schema_with_names(array $tables): array {
    $used = [];
    $name = function (string $table, array $columns, string $suffix) use (&$used): string {
        $short = implode('', array_map(fn($word) => substr($word, 0, 4), explode('_', $table)));
        $base = $short . '_' . implode('', array_map(fn($column) => substr($column, 0, 3), $columns));
        $number = $used["$base/$suffix"] = ($used["$base/$suffix"] ?? 0) + 1;
        return $base . ($number > 1 ? $number : '') . "_$suffix";
    };
    foreach ($tables as $table => $definition) {
        $tables[$table]['key'] = $name($table, ['id'], 'pk');
        foreach ($definition['indexes'] as $index => [$columns, $unique]) {
            $tables[$table]['indexes'][$index][] = $name($table, $columns, $unique ? 'uix' : 'ix');
        }
    }
    return $tables;
}

function schema_table(string $parts): array {
    $table = ['columns' => ['id' => ['bigint', false, null]], 'indexes' => []];
    foreach (array_map('trim', explode(';', $parts)) as $part) {
        if (preg_match('/^(unique|index) (.+)$/', $part, $found)) {
            $table['indexes'][] = [explode(' ', $found[2]), $found[1] === 'unique'];
            continue;
        }
        if (!preg_match('/^(\w+) (\w+)(\([\d,]+\))?(\?)?(?: =(.*))?$/', $part, $found)) {
            throw new standin_error("Error: the table definition cannot be read: $part", 500);
        }
        $default = array_key_exists(5, $found) ? $found[5] : null;
        $table['columns'][$found[1]] = [SCHEMA_TYPES[$found[2]] . ($found[3] ?? ''), ($found[4] ?? '') === '?', $default];
    }
    return $table;
}

function schema_statements(string $name, array $table, string $prefix): string {
    $lines = [];
    foreach ($table['columns'] as $column => [$type, $nullable, $default]) {
        $line = $column === 'id' ? 'id BIGSERIAL' : "$column $type";
        $line .= $nullable ? '' : ' NOT NULL';
        $line .= $default === null ? '' : " DEFAULT '" . str_replace("'", "''", $default) . "'";
        $lines[] = $line;
    }
    $lines[] = "CONSTRAINT $prefix$table[key] PRIMARY KEY (id)";
    $sql = "CREATE TABLE $prefix$name (" . implode(', ', $lines) . ");\n";
    foreach ($table['indexes'] as [$columns, $unique, $index]) {
        $sql .= 'CREATE ' . ($unique ? 'UNIQUE ' : '') . "INDEX $prefix$index ON $prefix$name (" . implode(', ', $columns) . ");\n";
    }
    return $sql;
}

/** Differences between the definitions and the database: table => list of texts. */
function schema_differences(standin_database $db): array {
    $wanted = schema_tables();
    $found = [];
    foreach ($db->all("SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND left(c.relname, $1) = $2
            ORDER BY a.attnum", [strlen($db->prefix), $db->prefix]) as $row) {
        $found[substr($row->relname, strlen($db->prefix))][$row->attname] = [$row->type, $row->attnotnull === 'f'];
    }
    $problems = array_map(fn() => ['table is missing'], array_diff_key($wanted, $found))
        + array_map(fn() => ['table is not expected'], array_diff_key($found, $wanted));
    foreach (array_intersect_key($wanted, $found) as $name => $table) {
        $columns = array_map(fn($column) => [$column[0], $column[1]], $table['columns']);
        $list = [...array_map(fn($key) => "column '$key' is missing", array_keys(array_diff_key($columns, $found[$name]))),
                 ...array_map(fn($key) => "column '$key' is not expected", array_keys(array_diff_key($found[$name], $columns)))];
        foreach (array_intersect_key($columns, $found[$name]) as $key => $column) {
            if ($column !== $found[$name][$key]) {
                $list[] = "column '$key' has incorrect type or NULL rule";
            }
        }
        $list = [...$list, ...schema_index_differences($db, $name, $table)];
        if ($list) {
            $problems[$name] = $list;
        }
    }
    ksort($problems);
    return $problems;
}

function schema_index_differences(standin_database $db, string $name, array $table): array {
    $rows = $db->all("SELECT i.indisunique, (SELECT string_agg(a.attname, ' ' ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num) AS columns
            FROM pg_index i WHERE i.indrelid = to_regclass($1)", [$db->prefix . $name]);
    $have = array_map(fn($row) => ($row->indisunique === 't' ? 'unique ' : 'index ') . $row->columns, $rows);
    $want = ['unique id', ...array_map(fn($index) => ($index[1] ? 'unique ' : 'index ') . implode(' ', $index[0]), $table['indexes'])];
    return [...array_map(fn($index) => "Missing index: $index", array_diff($want, $have)),
            ...array_map(fn($index) => "Unexpected index: $index", array_diff($have, $want))];
}
