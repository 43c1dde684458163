# shellcheck shell=bash
# Sourced by every installer here: where the tools go, one installer at a time, and nothing half done.
#
#   cache_open NAME [DIR]   take the lock for NAME, set $target (final folder) and $work (empty folder to fill);
#                           exits 0 at once when the target is already there
#   cache_close SUBDIR      move $work/SUBDIR to $target in one rename, drop the rest
#   say TEXT                a line of progress with the seconds since the start
#   need COMMAND PACKAGE    fail with advice when a command is missing

say() { printf '[%ss] %s\n' "$SECONDS" "$*"; }

give_up() { printf '%s\n' "$*" >&2; exit 1; }

need() {
  command -v "$1" >/dev/null || give_up "$1 is missing: as root, run: apt-get install -y $2"
}

cache_open() {
  local tools=${2:-${PARAMEDIC_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/paramedic/tools}}
  need flock util-linux
  mkdir -p "$tools"
  tools=$(cd "$tools" && pwd)
  target=$tools/$1
  work=$tools/.$1.partial
  # The lock lives as long as this shell; a second installer waits here and then finds the work done.
  # Children must not inherit it (9>&- is not needed: they all end before this shell does).
  exec 9>"$tools/.$1.lock"
  flock -n 9 || { say "waiting for another installer of $1"; flock 9; }
  if [ -d "$target" ]; then say "$1 is in $target"; exit 0; fi
  # What an interrupted run left behind is worthless: nobody else can be using it under the lock.
  rm -rf "$work"
  mkdir -p "$work"
  trap 'rm -rf "$work"' EXIT
}

cache_close() {
  mv -T "$work/$1" "$target"
  rm -rf "$work"
  trap - EXIT
  say "installed $target"
}
