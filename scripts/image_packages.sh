#!/bin/sh
# Installs the packages of a lock into /opt/modelops, a virtual environment. Called by the Dockerfile.
#   image_packages.sh LOCK
#   TORCH_INDEX   a package index to take torch from, without the lock's hashes, such as one with CPU builds
set -eu
lock=$1
here=/opt/modelops
pip() { /opt/pip/bin/pip --python "$here/bin/python" install --quiet --no-compile --only-binary :all: "$@"; }

python3 -m venv --without-pip "$here"
echo /opt/code > "$(echo "$here"/lib/python3*/site-packages)/modelops.pth"
if [ -n "${TORCH_INDEX:-}" ]; then
    torch=$(sed -n 's/^\(torch==[^ ;\\]*\).*/\1/p' "$lock")
    [ -z "$torch" ] || pip --index-url "$TORCH_INDEX" "$torch"
    # Without the blocks of torch and of what only its CUDA build needs.
    awk '/^[a-z0-9]/ { skip = /^(torch|triton|nvidia-|cuda-)/ } !skip' "$lock" > /tmp/lock
    lock=/tmp/lock
fi
pip --require-hashes -r "$lock"

# The libraries' own tests, and what C compilers and type checkers read.
find "$here/lib" -depth -type d -name tests -path '*/site-packages/*' ! -path '*/torch/*' -exec rm -rf {} +
find "$here/lib" -type f \( -name '*.pyi' -o -name '*.a' \) -delete
rm -rf "$here"/lib/python*/site-packages/pyarrow/include "$here"/lib/python*/site-packages/torch/include
# Compiled here, because nothing can be written later; by content, so that two builds are alike. What does not compile is
# for another Python (torch has such a file); the tests look for what is missing.
"$here/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$here/lib" || :
