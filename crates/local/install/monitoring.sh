#!/usr/bin/env bash
# monitoring.sh SUITE [DIR]: Debian's prometheus and alertmanager of that suite in DIR/monitoring-SUITE/bin.
#
# The packages are unpacked, not installed: installing them would pull in some thirty others and start daemons. Both are
# Go binaries, so those of later suites run here too. bookworm has Alertmanager 0.25, trixie 0.28, forky 0.33.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
. "$here/debian.sh"
suite=${1:?usage: monitoring.sh SUITE [DIR]}
cache_open "monitoring-$suite" "${2:-}"

say "fetching Prometheus and Alertmanager from Debian $suite, once: some seconds"
debian_open "$suite"
debian_fetch prometheus prometheus-alertmanager
debian_unpack "$work/root" prometheus prometheus-alertmanager
mkdir -p "$work/out/bin" "$work/out/libexec" "$work/out/share"
cp -r "$work/root/usr/share/prometheus" "$work/out/share/"
# Debian's builds look for their templates and pages below /usr/share/prometheus, where nothing is installed. The path
# in the binary becomes a relative one of the same length, and a wrapper starts it in the right folder. So: the paths
# one gives these programs have to be absolute.
relocate() {
  LC_ALL=C sed 's|/usr/share/prometheus/|././/share/prometheus/|g' "$work/root/usr/bin/$1" > "$work/out/libexec/$2"
  printf '#!/bin/sh\ncd "$(dirname "$0")/.." && exec "libexec/%s" "$@"\n' "$2" > "$work/out/bin/$2"
  chmod +x "$work/out/libexec/$2" "$work/out/bin/$2"
}
relocate prometheus prometheus
relocate prometheus-alertmanager alertmanager
"$work/out/bin/prometheus" --version 2>&1 | sed -n 1p
"$work/out/bin/alertmanager" --version 2>&1 | sed -n 1p
cache_close out
