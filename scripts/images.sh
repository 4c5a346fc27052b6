#!/bin/sh
# Builds the images of modelops. Called by `make images`.
#   TARGETS      which: operator, trainer, server; by default all three
#   BUILDER      buildah, docker or podman; by default the first that is installed
#   REGISTRY     what stands before their names, by default localhost; TAG: after them, by default the version
#   BASE         a base image instead of the Dockerfile's; `scripts/base_image.sh` makes one without a pull
#   TORCH_INDEX  a package index to take the trainer's torch from
# This machine's certificates and pip's settings are lent to the build, and do not stay in it.
set -eu
cd "$(dirname "$0")/.."
for program in ${BUILDER:-buildah docker podman}; do
    command -v "$program" > /dev/null && builder=$program && break
done
[ -n "${builder:-}" ] || {
    echo "images: ${BUILDER:-none of buildah, docker and podman} is not installed; on Debian: apt-get install buildah" >&2
    exit 1
}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || revision=$revision-dirty
# Files and layers carry the time of the commit: the same commit gives the same image.
epoch=$(git log -1 --format=%ct)

lent=$(mktemp -d)
trap 'rm -rf "$lent"' EXIT
set -- --build-arg VERSION="$version" --build-arg REVISION="$revision" --build-arg TORCH_INDEX="${TORCH_INDEX:-}"
[ -z "${BASE:-}" ] || set -- "$@" --build-arg BASE="$BASE"
echo "[global]" > "$lent/pip.conf"
python3 -m pip config list 2> /dev/null \
    | sed -n "/^global\.cert=/d; /^global\.find-links=/d; s/^global\.\([a-z-]*\)='\(.*\)'$/\1 = \2/p" >> "$lent/pip.conf"
ca=${PIP_CERT:-${SSL_CERT_FILE:-}}
if [ -n "$ca" ]; then
    echo "cert = /run/secrets/ca" >> "$lent/pip.conf"
    set -- "$@" --secret id=ca,src="$ca"
fi
set -- "$@" --secret id=pip,src="$lent/pip.conf"
case $builder in
    buildah)
        export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"
        set -- build --layers --quiet --timestamp "$epoch" --pull=missing "$@"
        ;;
    podman) set -- build --layers --quiet --timestamp "$epoch" --pull=missing "$@" ;;
    docker) set -- buildx build --load --build-arg SOURCE_DATE_EPOCH="$epoch" "$@" ;;
esac
for target in ${TARGETS:-operator trainer server}; do
    name=${REGISTRY:-localhost}/modelops-$target:${TAG:-$version}
    $builder "$@" --target "$target" --tag "$name" . > /dev/null
    echo "images: $name"
done
