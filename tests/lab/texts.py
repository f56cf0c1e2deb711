# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site is made of and what is done to it, in the languages of others: Dockerfile, SQL, shell, PHP."""

from __future__ import annotations


def quoted(text: str, mark: str) -> str:
    """Return a text as SQL wants it: a name with mark '"', a value with mark "'"."""
    return mark + text.replace(mark, mark * 2) + mark


def config_php(values: dict[str, str], from_environment: dict[str, str], code: str) -> str:
    """Return a config.php with these settings, and with those that are the names of environment variables.

    :param code: path of the folder that holds lib/setup.php.
    """
    lines = ["<?php", "unset($CFG); global $CFG; $CFG = new stdClass();"]
    lines += ["$CFG->%s = %s;" % (key, _php(value)) for key, value in values.items()]
    lines += ["$CFG->%s = getenv(%s);" % (key, _php(name)) for key, name in from_environment.items()]
    lines += ["$CFG->directorypermissions = 02777;", "require_once('%s/lib/setup.php');" % code, ""]
    return "\n".join(lines)


def _php(value: str) -> str:
    return "'%s'" % value.replace("\\", "\\\\").replace("'", "\\'")


# Instructions that put the code and the data behind links, as bitnami's images do.
LINKS = """
RUN mkdir -p /bitnami /opt/bitnami && mv /var/www/html /bitnami/moodle && ln -s /bitnami/moodle /opt/bitnami/moodle \
 && ln -s /opt/bitnami/moodle /var/www/html && ln -s /etc/%(name)s /srv/moodledata \
 && install -d -o www-data -g www-data -m 0770 /etc/%(name)s
WORKDIR /
"""
# What a careless dump loses.
ODD_ROWS = """
CREATE ROLE "odd reader" LOGIN PASSWORD %(password)s CONNECTION LIMIT 3;
SET ROLE %(user)s;
CREATE SCHEMA "odd 'schema'";
CREATE TABLE "odd 'schema'"."odd ""table"" %%" (id serial PRIMARY KEY, "a column" text, n numeric, b bytea, f float8, t timestamptz[]);
INSERT INTO "odd 'schema'"."odd ""table"" %%" ("a column", n, b, f, t) VALUES (E'\\\\N', 'NaN', '\\x00ff', '-0', '{}'),
  (E'tab\\t\\r\\n\\\\.', 1e100, NULL, 'Infinity', '{"2024-02-29 12:00:00.123456+00", NULL}'), ('', NULL, '', 0.1, NULL);
CREATE VIEW "odd 'schema'"."a view" AS SELECT count(*) FROM %(prefix)suser;
GRANT USAGE ON SCHEMA "odd 'schema'" TO "odd reader"; GRANT SELECT ON "odd 'schema'"."a view" TO "odd reader";
UPDATE %(prefix)stask_scheduled SET lastruntime = 1700000000;
"""
# What a restore has to undo.
CHANGED_ROWS = """
DELETE FROM %(prefix)slogstore_standard_log WHERE id %% 2 = 0;
UPDATE %(prefix)suser SET firstname = 'Changed' WHERE username <> 'guest';
INSERT INTO %(prefix)sconfig (name, value) VALUES ('added', 'later');
UPDATE %(prefix)scourse SET fullname = 'Changed title';
DROP TABLE %(prefix)slocal_moodleclaude_note; CREATE TABLE added_later (id int);
"""

# In the code: a plugin of the site's own.
OWN_PLUGIN = """
mkdir -p local/own/lang
printf '%s' '<?php $plugin->version = 2025010100; $plugin->component = "local_own";' > local/own/version.php
touch -d '2024-02-03 04:05:06' local/own/version.php
"""

# In the data directory, and in the code.
CHANGED_DATA = """
echo new > 'new file'; rm -f -- -rf; find filedir -type f | head -n 3 | xargs rm; echo changed >> filedir/warning.txt
mkdir new; chmod 0700 muc; rm -r secret
"""
CHANGED_CODE = """
rm local/own/version.php; mkdir local/newer; echo '<?php' > local/newer/version.php; echo '// changed' >> version.php
"""
