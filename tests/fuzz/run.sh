#!/usr/bin/env bash
# run.sh [MINUTES [KIND...]]: builds the fuzzers and runs each, or those of these kinds, for so long (1 minute). Ends at the first input
# that breaks a property, and says how to play it again. Needs a C++ compiler besides what the workspace needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

minutes=${1:-1}
kinds=("${@:2}")
((${#kinds[@]})) || kinds=(a2a config runbook slack webhook)
target=${CARGO_TARGET_DIR:-target}
found=$target/fuzz
# All that a process may take, in MiB: the process alone takes about a hundred, the largest body a few.
RSS_MIB_MAX=512
# One input, in seconds. The slowest of the corpus takes some milliseconds.
INPUT_S_MAX=10
# Large enough for every field, small enough for a thousand tries a second.
INPUT_BYTES_MAX=16384

say() { echo "fuzz: $*"; }

command -v c++ >/dev/null || { say 'there is no c++ on PATH; on Debian: apt-get install g++' >&2; exit 1; }
say 'building (some minutes the first time)'
tests=()
for kind in "${kinds[@]}"; do tests+=(--test "fuzz-$kind"); done
# The whole workspace, so that libraries are as `make test` builds them; of its tests, only these.
built=$(RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/coverage.sh \
  cargo build --quiet --workspace --features fuzz/libfuzzer "${tests[@]}" --message-format json-render-diagnostics)

for kind in "${kinds[@]}"; do
  fuzzer=$(sed -n "s|.*\"name\":\"fuzz-$kind\".*\"executable\":\"\([^\"]*\)\".*|\1|p" <<<"$built")
  corpus=tests/fuzz/corpus/$kind
  log=$found/$kind.log
  mkdir -p "$found/$kind" "$found/broken"
  if ! "$fuzzer" "$found/$kind" "$corpus" -max_total_time=$((minutes * 60)) -max_len=$INPUT_BYTES_MAX \
    -timeout=$INPUT_S_MAX -rss_limit_mb=$RSS_MIB_MAX -artifact_prefix="$found/broken/$kind-" -print_final_stats=1 \
    >"$log" 2>&1; then
    tail -n 40 "$log"
    input=$(sed -n 's|.*Test unit written to ||p' "$log" | tail -n 1)
    say "$kind: a property is broken by ${input:-an input that was not kept}; all of the log: $log"
    say "  play it again:  $fuzzer $input"
    say "  make it short:  $fuzzer -minimize_crash=1 -max_total_time=60 -artifact_prefix=$found/broken/$kind- $input"
    say "  keep it:        cp $input $corpus/NAME; from then on make test fails until it is repaired"
    exit 1
  fi
  figure() { sed -n "s|^stat::$1: *||p" "$log"; }
  edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  say "$kind: $(figure number_of_executed_units) inputs, $(figure average_exec_per_sec) a second, ${edges#cov: } branches," \
    "$(figure peak_rss_mb) MiB"
done
