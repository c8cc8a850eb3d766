#!/usr/bin/env bash
# Install a lock into .venv: `requirements/install.sh service` or `requirements/install.sh test`.
# Does nothing, and needs no network, when that lock is installed already.
set -euo pipefail
cd "$(dirname "$0")/.."
lock="requirements/$1.lock"
stamp=".venv/.installed-$1"
say() { printf '\033[2m==>\033[0m %s\n' "$*" >&2; }

if [ -x .venv/bin/python ] && cmp -s "$lock" "$stamp" && .venv/bin/python -c "import pkpo" 2>/dev/null; then exit 0; fi

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "pkpo needs Python 3.11 or newer; $("$python" --version) was found. Name another one: make PYTHON=python3.12 …"
    exit 1
fi

if [ ! -x .venv/bin/pip ]; then
    say "Creating .venv with $("$python" --version)"
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        say "No virtual environment could be made. On Debian it needs: apt-get install python3-venv"
        exit 1
    fi
fi

if ! cmp -s requirements/uv.lock .venv/.installed-uv; then
    say "Downloading the installer, uv"
    .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
    cp requirements/uv.lock .venv/.installed-uv
fi

# uv does not read pip's configuration: a mirror or a folder of local wheels that pip was told of is handed on here.
pip_setting() {
    .venv/bin/pip config list | sed -n "s/^\(global\|install\|:env:\)\.$1='\(.*\)'\$/\2/p" | sed 's/\\n/ /g' | tail -n 1
}
index_url=$(pip_setting index-url) extra_index_url=$(pip_setting extra-index-url) find_links=$(pip_setting find-links)
[ -z "$index_url" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index_url}"
[ -z "$find_links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-${find_links// /,}}"
for url in $extra_index_url; do
    case "$url" in
        file://*) [ -d "${url#file://}" ] || continue ;;
    esac
    UV_INDEX="${UV_INDEX:-}${UV_INDEX:+ }$url"
done
[ -z "${UV_INDEX:-}" ] || export UV_INDEX
export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}" UV_PYTHON_DOWNLOADS=never

say "Downloading $(grep -c '==' "$lock") packages of $lock (hash-checked)"
.venv/bin/uv pip install --python .venv/bin/python --require-hashes -r "$lock" 2>&1 | grep -v '^ [-+~] ' >&2
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --offline -e . 1>&2
cp "$lock" "$stamp"
say "Installed; nothing is downloaded again until the lock changes"
