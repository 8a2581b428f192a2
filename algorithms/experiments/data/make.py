#!/usr/bin/env python3
"""Makes vendored/*.idx from two Debian 12 packages, so that the sets in this folder can be checked or made again.

    apt-get download python3-sklearn python3-statsmodels
    ./make.py python3-sklearn_*.deb python3-statsmodels_*.deb

Standard library only. IDX: 00 00, type byte, dimensions, then big-endian extents and values (08 = u8, 0D = f32).
"""
import csv
import gzip
import hashlib
import pathlib
import struct
import subprocess
import sys
import tempfile

PACKAGES = {
    "python3-sklearn": ("1.2.1+dfsg-1", "ca0c6be401d14871c7e93cfdd8d1f561595dc65e6e2ad2501d568aee7f7efc58"),
    "python3-statsmodels": ("0.13.5+dfsg-7", "77474ba544c8e18e7932635ef9ab65abc1b8720fb471465d2a6ddd5ea81f08ad"),
}
OUT = pathlib.Path(__file__).resolve().parent / "vendored"


def unpack(deb, into):
    name = pathlib.Path(deb).name.split("_")[0]
    version, expected = PACKAGES[name]
    found = hashlib.sha256(pathlib.Path(deb).read_bytes()).hexdigest()
    if found != expected:
        sys.exit(f"{deb}: SHA-256 {found}, expected {expected} ({name} {version})")
    subprocess.run(["dpkg-deb", "-x", deb, into], check=True)


def write_idx(name, kind, shape, values):
    code, letter = {"u8": (0x08, "B"), "f32": (0x0D, "f")}[kind]
    count = 1
    for extent in shape:
        count *= extent
    if count != len(values):
        sys.exit(f"{name}: {len(values)} values for shape {shape}")
    header = struct.pack(">BBBB", 0, 0, code, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    (OUT / f"{name}.idx").write_bytes(header + struct.pack(f">{count}{letter}", *values))


def flat(rows):
    return [value for row in rows for value in row]


def digits(data):
    rows = [[int(v) for v in line.split(",")] for line in gzip.open(data / "digits.csv.gz", "rt")]
    write_idx("digits-inputs", "u8", (len(rows), 8, 8), flat(r[:64] for r in rows))
    write_idx("digits-targets", "u8", (len(rows),), [r[64] for r in rows])


def classes(data, file, name):
    """A table whose first line is "rows,columns,class names..." and whose last column is the class."""
    lines = list(csv.reader(open(data / file)))
    rows, columns = int(lines[0][0]), int(lines[0][1])
    write_idx(f"{name}-inputs", "f32", (rows, columns), flat([float(v) for v in r[:columns]] for r in lines[1:]))
    write_idx(f"{name}-targets", "u8", (rows,), [int(r[columns]) for r in lines[1:]])


def diabetes(data):
    rows = [[float(v) for v in line.split()] for line in gzip.open(data / "diabetes_data_raw.csv.gz", "rt")]
    targets = [float(line) for line in gzip.open(data / "diabetes_target.csv.gz", "rt")]
    write_idx("diabetes-inputs", "f32", (len(rows), 10), flat(rows))
    write_idx("diabetes-targets", "f32", (len(targets), 1), targets)


def linnerud(data):
    for part, name in (("exercise", "inputs"), ("physiological", "targets")):
        rows = [[float(v) for v in line.split()] for line in list(open(data / f"linnerud_{part}.csv"))[1:]]
        write_idx(f"linnerud-{name}", "f32", (len(rows), 3), flat(rows))


def series(data, name):
    rows = list(csv.reader(open(data / name / f"{name}.csv")))[1:]
    values = [[float(v or "nan") for v in row[1:]] for row in rows]  # the first column is the date
    shape = (len(values),) if len(values[0]) == 1 else (len(values), len(values[0]))
    write_idx(f"{name}-inputs", "f32", shape, flat(values))


def main(debs):
    if len(debs) != 2:
        sys.exit(__doc__)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as root:
        for deb in debs:
            unpack(deb, root)
        packages = pathlib.Path(root) / "usr/lib/python3/dist-packages"
        tables, signals = packages / "sklearn/datasets/data", packages / "statsmodels/datasets"
        digits(tables)
        for file, name in (("iris.csv", "iris"), ("wine_data.csv", "wine"), ("breast_cancer.csv", "breast_cancer")):
            classes(tables, file, name)
        diabetes(tables)
        linnerud(tables)
        for name in ("sunspots", "co2", "elnino"):
            series(signals, name)
    files = sorted(OUT.glob("*.idx"))
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    (OUT / "SHA256SUMS").write_text("".join(sums))
    print(f"{len(files)} files, {sum(f.stat().st_size for f in files)} bytes in {OUT}")


if __name__ == "__main__":
    main(sys.argv[1:])
