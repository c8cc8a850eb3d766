#!/usr/bin/env bash
# Install the Debian packages named, those that are missing, where apt-get and root are there; say so where they are not.
set -euo pipefail
missing=()
declare -A program=([bubblewrap]=bwrap) # where it has another name than its package
for package in "$@"; do command -v "${program[$package]:-$package}" >/dev/null || missing+=("$package"); done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    printf '==> Not installed: %s (needs root and apt-get). What needs it is left out; tests of it are skipped.\n' "${missing[*]}" >&2
    exit 0
fi
printf '==> Installing %s with apt-get\n' "${missing[*]}" >&2
log=$(mktemp)
if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    printf '==> apt-get could not install %s. What needs it is left out; tests of it are skipped.\n' "${missing[*]}" >&2
fi
rm -f "$log"
