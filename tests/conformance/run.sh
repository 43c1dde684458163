#!/usr/bin/env bash
# run.sh: clients of A2A that others wrote drive the conformance agent, over every binding that they speak. A line for each check.
#
# What cannot be installed here (no node, no registry) is skipped and said so; STRICT=yes takes that for a failure. If every client is
# skipped, nothing was shown, which is a failure too.
# Everything goes into $PARAMEDIC_TOOLS/conformance, once. NATS_URL and DATABASE_URL name servers to use instead of private ones.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${PARAMEDIC_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/paramedic/tools}/conformance
cli_version=0.4.5
# The agent installs its servers the first time. No client takes longer than some ten seconds.
agent_s=600
client_s=300

work=$(mktemp -d)
# The private PostgreSQL runs as a user of its own, who must get at its folder.
chmod 755 "$work"
agent=
checks=$work/checks
errors=$work/errors
touch "$checks" "$errors"

stop_agent() {
  [ -n "$agent" ] || return 0
  kill -TERM "$agent" 2>/dev/null || true
  for _ in {1..200}; do kill -0 "$agent" 2>/dev/null || break; sleep 0.1; done
  # Its servers end with it, whichever way it ends.
  kill -KILL "$agent" 2>/dev/null || true
  wait "$agent" 2>/dev/null || true
  agent=
}
trap 'stop_agent; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

give_up() { printf '%s\n' "$*" >&2; exit 1; }
line() { printf '%s\n' "$*" | tee -a "$checks"; }
count() { grep -c "^$1 " "$checks" || true; }

# install CLIENT SCRIPT ARGUMENT...: whether the client is there.
install() {
  local client=$1 log=$work/install.log
  if "$here/install/$2" "${@:3}" > "$log" 2>&1 < /dev/null; then return 0; fi
  cat "$log" >> "$errors"
  line "skip  $client: $(tail -n 1 "$log")"
  return 1
}

# drive CLIENT COMMAND...: its checks. A client that ends badly without saying which check failed is a failed check too.
drive() {
  local client=$1 code=0 bad passed
  bad=$(count FAIL) passed=$(count ok)
  timeout --kill-after=5 "$client_s" "${@:2}" < /dev/null 2>> "$errors" | tee -a "$checks" || code=$?
  if [ "$code" != 0 ] && [ "$(count FAIL)" = "$bad" ]; then line "FAIL  $client: ended with code $code"; fi
  if [ "$code" = 0 ] && [ "$(count ok)" = "$passed" ]; then line "FAIL  $client: checked nothing"; fi
}

start_agent() {
  local program=${CARGO_TARGET_DIR:-$root/target}/debug/paramedic since=$SECONDS
  (cd "$root" && cargo build --quiet --package cli --bin paramedic)
  "$program" a2a conformance-agent --listen 127.0.0.1:0 --home "$work/home" > "$work/agent.log" 2>&1 < /dev/null &
  agent=$!
  until url=$(grep -o -m 1 'http://[^/]*' "$work/agent.log") && curl -fs -o /dev/null "$url/.well-known/agent-card.json"; do
    kill -0 "$agent" 2>/dev/null || { cat "$work/agent.log" >&2; give_up "the agent ended"; }
    [ $((SECONDS - since)) -lt "$agent_s" ] || { cat "$work/agent.log" >&2; give_up "the agent has no card after $agent_s s"; }
    sleep 0.2
  done
}

python_clients() {
  local version folder
  version=$(python3 -c 'import sys; assert sys.version_info >= (3, 10); print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
    || { line "skip  python, nats, a2a-cli: python3 of version 3.10 or later is missing"; return; }
  folder=$tools/python-$version-$(sha256sum < "$here/python/requirements.txt" | cut -c 1-12)
  if install "python, nats" python.sh "$folder"; then
    drive python "$folder/bin/python" -B "$here/python/sdk.py" "$url"
    drive nats "$folder/bin/python" -B "$here/python/nats_checks.py" "$url"
  fi
  folder=$tools/a2a-cli-$cli_version
  if install a2a-cli a2a-cli.sh "$cli_version" "$folder"; then
    drive a2a-cli python3 -B "$here/python/cli.py" "$folder/bin/a2acli" "$url"
  fi
}

js_client() {
  local folder
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null && command -v npm > /dev/null \
    || { line "skip  js: node of version 20 or later, or npm, is missing"; return; }
  folder=$tools/js-$(sha256sum < "$here/js/package.json" | cut -c 1-12)
  install js js.sh "$folder" || return 0
  # Modules are looked for beside the script that imports them.
  cp -r "$here/js" "$work/js"
  ln -s "$folder/node_modules" "$work/js/node_modules"
  drive js node "$work/js/sdk.mjs" "$url"
}

command -v curl > /dev/null || give_up "curl is missing: as root, run: apt-get install -y curl"
echo 'Building Paramedic, and starting the agent.'
start_agent
python_clients
js_client
kill -0 "$agent" 2>/dev/null || line "FAIL  agent: it ended before the checks did"
stop_agent

passed=$(count ok) failed=$(count FAIL) skipped=$(count skip)
if [ "$failed" != 0 ]; then
  tail -n 200 "$errors" >&2
  grep -v '^ ' "$work/agent.log" | tail -n 50 >&2
fi
printf '%s checks passed, %s failed' "$passed" "$failed"
[ "$skipped" = 0 ] || printf '; skipped for want of something: %s' "$skipped"
printf ' (%s s).\n' "$SECONDS"
[ "$passed" != 0 ] || give_up 'Nothing was shown: no client got as far as a check that passes. The lines above say why.'
[ "${STRICT:-no}" != yes ] || failed=$((failed + skipped))
[ "$failed" = 0 ]
