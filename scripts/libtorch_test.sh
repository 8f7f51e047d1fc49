#!/usr/bin/env bash
# Tests scripts/libtorch.sh with made-up libtorchs: no network, nothing installed. Exit status 1 where a test fails.
set -uo pipefail

script=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/libtorch.sh
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
passed=0 failed=0 skipped=0
rc=0 out="" err=""

unset LIBTORCH ULRL_TORCH_WHEEL ULRL_LIBTORCH_URL ULRL_LIBTORCH_SHA256 PYTHONPATH CDPATH
export ULRL_THIRD_PARTY=$work/third_party ULRL_SYSTEM_PREFIX=$work/no-system
export http_proxy="" https_proxy="" all_proxy=""

# --- helpers ---

check() { # NAME CONDITION...: one line of the report
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    printf 'ok    %s\n' "$name"
  else
    failed=$((failed + 1))
    printf 'FAIL  %s\n        status %s\n        stdout %s\n        stderr %s\n' "$name" "$rc" "$out" "$err"
  fi
}

skip() { # NAME REASON
  skipped=$((skipped + 1))
  printf 'skip  %s: %s\n' "$1" "$2"
}

run() { # ARGS...: runs the script; sets rc, out, err
  rc=0
  out=$("$script" "$@" 2>"$work/err") || rc=$?
  err=$(cat "$work/err")
}

ended() { # STATUS STDOUT [PATTERN...]: the run ended so, and each pattern stands on stderr
  local pattern
  [[ $rc -eq $1 && $out == "$2" ]] || return 1
  shift 2
  for pattern in "$@"; do [[ $err == *"$pattern"* ]] || return 1; done
}

one_line() { [[ $(wc -l <"$work/err") -eq 1 ]]; }
fresh() { rm -rf -- "$ULRL_THIRD_PARTY"; }

make_prefix() { # DIR [LIB]: what a libtorch looks like from outside
  local lib=$1/${2:-lib} header=$1/include/torch/csrc/api/include/torch
  mkdir -p "$lib" "$header"
  touch "$1/include/torch/script.h"
  printf '#define TORCH_VERSION_%s\n' "MAJOR 2" "MINOR 1" "PATCH 3" >"$header/version.h"
  head -c 300000 /dev/urandom >"$lib/libtorch_cpu.so"
}

fake() { # DIR NAME: a command of that name in DIR, its body on stdin
  mkdir -p "$1"
  { printf '#!/usr/bin/env bash\n' && cat; } >"$1/$2"
  chmod +x "$1/$2"
}

# --- arguments ---

run --frm auto
check "unknown option is misuse" ended 2 "" "unknown argument --frm"
run --from
check "--from without a value is misuse" ended 2 "" "--from needs a value"
run --help
check "--help" [ "$rc" -eq 0 ]

# --- $LIBTORCH and DIR ---

make_prefix "$work/a torch"
LIBTORCH="$work/a torch" run
check "\$LIBTORCH" ended 0 "$work/a torch" "libtorch 2.1.3, CPU build" "\$LIBTORCH names it"
LIBTORCH="$work/a torch" run --quiet
check "--quiet" ended 0 "$work/a torch"
check "--quiet says nothing" [ -z "$err" ]
LIBTORCH="$work/nowhere" run
check "\$LIBTORCH that is none is misuse" ended 2 "" "\$LIBTORCH is not a libtorch: $work/nowhere"
check "... in one line" one_line
mkdir -p "$work/half/include/torch" && touch "$work/half/include/torch/script.h"
LIBTORCH="$work/half" run
check "\$LIBTORCH without the library is misuse" ended 2 "" "$work/half has no libtorch_cpu.so"

run --from "$work/a torch"
check "DIR" ended 0 "$work/a torch"
cd "$work" && run --from "a torch/"
check "DIR, relative" ended 0 "$work/a torch"
make_prefix "$work/holder/libtorch" lib64
touch "$work/holder/libtorch/lib64/libtorch_cuda.so"
run --from="$work/holder"
check "DIR that holds a libtorch folder; lib64; CUDA" ended 0 "$work/holder/libtorch" "CUDA build"
run --from "$work/half"
check "DIR that is none is misuse" ended 2 "" "--from $work/half" "libtorch_cpu.so"
run --from sytem
check "a misspelt way is misuse" ended 2 "" "--from sytem" "system"

# --- system ---

if [[ -f /usr/include/torch/script.h ]]; then
  ULRL_SYSTEM_PREFIX=/usr run --from system
  check "the installed libtorch-dev" ended 0 /usr "installed libtorch-dev"
else
  skip "the installed libtorch-dev" "none here"
fi
make_prefix "$work/usr" "lib/$(uname -m)-linux-gnu"
ULRL_SYSTEM_PREFIX="$work/usr" run
check "libtorch-dev in a multiarch folder, by auto" ended 0 "$work/usr"

fake "$work/user" id <<<'echo 1000'
fake "$work/user" apt-get <<<"touch '$work/apt-ran'"
PATH="$work/user:$PATH" run --from system
check "system, absent, not root" ended 1 "" "needs root" "sudo apt-get install -y --no-install-recommends libtorch-dev"
check "... runs no apt-get" [ ! -e "$work/apt-ran" ]
if [[ -e /etc/debian_version ]]; then
  fake "$work/root" id <<<'echo 0'
  fake "$work/root" apt-get <<SH
echo "\$*" >>'$work/apt.log'
case "\$*" in
*update*) touch '$work/updated' ;;
*install*) [[ -e '$work/updated' ]] || { echo 'E: Unable to locate package libtorch-dev' >&2; exit 100; }
  cp -r '$work/usr' '$work/apt-usr' ;;
esac
SH
  ULRL_SYSTEM_PREFIX="$work/apt-usr" PATH="$work/root:$PATH" run --from system
  check "system, absent, as root: apt-get" ended 0 "$work/apt-usr" "installed just now by apt-get"
  check "... updates the lists only when it must" [ "$(grep -c . "$work/apt.log")" -eq 3 ]
  fake "$work/root" apt-get <<<'echo "E: Unable to locate package libtorch-dev" >&2; exit 100'
  PATH="$work/root:$PATH" run --from system
  check "apt-get that fails says why" ended 1 "" "Unable to locate package"
else
  skip "apt-get" "this is no Debian"
fi

# --- python ---

if command -v python3 >/dev/null; then
  make_prefix "$work/site/torch"
  echo 'raise SystemExit("imported")' >"$work/site/torch/__init__.py"
  PYTHONPATH="$work/site" run --from python
  check "the torch of python3, not imported" ended 0 "$work/site/torch" "the torch of"
  PYTHONPATH="$work/site" run
  check "... by auto" ended 0 "$work/site/torch"
  rm -rf "$work/site/torch/include"
  PYTHONPATH="$work/site" run --from python
  check "a torch without headers" ended 1 "" "has no include/torch/script.h"
  make_prefix "$work/cwd/torch" && touch "$work/cwd/torch/__init__.py" && cd "$work/cwd" || exit 1
  run --from python
  check "a torch folder in the current directory is not taken" [ "$out" != "$work/cwd/torch" ]
  cd "$work" || exit 1
else
  skip "python" "no python3"
fi
fake "$work/nopython" python3 <<<'exit 1'
PATH="$work/nopython:$PATH" run --from python
check "a python3 without torch" ended 1 "" "has no torch" "pip install torch"

# --- download ---

download_tests() {
  local zip=$work/libtorch.zip sum brought=$ULRL_THIRD_PARTY/libtorch began first second
  make_prefix "$work/src/libtorch"
  (cd "$work/src" && python3 -m zipfile -c "$zip" libtorch)
  sum=$(sha256sum <"$zip" | cut -d ' ' -f 1)
  export ULRL_LIBTORCH_URL=file://$zip ULRL_LIBTORCH_SHA256=$sum

  run --from download
  check "download" ended 0 "$brought" "checksum verified" "libtorch 2.1.3"
  check "... leaves no archive" [ -z "$(ls -A "$ULRL_THIRD_PARTY/.download")" ]
  ULRL_LIBTORCH_URL=file:///nowhere.zip run --from download
  check "download again needs no source" ended 0 "$brought" "brought here before"
  run
  check "auto takes what was brought" ended 0 "$brought" "brought here before"
  ULRL_LIBTORCH_SHA256=${sum/[0-9]/a} run --from download
  check "wrong checksum" ended 1 "" "expected ${sum/[0-9]/a}, got $sum"
  check "... deletes the archive" [ -z "$(ls -A "$ULRL_THIRD_PARTY/.download")" ]
  check "... and keeps what was there" [ -f "$brought/include/torch/script.h" ]
  fresh
  ULRL_LIBTORCH_SHA256="" run --from download
  check "no archive without a checksum" ended 2 "" "needs ULRL_LIBTORCH_SHA256"
  ULRL_LIBTORCH_SHA256=abc run --from download
  check "malformed checksum is misuse" ended 2 "" "not 64 hexadecimal digits"

  mkdir -p "$brought" && touch "$brought/mine"
  run --from download
  check "a folder of somebody else is left alone" ended 1 "" "move it away first"
  check "... with what is in it" [ -e "$brought/mine" ]
  fresh

  broken_line_tests "$zip" "$brought"

  # Killed in the middle of unpacking: nothing may look complete, and the next run needs no second download.
  # shellcheck disable=SC2016 # for the fake to expand
  fake "$work/killed" unzip <<<'mkdir -p "${@: -1}/libtorch/include" && kill -9 $PPID'
  PATH="$work/killed:$PATH" run --from download
  check "killed while unpacking" [ "$rc" -ne 0 -a ! -e "$brought" ]
  ULRL_LIBTORCH_URL=file:///nowhere.zip run --from download
  check "... the next run completes" ended 0 "$brought"
  check "... and leaves nothing half unpacked" [ -z "$(compgen -G "$ULRL_THIRD_PARTY/.unpack.*")" ]
  fresh

  "$script" --from download >"$work/1" 2>/dev/null &
  first=$!
  "$script" --from download >"$work/2" 2>/dev/null &
  second=$!
  check "two at once" wait "$first"
  check "... both succeed" wait "$second"
  check "... with the same result" [ "$(cat "$work/1" "$work/2")" = "$brought"$'\n'"$brought" ]
  fresh

  (cd "$work" && python3 -m zipfile -c "$work/other.zip" usr)
  ULRL_LIBTORCH_URL=file://$work/other.zip ULRL_LIBTORCH_SHA256=$(sha256sum <"$work/other.zip" | cut -d ' ' -f 1) \
    run --from download
  check "an archive of something else" ended 1 "" "no libtorch"
  check "... lands nowhere" [ ! -e "$brought" ]

  began=$SECONDS
  ULRL_LIBTORCH_URL=http://127.0.0.1:9/libtorch.zip run --from download
  check "unreachable" ended 1 "" "http://127.0.0.1:9/libtorch.zip: no connection"
  PATH="$work/user:$work/nopython:$PATH" ULRL_LIBTORCH_URL=http://127.0.0.1:9/libtorch.zip run
  check "auto that finds nothing names every way" \
    ended 1 "" "\$LIBTORCH: not set" "third_party: " "system: " "python: " "download: " "apt-get: " "what helps: "
  check "... quickly" [ $((SECONDS - began)) -lt 10 ]
  if [[ -e /etc/debian_version ]]; then
    fake "$work/root" apt-get <<<"cp -r '$work/usr' '$work/late-usr'"
    ULRL_SYSTEM_PREFIX="$work/late-usr" ULRL_LIBTORCH_URL=http://127.0.0.1:9/libtorch.zip \
      PATH="$work/root:$work/nopython:$PATH" run
    check "auto as root falls back to apt-get" ended 0 "$work/late-usr" "installed just now"
  else
    skip "auto as root falls back to apt-get" "this is no Debian"
  fi
  unset ULRL_LIBTORCH_URL ULRL_LIBTORCH_SHA256
}

# A line that breaks: the fake curl brings the first part, then ends as curl does; the next run must go on from there.
broken_line_tests() { # ZIP BROUGHT
  if ! command -v curl >/dev/null; then
    skip "a line that breaks" "no curl"
    return
  fi
  fake "$work/broken" curl <<SH
while [[ \$1 != --output ]]; do shift; done
[[ -s \$2 ]] || head -c 200000 '$1' >"\$2"
exit 18
SH
  PATH="$work/broken:$PATH" run --from download
  check "a line that breaks" ended 1 "" "200000 bytes are kept"
  check "... leaves nothing that looks complete" [ ! -e "$2" ]
  fake "$work/watched" curl <<SH
stat -c %s '$ULRL_THIRD_PARTY'/.download/*.part >'$work/from' 2>/dev/null
exec '$(command -v curl)' "\$@"
SH
  PATH="$work/watched:$PATH" run --from download
  check "... the next run goes on from there" ended 0 "$2"
  check "... and not from the start" [ "$(cat "$work/from")" = 200000 ]
  fresh
}

if command -v python3 >/dev/null && command -v sha256sum >/dev/null; then
  download_tests
else
  skip "download" "needs python3 and sha256sum to make the archive"
fi

# --- wheel ---

make_wheels() { # DIR VERSION: a torch that wants CUDA libraries through cuda-toolkit's extras, as the real one does
  python3 - "$1" "$2" "$work/usr/lib/$(uname -m)-linux-gnu/libtorch_cpu.so" <<'PY'
import os, sys, zipfile
folder, version, library = sys.argv[1:]
os.makedirs(folder)

def wheel(name, version, files, requires=()):
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as z:
        for path, data in files.items():
            z.writestr(path, data)
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
                   + "".join(f"Provides-Extra: {e}\n" for e in ("cudart", "cupti", "cublas"))
                   + "".join(f"Requires-Dist: {r}\n" for r in requires))
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", "")

wheel("torch", version, {
    "torch/__init__.py": "", "torch/version.py": "", "torch/bin/tool": "", "torch/include/torch/script.h": "",
    "torch/share/cmake/Torch/TorchConfigVersion.cmake": f'set(PACKAGE_VERSION "{version}")\n',
    "torch/lib/libtorch_cuda.so": "", "torch/lib/libtorch_cpu.so": open(library, "rb").read(),
}, ['cuda-toolkit[cublas,cudart,cupti]==9.9; platform_system == "Linux"',
    'nvidia-nccl==1; platform_system == "Linux"', 'nvidia-cuda-cupti-cu9==1; platform_machine == "none"'])
wheel("cuda_toolkit", "9.9", {}, [f'nvidia-{n}==9.9; extra == "{e}"' for n, e in
                                  (("cuda-runtime", "cudart"), ("cuda-cupti", "cupti"), ("cublas", "cublas"))])
wheel("nvidia_cuda_runtime", "9.9", {"nvidia/cu9/lib/libcudart.so.9": "rt"})
wheel("nvidia_cuda_cupti", "9.9", {"nvidia/cu9/lib/libcupti.so.9": "pti", "nvidia/cu9/lib/libnvperf.so": "no"})
PY
}

wheel_tests() {
  local brought=$ULRL_THIRD_PARTY/libtorch
  fresh
  make_wheels "$work/wheels" 2.9.5
  export PIP_NO_INDEX=1 PIP_FIND_LINKS=$work/wheels ULRL_TORCH_WHEEL=2.9.5
  run --from wheel
  check "wheel" ended 0 "$brought" "libtorch 2.9.5, CUDA build" "PyPI package torch"
  check "... with the CUDA libraries beside it" [ -f "$brought/lib/libcudart.so.9" -a -f "$brought/lib/libcupti.so.9" ]
  check "... without anything else" \
    [ ! -e "$brought/__init__.py" -a ! -e "$brought/bin" -a ! -e "$brought/lib/libnvperf.so" ]
  PIP_FIND_LINKS=$work/none run --from wheel
  check "wheel again needs no index" ended 0 "$brought" "brought here before"
  ULRL_TORCH_WHEEL=2.9.6 run --from wheel
  check "wheel of a version that there is not" ended 1 "" "torch==2.9.6"
  check "... keeps what was there" [ -f "$brought/lib/libcudart.so.9" ]
  ULRL_TORCH_WHEEL=--pre run --from wheel
  check "wheel version that is none is misuse" ended 2 "" "ULRL_TORCH_WHEEL"
}

PATH="$work/nopython:$PATH" run --from wheel
check "wheel without pip says what brings it" ended 1 "" "apt-get install python3-pip"
if python3 -m pip --version >/dev/null 2>&1; then wheel_tests; else skip "wheel" "no python3 with pip"; fi

printf '%s passed, %s failed' "$passed" "$failed"
if ((skipped)); then printf ', %s skipped' "$skipped"; fi
printf '\n'
((failed == 0))
