#!/usr/bin/env bash
# python.sh: a2a-sdk and nats-py, of the versions in python/requirements.txt, in $1 (a new folder for other versions).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../../crates/local/install/cache.sh"
. "$here/../../../crates/local/install/wheels.sh"
cache_open "$(basename "$1")" "$(dirname "$1")"

say "installing a2a-sdk and nats-py, once: some seconds"
wheels --requirement "$here/../python/requirements.txt"
# A virtual environment cannot be moved, its Python can: it finds its libraries from where it is.
cache_close venv
