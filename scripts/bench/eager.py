"""The same work as main.go's in PyTorch eager, on commands from standard input.

A line "step N" trains N batches, "eval N" classifies N images; the answer is
the seconds. "peak" answers the peak resident memory in MiB.
"""

import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        return self.conv2(F.relu(self.bn2(out))) + shortcut


class PreActResNet18(nn.Module):
    def __init__(self, width):
        super().__init__()
        stages, inputs = [], width
        for stage, stride in enumerate([1, 2, 2, 2]):
            outputs = width << stage
            stages += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.stages(self.conv1(x))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def main():
    width, batch, threads, device = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = PreActResNet18(width).to(device).to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    images = torch.randint(0, 256, (1024, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (1024,))
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
    std = torch.tensor([0.247, 0.243, 0.261]).view(1, 3, 1, 1)

    def get(i):
        at = i * batch % (1024 - batch + 1)
        x = (images[at : at + batch].float() / 255 - mean) / std
        x = x.to(device).contiguous(memory_format=torch.channels_last)
        return x, labels[at : at + batch].to(device)

    def step(n):
        model.train()
        for i in range(n):
            x, y = get(i)
            sgd.zero_grad()
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 20)
            sgd.step()
            loss.item()
            (logits.argmax(1) == y).sum().item()

    def evaluate(n):
        model.eval()
        with torch.inference_mode():
            for i in range(n // batch):
                x, _ = get(i)
                model(x).argmax(1).cpu()

    print(torch.__version__, flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "peak":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
            continue
        began = time.perf_counter()
        {"step": step, "eval": evaluate}[command](int(rest[0]))
        print(time.perf_counter() - began, flush=True)


main()
