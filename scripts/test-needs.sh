#!/usr/bin/env bash
# What some tests need beyond the build: Fashion-MNIST, strace, a kernel to set the
# clock of (make faults), and a Python with torch and torchvision. Where they cannot
# be had, those tests are skipped and say so.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
source scripts/apt.sh

scripts/fashion-mnist.sh || true
command -v strace >/dev/null || apt_install strace || echo "no strace: what hostile models do when they are confined is not looked at" >&2
command -v linux.uml >/dev/null || apt_install user-mode-linux || echo "no user-mode-linux: make faults does not set the clock" >&2
# One Python must have both: torchvision is what our networks are held against.
for python in "${PYTHON:-}" python3 /usr/bin/python3; do
  if [[ -n $python ]] && $python -c 'import torch, torchvision' 2>/dev/null; then
    exit 0
  fi
done
apt_install python3-torch python3-torchvision || echo "no Python with torch and torchvision: the tests that need it are skipped" >&2
