#!/usr/bin/env bash
# A training step and an evaluation pass through the bridge beside PyTorch
# eager on the same libtorch: bench.sh [--width 64] [--batch 128] [--rounds 5] …
# PYTHON names a Python whose torch is that libtorch; else Debian's is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

python=${PYTHON:-}
if [[ -z $python ]]; then
  if [[ $(cat build/libtorch.dir) == /usr ]]; then
    python=/usr/bin/python3
    $python -c 'import torch' 2>/dev/null || apt_install python3-torch || true
  else
    python=python3
  fi
fi
if ! $python -c 'import torch' 2>/dev/null; then
  echo "no torch in $python to compare with: apt-get install python3-torch, or name a Python that has it in PYTHON" >&2
  exit 1
fi
${GO:-go} build -o build/bench ./scripts/bench
exec build/bench -python "$python" "$@"
