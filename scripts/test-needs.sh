#!/usr/bin/env bash
# What some tests need beyond the build: Fashion-MNIST and a Python with torch
# and torchvision. Where they cannot be had, those tests are skipped and say so.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

scripts/fashion-mnist.sh || true
# One Python must have both: torchvision is what our networks are held against.
for python in "${PYTHON:-}" python3 /usr/bin/python3; do
  if [[ -n $python ]] && $python -c 'import torch, torchvision' 2>/dev/null; then
    exit 0
  fi
done
apt_install python3-torch python3-torchvision || echo "no Python with torch and torchvision: the tests that need it are skipped" >&2
