#!/usr/bin/env bash
# What some tests need beyond the build: Fashion-MNIST and a Python with torch.
# Where they cannot be had, those tests are skipped and say so.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

scripts/fashion-mnist.sh || true
for python in "${PYTHON:-}" python3 /usr/bin/python3; do
  if [[ -n $python ]] && $python -c 'import torch' 2>/dev/null; then
    exit 0
  fi
done
apt_install python3-torch || echo "no Python with torch: the test that loads a cleaned model with it is skipped" >&2
