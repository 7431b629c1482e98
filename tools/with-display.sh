#!/usr/bin/env bash
# Run a command with a display: the one there is, or else a virtual one.
set -euo pipefail
if [ "$(uname -s)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    exec "$@"
fi
# 24 bits of colour: with the default of 8, OpenGL contexts cannot be made.
exec xvfb-run -a -s '-screen 0 1280x1024x24' "$@"
