#!/bin/sh
# Makes a base image from Debian's packages, for a machine that cannot pull the one that the Dockerfile names.
# Needs root, debootstrap and buildah; about two minutes, once. Then: make images BASE=localhost/modelops-base:slim
#   base_image.sh [NAME]    NAME is localhost/modelops-base:slim by default
#   SUITE, MIRROR           which Debian, and where from; by default bookworm, and debootstrap's own mirror
set -eu
name=${1:-localhost/modelops-base:slim}
for program in debootstrap buildah; do
    command -v "$program" > /dev/null || {
        echo "base image: $program is not installed; on Debian: apt-get install $program" >&2
        exit 1
    }
done
[ "$(id -u)" = 0 ] || {
    echo "base image: debootstrap needs root" >&2
    exit 1
}
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"

root=$(mktemp -d)
container=""
trap '[ -z "$container" ] || buildah rm "$container" > /dev/null; rm -rf "$root"' EXIT
# shellcheck disable=SC2086
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "${SUITE:-bookworm}" "$root" ${MIRROR:-} > "$root.log" 2>&1 || {
    tail -5 "$root.log" >&2
    exit 1
}
rm -f "$root.log"
# debootstrap leaves this machine's name and resolver there.
: > "$root/etc/resolv.conf"
rm -f "$root/etc/hostname"
# As slim images have it: a `python`, and neither manuals nor translations, now or later.
ln -s python3 "$root/usr/bin/python"
printf 'path-exclude /usr/share/%s/*\n' doc man info locale > "$root/etc/dpkg/dpkg.cfg.d/slim"
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/locale/* \
    "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*
find "$root" -name __pycache__ -prune -exec rm -rf {} +

container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / > /dev/null
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd python3 "$container"
buildah commit --quiet "$container" "$name" > /dev/null
echo "base image: $name"
