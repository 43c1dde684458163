#!/usr/bin/env bash
# a2a-cli.sh VERSION: the program of the crate a2a-cli, in $2/bin.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../../crates/local/install/cache.sh"
cache_open "$(basename "$2")" "$(dirname "$2")"

say "building a2a-cli, once: some minutes"
# It is no faster for being optimised, but much sooner there without.
CARGO_PROFILE_DEV_DEBUG=0 nice cargo install a2a-cli --version "=$1" --locked --debug --quiet --root "$work/out" \
  || give_up "cargo could not install a2a-cli"
cache_close out
