# shellcheck shell=bash
# For other scripts to source: apt_install PACKAGE… installs as root on Debian
# or Ubuntu and returns 1 elsewhere.
apt_install() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  local get=(apt-get -qq -o DPkg::Lock::Timeout=300)
  echo "installing $*" >&2
  # A machine that has never fetched its lists knows no package.
  DEBIAN_FRONTEND=noninteractive "${get[@]}" install -y "$@" >/dev/null 2>&1 && return 0
  "${get[@]}" update >/dev/null && DEBIAN_FRONTEND=noninteractive "${get[@]}" install -y "$@" >/dev/null
}
