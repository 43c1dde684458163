#!/usr/bin/env bash
# js.sh: @a2a-js/sdk, of the version in js/package.json, in $1/node_modules.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../../crates/local/install/cache.sh"
cache_open "$(basename "$1")" "$(dirname "$1")"

say "installing @a2a-js/sdk, once: some seconds"
mkdir "$work/out"
cp "$here/../js/package.json" "$work/out/"
# No lock file: it would name the registry of the machine that wrote it. No scripts: nothing here needs building.
npm install --prefix "$work/out" --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
  || give_up "npm could not install @a2a-js/sdk"
cache_close out
