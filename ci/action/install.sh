#!/usr/bin/env bash
# Installs Brownout from the checkout that this file is in, with PostgreSQL's driver, pytest, and the Debian packages for
# them that are missing: install.sh [VENV]. With VENV it makes that environment, else it installs for the python3 on PATH.
#   BROWNOUT_COMPILER=true   the Arm compiler, newlib and make, too
#   BROWNOUT_PACKAGES        names of more Debian packages
set -euo pipefail

fail() {
    echo "ci: install: $*" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ $# -le 1 ] || fail "usage: install.sh [VENV]"
compiler=${BROWNOUT_COMPILER:-false}
case $compiler in true | false) ;; *) fail "BROWNOUT_COMPILER: '$compiler': expected true or false" ;; esac
read -r -d '' -a extra <<<"${BROWNOUT_PACKAGES:-}" || true
for package in "${extra[@]}"; do
    [[ $package =~ ^[a-z0-9][a-z0-9.+-]+$ ]] || fail "BROWNOUT_PACKAGES: '$package': expected names of Debian packages"
done
python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "$python: not found on PATH"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python: is $("$python" --version), expected Python 3.11 or newer"

missing=()
need() { # need PACKAGE COMMAND...: the package provides what the command asks for
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
# shellcheck disable=SC2317,SC2329 # called by need
has_newlib() { [ -f "$(arm-none-eabi-gcc -print-file-name=nano.specs 2>/dev/null)" ]; }
need qemu-system-arm qemu-system-arm --version
need git git --version
if [ "$compiler" = true ]; then
    need gcc-arm-none-eabi arm-none-eabi-gcc --version
    need libnewlib-arm-none-eabi has_newlib
    need make make --version
fi
[ $# -eq 0 ] || need python3-venv "$python" -c 'import ensurepip, venv'
for package in "${extra[@]}"; do need "$package" dpkg --status "$package"; done

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || fail "please install ${missing[*]} (no apt-get here)"
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "please install as root: ${missing[*]}"
        as_root=(sudo)
    fi
    echo "ci: installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ $# -eq 1 ]; then
    "$python" -m venv "$1"
    python=$1/bin/python
fi
"$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --constraint "$root/ci/constraints.txt" "${root}[postgres]" pytest
