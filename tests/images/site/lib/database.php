<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A thin layer over PHP's pgsql extension. {name} in a statement is the table with the site's prefix.
defined('MOODLE_INTERNAL') || die();

class standin_database {
    private PgSql\Connection $connection;
    public readonly string $prefix;
    public int $reads = 0;
    public int $writes = 0;

    public function __construct(stdClass $settings) {
        if (($settings->dbtype ?? '') !== 'pgsql') {
            throw new standin_error('Error: Only $CFG->dbtype "pgsql" works with the stand-in', 500);
        }
        $this->prefix = $settings->prefix;
        $options = $settings->dboptions ?? [];
        $parts = ['dbname' => $settings->dbname, 'user' => $settings->dbuser, 'password' => $settings->dbpass];
        $socket = $options['dbsocket'] ?? '';
        if ($socket === '' || $socket === false || $socket === 0) {
            $parts['host'] = $settings->dbhost;
            $parts['port'] = $options['dbport'] ?? '';
        } elseif (strpos((string)$socket, '/') !== false) {
            $parts['host'] = $socket;
        }
        $text = "connect_timeout=10 options='--client_encoding=utf8'";
        foreach (array_filter($parts, fn($value) => (string)$value !== '') as $name => $value) {
            $text .= " $name='" . addcslashes((string)$value, "'\\") . "'";
        }
        $connection = @pg_connect($text, PGSQL_CONNECT_FORCE_NEW);
        if ($connection === false) {
            // The text of PHP's own warning would show user and host; Moodle hides it from visitors, too.
            throw new standin_error('Error: Database connection failed', 500);
        }
        $this->connection = $connection;
        pg_set_error_verbosity($connection, PGSQL_ERRORS_TERSE);
    }

    private function sql(string $statement): string {
        return preg_replace('/\{([a-z][a-z0-9_]*)\}/', "{$this->prefix}\$1", $statement);
    }

    private function run(string $statement, array $values): PgSql\Result {
        $result = @pg_query_params($this->connection, $this->sql($statement), $values);
        if ($result === false) {
            throw new standin_error('Error: Database statement failed: ' . pg_last_error($this->connection), 500, false);
        }
        return $result;
    }

    /** All rows as objects. */
    public function all(string $statement, array $values = []): array {
        $this->reads++;
        return array_map(fn($row) => (object)$row, pg_fetch_all($this->run($statement, $values)));
    }

    public function one(string $statement, array $values = []): ?stdClass {
        return $this->all($statement, $values)[0] ?? null;
    }

    /** First column of the first row, or null. */
    public function value(string $statement, array $values = []): mixed {
        $row = (array)$this->one($statement, $values);
        return $row ? reset($row) : null;
    }

    /** The number of rows that the statement touched. */
    public function execute(string $statement, array $values = []): int {
        $this->writes++;
        return pg_affected_rows($this->run($statement, $values));
    }

    /** Several statements in one go, as for creating tables. */
    public function script(string $statements): void {
        if (@pg_query($this->connection, $statements) === false) {
            throw new standin_error('Error: Database statement failed: ' . pg_last_error($this->connection), 500, false);
        }
    }

    /** Insert a row and return its id. */
    public function insert(string $table, array $row): int {
        $this->writes++;
        $names = implode(', ', array_map(fn($name) => pg_escape_identifier($this->connection, $name), array_keys($row)));
        $marks = implode(', ', array_map(fn($number) => '$' . $number, range(1, count($row))));
        $result = $this->run("INSERT INTO {{$table}} ($names) VALUES ($marks) RETURNING id", array_values($row));
        return (int)pg_fetch_result($result, 0, 0);
    }

    /** Load rows through COPY; each is a list of values in the columns' order, null allowed. Constant memory. */
    public function copy(string $table, array $columns, iterable $rows): int {
        $this->script('COPY ' . $this->prefix . $table . ' (' . implode(', ', $columns) . ') FROM STDIN');
        $escape = ['\\' => '\\\\', "\n" => '\n', "\r" => '\r', "\t" => '\t'];
        [$buffer, $count] = ['', 0];
        foreach ($rows as $row) {
            foreach ($row as $key => $value) {
                $row[$key] = $value === null ? '\N' : strtr((string)$value, $escape);
            }
            $buffer .= implode("\t", $row) . "\n";
            $count++;
            if (strlen($buffer) > 1 << 18) {
                pg_put_line($this->connection, $buffer);
                $buffer = '';
            }
        }
        pg_put_line($this->connection, $buffer . "\\.\n");
        if (!@pg_end_copy($this->connection)) {
            throw new standin_error("Error: Loading rows into $table failed: " . pg_last_error($this->connection), 500, false);
        }
        return $count;
    }

    public function transaction(callable $work): mixed {
        $this->script('BEGIN');
        try {
            $result = $work();
            $this->script('COMMIT');
            return $result;
        } catch (Throwable $error) {
            $this->script('ROLLBACK');
            throw $error;
        }
    }

    /** Names, without prefix, of the tables that have the site's prefix. */
    public function tables(): array {
        $rows = $this->all('SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()
                            AND left(tablename, $1) = $2 ORDER BY 1', [strlen($this->prefix), $this->prefix]);
        return array_map(fn($row) => substr($row->tablename, strlen($this->prefix)), $rows);
    }
}
