#!/usr/bin/env python3
"""gradus-bench beside PyTorch, in turns (A B A B), on the same number of threads.

  compare.py [--bench build/bin/gradus-bench] [--python PYTHON] [--rounds 2] [--threads 1] [--seconds 1] [--only PREFIX,...] [--json FILE]

A ratio is the peer's median over ours: above 1, gradus is faster. It is printed with its 95 % bootstrap interval, and as "~" when that
interval holds 1. The spread is that of our medians over the rounds. Where PyTorch cannot be imported, our times are printed alone.
Standard library only. On a shared machine quote ratios, never milliseconds.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(command, threads):
    """The rows that one process of a benchmark wrote."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.json")
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        subprocess.run(command + ["--json", path], check=True, stdout=subprocess.DEVNULL, env=env)
        with open(path) as f:
            return json.load(f)


def interval(ours, peer, repeats=1000):
    """95 % bootstrap interval of median(peer) / median(ours)."""
    rng = random.Random(1)

    def resampled_median(x):
        return statistics.median(rng.choices(x, k=min(len(x), 200)))
    ratios = sorted(resampled_median(peer) / resampled_median(ours) for _ in range(repeats))
    return ratios[int(0.025 * repeats)], ratios[int(0.975 * repeats)]


def importable(python):
    return subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default=os.path.join(HERE, "..", "build", "bin", "gradus-bench"))
    parser.add_argument("--python", default=os.environ.get("GRADUS_PEER_PYTHON", sys.executable), help="an interpreter with torch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", default="")
    args = parser.parse_args()

    common = ["--threads", str(args.threads), "--seconds", str(args.seconds), "--only", args.only]
    ours_command = [args.bench] + common
    peer_command = [args.python, os.path.join(HERE, "peers", "torch_workloads.py")] + common
    with_peer = importable(args.python)
    if not with_peer:
        print(f"{args.python} cannot import torch: gradus alone (set GRADUS_PEER_PYTHON to an interpreter that can)", file=sys.stderr)
    ours, peer, medians, overhead, impls = {}, {}, {}, [], {}
    for round_number in range(args.rounds):
        print(f"round {round_number + 1} of {args.rounds}: gradus" + (", torch" if with_peer else ""), file=sys.stderr, flush=True)
        result = run(ours_command, args.threads)
        overhead = result["overhead"]
        for row in result["rows"]:
            ours.setdefault(row["name"], []).extend(row["samples"])
            medians.setdefault(row["name"], []).append(row["ms"])
            impls["gradus"] = row["impl"]
        for row in run(peer_command, args.threads)["rows"] if with_peer else []:
            peer.setdefault(row["name"], []).extend(row["samples"])
            impls["torch"] = row["impl"]

    table = []
    print(f"{'workload':34} {'gradus ms':>11} {'spread':>7} {'torch ms':>11} {'ratio':>7}  95 % interval")
    for name, samples in ours.items():
        row = {"name": name, "gradus_ms": statistics.median(samples), "spread": max(medians[name]) / min(medians[name]) - 1, "threads": args.threads}
        line = f"{name:34} {row['gradus_ms']:11.4f} {100 * row['spread']:6.1f}%"
        if name in peer:
            row["torch_ms"] = statistics.median(peer[name])
            row["ratio"] = row["torch_ms"] / row["gradus_ms"]
            row["interval"] = interval(samples, peer[name])
            low, high = row["interval"]
            shown = f"{row['ratio']:7.2f}" if low > 1 or high < 1 else "      ~"
            line += f" {row['torch_ms']:11.4f} {shown}  {low:.2f} .. {high:.2f}"
        table.append(row)
        print(line)
    for row in overhead:
        print(f"{row['name']:42} {row['ns']:8.1f} ns an op, {row['mallocs']:.4f} mallocs an op")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"impls": impls, "rows": table, "overhead": overhead}, f, indent=1)


if __name__ == "__main__":
    sys.exit(main())
