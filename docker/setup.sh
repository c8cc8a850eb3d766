#!/bin/sh
# Before the API starts: brings the database to this version's schema and, where there never was an API key, makes one.
# It is written to a file that only its owner reads, and never said: what a container says is kept in its log.
set -eu
umask 077
file=${PKPO_KEY_FILE:?names the file of the API key}
pkpo migrate
if [ -s "$file.new" ]; then mv "$file.new" "$file"; fi # stopped between the next two lines but one
keys=$(pkpo keys list)
if [ -z "$keys" ]; then
    pkpo keys create first --scope read --scope write --scope jobs --scope admin >"$file.new"
    mv "$file.new" "$file"
    echo "Made an API key with every scope. To see it: docker compose exec api cat $file"
fi
