#!/usr/bin/env bash
# Every fuzz target for FUZZTIME (1m), JOBS (2) at a time on a core each. What one
# finds lands in its package's testdata, to be mended and kept as a test.
set -euo pipefail
cd "$(dirname "$0")/.."

export FUZZTIME=${FUZZTIME:-1m}
LOGS=$(mktemp -d)
export LOGS
trap 'rm -rf "$LOGS"' EXIT

# only_the_end LOG: whether a target failed of nothing but the end of its time, which
# before Go 1.27 can look like a failure (golang/go#75804).
only_the_end() {
  grep -A1 '^--- FAIL' "$1" | tail -n 1 | grep -qx ' *context deadline exceeded' &&
    ! grep -qE 'Failing input|^panic|^fatal' "$1"
}
export -f only_the_end

# fuzz PACKAGE TARGET
fuzz() {
  local log elapsed
  log=$(mktemp -p "$LOGS")
  if ! go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -parallel 1 >"$log" 2>&1 && ! only_the_end "$log"; then
    cat "$log"
    return 255 # xargs starts no more
  fi
  elapsed=$(grep '^fuzz: elapsed' "$log" | tail -n 1)
  if [[ -z $elapsed ]]; then
    echo "$1 $2 was not fuzzed"
    return 255
  fi
  echo "$1 $2 for $FUZZTIME: $elapsed"
}
export -f fuzz

targets=$(grep -roE --include='*_test.go' '^func Fuzz\w+' . | sed -E 's|/[^/]*:func | |' | sort)
# shellcheck disable=SC2016 # the inner shell's arguments
xargs -P "${JOBS:-2}" -n 2 bash -c 'fuzz "$1" "$2"' fuzz <<<"$targets"
echo "$(wc -l <<<"$targets") targets, nothing found"
