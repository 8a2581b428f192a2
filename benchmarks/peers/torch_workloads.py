#!/usr/bin/env python3
"""The workloads of gradus-bench in PyTorch: same shapes, f32, same losses, optimizers and number of gradients.

  torch_workloads.py [--threads N] [--seconds S] [--only PREFIX,...] [--json FILE]

glibc's allocator gives large blocks back and faults them in again at every step, so it is told to keep them: a peer at its best.
"""
import argparse
import json
import math
import os
import statistics
import sys
import time

KEEP = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "20000000000", "MALLOC_TOP_PAD_": "268435456"}
if __name__ == "__main__" and any(os.environ.get(k) != v for k, v in KEEP.items()):
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP})

import torch
import torch.nn as nn
import torch.nn.functional as F


def mlp(sizes, activation=nn.ReLU):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1])


def convnet():
    layers, channels = [], 1
    for width in (32, 64, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def training(model, x, y, optimizer, loss):
    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(model(x), y).backward()
        optimizer.step()
    return step


def tiny_mlp_step():
    model = mlp((2, 16, 16, 1), nn.Tanh)
    return training(model, torch.randn(1, 2), torch.randn(1, 1), torch.optim.SGD(model.parameters(), 1e-3), F.mse_loss)


def mlp_step():
    model = mlp((784, 512, 512, 10))
    return training(model, torch.randn(128, 784), torch.randint(10, (128,)), torch.optim.Adam(model.parameters()), F.cross_entropy)


def convnet_step():
    model = convnet()
    return training(model, torch.randn(128, 1, 28, 28), torch.randint(10, (128,)), torch.optim.Adam(model.parameters()), F.cross_entropy)


def nt_xent(rows):
    z = F.normalize(torch.randn(rows, 128), dim=1).requires_grad_()
    positive = (torch.arange(rows) + rows // 2) % rows

    def step():
        z.grad = None
        scores = z @ z.t() / 0.1
        scores.fill_diagonal_(-math.inf)
        F.cross_entropy(scores, positive).backward()
    return step


def maml_sinusoid_step():
    model = mlp((1, 40, 40, 1))
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, 1e-3)
    tasks = [[torch.randn(10, 1) for _ in range(4)] for _ in range(25)]

    def forward(p, x):
        h = F.relu(F.linear(x, p[0], p[1]))
        return F.linear(F.relu(F.linear(h, p[2], p[3])), p[4], p[5])

    def step():
        optimizer.zero_grad(set_to_none=True)
        total = 0
        for sx, sy, qx, qy in tasks:
            g = torch.autograd.grad(F.mse_loss(forward(parameters, sx), sy), parameters, create_graph=True)
            total = total + F.mse_loss(forward([w - 0.01 * d for w, d in zip(parameters, g)], qx), qy)
        (total / len(tasks)).backward()
        optimizer.step()
    return step


def pgd10_convnet():
    model = convnet().eval()
    x, y = torch.rand(128, 1, 28, 28), torch.randint(10, (128,))

    def step():
        a = (x + torch.empty_like(x).uniform_(-0.1, 0.1)).clamp(0, 1)
        for _ in range(10):
            a.requires_grad_()
            g, = torch.autograd.grad(F.cross_entropy(model(a), y, reduction="sum"), a)
            a = torch.min(torch.max(a.detach() + 0.025 * g.sign(), x - 0.1), x + 0.1).clamp(0, 1)
    return step


def adam_10m():
    parameters = [torch.randn(200_000).requires_grad_() for _ in range(50)]
    for p in parameters:
        p.grad = torch.randn_like(p)
    return torch.optim.AdamW(parameters, 1e-3).step


def gelu_backward_1m():
    x, g = torch.randn(1 << 20).requires_grad_(), torch.randn(1 << 20)

    def step():
        x.grad = None
        F.gelu(x).backward(g)
    return step


def softmax_cross_entropy():
    x, y = torch.randn(8192, 1000).requires_grad_(), torch.randint(1000, (8192,))

    def step():
        x.grad = None
        F.cross_entropy(x, y).backward()
    return step


def gemm(m, n, k):
    a, b = torch.randn(m, k), torch.randn(k, n)
    return lambda: a @ b


def conv3x3(backward):
    x, w = torch.randn(32, 64, 32, 32), torch.randn(64, 64, 3, 3)
    if not backward:
        return lambda: F.conv2d(x, w, padding=1)
    x.requires_grad_()
    w.requires_grad_()
    y = F.conv2d(x, w, padding=1)
    g = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, (x, w), g, retain_graph=True)


WORKLOADS = {
    "tiny_mlp_step": tiny_mlp_step,
    "mlp_step": mlp_step,
    "convnet_step": convnet_step,
    "nt_xent_1024": lambda: nt_xent(1024),
    "nt_xent_8192": lambda: nt_xent(8192),
    "maml_sinusoid_step": maml_sinusoid_step,
    "pgd10_convnet": pgd10_convnet,
    "adam_10m": adam_10m,
    "gelu_backward_1m": gelu_backward_1m,
    "softmax_cross_entropy_8192x1000": softmax_cross_entropy,
    "gemm_64": lambda: gemm(64, 64, 64),
    "gemm_256": lambda: gemm(256, 256, 256),
    "gemm_1024": lambda: gemm(1024, 1024, 1024),
    "gemm_128x512x784": lambda: gemm(128, 512, 784),
    "conv3x3_forward": lambda: conv3x3(False),
    "conv3x3_backward": lambda: conv3x3(True),
}


def measure(step, seconds):
    step()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 2000):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = []
    for name, prepare in WORKLOADS.items():
        if args.only and not any(name.startswith(prefix) for prefix in args.only.split(",") if prefix):
            continue
        times = measure(prepare(), args.seconds)
        rows.append({"name": name, "ms": statistics.median(times), "ms_min": min(times), "n": len(times), "threads": args.threads,
                     "impl": "torch " + torch.__version__, "samples": times})
        print(f"{name:34} {rows[-1]['ms']:12.4f} ms   (min {rows[-1]['ms_min']:.4f}, n {len(times)})", flush=True)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"rows": rows}, f)


if __name__ == "__main__":
    sys.exit(main())
