"""Compares networks of package zoo with the published definitions.

Reads one JSON object a line: the network's name, width and classes, and path,
a TorchScript file of zoo's. Answers each with a line: "ok", or what differs.
"""
import json
import sys
import traceback

import torch
from torch import nn
from torchvision import models, transforms
from torchvision.models.vgg import cfgs, make_layers

TOLERANCE = 1e-5  # relative to the largest value


class PreActBlock(nn.Module):
    def __init__(self, fan_in, fan_out, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(fan_in)
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False)
        self.shortcut = None
        if stride != 1 or fan_in != fan_out:
            self.shortcut = nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=False))

    def forward(self, x):
        out = torch.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        return self.conv2(torch.relu(self.bn2(self.conv1(out)))) + shortcut


class PreActResNet18(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        fan_in = width
        for stage in range(4):
            out = width << stage
            blocks = [PreActBlock(fan_in, out, 1 if stage == 0 else 2), PreActBlock(out, out, 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            fan_in = out
        self.linear = nn.Linear(fan_in, classes)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.linear(x.mean((2, 3)))


def vgg(name, width, classes):
    layers = cfgs[{"vgg16": "D", "vgg19": "E"}[name[:5]]]
    layers = [v if v == "M" else v * width // 64 for v in layers]
    net = models.VGG(make_layers(layers, batch_norm=name.endswith("_bn")), num_classes=classes)
    sizes = [8 * width * 49, 64 * width, 64 * width, classes]
    for i, place in enumerate((0, 3, 6)):
        layer = net.classifier[place] = nn.Linear(sizes[i], sizes[i + 1])
        nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(layer.bias)
    return net


def vit(width, classes):
    net = models.VisionTransformer(224, 16, 12, width // 64, width, 4 * width, num_classes=classes)
    net.heads.head = nn.Linear(width, classes)
    return nn.Sequential(transforms.Resize((224, 224), antialias=False), net)


def published(name, width, classes):
    if name == "preactresnet18":
        return PreActResNet18(width, classes)
    if name.startswith("vgg") and width != 64:
        return vgg(name, width, classes)
    if name == "vit_b_16":
        return vit(width, classes)
    if name == "mobilenet_v3_large":
        return models.mobilenet_v3_large(num_classes=classes, width_mult=width / 16)
    if name == "densenet121":
        return models.DenseNet(width // 2, (6, 12, 24, 16), width, num_classes=classes)
    return getattr(models, name)(num_classes=classes)


def same_start(name, ours, theirs):
    """Holds one draw against another: constant or not, spread, uniform or normal."""
    if theirs.min() == theirs.max():
        assert torch.equal(ours, theirs), f"{name} does not start constant at {theirs.max():g}"
        return
    n = ours.numel()
    ratio = (ours.square().mean() / theirs.square().mean()).sqrt().item()
    assert abs(ratio - 1) < 6 / n**0.5, f"{name} starts {ratio:g} times as wide"
    if n >= 1000:
        uniform = [(t.abs().max() < 2 * t.square().mean().sqrt()).item() for t in (ours, theirs)]
        assert uniform[0] == uniform[1], f"{name} starts {'uniform' if uniform[0] else 'normal'}"


def shake(net):
    """Moves what starts at 0, at 1 or tiny, so that every value matters."""
    noise = torch.Generator().manual_seed(1)
    for name, t in net.state_dict().items():
        if not t.is_floating_point():
            continue
        if name.endswith("running_var") or (name.endswith("weight") and t.dim() == 1) or name.endswith("layer_scale"):
            t.copy_(torch.rand(t.shape, generator=noise) + 0.5)
        elif t.dim() == 1 or name.endswith("class_token"):
            t.copy_(torch.randn(t.shape, generator=noise) * 0.1)


def same(what, ours, theirs):
    gap = (ours - theirs).abs().max().item()
    most = theirs.abs().max().item()
    assert most > 0 and gap <= TOLERANCE * most, f"{what} differ by {gap:g} of {most:g}"


@torch.no_grad()
def check(path, name, width, classes):
    ours = torch.jit.load(path)
    torch.manual_seed(4)
    theirs = published(name, width, classes)
    assert ours.training, "not in training mode"
    ours_keys, theirs_keys = list(ours.state_dict()), list(theirs.state_dict())
    for a, b in zip(ours_keys + [None], theirs_keys + [None]):
        assert a == b, f"the state dict has {a} for {b}"
    params = [n for n, _ in ours.named_parameters()]
    assert params == [n for n, _ in theirs.named_parameters()], "other parameters"
    for (n, p), q in zip(ours.named_parameters(), theirs.parameters()):
        same_start(n, p, q)
    shake(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    ours.eval(), theirs.eval()
    same("logits", ours(x), theirs(x))
    ours.train(), theirs.train()
    before = {n: b.clone() for n, b in theirs.named_buffers()}
    torch.manual_seed(3)  # of dropout and stochastic depth
    out = ours(x)
    torch.manual_seed(3)
    same("logits in training", out, theirs(x))
    moved = dict(ours.named_buffers())
    for n, b in theirs.named_buffers():
        assert not torch.equal(b, before[n]), f"{n} did not move"
        same(n, moved[n].double(), b.double())
    ours.eval()
    with torch.enable_grad():
        ours(x).square().sum().backward()
    for n, p in ours.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, f"no gradient reaches {n}"


def main():
    torch.set_num_threads(1)
    for line in sys.stdin:
        try:
            check(**json.loads(line))
            print("ok", flush=True)
        except Exception as e:  # one network's failure is not the others'
            traceback.print_exc()
            print(" ".join((str(e) or repr(e)).split()), flush=True)


main()
