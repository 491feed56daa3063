#!/bin/sh
# Installs what is missing: Debian packages (apt-get, as root or through sudo) and the Python environment in .venv.
# Idempotent: looks first, and the second run does nothing. Called by make, from the top of the checkout.
# `setup.sh tests` installs what only tests use: where that cannot be had they are skipped and say so.
set -eu

python=${PYTHON:-python3}
venv=${VENV:-.venv}

fail() {
    echo "setup: $*" >&2
    exit 2
}

missing=""
need() { # need PACKAGE COMMAND...: the package provides what the command probes
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

install_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then as_root=""; else
        command -v sudo >/dev/null 2>&1 || { echo "setup: root is needed to install$missing" >&2 && return 1; }
        as_root="sudo"
    fi
    echo "setup: installing$missing"
    $as_root apt-get update -qq || return 1
    # shellcheck disable=SC2086 # a list of package names
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

has_nano_specs() {
    [ -f "$(arm-none-eabi-gcc -print-file-name=nano.specs 2>/dev/null)" ]
}
has_sanitizers() {
    echo 'int main(void){return 0;}' | gcc -fsanitize=address,undefined -x c - -o /dev/null
}

if [ "${1:-}" = tests ]; then
    need chromium chromium --version
    need postgresql ls /usr/lib/postgresql/*/bin/initdb
    if [ -n "$missing" ]; then
        install_packages || echo "setup: could not install$missing: tests that need them are skipped"
    fi
    exit 0
fi

need "$(basename "$python")" "$python" --version
need python3-venv "$python" -c 'import ensurepip, venv'
need qemu-system-arm qemu-system-arm --version
need gcc-arm-none-eabi arm-none-eabi-gcc --version
need libnewlib-arm-none-eabi has_nano_specs
need "gcc libc6-dev" has_sanitizers
need git git --version
need gdb-multiarch gdb-multiarch --version
need cppcheck cppcheck --version

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "please install:$missing (no apt-get here)"
    install_packages || fail "apt-get could not install:$missing"
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer expected, found $("$python" --version); set PYTHON"

if [ ! -x "$venv/bin/python" ]; then
    echo "setup: creating $venv"
    "$python" -m venv "$venv"
fi
echo "setup: installing Python packages"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint ci/constraints.txt --editable '.[dev]'
