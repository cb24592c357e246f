"""Time fit_many on a grid of small networks: threads against turns, and against scikit-learn.

    python bench/many.py --threads 2

The networks have one hidden layer, are trained on scikit-learn's digits by SGD with momentum, and
are all cross-validated. The contenders take turns; printed are medians of seconds and the median of
the ratios of a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scaling

import pynn
from pynn.many import fit_many

RATES, PENALTIES, SIZES = (0.2, 0.1, 0.05, 0.02), (0.0, 1e-3), (20, 30, 40)
MOMENTUM, BATCH_SIZE = 0.9, 32
Scores = list[float]
Contender = Callable[[], Scores]


def contenders(X: Any, y: Any, epochs: int, folds: int, threads: int) -> dict[str, Contender]:
    """Give the three ways to the accuracies of the 24 points, in one order."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.neural_network import MLPClassifier

    # scikit-learn divides its penalty by the mini-batch's size.
    grid = {"hidden": SIZES, "l2": [a / BATCH_SIZE for a in PENALTIES], "learning_rate": RATES}
    theirs = {
        "alpha": PENALTIES,
        "hidden_layer_sizes": [(n,) for n in SIZES],
        "learning_rate_init": RATES,
    }

    parts = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(X, y))

    def ours(count: int) -> Scores:
        with pynn.threads(count):
            optimizer = pynn.SGD(momentum=MOMENTUM)
            result = fit_many(
                grid, X, y, epochs=epochs, batch_size=BATCH_SIZE, optimizer=optimizer,
                cv=parts, refit=False, seed=0, progress=False,
            )  # fmt: skip
        return [row["test_accuracy"] for row in result.table]

    def sklearn() -> Scores:
        network = MLPClassifier(
            solver="sgd", momentum=MOMENTUM, nesterovs_momentum=False, batch_size=BATCH_SIZE,
            max_iter=epochs, n_iter_no_change=epochs + 1, random_state=0,
        )  # fmt: skip
        search = GridSearchCV(network, theirs, cv=parts, n_jobs=threads, refit=False)
        return list(search.fit(X, y).cv_results_["mean_test_score"])

    return {
        "one after the other": lambda: ours(1),
        f"fit_many, {threads} threads": lambda: ours(threads),
        f"GridSearchCV, n_jobs={threads}": sklearn,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-sklearn", action="store_true", help="leave scikit-learn out")
    options = parser.parse_args()
    from sklearn.datasets import load_digits

    print(scaling.describe(options.threads))
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    ways = contenders(X, y, options.epochs, options.folds, options.threads)
    if options.no_sklearn:
        ways.popitem()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    best = {}
    # Neither reaches convergence, nor is meant to.
    warnings.simplefilter("ignore")
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            best[name] = max(way())
            seconds[name].append(time.perf_counter() - start)
    _, many, *_ = ways
    print(f"24 networks, {options.folds} folds, {options.epochs} epochs, {len(X)} digits")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds[many], strict=True))
        print(
            f"{name:>24}: {statistics.median(times):7.3f} s, {ratio:6.2f} times fit_many's, "
            f"best accuracy {best[name]:.4f}"
        )


if __name__ == "__main__":
    main()
