"""What each strategy of a matrix product gains (csrc/kernels/gemm.h).

Compiles the products of one instruction set with a switch for each strategy, and times the products
that take one with it and without: the layers' products of `cases.py`, its squares and others. One
thread, float32, interleaved samples; the time of a product is the least of its samples.

    python bench/strategies.py avx512
    python bench/strategies.py avx2 --rounds 40 --only skinny,streamed
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cases
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++17", "-O3", "-DNDEBUG", "-fPIC", "-shared", "-ffp-contract=off"]
STRATEGIES = ("outer", "gemv", "streamed", "transposed", "skinny", "l1_panels", "tile_sequence")
# kernel_table.h: Epilogue, and l2_bytes.
STORE, BIAS, SCALE, RELU_BACKWARD = range(4)
L2_BYTES = 1536 * 1024
# What takes turns is as large as this, so that each copy comes from beyond the L2 cache.
FAR_BYTES = 6 * 1024 * 1024
SAMPLE_SECONDS = 3e-4
LONGEST_SEQUENCE_K = 192  # tuning_avx2.h


class Arguments(ctypes.Structure):
    """The struct Product of strategies.cpp."""

    _fields_ = (
        *((name, ctypes.c_ssize_t) for name in ("m", "k", "n")),
        *(
            (name, ctypes.c_int)
            for name in ("a_transposed", "b_transposed", "epilogue", "b_exceeds_l2", "copies")
        ),
        *((name, ctypes.c_void_p) for name in ("a", "b", "bias", "y", "c", "workspace")),
    )


@dataclass(frozen=True)
class Shape:
    """A product, how its operands lie, its epilogue, and whether b comes from beyond L2."""

    m: int
    k: int
    n: int
    a_transposed: bool = False
    b_transposed: bool = False
    epilogue: int = STORE
    far: bool = False

    @property
    def name(self) -> str:
        """Shape, N or T for each operand, and where b is."""
        letters = "NT"[self.a_transposed] + "NT"[self.b_transposed]
        return f"{self.m}x{self.k}x{self.n} {letters}{' far' if self.far else ''}"


def shapes() -> Iterator[Shape]:
    """Give every product of the networks of `cases.py` once, and its squares and others."""
    for sizes, batch in (*cases.NETS, *cases.MORE_NETS):
        layers = [*pairwise(sizes)]
        far = 4 * sum(m * n for m, n in layers) > L2_BYTES
        for rows in (1, batch):
            for layer, (fan_in, fan_out) in enumerate(layers):
                yield Shape(rows, fan_in, fan_out, epilogue=BIAS, far=far)
                yield Shape(fan_in, rows, fan_out, a_transposed=True, epilogue=SCALE)
                if layer:
                    yield Shape(rows, fan_out, fan_in, b_transposed=True, epilogue=RELU_BACKWARD)
    for sizes in cases.PREDICTION_NETS:
        layers = [*pairwise(sizes)]
        far = 4 * sum(m * n for m, n in layers) > L2_BYTES
        for rows in (1, 2, 4, 8, 16, 32, 64, 1024):
            for fan_in, fan_out in layers:
                yield Shape(rows, fan_in, fan_out, epilogue=BIAS, far=far)
    yield from (Shape(n, n, n) for n in cases.SQUARES)
    yield from (Shape(m, k, n) for m, k, n in cases.OTHERS)
    # One output, and the gradients of a classifier's last layer.
    for rows in (1, 32, 128, 512):
        yield Shape(rows, 784, 1, epilogue=BIAS)
        yield Shape(784, rows, 1, a_transposed=True, epilogue=SCALE)
        yield Shape(784, rows, 3, a_transposed=True, epilogue=SCALE)


def build(isa: str, folder: Path) -> Any:
    """Compile the products."""
    table = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    flags = re.search(rf'pynn_add_isa\({isa} "(-[^"]*)"\)', table)
    library = folder / "products.so"
    command = [os.environ.get("CXX", "c++"), *FLAGS, *(flags[1].split(";") if flags else [])]
    command += [f"-DPYNN_ISA={isa}", "-DPYNN_MEASURES_STRATEGIES", f"-I{ROOT / 'csrc'}", "-w"]
    subprocess.run([*command, str(ROOT / "bench/strategies.cpp"), "-o", str(library)], check=True)
    return load(library)


def load(library: Path) -> Any:
    """Load the compiled products."""
    loaded: Any = ctypes.CDLL(str(library))
    loaded.product_workspace.restype = ctypes.c_int64
    loaded.product_strategy.restype = ctypes.c_char_p
    return loaded


class Timing:
    """One shape's operands, and how long its product takes with and without a strategy."""

    def __init__(self, shape: Shape, library: Any) -> None:
        rng = np.random.default_rng(0)
        m, k, n, *flags, far = astuple(shape)
        copies = max(1, math.ceil(FAR_BYTES / (4 * k * n))) if far else 1
        sizes = {"a": m * k, "b": copies * k * n, "bias": n, "y": m * n, "c": m * n}
        self.library = library
        self.arrays = {
            name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()
        }
        self.arguments = Arguments(m, k, n, *map(int, flags), int(far), copies)
        for name, array in self.arrays.items():
            setattr(self.arguments, name, array.ctypes.data)
        names = ("none", *STRATEGIES)
        self.workspace = np.empty(max(map(self.workspace_bytes, names)) + 64, np.uint8)
        self.arguments.workspace = (self.workspace.ctypes.data + 63) // 64 * 64
        self.repeats = 1
        while (taken := self.sample("none")) < SAMPLE_SECONDS and self.repeats < 10**6:
            self.repeats *= max(2, int(SAMPLE_SECONDS / max(taken, 1e-7)))
        self.repeats = max(self.repeats, copies)

    def workspace_bytes(self, without: str) -> int:
        """Give what the product takes."""
        self.library.leave_out(without.encode())
        return int(self.library.product_workspace(ctypes.byref(self.arguments)))

    def strategy(self) -> str:
        """Give the name of the strategy that the product takes."""
        self.library.leave_out(b"none")
        name: bytes = self.library.product_strategy(ctypes.byref(self.arguments))
        return name.decode()

    def takes(self, strategy: str) -> bool:
        """Tell whether the product takes a strategy; sequences of tiles are within three."""
        if strategy == "tile_sequence":
            within = ("blocks", "l1_panels", "transposed")
            return self.strategy() in within and self.arguments.k <= LONGEST_SEQUENCE_K
        return self.strategy() == strategy

    def sample(self, without: str) -> float:
        """Give the seconds of some repeats."""
        self.library.leave_out(without.encode())
        start = time.perf_counter()
        self.library.run_product(ctypes.byref(self.arguments), self.repeats)
        return time.perf_counter() - start

    def least_times(self, without: str, rounds: int) -> tuple[float, float]:
        """Give the least microseconds of one product with and without a strategy."""
        best = {"none": math.inf, without: math.inf}
        for i in range(rounds):
            for name in ("none", without) if i % 2 else (without, "none"):
                best[name] = min(best[name], self.sample(name))
        return 1e6 * best["none"] / self.repeats, 1e6 * best[without] / self.repeats


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="what each strategy of a matrix product gains")
    parser.add_argument("isa", choices=("avx2", "avx512"))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", default=",".join(STRATEGIES), help="strategies, with commas")
    parser.add_argument("--library", type=Path, help="compiled before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = options.library
        library = load(found) if found else build(options.isa, Path(folder))
        print("| strategy | product | with, µs | without, µs | gain |")
        print("| --- | --- | ---: | ---: | ---: |")
        for strategy in options.only.split(","):
            gains = []
            for shape in dict.fromkeys(shapes()):
                timing = Timing(shape, library)
                if not timing.takes(strategy):
                    continue
                has, has_not = timing.least_times(strategy, options.rounds)
                gains.append(has_not / has)
                row = f"| {strategy} | {shape.name} | {has:.2f} | {has_not:.2f} | {gains[-1]:.2f} |"
                print(row, flush=True)
            if gains:
                mean = math.exp(sum(map(math.log, gains)) / len(gains))
                print(f"| **{strategy}** | {len(gains)} products | | | **{mean:.2f}** |")
            else:
                print(f"| **{strategy}** | none | | | |")


if __name__ == "__main__":
    main()
