#!/usr/bin/env bash
# Makes the virtual environment $1 with the first Python 3.10+ that can, and sees to a C and C++ compiler, to QEMU's user
# mode, without which tests of other processors are skipped, and to Verilator, Yosys and Tcl, without which those of
# SystemVerilog and of scripts for HLS tools are.
# What is missing is installed by apt-get where there is one and root or password-free sudo; otherwise it is named.
set -euo pipefail

venv=${1:?"usage: scripts/bootstrap.sh FOLDER"}

root=()
if [ "$(id -u)" != 0 ]; then
    root=(sudo -n)
fi

may_install() { command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null; }

apt_install() { # package...
    echo "installing $* by apt-get"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_packages() { # package...
    if ! may_install; then
        echo "error: this machine lacks what the packages '$*' (Debian's names) provide, and apt-get may not be used here." \
            "Install them with the system's package manager and run make again." >&2
        exit 1
    fi
    apt_install "$@"
}

find_python() { # prints the first Python >= 3.10
    local name
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

has_emulators() {
    local name
    for name in qemu-arm qemu-aarch64; do
        command -v "$name" >/dev/null || command -v "$name-static" >/dev/null || return 1
    done
}
has_hardware_tools() { command -v verilator >/dev/null && command -v yosys >/dev/null && command -v tclsh >/dev/null; }
has_module() { "$python" -c "import $1" 2>/dev/null; }
has_headers() { "$python" -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null; }

if ! python=$(find_python); then
    install_packages python3 python3-venv python3-dev
    python=$(find_python) || { echo "error: Python 3.10 or newer is needed; the newest found is older." >&2 && exit 1; }
fi
version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

missing=()
if ! has_module ensurepip || ! has_module venv; then
    missing+=("$version-venv")
fi
if ! has_headers; then
    missing+=("$version-dev")
fi
if ! command -v "${CC:-cc}" >/dev/null || ! command -v "${CXX:-c++}" >/dev/null; then
    missing+=(g++)
fi
if [ "${#missing[@]}" != 0 ]; then
    install_packages "${missing[@]}"
fi

if ! has_emulators && ! { may_install && apt_install qemu-user; }; then
    echo "warning: QEMU's user mode (Debian's package qemu-user) is not here and could not be installed;" \
        "tests that run what is built for other processors will be skipped." >&2
fi

if ! has_hardware_tools && ! { may_install && apt_install verilator yosys tcl; }; then
    echo "warning: Verilator, Yosys or Tcl (Debian's packages verilator, yosys, tcl) is not here and could not be" \
        "installed; tests of the target hls that run and map SystemVerilog, or run scripts, will be skipped." >&2
fi

"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade "pip>=24"
