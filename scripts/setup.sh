#!/bin/sh
# Create .venv with everything the project needs, from nothing but Python 3.11+.
#
# uv does the work: from PATH, from our cache, or put into our cache by the first way that works here. Nothing is installed
# outside .venv and ~/.cache, and no interpreter is downloaded. Run through `make setup`, which skips it when nothing changed.
set -eu
cd "$(dirname "$0")/.."

cache="${MODELSCALER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/modelscaler}"
uv_home="$cache/uv"

say() { printf '%s\n' "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        "$name" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' 2>/dev/null && return
    done
    found="$(python3 --version 2>/dev/null || echo none)"
    fail "found $found, expected Python 3.11 or newer; on Debian 12, Ubuntu 24.04 or newer: apt-get install python3"
}

find_uv() {
    for candidate in uv "$uv_home/bin/uv"; do
        "$candidate" --version >/dev/null 2>&1 && { command -v "$candidate"; return; }
    done
    return 1
}

# Each way leaves a working $uv_home/bin/uv, or fails. A bare Debian's python3 has neither pip nor ensurepip.
install_with_venv() { "$python" -m venv "$uv_home" && "$uv_home/bin/python" -m pip install --quiet uv; }
install_with_pip() { "$python" -m pip install --quiet --target "$uv_home" uv; }
install_with_pipx() { PIPX_HOME="$uv_home/pipx" PIPX_BIN_DIR="$uv_home/bin" pipx install --quiet uv; }
install_with_debian_wheel() {
    mkdir -p "$uv_home/deb"
    (cd "$uv_home/deb" && { apt-get download python3-pip-whl || { apt-get update && apt-get download python3-pip-whl; }; })
    dpkg -x "$uv_home"/deb/python3-pip-whl_*.deb "$uv_home/deb"
    "$python" "$(ls "$uv_home"/deb/usr/share/python-wheels/pip-*.whl)/pip" install --quiet --target "$uv_home" uv
}

install_uv() {
    log="$cache/uv-install.log"
    : >"$log"
    for way in venv pip pipx debian_wheel; do
        rm -rf "$uv_home"
        mkdir -p "$uv_home"
        say "installing uv into $uv_home with $way"
        if "install_with_$way" >>"$log" 2>&1 && "$uv_home/bin/uv" --version >/dev/null 2>&1; then
            return
        fi
    done
    fail "could not install uv (see $log); install it, or: apt-get install python3-venv"
}

mkdir -p "$cache"
if command -v flock >/dev/null 2>&1; then # two makes at once on a new machine: the second waits for the first
    exec 9>"$cache/setup.lock"
    flock 9
fi

python="$(find_python)"
uv="$(find_uv)" || { install_uv; uv="$uv_home/bin/uv"; }
say "filling .venv with $("$uv" --version) and $("$python" --version); the first time brings about 5 GB (torch) and takes minutes"
started="$(date +%s)"
# Byte code is compiled ahead: a pod on the local cluster cannot keep what it compiles, and would pay for it at every start.
UV_PYTHON_DOWNLOADS=never UV_PYTHON="$python" UV_COMPILE_BYTECODE=1 "$uv" sync --all-packages --frozen
.venv/bin/python -m compileall -q operator/src inference-server/src localcluster/src demo/src benchmarks/src
touch .venv/.set-up
say "done in $(($(date +%s) - started)) s"
