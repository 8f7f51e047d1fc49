#!/usr/bin/env bash
# Names what the build lacks, with the command that brings it. As root on
# Debian or Ubuntu it brings everything but Go itself.
set -euo pipefail
# shellcheck source=scripts/apt.sh
source "$(dirname "$0")/apt.sh"

missing=() packages=()

need() { # need COMMAND PACKAGE WHAT
  command -v "$1" >/dev/null || { missing+=("$3 ($1)"); packages+=("$2"); }
}

need make make "make"
need c++ g++ "a C++ compiler"
need cmake cmake "CMake"
need git git "git"
command -v curl >/dev/null || command -v wget >/dev/null || { missing+=("a downloader (curl)"); packages+=(curl); }

if ((${#packages[@]})); then
  if ! apt_install "${packages[@]}"; then
    printf 'missing: %s\n' "${missing[@]}" >&2
    echo "bring it with: sudo apt-get install ${packages[*]}" >&2
    exit 1
  fi
fi

cmake_version=$(cmake --version | awk 'NR==1{print $3}')
if [[ $(printf '%s\n3.21\n' "$cmake_version" | sort -V | head -n 1) != 3.21 ]]; then
  echo "CMake $cmake_version is too old, 3.21 is wanted; bring it with: python3 -m pip install cmake" >&2
  exit 1
fi

# An older Go of 1.21 or later fetches the one that go.mod asks for.
advice="bring Go 1.21 or later with your package manager (Debian 13: apt-get install golang-go) or from https://go.dev/dl/"
if ! command -v go >/dev/null; then
  echo "missing: Go; $advice" >&2
  exit 1
fi
go_version=$(go version | sed -E 's/.*go([0-9]+\.[0-9]+).*/\1/')
if [[ $(printf '%s\n1.21\n' "$go_version" | sort -V | head -n 1) != 1.21 ]]; then
  echo "Go $go_version is too old; $advice" >&2
  exit 1
fi
if [[ $(go env CGO_ENABLED) != 1 ]]; then
  echo "cgo is off: unset CGO_ENABLED, or set it to 1" >&2
  exit 1
fi
