#!/usr/bin/env bash
# postgres.sh: Debian's PostgreSQL, system-wide (its libraries leave no other way), without the cluster and the daemon
# that the package would set up: Paramedic runs its own servers in its own folders. Needs root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"

need apt-get apt
[ "$(id -u)" = 0 ] || give_up "PostgreSQL is missing and only root can install it: run: sudo apt-get install -y postgresql"
say "installing PostgreSQL with apt-get, once: about half a minute"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >&2
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends postgresql-common >&2
settings=/etc/postgresql-common/createcluster.conf
# Put back as it was when we leave: what the machine's owner does later is not ours to decide.
saved=$(mktemp)
if [ -e "$settings" ]; then cp -p "$settings" "$saved"; else rm "$saved"; fi
trap 'if [ -e "$saved" ]; then mv "$saved" "$settings"; else rm -f "$settings"; fi' EXIT
printf 'create_main_cluster = false\n' > "$settings"
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends postgresql >&2
say "installed $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
