#!/usr/bin/env bash
# Creates the benchmark's stack: what a compose file does for a real site. Usage: stack.sh db | web
# Beside it lie stack.env (PREFIX, PORT, WEB_IMAGE, DB_IMAGE) and db.env (the database container's environment).
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=/dev/null
. "$here/stack.env"

case ${1:-} in
    db)
        docker network inspect "$PREFIX-net" >/dev/null 2>&1 || docker network create "$PREFIX-net" >/dev/null
        docker run --detach --name "$PREFIX-db" --network "$PREFIX-net" --network-alias db --env-file "$here/db.env" \
            --volume "$PREFIX-db:/var/lib/postgresql/data" --restart unless-stopped "$DB_IMAGE" >/dev/null
        ;;
    web)
        docker run --detach --name "$PREFIX-web" --network "$PREFIX-net" --publish "127.0.0.1:$PORT:80" \
            --volume "$PREFIX-data:/var/www/moodledata" --restart unless-stopped "$WEB_IMAGE" >/dev/null
        ;;
    *)
        echo "usage: stack.sh db | web" >&2
        exit 2
        ;;
esac
