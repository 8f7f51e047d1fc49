#!/usr/bin/env bash
# Every static check: golangci-lint (gofmt, vet, staticcheck, the layers by
# depguard) and shellcheck. The linter is built once, pinned, into build/tools,
# with the Makefile's flag, so that what both compile is compiled once.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

version=v2.15.0
tools=$PWD/build/tools
linter=$tools/golangci-lint-$version
if [[ ! -x $linter ]]; then
  echo "building golangci-lint $version" >&2
  GOFLAGS=-trimpath GOBIN=$tools go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
  mv "$tools/golangci-lint" "$linter"
fi
"$linter" run ./...

if command -v shellcheck >/dev/null; then
  shellcheck scripts/*.sh .ci/run
elif apt_install shellcheck; then
  shellcheck scripts/*.sh .ci/run
else
  echo "shellcheck is not here, the scripts were not checked: apt-get install shellcheck" >&2
fi
