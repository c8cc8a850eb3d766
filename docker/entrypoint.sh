#!/bin/sh
# What every container starts with: names the database, of which compose knows all but the password, and does as told.
set -eu
if [ -z "${PKPO_DATABASE_URL:-}" ] && [ -n "${PKPO_DATABASE_PASSWORD_FILE:-}" ]; then
    if ! password=$(cat "$PKPO_DATABASE_PASSWORD_FILE"); then
        echo "The password of the database is not in $PKPO_DATABASE_PASSWORD_FILE: the service \`password\` makes it." \
            "For another Postgres set PKPO_DATABASE_URL." >&2
        exit 1
    fi
    PKPO_DATABASE_URL="postgresql://pkpo:$password@${PKPO_DATABASE_HOST:-postgres}:${PKPO_DATABASE_PORT:-5432}/pkpo"
    export PKPO_DATABASE_URL
fi
exec "$@"
