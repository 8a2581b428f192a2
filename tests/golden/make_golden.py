#!/usr/bin/env python3
"""Golden values of a foreign framework: what PyTorch computes, written as safetensors that tests/nn/golden_test.cpp reads.

  python3 tests/golden/make_golden.py        needs torch and numpy; writes ops.safetensors and training.safetensors beside this file

Inputs are not stored: both sides fill them with the same integer hash (fill below), whose values are exact in f32. Everything is computed
in f64 on one thread. Each file's metadata says which versions made it.
"""
import json, os, platform, struct

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def fill(seed, *shape):
    """Numbers in [-1, 1) with 24 bits, from a hash of (seed, position): multiply, xorshift, multiply, all modulo 2^32."""
    n = int(np.prod(shape, dtype=np.int64))
    h = (np.arange(n, dtype=np.uint64) * 2654435761 + seed * 2246822519 + 374761393) & 0xFFFFFFFF
    h ^= h >> 15
    h = h * 2246822519 & 0xFFFFFFFF
    h ^= h >> 13
    return torch.tensor((h >> 8).astype(np.float64) / 2**23 - 1).reshape(shape)


def labels(seed, n, classes):
    return ((fill(seed, n) + 1) / 2 * classes).long()


def write(name, tensors):
    header, data = {"__metadata__": {"made_by": "tests/golden/make_golden.py", "torch": torch.__version__, "numpy": np.__version__,
                                     "python": platform.python_version(), "machine": platform.machine()}}, b""
    for key, tensor in tensors.items():
        array = np.asarray(tensor.detach().numpy(), dtype="<f8", order="C")
        header[key] = dict(dtype="F64", shape=list(array.shape), data_offsets=[len(data), len(data) + array.nbytes])
        data += array.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    print(f"{name}: {len(tensors)} tensors, {8 + len(text) + len(data)} bytes, torch {torch.__version__}")


# ---- single ops: value, and gradients of <value, cotangent> with respect to every floating input

OPS = {}


def op(name, f, *inputs):
    """Records f's value, its gradients, and the gradient of the first gradient's sum of squares (second order)."""
    inputs = [x.requires_grad_() for x in inputs]
    y = f(*inputs)
    OPS[name + ".y"] = y
    grads = torch.autograd.grad(y, inputs, fill(99, *y.shape), create_graph=True)
    for i, g in enumerate(grads):
        OPS[f"{name}.d{i}"] = g
    second = torch.autograd.grad(sum((g * g).sum() for g in grads), inputs, allow_unused=True)
    for i, g in enumerate(second):
        OPS[f"{name}.dd{i}"] = torch.zeros_like(inputs[i]) if g is None else g


def make_ops():
    x = lambda: 4 * fill(1, 3, 7)
    op("gelu", F.gelu, x())
    op("softplus", lambda x: F.softplus(x, threshold=1e9), x())
    op("sigmoid", torch.sigmoid, x())
    op("tanh", torch.tanh, x())
    op("log_softmax", lambda x: F.log_softmax(x, 1), x())
    op("softmax", lambda x: F.softmax(x, 1), x())
    op("logsumexp", lambda x: torch.logsumexp(x, 1), x())
    op("cross_entropy", lambda x: F.cross_entropy(x, labels(2, 3, 7)), x())
    op("cross_entropy_weighted", lambda x: F.cross_entropy(x, labels(2, 3, 7), weight=1.5 + fill(3, 7)), x())
    op("cross_entropy_smoothed", lambda x: F.cross_entropy(x, labels(2, 3, 7), label_smoothing=.1), x())
    op("linear", F.linear, fill(1, 5, 6), fill(2, 4, 6), fill(3, 4))
    op("layer_norm", lambda x, w, b: F.layer_norm(x, (7,), w, b), x(), 1.5 + fill(2, 7), fill(3, 7))
    mean, var = fill(4, 3).clone(), 1.5 + fill(5, 3)
    op("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), 2 * fill(1, 4, 3, 2, 5), 1.5 + fill(2, 3), fill(3, 3))
    OPS["batch_norm.inference"] = F.batch_norm(2 * fill(1, 4, 3, 2, 5), mean, var, 1.5 + fill(2, 3), fill(3, 3))
    F.batch_norm(2 * fill(1, 4, 3, 2, 5), mean, var, None, None, True, momentum=.1)
    OPS["batch_norm.running_mean"], OPS["batch_norm.running_var"] = mean, var
    op("conv2d", lambda x, w, b: F.conv2d(x, w, b, padding=1), fill(1, 2, 3, 5, 6), fill(2, 4, 3, 3, 3), fill(3, 4))
    op("conv2d_stride_groups", lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1, groups=2), fill(1, 2, 4, 7, 6), fill(2, 6, 2, 3, 3), fill(3, 6))
    op("conv2d_uneven", lambda x, w: F.conv2d(x, w, stride=(1, 2), padding=(0, 1)), fill(1, 2, 2, 5, 6), fill(2, 3, 2, 2, 3))
    op("max_pool2d", lambda x: F.max_pool2d(x, 3, 2, 1), fill(1, 2, 3, 7, 6))
    op("max_pool2d_plain", lambda x: F.max_pool2d(x, 2), fill(1, 2, 3, 7, 6))
    op("avg_pool2d", lambda x: F.avg_pool2d(x, 2), fill(1, 2, 3, 7, 6))


# ---- optimizers: twelve steps on 21 numbers under gradients that depend on where the step left them

def trajectory(name, make):
    w = torch.nn.Parameter(fill(1, 21))
    optimizer = make([w])
    path = []
    for t in range(12):
        w.grad = fill(10 + t, 21) + .5 * w.detach()
        optimizer.step()
        path.append(w.detach().clone())
    OPS[name] = torch.stack(path)


def make_trajectories():
    trajectory("sgd", lambda p: torch.optim.SGD(p, .1))
    trajectory("sgd_momentum", lambda p: torch.optim.SGD(p, .1, momentum=.9, weight_decay=.05))
    trajectory("sgd_nesterov", lambda p: torch.optim.SGD(p, .1, momentum=.9, nesterov=True, weight_decay=.05))
    trajectory("adam", lambda p: torch.optim.Adam(p, .02))
    trajectory("adam_decay", lambda p: torch.optim.Adam(p, .02, betas=(.8, .95), eps=1e-3, weight_decay=.1))
    trajectory("adamw", lambda p: torch.optim.AdamW(p, .02, weight_decay=.1))


# ---- ten training steps of whole models: losses, and every parameter and buffer at the end

def mlp():
    layers = []
    for i, (a, b) in enumerate(((12, 16), (16, 16), (16, 5))):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def convnet(widths=(4, 6, 8), classes=5):
    layers, i = [], 1
    for o in widths:
        layers += [torch.nn.Conv2d(i, o, 3, padding=1), torch.nn.BatchNorm2d(o), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        i = o
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(i, classes))


def train(name, model, shape, make, out):
    """Parameters start from fill(), scaled to 1/sqrt(fan_in); batch norms from 1 and 0."""
    for k, (key, p) in enumerate(model.named_parameters()):
        fan_in = p[0].numel() if p.dim() > 1 else None
        if fan_in: scale = fan_in**-.5
        if isinstance(model[int(key.split(".")[0])], torch.nn.BatchNorm2d): continue
        with torch.no_grad(): p.copy_(scale * fill(1000 + k, *p.shape))
    optimizer, losses = make(model.parameters()), []
    for t in range(10):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(fill(100 + t, *shape)), labels(200 + t, shape[0], 5))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    out[name + ".losses"] = torch.stack(losses)
    for key, p in model.state_dict().items():
        if "num_batches" not in key: out[f"{name}.{key}"] = p


if __name__ == "__main__":
    make_ops()
    make_trajectories()
    write("ops.safetensors", OPS)
    training = {}
    train("mlp", mlp(), (16, 12), lambda p: torch.optim.Adam(p, 1e-2), training)
    # epsilon 1e-3: a bias in front of a batch norm has no gradient but rounding, which the usual 1e-8 would blow up to whole steps
    train("convnet", convnet(), (6, 1, 12, 12), lambda p: torch.optim.Adam(p, 1e-2, eps=1e-3), training)
    train("convnet_sgd", convnet(), (6, 1, 12, 12), lambda p: torch.optim.SGD(p, .05, momentum=.9, nesterov=True, weight_decay=1e-3), training)
    write("training.safetensors", training)
