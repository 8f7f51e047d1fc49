#!/usr/bin/env bash
# Fashion-MNIST, where Debian puts it: the data of the default configs.
set -euo pipefail
# shellcheck source=scripts/apt.sh
source "$(dirname "$0")/apt.sh"

dir=/usr/share/datasets/fashion-mnist
if [[ -n ${ULRL_DATA_DIR:-} || -f $dir/train-images-idx3-ubyte.gz ]]; then
  exit 0
fi
if apt_install dataset-fashion-mnist; then
  exit 0
fi
cat >&2 <<'TEXT'
Fashion-MNIST is not here. Bring it with
    sudo apt-get install dataset-fashion-mnist
or put its four files (train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz,
t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz) into a folder and set
    export ULRL_DATA_DIR=/path/to/folder
TEXT
exit 1
