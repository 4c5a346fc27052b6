#!/bin/sh
# Makes .venv from the lock and brings Prometheus. Called by `make setup`.
#   PYTHON       the interpreter (3.11 or later)
#   TORCH_INDEX  a package index to take torch from, such as one with CPU builds
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
TORCH_INDEX=${TORCH_INDEX:-}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $PYTHON is older than 3.11; name another with PYTHON=..." >&2
    exit 1
}
command -v git > /dev/null || {
    echo "setup: git is not installed" >&2
    exit 1
}
if [ -n "$TORCH_INDEX" ]; then
    echo "setup: torch comes from $TORCH_INDEX, without the lock's hashes"
else
    echo "setup: torch with its CUDA libraries is about 3 GB to fetch and 4.7 GB on disk (it works without a GPU too);"
    echo "       a CPU build is a twentieth of that: make setup TORCH_INDEX=<address of such an index>"
fi
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv || {
    echo "setup: the venv module is missing; on Debian it is in the package python3-venv" >&2
    exit 1
}

lock=requirements.lock
if [ -n "$TORCH_INDEX" ]; then
    # Without the blocks of torch and of what only its CUDA build needs.
    lock=.venv/without-torch.lock
    awk '/^[a-z0-9]/ { skip = /^(torch|triton|nvidia-|cuda-)/ } !skip' requirements.lock > "$lock"
    torch=$(sed -n 's/^\(torch==[^ ;\\]*\).*/\1/p' requirements.lock)
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --index-url "$TORCH_INDEX" "$torch"
fi
if command -v uv > /dev/null; then
    uv pip install --quiet --python .venv/bin/python --require-hashes -r "$lock"
    uv pip install --quiet --python .venv/bin/python --no-deps -e .
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
fi
sh scripts/prometheus.sh || echo "setup: without Prometheus analysis answers Error and holds; everything else works" >&2
echo "setup: done; the program is .venv/bin/modelops"
