#!/usr/bin/env bash
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Entry point that keeps the contract of the official PostgreSQL image, written anew for the tests:
# environment variables (and their _FILE forms), first start, access rules, drop of root.
set -Eeuo pipefail

fail() {
    printf 'entrypoint: %s\n' "$*" >&2
    exit 1
}

# setting NAME [DEFAULT]: exports NAME from itself, from the file named by NAME_FILE, or from the default.
setting() {
    local name=$1 file_name=${1}_FILE value=${2:-}
    if [[ -n ${!name:-} && -n ${!file_name:-} ]]; then
        fail "both $name and $file_name are set; keep one of them"
    fi
    if [[ -n ${!name:-} ]]; then
        value=${!name}
    elif [[ -n ${!file_name:-} ]]; then
        value=$(<"${!file_name}")
    fi
    export "$name=$value"
    unset "$file_name"
}

prepare_folders() {
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
    if [[ $(id -u) == 0 ]]; then
        find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
        find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    fi
}

require_password() {
    if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
        fail "the data folder is empty and no password is given: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"
    fi
}

create_cluster() {
    local options=()
    eval "options=(${POSTGRES_INITDB_ARGS:-})"
    if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
        options+=(--waldir "$POSTGRES_INITDB_WALDIR")
    fi
    # The password comes through a pipe: it never stands in an argument.
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --encoding=UTF8 "${options[@]}" -D "$PGDATA"
    local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# sql DATABASE ARGUMENTS...
sql() {
    psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "$1" "${@:2}"
}

create_database() {
    if [[ $POSTGRES_DB != postgres ]]; then
        sql postgres --quiet --set "name=$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
    fi
}

run_init_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
            *.sql) sql "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) gunzip -c "$file" | sql "$POSTGRES_DB" ;;
            *.sql.zst) zstd -dc "$file" | sql "$POSTGRES_DB" ;;
        esac
    done
}

first_start() {
    require_password
    create_cluster
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
    create_database
    run_init_files
    pg_ctl -D "$PGDATA" -m fast -w stop
    echo 'entrypoint: first start is done, PostgreSQL is ready to serve'
}

if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
fi

if [[ ${1:-} == postgres ]]; then
    prepare_folders
    if [[ $(id -u) == 0 ]]; then
        exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
    fi
    if [[ ! -s $PGDATA/PG_VERSION ]]; then
        setting POSTGRES_USER postgres
        setting POSTGRES_PASSWORD
        setting POSTGRES_DB "$POSTGRES_USER"
        setting POSTGRES_HOST_AUTH_METHOD
        first_start
    fi
fi
exec "$@"
