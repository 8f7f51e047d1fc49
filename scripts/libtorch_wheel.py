"""Takes libtorch out of the PyPI package torch, for scripts/libtorch.sh. Nothing of it is installed or imported.

  libtorch_wheel.py VERSION DOWNLOADS DEST

brings the wheel (and the CUDA libraries that its CPU half is linked to) to the folder DOWNLOADS with pip, and unpacks
include/, lib/ and share/ to the folder DEST. On failure the reason is the one line on stderr, the exit status 1.
"""
import email
import fnmatch
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile

# libtorch does not care for which Python the wheel was made: these serve where there is none for the one that runs.
ANY_PYTHON = ["--python-version", "3.11", "--implementation", "cp",
              "--platform", f"manylinux_2_28_{platform.machine()}"]


class Failure(Exception):
    """A reason in one line."""


def bring(version, downloads, dest):
    """Downloads and unpacks libtorch of the given torch version."""
    os.makedirs(downloads, exist_ok=True)
    options = []
    try:
        pip_download(downloads, "--no-deps", f"torch=={version}")
    except Failure as why:
        if "No matching distribution" not in str(why):
            raise
        options = ANY_PYTHON
        pip_download(downloads, *options, "--no-deps", f"torch=={version}")
    torch = next(path for path in wheels(downloads) if os.path.basename(path).startswith("torch-"))
    cuda = cuda_requirements(torch)
    if cuda:
        pip_download(downloads, *options, *cuda)
    unpack(dest, torch, [path for path in wheels(downloads) if path != torch])


def pip_download(downloads, *args):
    """Runs pip download; its progress goes to a terminal and nowhere else."""
    command = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--no-input", "--timeout", "20",
               "--disable-pip-version-check", "--dest", downloads, *args]
    seen = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=seen, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        errors = [line[len("ERROR: "):] for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        if "NewConnectionError" in done.stderr or "Connection" in done.stderr:
            raise Failure("the package index cannot be reached")
        raise Failure(errors[-1] if errors else f"pip download ended with {done.returncode}")


def wheels(downloads):
    """The wheels in a folder, sorted."""
    return sorted(os.path.join(downloads, n) for n in os.listdir(downloads) if n.endswith(".whl"))


def cuda_requirements(torch):
    """What brings libcudart and libcupti: the CPU half of a CUDA build is linked to these two and no others."""
    from pip._vendor.packaging.requirements import Requirement  # pip is there, packaging may not be

    with zipfile.ZipFile(torch) as wheel:
        meta = next(n for n in wheel.namelist() if re.fullmatch(r"torch-[^/]*\.dist-info/METADATA", n))
        lines = email.message_from_bytes(wheel.read(meta)).get_all("Requires-Dist", [])
    found = []
    for r in map(Requirement, lines):
        if r.marker and not r.marker.evaluate({"extra": ""}):
            continue
        name = r.name.lower().replace("_", "-")
        extras = sorted(set(r.extras) & {"cudart", "cupti"})
        if name == "cuda-toolkit" and extras:  # older wheels name the packages one by one
            found.append(f"{name}[{','.join(extras)}]{r.specifier}")
        elif re.fullmatch(r"nvidia-cuda-(runtime|cupti)(-cu\d+)?", name):
            found.append(f"{name}{r.specifier}")
    return found


def unpack(dest, torch, others):
    """Unpacks libtorch, and puts the CUDA libraries beside libtorch_cpu.so: its RPATH looks there ($ORIGIN)."""
    with zipfile.ZipFile(torch) as wheel:
        for name in wheel.namelist():
            wanted = name == "torch/version.py" or name.startswith(("torch/lib/", "torch/include/", "torch/share/"))
            if wanted and not name.endswith("/") and ".." not in name.split("/"):
                put(wheel, name, os.path.join(dest, name[len("torch/"):]))
    for path in others:
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                base = os.path.basename(name)
                if fnmatch.fnmatch(base, "libcudart.so*") or fnmatch.fnmatch(base, "libcupti.so*"):
                    put(wheel, name, os.path.join(dest, "lib", base))


def put(wheel, member, path):
    """Writes one member of a wheel to path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wheel.open(member) as src, open(path, "wb") as dst:
        shutil.copyfileobj(src, dst, 1 << 20)


if __name__ == "__main__":
    try:
        bring(*sys.argv[1:])
    except (Failure, OSError, zipfile.BadZipFile, StopIteration) as why:
        sys.exit(str(why) or "the wheel holds no METADATA")
    except KeyboardInterrupt:
        sys.exit(130)
