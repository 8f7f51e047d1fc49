#!/usr/bin/env bash
# Fashion-MNIST, where Debian puts it: the data of the default configs.
set -euo pipefail

dir=/usr/share/datasets/fashion-mnist
if [[ -n ${ULRL_DATA_DIR:-} || -f $dir/train-images-idx3-ubyte.gz ]]; then
  exit 0
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "installing dataset-fashion-mnist" >&2
  if ! apt-get install -y -qq dataset-fashion-mnist >/dev/null 2>&1; then
    apt-get update -qq >&2
    apt-get install -y -qq dataset-fashion-mnist >/dev/null
  fi
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
