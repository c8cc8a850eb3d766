#!/bin/sh
# What the official image of Postgres runs once, in a new cluster: the database, and a user who may do nothing else.
set -eu
psql --username=postgres --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --set=password="$(cat "${PKPO_DATABASE_PASSWORD_FILE:?names the file of the password}")" <<'SQL'
CREATE ROLE pkpo LOGIN PASSWORD :'password';
-- Sorted by code point, as in the embedded Postgres: the same on every machine and after every upgrade.
CREATE DATABASE pkpo OWNER pkpo TEMPLATE template0 ENCODING 'UTF8'
    LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C';
-- The superuser had the same one until now. Without one it signs in through the socket inside the container alone.
ALTER ROLE postgres PASSWORD NULL;
SQL
