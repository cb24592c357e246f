"""Compare learning rates of the optimizers on standardized data: what diverges, what trains.

``python bench/rates.py`` takes some minutes on one core. Each row sums up 44 fits of 100 epochs:
seven data sets (the targets of regressions standardized, too, with mse and squared_error), two
networks, two seeds. Scores are of a quarter of the samples, held out: accuracy, and R².
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

import pynn

RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
OPTIMIZERS: dict[str, Callable[[float], pynn.Optimizer]] = {
    "SGD": pynn.SGD,
    "SGD, momentum 0.9": lambda rate: pynn.SGD(rate, momentum=0.9),
    "SGD, Nesterov 0.9": lambda rate: pynn.SGD(rate, momentum=0.9, nesterov=True),
    "Adam": pynn.Adam,
    "AdamW": pynn.AdamW,
    "RMSprop": pynn.RMSprop,
}
HIDDEN = ((100,), (64, 64))


def tables() -> Iterator[tuple[str, Any, Any]]:
    """Give a loss, samples and targets."""
    for load in (datasets.load_digits, datasets.load_wine, datasets.load_breast_cancer):
        yield "softmax_cross_entropy", *load(return_X_y=True)
    values = (
        datasets.load_diabetes(return_X_y=True),
        datasets.make_regression(500, 20, noise=10.0, random_state=0),
        datasets.make_regression(500, 200, noise=10.0, random_state=0),
        datasets.make_friedman1(500, noise=1.0, random_state=0),
    )
    for loss, data in product(("mse", "squared_error"), values):
        yield loss, *data


def standardized(train: Any, test: Any) -> tuple[Any, Any]:
    """Center and scale both by the training data's mean and deviation."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (train - mean) / deviation, (test - mean) / deviation


def main() -> None:
    """Print a row for each optimizer and rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = parser.parse_args().seeds
    pynn.set_num_threads(1)
    print("optimizer           rate    fits  diverged  accuracy     R²")
    for (name, make), rate in product(OPTIMIZERS.items(), RATES):
        scores: dict[bool, list[float]] = {True: [], False: []}
        for (loss, X, y), hidden, seed in product(tables(), HIDDEN, range(seeds)):
            classes = loss == "softmax_cross_entropy"
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
            X_train, X_test = standardized(X_train, X_test)
            if not classes:
                y_train, y_test = standardized(y_train, y_test)
            outputs = int(y.max()) + 1 if classes else 1
            net = pynn.MLP([X.shape[1], *hidden, outputs], loss=loss, seed=seed)
            try:
                net.fit(X_train, y_train, optimizer=make(rate), progress=False)
                scores[classes].append(net.score(X_test, y_test))
            except FloatingPointError:
                scores[classes].append(math.nan)
        fits = [score for values in scores.values() for score in values]
        accuracy, r2 = (np.nanmean([math.nan, *scores[kind]]) for kind in (True, False))
        diverged = sum(map(math.isnan, fits))
        print(
            f"{name:18} {rate:6g} {len(fits):7d} {diverged:9d} {accuracy:9.3f} {r2:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
