#!/usr/bin/env bash
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Entry point that keeps the contract of dpage/pgadmin4, written anew for the tests: the first account comes from the
# environment, everything that must survive is under /var/lib/pgadmin.
set -euo pipefail

read_file_form() {
    local file_name=${1}_FILE
    if [[ -n ${!file_name:-} ]]; then
        export "$1=$(<"${!file_name}")"
    fi
}

read_file_form PGADMIN_DEFAULT_EMAIL
read_file_form PGADMIN_DEFAULT_PASSWORD

cd /opt/pgadmin/pgadmin4
if [[ ! -f /var/lib/pgadmin/pgadmin4.db ]]; then
    if [[ -z ${PGADMIN_DEFAULT_EMAIL:-} || -z ${PGADMIN_DEFAULT_PASSWORD:-} ]]; then
        echo 'entrypoint: set PGADMIN_DEFAULT_EMAIL and PGADMIN_DEFAULT_PASSWORD (or their _FILE forms)' >&2
        exit 1
    fi
    PGADMIN_SETUP_EMAIL=$PGADMIN_DEFAULT_EMAIL PGADMIN_SETUP_PASSWORD=$PGADMIN_DEFAULT_PASSWORD \
        python3 setup.py setup-db
fi
exec python3 -m gunicorn --bind "${PGADMIN_LISTEN_ADDRESS:-0.0.0.0}:${PGADMIN_LISTEN_PORT:-80}" \
    --workers 1 --threads "${GUNICORN_THREADS:-25}" --timeout "${GUNICORN_TIMEOUT:-86400}" \
    --access-logfile "${GUNICORN_ACCESS_LOGFILE:--}" pgAdmin4:app
