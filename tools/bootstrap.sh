#!/usr/bin/env bash
# Set up what a make target needs, from nothing but Python and make. A second run takes a second.
#
#   tools/bootstrap.sh demo   the package; with a display also napari and a Qt binding
#   tools/bootstrap.sh test   the package, napari, PyQt6, pytest; Xvfb and GL where there is no display
#   tools/bootstrap.sh lint   the same, and the linters
#   tools/bootstrap.sh docs   the package, and what builds the documentation's site
#
# Everything goes into .venv; Debian's packages are installed when run as root, and named otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:?which purpose: demo, test, lint or docs}
venv=${VENV:-.venv}
python=$venv/bin/python
torch_needed='torch>=2.10'
torch_cpu_index=https://download.pytorch.org/whl/cpu

say() { printf '%s\n' "$*" >&2; }
on_linux() { [ "$(uname -s)" = Linux ]; }
has_display() { ! on_linux || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; }

# ------------------------------------------------------------------------------- Debian's packages
# $1: what for; the rest: packages. Missing ones are installed by root, and only named otherwise.
need_debian() {
    local purpose=$1 package missing=()
    shift
    command -v dpkg-query >/dev/null || return 0
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "$purpose needs packages of the system that are not installed. Please run:"
        say "    sudo apt-get install ${missing[*]}"
        return 1
    fi
    say "Installing for $purpose: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2 || true # the lists may be fresh enough, or there is no network
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# What Qt's X11 platform plugin loads, and a display with software GL for it to draw on.
need_virtual_display() {
    on_linux || return 0
    local packages=(libdbus-1-3 libegl1 libfontconfig1 libgl1 libxcb-cursor0 libxcb-icccm4
        libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
        libxcb-xinerama0 libxcb-xkb1 libxkbcommon-x11-0)
    has_display || packages+=(libgl1-mesa-dri xauth xvfb)
    if ! need_debian "a window, real or virtual," "${packages[@]}"; then
        # Names differ between releases; Xvfb alone is what nothing can be done without.
        has_display || command -v xvfb-run >/dev/null || {
            say "There is no display, and no Xvfb to stand in for one."
            exit 1
        }
        say "Going on without; GUI tests may fail."
    fi
}

# ------------------------------------------------------------------------------ Python and packages
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed and was not found. Install it, or set PYTHON to its path."
    exit 1
}

make_venv() {
    # A folder without pip is what an interrupted or failed set-up leaves behind.
    if [ -x "$python" ] && "$python" -c 'import pip' 2>/dev/null; then return; fi
    local base
    base=$(find_python)
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian keeps these in a package of their own, named after the version.
        local version
        version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        need_debian "a virtual environment" "python$version-venv" || exit 1
    fi
    say "Making $venv with $("$base" --version)"
    "$base" -m venv --clear "$venv"
}

# Twice quiet: errors, but not a warning for every place where pip looks in vain.
pip_install() { "$python" -m pip install -qq --disable-pip-version-check "$@"; }

reachable() {
    "$python" - "$1" <<'END' 2>/dev/null
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=5).close()
END
}

# The newest CPU build of torch that this pip can get at, as "torch==2.13.0+cpu"; or nothing.
cpu_torch() {
    "$python" -m pip index versions torch "$@" 2>/dev/null |
        sed -n 's/^Available versions: //p' | tr -d ' ' | tr ',' '\n' | grep -m 1 '+cpu$' |
        sed 's/^/torch==/'
}

# Without an NVIDIA GPU the CPU build does: 0.2 GB in place of 3 GB. Its home is an index of its own;
# a mirror or a folder of wheels that pip is configured for may have it too.
install_torch() {
    if "$python" -c 'import torch' 2>/dev/null; then return; fi
    local build='' source=()
    if on_linux && ! command -v nvidia-smi >/dev/null; then
        if reachable "$torch_cpu_index/torch/"; then source=(--extra-index-url "$torch_cpu_index"); fi
        build=$(cpu_torch ${source[@]+"${source[@]}"}) || true
        [ -n "$build" ] || say "No CPU build of torch within reach; the usual one is large, but works."
    fi
    say "Installing ${build:-$torch_needed}"
    pip_install "$torch_needed" $build ${source[@]+"${source[@]}"}
}

case $purpose in
demo) if has_display; then extras='[all]'; else extras=''; fi ;;
test) extras='[test]' ;;
lint) extras='[test,lint]' ;;
docs) extras='[docs]' ;;
*) say "Unknown purpose: $purpose" && exit 2 ;;
esac

make_venv
[ "$purpose" != test ] || need_virtual_display

# Set up anew when pyproject.toml changed, or when the folder was moved (paths are written down).
stamp=$venv/.set-up-$purpose$extras
state=$(pwd; cksum pyproject.toml)
if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
    install_torch
    say "Installing napari-samhq$extras"
    pip_install --editable ".$extras"
    printf '%s' "$state" >"$stamp"
fi
