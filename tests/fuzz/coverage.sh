#!/usr/bin/env bash
# coverage.sh RUSTC ARGUMENT...: rustc for our own crates, as RUSTC_WORKSPACE_WRAPPER. Those that read what comes from outside tell
# libFuzzer which branches an input takes and what it is compared with. These are the flags of cargo-fuzz, without a sanitizer: our crates
# forbid unsafe code.
set -euo pipefail

flags=(-Cpasses=sancov-module)
for flag in level=4 inline-8bit-counters pc-table trace-compares; do flags+=("-Cllvm-args=-sanitizer-coverage-$flag"); done

# Build scripts run without libFuzzer.
[[ " $* " == *" build_script_build "* ]] && exec "$@"
case ${CARGO_PKG_NAME:-} in
  a2a | fuzz | gateway | incident | runtime) exec "$@" -Copt-level=1 "${flags[@]}" ;;
  # They take long to compile, and little time in a try.
  cli | cluster) exec "$@" "${flags[@]}" ;;
  *) exec "$@" ;;
esac
