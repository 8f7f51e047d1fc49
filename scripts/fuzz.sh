#!/usr/bin/env bash
# Every fuzz target for FUZZTIME (1m). What one finds lands in its package's
# testdata, to be mended and kept as a test.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${FUZZTIME:-1m}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
targets=0
mapfile -t packages < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u)
for package in "${packages[@]}"; do
  mapfile -t names < <(grep -hoE '^func Fuzz\w+' "$package"/*_test.go | cut -d' ' -f2 | sort)
  for target in "${names[@]}"; do
    echo "--- $package $target for $time"
    go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel "${JOBS:-2}" >"$log" 2>&1 || {
      cat "$log"
      exit 1
    }
    tail -n 2 "$log"
    targets=$((targets + 1))
  done
done
echo "$targets targets, nothing found"
((targets > 0))
