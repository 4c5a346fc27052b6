#!/bin/sh
# Brings Prometheus: the one on PATH, else the package manager's, else its package unpacked without root.
set -eu
home=${XDG_DATA_HOME:-$HOME/.local/share}/modelops

found() {
    command -v prometheus 2> /dev/null || find "$home" -type f -name prometheus -perm -u+x 2> /dev/null | head -n 1
}
tell() { echo "setup: Prometheus is $(found)"; }

[ -n "$(found)" ] && tell && exit 0
if command -v apt-get > /dev/null; then
    if [ "$(id -u)" = 0 ]; then
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y prometheus > /dev/null
        # The package starts a service of its own where there is systemd; ours is started by `modelops local up`.
        command -v systemctl > /dev/null && systemctl disable --now prometheus 2> /dev/null || true
    else
        # Package lists and downloads of our own, so that nothing needs root.
        work=$home/apt
        mkdir -p "$work/lists/partial" "$work/archives/partial"
        set -- -qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
        apt-get "$@" update
        (cd "$work/archives" && apt-get "$@" download prometheus)
        dpkg-deb -x "$work"/archives/prometheus_*.deb "$work/unpacked"
        mkdir -p "$home/bin"
        mv "$work/unpacked/usr/bin/prometheus" "$work/unpacked/usr/bin/promtool" "$home/bin/"
        rm -rf "$work"
    fi
elif command -v brew > /dev/null; then
    brew install --quiet prometheus
fi
[ -n "$(found)" ] && tell && exit 0
echo "setup: Prometheus is not installed and no package manager known here has it;" >&2
echo "       unpack its official release below $home, then run make setup again" >&2
exit 1
