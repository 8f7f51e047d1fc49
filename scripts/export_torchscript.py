#!/usr/bin/env python3
"""Turns a Python model and its weights into a TorchScript file that ulrl can clean.

  export_torchscript.py torchvision.models:resnet18 --arg num_classes=10 --weights weights.pth --shape 3,32,32 -o model.pt
  export_torchscript.py mypkg/model.py:make_model --weights ckpt.pt --key state_dict -o model.pt

The model is scripted, so that it can be trained on: BatchNorm and dropout follow train() and eval(). What is written is
read back and compared with the Python model before it gets its name. Needs torch 1.13 or later and nothing else.

The model's own Python code runs, with your rights. A weights file is read as data: nothing in it runs.
Exit codes: 0, 1 a check or the disk failed, 2 something for you to mend, 130 interrupted.
"""
from __future__ import annotations

import argparse
import ast
import collections
import copy
import difflib
import importlib
import importlib.util
import inspect
import linecache
import math
import os
import pickle
import re
import sys
import tarfile
import tempfile
import traceback
import types
import warnings
import zipfile
from typing import Any, Callable, NamedTuple, Optional

try:
    import torch
    from torch import nn
except ImportError as why:
    print(f"export_torchscript: {sys.executable} cannot import torch ({why}): run this with the Python that has your model's packages", file=sys.stderr)
    sys.exit(2)

TOLERANCE = 1e-4  # of logits, times the largest of them where that is above 1: kernels are fused otherwise in TorchScript
BATCH = 4  # the images of a check: BatchNorm over a single pixel wants more than one
REMEDY = "save model.state_dict() instead, or --trust-pickle, which runs what is in it"
WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")


class Failure(Exception):
    """A check or the system failed: exit code 1."""

    code = 1


class Misuse(Failure):
    """What the user can mend: exit code 2."""

    code = 2


class WrongImages(Misuse):
    """The model does not take images of this shape."""


# ---------------------------------------------------------------- the model


def make_model(spec: str, arguments: dict[str, Any]) -> nn.Module:
    """Calls the function or class that spec names, "module:name" or "path.py:name"."""
    where, colon, name = spec.rpartition(":")
    if not colon or not where or not name:
        raise Misuse(f"{spec}: name the model as module:function or path.py:function, such as torchvision.models:resnet18")
    maker = find(load_source(where), where, name)
    if isinstance(maker, nn.Module):
        return maker
    if not callable(maker):
        raise Misuse(f"{spec} is a {type(maker).__name__}, not a function or class that makes a model")
    try:
        model = maker(**arguments)
    except Exception as why:
        raise Misuse(f"{spec}({listed(f'{k}={v!r}' for k, v in arguments.items())}): {blame(why)}") from why
    if not isinstance(model, nn.Module):
        raise Misuse(f"{spec} made a {type(model).__name__}, not a torch.nn.Module")
    return model.cpu()


def load_source(where: str) -> types.ModuleType:
    """Imports a module by its name, or by its file: then with its package, where it is in one."""
    sys.path[0] = os.getcwd()  # in place of this script's folder
    if where.endswith(".py") or os.sep in where:
        if not os.path.isfile(where):
            raise Misuse(f"{where}: no such file")
        folder, base = os.path.split(os.path.abspath(where))
        where = os.path.splitext(base)[0]
        while os.path.isfile(os.path.join(folder, "__init__.py")):
            folder, package = os.path.split(folder)
            where = f"{package}.{where}"
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as why:
        if why.name and (where + ".").startswith(why.name + "."):
            raise Misuse(f"{where}: no such module here: pip install it, or name its file, such as folder/model.py:function") from why
        raise Misuse(f"{where}: {blame(why)}: install it for {sys.executable}") from why
    except Exception as why:
        raise Misuse(f"{where}: {blame(why)}") from why


def find(module: types.ModuleType, where: str, name: str) -> Any:
    """The attribute of a module, dotted or not."""
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 3)
            raise Misuse(f"{where} has no {part}" + (f": did you mean {listed(near)}?" if near else ""))
        found = getattr(found, part)
    return found


def argument(text: str) -> tuple[str, Any]:
    """KEY=VALUE; the value as in Python, or else the text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text}: wanted KEY=VALUE, such as num_classes=10")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


# ---------------------------------------------------------------- the weights


class Inert:
    """Stands for an object of a weights file that is not a tensor. It does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever it would have been made from."""

    def __setstate__(self, _: Any) -> None:
        """Whatever it would have been filled with."""


class Refused(pickle.UnpicklingError):
    """A name in a weights file that is no data."""


class TensorUnpickler(pickle.Unpickler):
    """Reads the archives of torch.save: tensors and containers, Inert for what often lies beside them, an end at any other name.

    torch.load is no help here: 1.13 ignores the pickle_module that it is given, and runs the file.
    """

    beside = {"_codecs", "argparse", "datetime", "numpy", "pathlib", "PIL"}
    dtypes = {"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16, "Long": torch.int64,
              "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool}

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        """folder is the archive's only one, with a slash."""
        super().__init__(archive.open(folder + "data.pkl"))
        self.archive, self.folder, self.storages = archive, folder, {}

    def find_class(self, module: str, name: str) -> Any:
        """Called for each class and function that the file names."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda flat, offset, size, stride, *_: flat.as_strided(size, stride, offset)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name.endswith("Storage") and name[:-len("Storage")] in self.dtypes:
            return self.dtypes[name[:-len("Storage")]]
        if module.split(".")[0] in self.beside:
            return Inert
        raise Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """A storage, as a flat tensor."""
        _, dtype, key, *_ = pid
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.folder}data/{key}"))
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.storages[key]


def read_weights(path: str, trust: bool) -> Any:
    """What torch.save wrote; nothing of it is run, unless trusted."""
    if not os.path.isfile(path):
        raise Misuse(f"weights {path}: no such file")
    try:
        if path.endswith(".safetensors"):
            return read_safetensors(path)
        archive = is_archive(path)
        if trust:
            return torch.load(path, map_location="cpu", weights_only=False)
        if not archive and tarfile.is_tarfile(path):  # before 2.6 torch.load unpickles these whatever weights_only says
            raise Misuse(f"weights {path}: a file of PyTorch before 0.2, which cannot be read safely: {REMEDY}")
        return read_tensors(path, archive)
    except Misuse:
        raise
    except Exception as why:
        raise Misuse(f"weights {path}: torch cannot read it: {first_line(why)}") from why


def read_tensors(path: str, archive: bool) -> Any:
    """First as PyTorch does it; where that refuses an archive, without what lies beside the tensors."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as why:
        if not archive:
            said = re.search(r"(?:WeightsUnpickler error: |Trying to load )(.*)", str(why))
            raise Misuse(f"weights {path}: refused, no plain weights ({said[1] if said else first_line(why)}); nothing of it was run: {REMEDY}") from why
    with zipfile.ZipFile(path) as file:
        pickled = next((name for name in file.namelist() if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise Misuse(f"weights {path}: an archive of something else than torch.save")
        try:
            return TensorUnpickler(file, pickled[:-len("data.pkl")]).load()
        except Refused as why:
            raise Misuse(f"weights {path}: refused, it calls {why}, which is no weight; nothing of it was run: {REMEDY}") from why


def is_archive(path: str) -> bool:
    """Whether torch.load takes it for a ZIP archive, as it does by the first four bytes."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise Misuse(f"weights {path}: this is TorchScript already: try ulrl inspect {path}")
    return True


def read_safetensors(path: str) -> Any:
    """Read by the package of that name, which is asked for only here."""
    try:
        from safetensors.torch import load_file
    except ImportError as why:
        raise Misuse(f"weights {path}: pip install safetensors to read this format") from why
    return load_file(path)


def state_dict(content: Any, path: str, key: Optional[str]) -> collections.OrderedDict:
    """Finds the state dict in what was saved."""
    if key:
        for part in [key] if has(content, key) else key.split("."):
            if not has(content, part):
                raise Misuse(f"weights {path}: --key {key}: there is no {part}, but {keys_of(content)}")
            content = content[part]
    while not is_state(content):
        if isinstance(content, nn.Module):
            content = content.state_dict()
            continue
        inner = next((k for k in WRAPPINGS if has(content, k) and isinstance(content[k], (collections.abc.Mapping, nn.Module))), None)
        if inner is None:
            raise Misuse(f"weights {path}: no state dict found in {keys_of(content)}: name its place with --key")
        content = content[inner]
    return content


def has(content: Any, key: str) -> bool:
    """Whether content is a mapping with this key."""
    return isinstance(content, collections.abc.Mapping) and key in content


def is_state(content: Any) -> bool:
    """Whether content maps names to tensors."""
    return (isinstance(content, collections.abc.Mapping) and bool(content)
            and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()))


def keys_of(content: Any) -> str:
    """What a file holds, for an error."""
    if isinstance(content, collections.abc.Mapping):
        return f"the keys {listed(content)}" if content else "an empty dict"
    return f"a {type(content).__name__}"


def load_weights(model: nn.Module, state: collections.abc.Mapping, path: str) -> list[str]:
    """Puts the state dict into the model; returns the prefixes that had to go."""
    state, dropped = without_prefixes(state, set(model.state_dict()))
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as why:
        sizes = re.findall(r"size mismatch for (\S+): copying a param with shape \S*\(\[(.*?)\]\).*?shape in current model is \S*\(\[(.*?)\]\)", str(why), re.S)
        if not sizes:
            raise Misuse(f"weights {path} do not fit the model: {first_line(why)}") from why
        what = listed(f"{n} is {times(a)} in the file and {times(b)} in the model" for n, a, b in sizes)
        raise Misuse(f"weights {path} do not fit the model: {what}: is it the right model, and the right --arg (such as num_classes)?") from why
    wrong = [f"{what} {listed(names)}" for what, names in [("the file lacks", missing), ("the model has no", unexpected)] if names]
    if wrong:
        raise Misuse(f"weights {path} do not fit the model: {'; '.join(wrong)}: is it the right model, and the right --arg?")
    return dropped


def without_prefixes(state: collections.abc.Mapping, own: set[str]) -> tuple[collections.abc.Mapping, list[str]]:
    """Takes off what wrappers put before every name (module., _orig_mod., model. …) and the model does not have."""
    dropped: list[str] = []
    parts = {name.split(".")[0] for name in own}
    while state:
        first = {name.partition(".")[0] for name in state}
        if len(first) != 1 or first <= parts or not all("." in name for name in state):
            break
        prefix = first.pop() + "."
        metadata = getattr(state, "_metadata", {})
        state = collections.OrderedDict((name[len(prefix):], value) for name, value in state.items())
        # Versions of modules: some read older weights by them.
        state._metadata = {(name + ".")[len(prefix):].rstrip("."): v for name, v in metadata.items() if (name + ".").startswith(prefix)}
        dropped.append(prefix)
    if not set(state) <= own and any("_orig_mod." in name for name in state):  # a part of the model was compiled
        state = collections.OrderedDict((name.replace("_orig_mod.", ""), value) for name, value in state.items())
        dropped.append("_orig_mod.")
    return state, dropped


# ---------------------------------------------------------------- TorchScript

# What TorchScript's commonest refusals ask for, by their words.
HINTS = [
    (r"einops|axes_lengths", "use the layers of einops.layers.torch in __init__, or reshape and permute"),
    (r"variable number of arguments|keyword-only", "write the arguments out, instead of *args, **kwargs or keyword-only defaults"),
    (r"JoinedStr|FormattedValue", "use \"{}\".format(…) in place of this f-string, or drop it"),
    (r"Expected a default value of type Tensor", "annotate the parameter, such as scale: int = 2: what has no type counts as a Tensor"),
    (r"Inferred '\w+' to be of type 'Tensor'", "annotate the parameter of the function that is called: what has no type counts as a Tensor"),
    (r"is not defined in the (true|false) branch", "give it a value on every path, for example before the if"),
    (r"partial'|type partial", "write functools.partial as a method or a small nn.Module"),
    (r"[Ll]ambda|single top-level function", "write the lambda as a method (def) or a small nn.Module"),
    (r"type of torch\.nn\.Module|list element", "keep layers in nn.ModuleList, not in a Python list"),
    (r"integer literal for index", "go through the layers with: for layer in self.layers"),
    (r"[Rr]eturn(s|ed)? .*type", "let every return give the same type: one tensor of class scores"),
    (r"import statements", "import at the top of the file"),
    (r"numpy|closed over global|[Pp]ython value of type", "compute it with torch, or keep it as an attribute that __init__ sets"),
    (r"Module '\w+' has no attribute", "set it in __init__ on every path, with one type; functions of Python's are not attributes that can be compiled"),
    (r"(blocks|statements|expressions?|ifs) (aren't|are not)|[Uu]nsupported|not supported", "write it with plain if, for and torch operations, or move it to __init__"),
    (r"source code|source lines|OSError", "classes must be defined in a .py file, not typed into an interpreter or made by exec"),
]


def to_torchscript(model: nn.Module, trace: str, images: torch.Tensor) -> torch.jit.ScriptModule:
    """Scripts the model in evaluation mode, or traces it where that was asked for."""
    model.eval()
    if not trace:
        try:
            return torch.jit.script(model)
        except Exception as why:
            raise Misuse(explain(model, why)) from why
    model.train(trace == "train")
    try:
        # Of copies: a trace in training mode moves BatchNorm's statistics.
        return torch.jit.trace(copy.deepcopy(model), images, check_trace=False)
    except Exception as why:
        raise Misuse(f"the model cannot be traced: {blame(why)}") from why
    finally:
        model.eval()


class Place(NamedTuple):
    """A line of Python source."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.relpath(self.path) if self.path.startswith(os.getcwd() + os.sep) else self.path}, line {self.line}"

    def text(self) -> str:
        """The line itself."""
        return linecache.getline(self.path, self.line).strip()

    def foreign(self) -> bool:
        """Whether it is in an installed package, which the user would not edit."""
        return bool(re.search(r"[/\\](site|dist)-packages[/\\]", self.path)) or self.path.startswith(os.path.dirname(torch.__file__))


def explain(model: nn.Module, why: Exception) -> str:
    """What TorchScript refuses, in a few lines: where, why, what to do."""
    name, part, why = smallest_refused(model, why)
    message = str(why)
    place = guilty_line(type(part), message)
    lines = ["TorchScript cannot compile the model"]
    if place:
        lines[0] = f"{place}: TorchScript cannot compile this"
        lines.append(f"    {place.text()}")
    lines.append(f"  reason: {reason(message) or type(why).__name__}")
    if name:
        lines.append(f"  part:   {name} ({type(part).__name__})")
    hint = next((advice for pattern, advice in HINTS if re.search(pattern, f"{type(why).__name__} {message}")), None)
    if hint:
        lines.append(f"  hint:   {hint}")
    lines.append("  (--trace would record one pass instead: a model that cannot be trained as it was)")
    return "\n".join(lines)


def smallest_refused(model: nn.Module, why: Exception) -> tuple[str, nn.Module, Exception]:
    """The innermost part that cannot be compiled, with its own error."""
    name, part = "", model
    while True:
        for child_name, child in part.named_children():
            try:
                torch.jit.script(child)
            except Exception as inner:
                name, part, why = f"{name}.{child_name}".lstrip("."), child, inner
                break
        else:
            return name, part, why


def guilty_line(owner: type, message: str) -> Optional[Place]:
    """The user's line: the first of the error's that is in no library, or the call in owner that led to one."""
    made = where_made(owner, message)
    if made:
        return made
    places = [Place(path, int(line)) for path, line in re.findall(r'File "([^"]+)", line (\d+)', message)]
    own = next((p for p in places if not p.foreign()), None)
    if own or not places:
        return own or class_line(owner)
    called = re.search(r"^\s*def (\w+)\(", message, re.M)
    start = class_line(owner)
    if not called or not start or start.path == places[0].path:
        return places[0]
    for offset, line in enumerate(inspect.getsourcelines(owner)[0]):
        if re.search(rf"\b{called[1]}\(", line):
            return Place(start.path, start.line + offset)
    return places[0]


def where_made(owner: type, message: str) -> Optional[Place]:
    """Where __init__ sets the attribute that TorchScript cannot take: the error shows only where it is used."""
    name = re.search(r"has no attribute '(\w+)' \(This", message)
    start = class_line(owner)
    if not name or not start:
        return None
    for offset, line in enumerate(inspect.getsourcelines(owner)[0]):
        if re.search(rf"\bself\.{name[1]}\b[^=]*=[^=]", line):
            return Place(start.path, start.line + offset)
    return None


def class_line(owner: type) -> Optional[Place]:
    """Where a class is defined."""
    try:
        return Place(inspect.getsourcefile(owner) or "", inspect.getsourcelines(owner)[1])
    except (OSError, TypeError):
        return None


def reason(message: str) -> str:
    """The words of a TorchScript error before it shows source."""
    head = re.split(r'\n?\s*File "', message)[0]
    lines = [line.strip() for line in head.splitlines() if line.strip()]
    if lines and re.match(r"\w[\w.:]*\(.*\) ->", lines[0]):  # the signature of what is called comes first
        lines = lines[1:] + lines[:1]
    text = (lines or [""])[0].rstrip(":. ")
    return text if len(text) <= 300 else text[:300] + "…"


# ---------------------------------------------------------------- checks


class Found(NamedTuple):
    """What a model did with images in one mode."""

    logits: torch.Tensor
    moved: int  # running statistics
    differs: bool  # from evaluation
    without_gradient: set[str]


def logits_of(model: Callable[[torch.Tensor], Any], images: torch.Tensor, whose: str) -> torch.Tensor:
    """One pass, and that it gives N×classes finite numbers."""
    try:
        out = model(images)
    except Exception as why:
        raise WrongImages(f"{whose} does not take images of {times(images.shape[1:])}: {blame(why)}") from why
    if not isinstance(out, torch.Tensor):
        raise Misuse(f"{whose} returns a {type(out).__name__}: a classifier returns one tensor of class scores (auxiliary outputs off, or a small module around it)")
    if out.dim() != 2 or out.shape[0] != len(images) or out.shape[1] < 2:
        raise Misuse(f"{whose} returns {times(out.shape)} for {len(images)} images, not {len(images)}×classes")
    if not torch.isfinite(out).all():
        raise Misuse(f"{whose} gives logits that are not finite: are the weights those of this model?")
    return out


def choose_images(model: nn.Module, shape: Optional[list[int]]) -> torch.Tensor:
    """Made-up images of the shape that was named, or of the first usual one that the model takes."""
    first = next((p for p in model.parameters() if p.dim() == 4), None)
    channels = first.shape[1] if first is not None else 3
    sizes = [28, 32, 64, 224] if channels == 1 else [32, 28, 64, 224]
    generator = torch.Generator().manual_seed(0)
    error: Optional[Exception] = None
    for c, h, w in [shape] if shape else [(channels, s, s) for s in sizes]:
        images = torch.randn(BATCH, c, h, w, generator=generator)
        try:
            with torch.no_grad():
                logits_of(model.eval(), images, "the model")
            return images
        except WrongImages as why:
            error = error or why
    raise Misuse(str(error) + ("" if shape else "; nor of other usual sizes: name the right one with --shape channels,height,width")) from error


def react(model: nn.Module, images: torch.Tensor, whose: str) -> Found:
    """Evaluates, then does a training pass with its gradients. The model is not the same afterwards."""
    model.eval()
    with torch.no_grad():
        before = logits_of(model, images, whose)
    statistics = {name: b.clone() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))}
    model.train()
    torch.manual_seed(0)
    after = logits_of(model, images, whose + " in training mode")
    targets = torch.arange(len(images)) % after.shape[1]
    try:
        nn.functional.cross_entropy(after, targets).backward()
    except RuntimeError as why:
        raise Failure(f"{whose} in training mode gives no gradients: {first_line(why)}") from why
    moved = sum(not torch.equal(b, statistics[name]) for name, b in model.named_buffers() if name in statistics)
    bare = {name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not torch.isfinite(p.grad).all())}
    return Found(before, moved, not torch.equal(after, before), bare)


def check(model: nn.Module, path: str, images: torch.Tensor, trace: str) -> list[str]:
    """Compares the written file with the Python model; returns what was found, a line each."""
    mine = react(copy.deepcopy(model), images, "the model")
    theirs = react(torch.jit.load(path, map_location="cpu"), images, "the exported model")
    lines = []
    if trace == "train":
        lines.append("logits not compared: the trace is of training mode, evaluation is none in it")
    else:
        lines.append(agreement(model, torch.jit.load(path, map_location="cpu"), images))
    lines.append(reaction(model, mine, theirs, trace))
    lost = theirs.without_gradient - mine.without_gradient
    if lost:
        raise Failure(f"no gradient reaches {listed(sorted(lost))} in the exported model, though it does in Python")
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    reached = len(names) - len(theirs.without_gradient)
    lines.append(f"gradients reach {reached} of {len(names)} parameters" + (f", not {listed(sorted(theirs.without_gradient))}, nor do they in Python" if reached < len(names) else ""))
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    if fixed:
        lines.append(f"parameters that your code keeps from training (requires_grad is False): {listed(fixed)}")
    return lines


def agreement(model: nn.Module, exported: nn.Module, images: torch.Tensor) -> str:
    """The largest difference of logits, over passes of several batch sizes: TorchScript recompiles in the first few."""
    worst, bound = 0.0, TOLERANCE
    model.eval()
    exported.eval()
    with torch.no_grad():
        for n in (BATCH, BATCH, BATCH, BATCH - 1, 1):
            want = logits_of(model, images[:n], "the model")
            got = logits_of(exported, images[:n], "the exported model")
            allowed = TOLERANCE * max(1.0, want.abs().max().item())
            differ = (want - got).abs().max().item()
            if not differ <= allowed:
                raise Failure(f"the exported model's logits differ from Python's by {differ:.2g}, more than {allowed:.1g}, on {n} images: does forward follow random numbers, the batch or state?")
            worst, bound = max(worst, differ), max(bound, allowed)
    return f"logits as in Python, within {worst:.1g} (allowed {bound:.1g})"


def reaction(model: nn.Module, mine: Found, theirs: Found, trace: str) -> str:
    """Whether training mode has the effect that it has in Python."""
    if trace == "train":
        return "TRACED in training mode: dropout is always on, BatchNorm always by the batch: eval() has no effect"
    if trace:
        return "TRACED in evaluation mode: train() has no effect, BatchNorm and dropout are frozen"
    if (mine.differs and not theirs.differs) or theirs.moved < mine.moved:
        raise Failure("BatchNorm or dropout do not react to train() in the exported model as they do in Python")
    normalised = sum(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats for m in model.modules())
    if normalised and not theirs.moved:
        return f"{normalised} BatchNorm layers do not react to train(), nor do they in Python: they stay as they are in cleaning"
    if theirs.moved:
        return f"train() and eval() have effect: {theirs.moved} running statistics of BatchNorm move"
    return "train() and eval() have effect: dropout" if theirs.differs else "train() and eval() make no difference, nor do they in Python: no BatchNorm, no dropout that shows"


def head(model: nn.Module, classes: int) -> Optional[str]:
    """The layer that ulrl will score: the last matrix with a row for each class."""
    names = [name for name, p in model.named_parameters() if p.dim() == 2 and p.shape[0] == classes]
    return re.sub(r"\.weight$", "", names[-1]) if names else None


# ---------------------------------------------------------------- the command


def export(o: argparse.Namespace) -> None:
    """Everything, in order."""
    check_output(o)
    model = make_model(o.model, dict(o.arg))
    notes = []
    if o.weights:
        dropped = load_weights(model, state_dict(read_weights(o.weights, o.trust_pickle), o.weights, o.key), o.weights)
        if dropped:
            notes.append(f"taken off the names of the weights: {listed(dropped)}")
    else:
        notes.append("no --weights: the weights are those that the code gave it, random unless it loads some")
    images = choose_images(model, o.shape)
    exported = to_torchscript(model, o.trace, images)
    found: list[str] = []
    write(o.output, exported, lambda path: found.extend(check(model, path, images, o.trace)))
    summarise(o, model, images, found, notes)


def check_output(o: argparse.Namespace) -> None:
    """What would go wrong only after the work."""
    folder = os.path.dirname(os.path.abspath(o.output))
    if not os.path.isdir(folder):
        raise Misuse(f"{o.output}: the folder {folder} is not there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Misuse(f"{o.output}: nothing can be written to the folder {folder}")
    if os.path.isdir(o.output):
        raise Misuse(f"{o.output} is a folder: name a file")
    if o.weights and os.path.exists(o.output) and os.path.exists(o.weights) and os.path.samefile(o.weights, o.output):
        raise Misuse(f"{o.output} is the weights file: name another")
    if os.path.exists(o.output) and not o.force:
        raise Misuse(f"{o.output} is there already: name another, or --force")
    if o.key and not o.weights:
        raise Misuse("--key is of --weights, which is not given")


def write(output: str, exported: torch.jit.ScriptModule, verify: Callable[[str], None]) -> None:
    """Writes beside output, verifies what was written, and only then gives it its name."""
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(output)), prefix=f".{os.path.basename(output)}.", suffix=".new")
    os.close(handle)
    try:
        try:
            torch.jit.save(exported, beside)
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
        except Exception as why:
            raise Failure(f"{output}: cannot be written: {first_line(why)}") from why
        verify(beside)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)  # mkstemp's are for nobody else
        os.replace(beside, output)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def summarise(o: argparse.Namespace, model: nn.Module, images: torch.Tensor, found: list[str], notes: list[str]) -> None:
    """What the user wants to know of the file."""
    with torch.no_grad():
        classes = model.eval()(images).shape[1]
    count = sum(p.numel() for p in model.parameters())
    name = head(model, classes)
    shape = list(images.shape[1:])
    usual = shape[1] == shape[2] and shape[1] in (28, 32, 64, 224)
    lines = [
        ("parameters", f"{count:,}"),
        ("images", f"N×{times(shape)}" + ("" if o.shape else ", the first usual size that it takes: --shape names yours")),
        ("head", f"{name}, {classes} classes" if name else f"none found with {classes} classes: name layers in suspicious.layers"),
        *(("checked", line) for line in found),
        *(("note", line) for line in notes),
        ("next", f"ulrl inspect {o.output}" + ("" if usual else f" --input {','.join(map(str, shape))}")),
    ]
    print(f"{o.output}: TorchScript, {'traced' if o.trace else 'scripted'} with torch {torch.__version__}")
    for what, text in lines:
        print(f"  {what:<11} {text}")
    if o.trace:
        print("export_torchscript: warning: a trace cannot be trained as the model was; ulrl says so too. Script it where you can.", file=sys.stderr)


# ---------------------------------------------------------------- words


def listed(names: Any, most: int = 4) -> str:
    """The first few, and how many more there are."""
    names = [str(n) for n in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def times(shape: Any) -> str:
    """3×32×32"""
    extents = shape.split(",") if isinstance(shape, str) else shape
    return "×".join(str(e).strip() for e in extents) or "a single number"


def first_line(why: BaseException) -> str:
    """An error without its dumps."""
    lines = [line.strip() for line in str(why).splitlines() if line.strip()]
    text = lines[0] if lines else type(why).__name__
    return text if len(text) <= 300 else text[:300] + "…"


def blame(why: BaseException) -> str:
    """An error of the user's code with the last line of theirs that led to it."""
    # The interpreter of TorchScript says its own at the end.
    text = f"{type(why).__name__}: {first_line(why)}" if not isinstance(why, torch.jit.Error) else str(why).strip().splitlines()[-1]
    if isinstance(why, SyntaxError) and why.filename:
        return f"SyntaxError: {why.msg} ({Place(why.filename, why.lineno or 0)})"
    frames = [Place(f.filename, f.lineno or 0) for f in traceback.extract_tb(why.__traceback__)]
    own = [p for p in frames if not p.foreign() and p.path != __file__ and not p.path.startswith("<")]
    return f"{text} ({own[-1]})" if own else text


def parse_shape(text: str) -> list[int]:
    """C,H,W"""
    try:
        shape = [int(part) for part in text.split(",")]
    except ValueError:
        shape = []
    if len(shape) != 3 or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text}: wanted channels,height,width, such as 3,32,32")
    return shape


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> Any:
        """Ends the program."""
        self.exit(Misuse.code, f"export_torchscript: {message} (--help shows how it is used)\n")


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    p = Parser(prog="export_torchscript.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", metavar="MODULE:NAME", help="a function or class that makes the model: torchvision.models:resnet18, mypkg/model.py:make_model")
    p.add_argument("--arg", metavar="KEY=VALUE", type=argument, action="append", default=[], help="an argument of it, as in Python; may be repeated")
    p.add_argument("--weights", metavar="FILE", help="a state dict by torch.save (or .safetensors), alone or inside a checkpoint")
    p.add_argument("--key", help=f"where in the checkpoint it is; looked for by itself: {', '.join(WRAPPINGS)}")
    p.add_argument("--shape", metavar="C,H,W", type=parse_shape, help="of one image; otherwise the usual ones are tried")
    p.add_argument("-o", "--output", metavar="FILE", required=True, help="the TorchScript file to write")
    p.add_argument("--force", action="store_true", help="overwrite it")
    p.add_argument("--trust-pickle", action="store_true", help="unpickle the weights file, which runs whatever is in it")
    p.add_argument("--trace", choices=["eval", "train"], default="", help="record one pass in place of scripting, by default in evaluation mode: the model cannot be trained as it was")
    p.add_argument("--debug", action="store_true", help="show Python's tracebacks")
    return p.parse_args(["--trace=eval" if a == "--trace" else a for a in argv])


def main(argv: list[str]) -> int:
    """Returns the exit code."""
    o = parse(argv)
    warnings.filterwarnings("ignore")  # of scripting's future, of pickles: what matters is said here
    try:
        if tuple(int(n) for n in re.findall(r"\d+", torch.__version__)[:2]) < (1, 13):
            raise Misuse(f"torch {torch.__version__} is too old: 1.13 or later")
        export(o)
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as why:
        if o.debug:
            traceback.print_exc()
        expected = isinstance(why, Failure)
        print(f"export_torchscript: {why if expected else blame(why) + ' (--debug shows where)'}", file=sys.stderr)
        return why.code if expected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
