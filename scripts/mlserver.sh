#!/bin/sh
# Brings MLServer for the local home, in an environment of its own: its requirements are not ours. `make mlserver`.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
home=${XDG_DATA_HOME:-$HOME/.local/share}/modelops/mlserver

# What an installation that was broken off left is of no use.
[ -e "$home/whole" ] || rm -rf "$home"
[ -x "$home/bin/python" ] || "$PYTHON" -m venv "$home"
if command -v uv > /dev/null; then
    uv pip install --quiet --python "$home/bin/python" --require-hashes -r scripts/mlserver.lock
else
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r scripts/mlserver.lock
fi
: > "$home/whole"
echo "mlserver: $home/bin/mlserver; the local home finds it there"
