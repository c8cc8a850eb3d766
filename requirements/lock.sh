#!/usr/bin/env bash
# Resolve the locks anew: `make lock`, after a change to a requirements/*.in.
set -euo pipefail
cd "$(dirname "$0")"
for name in uv service test; do
    ../.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-header --no-annotate -o "$name.lock" "$name.in"
done
