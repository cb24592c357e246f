"""Sparse samples: scikit-learn's estimator and pynn's of the same name, times and peak memory.

Each fit runs in a separate process, and the two libraries take turns. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from importlib import import_module
from typing import Any

import numpy as np

# Columns, stored values a row, rows, and what of the estimator is not the default.
CASES: list[tuple[int, int, int, dict[str, Any]]] = [
    (2**20, 20, 1100, {"hidden_layer_sizes": [10], "max_iter": 2}),
    (2**20, 100, 1100, {"hidden_layer_sizes": [100], "max_iter": 1}),
    (2**20, 100, 1100, {"hidden_layer_sizes": [10], "max_iter": 2, "solver": "sgd"}),
    (50_000, 20, 2000, {"hidden_layer_sizes": [100], "max_iter": 3}),
    (50_000, 100, 2000, {"hidden_layer_sizes": [100], "max_iter": 3}),
    (50_000, 100, 2000, {"hidden_layer_sizes": [20], "max_iter": 5, "solver": "lbfgs"}),
    (5000, 1000, 5000, {"hidden_layer_sizes": [10], "max_iter": 5}),
    (5000, 1000, 5000, {"hidden_layer_sizes": [10], "max_iter": 5, "solver": "lbfgs"}),
]


def measure(library: str, columns: int, stored: int, rows: int, settings: dict[str, Any]) -> None:
    """Fit and predict in this process; print seconds, milliseconds and the megabytes they took."""
    from scipy import sparse

    package = import_module("pynn.sklearn" if library == "pynn" else "sklearn.neural_network")
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    indices = np.sort(rng.integers(0, columns, (rows, stored), np.int32), axis=1).ravel()
    starts = np.arange(rows + 1, dtype=np.int32) * np.int32(stored)
    X = sparse.csr_matrix((rng.random(rows * stored), indices, starts), (rows, columns))
    X.sum_duplicates()
    y = rng.integers(0, 4, rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    model = package.MLPClassifier(**settings, random_state=0).fit(X, y)
    fit = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    predictions = []
    for _ in range(5):
        start = time.perf_counter()
        model.predict(X)
        predictions.append(1000 * (time.perf_counter() - start))
    print(json.dumps([fit, statistics.median(predictions), (peak - before) / 1024]))


def main() -> None:
    """Print a table, a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*json.loads(options.measure))
        return
    print("columns, stored, rows | pynn: fit (s), predict (ms), memory (MB) | slowdown of sklearn")
    for columns, stored, rows, settings in CASES:
        found: dict[str, list[list[float]]] = {"pynn": [], "sklearn": []}
        for _ in range(options.repeats):
            for library, results in found.items():
                given = json.dumps([library, columns, stored, rows, settings])
                command = [sys.executable, __file__, "--measure", given]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results.append(json.loads(output))
        ours, theirs = (np.median(found[name], axis=0) for name in ("pynn", "sklearn"))
        figures = ", ".join(f"{value:.3g}" for value in ours)
        ratios = ", ".join(f"{ratio:.2f}" for ratio in theirs / ours)
        print(f"{columns}, {stored}, {rows}, {settings} | {figures} | {ratios}", flush=True)


if __name__ == "__main__":
    main()
