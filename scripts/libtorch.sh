#!/usr/bin/env bash
# Finds libtorch, or brings it, and prints its prefix: the directory that holds include/torch/script.h and
# libtorch_cpu.so in lib/, lib64/ or lib/<multiarch>/. That line is all there is on stdout; what was chosen and why
# goes to stderr. third_party/README.md says where the sources are and how to choose between them.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/libtorch.sh [--from auto|system|python|wheel|download|DIR] [--quiet]

Prints the prefix directory of a libtorch. Exit status: 0, 1 failure, 2 misuse.

  auto      $LIBTORCH; what third_party/libtorch holds; an installed libtorch-dev; the torch of the python3 on PATH;
            the download; apt-get install libtorch-dev (as root on Debian or Ubuntu). This is the default
  system    an installed libtorch-dev; as root on Debian or Ubuntu it is installed where absent
  python    the torch of the python3 on PATH, found without importing it
  wheel     libtorch out of the PyPI package torch, for use on the CPU
  download  the official CPU archive, its checksum verified
  DIR       that directory, or the libtorch folder in it
  --quiet   no word on stderr but errors

Environment: LIBTORCH (auto only); ULRL_TORCH_WHEEL, version of the PyPI package; ULRL_LIBTORCH_URL and
ULRL_LIBTORCH_SHA256, another archive to download; ULRL_THIRD_PARTY, the folder to fill instead of third_party;
ULRL_SYSTEM_PREFIX, where to look for libtorch-dev instead of /usr.
TEXT
}

# PyTorch publishes no checksums of its archives. This digest of the zip file stands, alike, in three unrelated public
# recipes: a Spack package, a Rust project's packaging tool and a C++ project's fetch script.
readonly pinned_version=2.13.0
readonly pinned_sha256=edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e
readonly pinned_url="https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-$pinned_version%2Bcpu.zip"
readonly pinned_wheel=2.15.0
readonly apt_packages="libtorch-dev libopenblas0-pthread"
readonly apt_command="apt-get install -y --no-install-recommends $apt_packages"

unset CDPATH # or cd prints
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
third_party=${ULRL_THIRD_PARTY:-$(dirname "$here")/third_party}
system_prefix=${ULRL_SYSTEM_PREFIX:-/usr}
quiet=false
found="" # the prefix
why=""   # how it came to be found
lack=""  # what the directory looked at last lacks
tried=() # "way: why it gave nothing", one for each way gone
scratch=""
trap 'if [[ -n $scratch ]]; then rm -rf -- "$scratch"; fi' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { $quiet || printf 'libtorch.sh: %s\n' "$*" >&2; }
warn() { printf 'libtorch.sh: %s\n' "$*" >&2; }
misuse() {
  warn "$*"
  exit 2
}
miss() { # WAY REASON: the way gave nothing
  tried+=("$1: $2")
  return 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [[ $(id -u) -eq 0 ]]; }

# --- looking at a directory ---

lib_dir() { # PREFIX: prints the folder that holds libtorch_cpu.so
  local dir
  for dir in "$1/lib" "$1/lib64" "$1/lib/$(uname -m)"-linux-*; do
    if [[ -e $dir/libtorch_cpu.so ]]; then echo "$dir" && return; fi
  done
  return 1
}

is_prefix() { # DIR: is this a libtorch? Sets $lack where it is not
  lack=""
  if [[ ! -d $1 ]]; then
    lack="$1 is not a directory"
  elif [[ ! -f $1/include/torch/script.h ]]; then
    lack="$1 has no include/torch/script.h"
  elif ! lib_dir "$1" >/dev/null; then
    lack="$1 has no libtorch_cpu.so in lib/, lib64/ or lib/$(uname -m)-linux-gnu/"
  fi
  [[ -z $lack ]]
}

use() { # DIR WHY: takes DIR, or the libtorch folder in it, as the result
  local dir=$1
  if [[ ! -f $dir/include/torch/script.h && -d $dir/libtorch ]]; then dir=$dir/libtorch; fi
  is_prefix "$dir" || return 1
  found=$(cd "$dir" && pwd)
  why=$2
}

version_of() { # PREFIX: prints the version that its headers name
  local file
  for file in "$1/include/torch/headeronly/version.h" "$1/include/torch/csrc/api/include/torch/version.h"; do
    [[ -f $file ]] || continue
    awk '$1 == "#define" && $2 ~ /^TORCH_VERSION_(MAJOR|MINOR|PATCH)$/ { v = v (n++ ? "." : "") $3 }
         END { if (n == 3) print v; exit n != 3 }' "$file" && return 0
  done
  file=$(lib_dir "$1")/cmake/Torch/TorchConfigVersion.cmake
  [[ -f $file ]] || file=$1/share/cmake/Torch/TorchConfigVersion.cmake
  [[ -f $file ]] || return 0
  sed -n 's/^set(PACKAGE_VERSION "\(.*\)").*/\1/p' "$file"
}

build_of() { # PREFIX: prints what the build is for
  local lib
  lib=$(lib_dir "$1")
  if [[ -e $lib/libtorch_cuda.so ]]; then
    echo "CUDA build"
  else
    echo "CPU build"
  fi
}

# --- what is there already ---

try_env() {
  [[ -n ${LIBTORCH:-} ]] || miss "\$LIBTORCH" "not set" || return 1
  use "$LIBTORCH" "\$LIBTORCH names it" || misuse "\$LIBTORCH is not a libtorch: $lack; mend or unset it"
}

try_brought() {
  local dir=$third_party/libtorch
  use "$dir" "brought here before ($(origin_of "$dir"))" || miss "third_party" "$lack"
}

try_system() {
  use "$system_prefix" "installed libtorch-dev" || miss "system" "$lack"
}

try_python() {
  local dir
  have python3 || miss "python" "no python3 on PATH" || return 1
  # The folder is looked up, not imported: an import takes seconds and may fail where the libraries are sound.
  # The current directory leaves the path, so that a folder that happens to be called torch is not taken for it.
  dir=$(python3 - 2>/dev/null <<'PY' || true
import importlib.util, os, sys
sys.path[:] = [p for p in sys.path if p not in ("", os.getcwd())]
spec = importlib.util.find_spec("torch")
if spec and spec.origin:
    print(os.path.dirname(spec.origin))
PY
  )
  [[ -n $dir ]] || miss "python" "$(command -v python3) has no torch" || return 1
  use "$dir" "the torch of $(command -v python3)" || miss "python" "its torch cannot be built against: $lack"
}

# --- apt ---

# What a package starts must not keep our lock (9) or our caller's pipe (3) open.
apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 3>&- 9>&-; }
# shellcheck disable=SC2086 # the package names are words
apt_install() { apt_get install -y --no-install-recommends $apt_packages; }

try_apt() {
  local log error
  { have apt-get && [[ -e /etc/debian_version ]]; } || miss "apt-get" "this is neither Debian nor Ubuntu" || return 1
  is_root || miss "apt-get" "needs root" || return 1
  say "installing $apt_packages with apt-get"
  log=$(mktemp)
  # A fresh container has no package lists, an old one has stale ones: only then is an update worth its time.
  if apt_install >"$log" 2>&1 || { apt_get update >>"$log" 2>&1 && apt_install >>"$log" 2>&1; }; then
    rm -f "$log"
    use "$system_prefix" "libtorch-dev, installed just now by apt-get" || miss "apt-get" "installed, but $lack"
    return
  fi
  error=$(grep '^E: ' "$log" | tail -n 1) || error="failed"
  rm -f "$log"
  miss "apt-get" "${error#E: }"
}

# --- third_party ---

origin_of() { # DIR: prints what this script noted when it brought DIR
  cat "$1/.origin" 2>/dev/null || echo "not by this script"
}

# lock_third_party WAY: one run at a time fills third_party. The lock goes with the process.
lock_third_party() {
  if ! mkdir -p "$third_party/.download" 2>/dev/null || [[ ! -w $third_party ]]; then
    miss "$1" "cannot write in $third_party" || return 1
  fi
  have flock || return 0
  exec 9>"$third_party/.lock"
  if ! flock -n 9; then
    say "waiting for another run that fills $third_party"
    flock 9 || return 0 # a file system without locks
  fi
  # Whoever held the lock is gone: what lies half unpacked is nobody's.
  rm -rf -- "$third_party"/.unpack.*
}

# room_for WAY ORIGIN: succeeds with $found set where ORIGIN is there already, and empty where it may be brought.
room_for() {
  local dir=$third_party/libtorch
  if [[ $(origin_of "$dir") == "$2" ]] && use "$dir" "brought here before ($2)"; then return 0; fi
  rmdir "$dir" 2>/dev/null || true
  if [[ -e $dir && ! -e $dir/.origin ]]; then
    miss "$1" "$dir is there and not from this script: move it away first" || return 1
  fi
}

new_scratch() { # WAY
  scratch=$(mktemp -d "$third_party/.unpack.XXXXXX" 2>/dev/null) || miss "$1" "cannot write in $third_party"
}

# settle WAY ORIGIN WHY: checks what was unpacked to $scratch/new and puts it in place in one rename.
settle() {
  local src=$scratch/new dir=$third_party/libtorch missing=""
  if [[ -d $src/libtorch ]]; then src=$src/libtorch; fi
  is_prefix "$src" || miss "$1" "what was unpacked is no libtorch: ${lack/"$src"/it}" || return 1
  if have ldd; then
    missing=$(env -u LD_LIBRARY_PATH ldd "$(lib_dir "$src")/libtorch_cpu.so" 2>&1 | grep 'not found' | xargs) || true
  fi
  [[ -z $missing ]] || miss "$1" "its libtorch_cpu.so cannot be loaded here: $missing" || return 1
  printf '%s\n' "$2" >"$src/.origin" || miss "$1" "cannot write in $third_party" || return 1
  { [[ ! -e $dir && ! -L $dir ]] || mv "$dir" "$scratch/old"; } && mv "$src" "$dir" ||
    miss "$1" "cannot put $dir in place" || return 1
  rm -rf -- "$scratch"
  scratch=""
  use "$dir" "$3"
}

# --- download ---

size_of() { if [[ -f $1 ]]; then wc -c <"$1"; else echo 0; fi; }

sha256_of() { # FILE
  if have sha256sum; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -d ' ' -f 1
}

# fetch_once URL FILE: goes on where FILE ends. On failure sets $lack; returns 2 where FILE cannot be gone on with.
fetch_once() {
  local rc=0 code="" progress=--silent
  if ! $quiet && [[ -t 2 ]]; then progress=--progress-bar; fi
  if ! have curl; then
    wget --quiet --continue --tries=1 --connect-timeout=5 --dns-timeout=5 --read-timeout=30 -O "$2" "$1" || rc=$?
    lack="wget ended with $rc"
    return $((rc != 0))
  fi
  code=$(curl --fail --location "$progress" --connect-timeout 5 --speed-limit 1000 --speed-time 30 \
    --continue-at - --write-out '%{http_code}' --output "$2" "$1") || rc=$?
  case $rc:$code in
  0:*) return 0 ;;
  33:* | 36:* | *:416)
    lack="cannot be gone on with"
    return 2
    ;;
  6:*) lack="its host name is not known here" ;;
  7:*) lack="no connection" ;;
  28:*) lack="timed out" ;;
  22:*) lack="the server said $code" ;;
  23:*) lack="cannot write $2 (disk full?)" ;;
  37:*) lack="no such file" ;;
  *) lack="curl ended with $rc" ;;
  esac
  return 1
}

# fetch URL FILE: goes on for as long as attempts bring something, so that being offline costs one short attempt.
fetch() {
  local attempt before rc
  for ((attempt = 0; attempt < 10; attempt++)); do
    before=$(size_of "$2")
    rc=0
    fetch_once "$1" "$2" || rc=$?
    ((rc != 0)) || return 0
    if ((rc == 2)); then
      rm -f -- "$2"
    elif (($(size_of "$2") <= before)); then
      break
    fi
  done
  if [[ ! -s $2 ]]; then rm -f -- "$2"; else lack="$lack; $(size_of "$2") bytes are kept, run again to go on"; fi
  lack="$1: $lack"
  return 1
}

unpack() { # ZIP DIR
  if have unzip; then unzip -q "$1" -d "$2"; else python3 -m zipfile -e "$1" "$2"; fi 2>/dev/null
}

download_tools() {
  have curl || have wget || miss "download" "needs curl or wget: apt-get install curl" || return 1
  have unzip || have python3 || miss "download" "needs unzip or python3: apt-get install unzip" || return 1
  have sha256sum || have shasum || miss "download" "needs sha256sum: apt-get install coreutils"
}

try_download() {
  local url=${ULRL_LIBTORCH_URL:-} sum=${ULRL_LIBTORCH_SHA256:-} part got
  sum=${sum,,}
  [[ -z $sum || $sum =~ ^[0-9a-f]{64}$ ]] || misuse "ULRL_LIBTORCH_SHA256 is not 64 hexadecimal digits: $sum"
  [[ -z $url || -n $sum ]] || misuse "ULRL_LIBTORCH_URL needs ULRL_LIBTORCH_SHA256: no archive is used unverified"
  if [[ -z $url && $(uname -sm) != "Linux x86_64" ]]; then
    miss "download" "the official CPU archive is for Linux x86_64, this is $(uname -sm)" || return 1
  fi
  url=${url:-$pinned_url}
  sum=${sum:-$pinned_sha256}
  download_tools && lock_third_party "download" && room_for "download" "download $sum" || return 1
  [[ -z $found ]] || return 0

  # The name carries the checksum, so that no other archive's beginning is gone on with.
  part=$third_party/.download/libtorch-${sum:0:16}.zip.part
  if [[ ! -f $part || $(sha256_of "$part") != "$sum" ]]; then
    say "downloading $url"
    fetch "$url" "$part" || miss "download" "$lack" || return 1
    got=$(sha256_of "$part")
    if [[ $got != "$sum" ]]; then
      rm -f -- "$part"
      warn "wrong checksum of $url, deleted: expected $sum, got $got"
      miss "download" "wrong checksum" || return 1
    fi
  fi
  new_scratch "download" || return 1
  unpack "$part" "$scratch/new" || miss "download" "cannot unpack $part (disk full?)" || return 1
  settle "download" "download $sum" "downloaded just now, checksum verified" || return 1
  rm -f -- "$part"
}

# --- wheel ---

try_wheel() {
  local version=${ULRL_TORCH_WHEEL:-$pinned_wheel} dir error
  [[ $version =~ ^[0-9][0-9A-Za-z.+!]*$ ]] || misuse "ULRL_TORCH_WHEEL is not a version: $version"
  python3 -m pip --version >/dev/null 2>&1 ||
    miss "wheel" "needs python3 with pip: apt-get install python3-pip" || return 1
  lock_third_party "wheel" && room_for "wheel" "wheel $version" || return 1
  [[ -z $found ]] || return 0
  dir=$third_party/.download/torch-$version
  new_scratch "wheel" || return 1
  say "taking libtorch out of the PyPI package torch $version (some 600 MB)"
  if ! $quiet && [[ -t 2 ]]; then
    python3 "$here/libtorch_wheel.py" "$version" "$dir" "$scratch/new" || miss "wheel" "see above" || return 1
  else
    error=$(python3 "$here/libtorch_wheel.py" "$version" "$dir" "$scratch/new" 2>&1 | tail -n 1) ||
      miss "wheel" "$error" || return 1
  fi
  settle "wheel" "wheel $version" "out of the PyPI package torch, for use on the CPU" || return 1
  rm -rf -- "$dir"
}

# --- the choice ---

fail() { # HELP: nothing was found
  local line
  warn "no libtorch:"
  for line in "${tried[@]}"; do printf '  %s\n' "$line" >&2; done
  printf 'what helps: %s\n' "$1" >&2
  exit 1
}

main() {
  local from=auto install
  while (($#)); do
    case $1 in
    --from)
      (($# > 1)) || misuse "--from needs a value: auto, system, python, wheel, download or a directory"
      from=$2
      shift
      ;;
    --from=*) from=${1#--from=} ;;
    --quiet | -q) quiet=true ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) misuse "unknown argument $1: see --help" ;;
    esac
    shift
  done
  exec 3>&1 1>&2 # nothing that runs below can spoil the one line on stdout

  install="your distribution's libtorch package"
  if have apt-get; then install=$(is_root || printf 'sudo ')$apt_command; fi
  case $from in
  auto)
    try_env || try_brought || try_system || try_python || try_download || try_apt ||
      fail "$install, or scripts/libtorch.sh --from wheel, or LIBTORCH=DIR"
    ;;
  system) try_system || try_apt || fail "$install, or --from download, or --from wheel" ;;
  python) try_python || fail "python3 -m pip install torch, or the environment that has it on PATH" ;;
  wheel) try_wheel || fail "--from system, or LIBTORCH=DIR" ;;
  download) try_download || fail "--from system or --from wheel, or LIBTORCH=DIR" ;;
  *) use "$from" "--from names it" ||
    misuse "--from $from: $lack (auto, system, python, wheel, download or the directory of a libtorch)" ;;
  esac
  say "libtorch $(version_of "$found" | grep . || echo "of unknown version"), $(build_of "$found"), in $found: $why"
  printf '%s\n' "$found" >&3
}

main "$@"
