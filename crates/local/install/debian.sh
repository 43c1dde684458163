# shellcheck shell=bash
# Sourced by the installers that take packages from Debian without installing them system-wide: a private apt
# configuration below $work, with the machine's own mirror and the archive's own keys.
#
#   debian_open SUITE...          fetch the lists of these suites
#   debian_fetch PACKAGE...       download into $work/debs (name, name/suite or name=version)
#   debian_unpack DIR PACKAGE...  unpack downloaded packages into DIR

debian_mirror() {
  # The machine's configured archive, in whatever format its sources are written. Security archives carry no other suites.
  apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(SUITE) $(RELEASE)' 'Created-By: Packages' 2>/dev/null \
    | awk '$0 !~ /-security/ && $1 ~ /debian/ { sub(/\/$/, "", $1); print $1; exit }'
}

debian_open() {
  need apt-get apt
  need dpkg-deb dpkg
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  mirror=$(debian_mirror)
  [ -n "$mirror" ] && [ -r "$keyring" ] || give_up "no Debian archive is configured on this machine: this installer takes its parts from Debian's packages only"
  mkdir -p "$work"/apt/{sources,lists/partial,cache/archives/partial} "$work/debs"
  cat > "$work/apt/sources/debian.sources" <<SOURCES
Types: deb deb-src
URIs: $mirror
Suites: $*
Components: main
Signed-By: $keyring
SOURCES
  cat > "$work/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/apt/sources";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
CONF
  export APT_CONFIG="$work/apt/apt.conf"
  apt-get -qq update
}

debian_fetch() { (cd "$work/debs" && apt-get -qq download "$@"); }

debian_unpack() {
  local into=$1 package; shift
  mkdir -p "$into"
  for package in "$@"; do dpkg-deb -x "$work/debs/$package"_*.deb "$into"; done
}
