#!/bin/sh
# Makes the password of the database, once. Its group may read it: Postgres is another user, in that group.
set -eu
umask 027
file=${PKPO_DATABASE_PASSWORD_FILE:?names the file of the password}
if [ -s "$file" ]; then exit 0; fi
python -c 'import secrets; print(secrets.token_hex(32))' >"$file.new"
mv "$file.new" "$file" # whole or not at all
echo "Made a password for the database."
