#!/usr/bin/env bash
# a2a-python.sh [DIR]: the Python SDK of A2A with its HTTP server, in the virtual environment DIR/a2a-python/venv. The bench compares
# with it. uvicorn comes with its faster parser and event loop.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
. "$here/wheels.sh"
cache_open a2a-python "${1:-}"

say "installing the Python SDK of A2A, once: a minute"
wheels 'a2a-sdk[http-server]==1.3.0' 'uvicorn[standard]'
# A virtual environment cannot be moved, its Python can.
mkdir -p "$work/out"
mv "$work/venv" "$work/out/venv"
"$work/out/venv/bin/python" -c 'import a2a, uvicorn'
cache_close out
