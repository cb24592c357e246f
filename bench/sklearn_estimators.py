"""scikit-learn's estimators and pynn's of the same names: times of fits and of one prediction.

Prints medians and ratios: of whole fits; of what the estimator adds to `pynn.MLP.fit` of the same
epochs, and to the compiled epochs alone; and of `predict` for one row over the network's own call.
Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
import timeit
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits, make_classification

import pynn.sklearn
from pynn.sklearn._epochs import Epochs

BATCH = 200  # the estimators' default


def data_sets() -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    """Samples, classes and what of the network is not the default, by name."""
    X, y = load_digits(return_X_y=True)
    small = make_classification(
        n_samples=2000, n_features=10, n_informative=8, n_classes=10, random_state=0
    )
    return {
        "digits, default network": (X / 16, y, {}),
        "10-64-64-10": (*small, {"hidden_layer_sizes": (64, 64)}),
    }


def seconds(function: Callable[[], Any]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def medians(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each; the functions take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return {name: statistics.median(found[1:]) for name, found in times.items()}


class Timed:
    """Adds up the time that fits spend in the core's epochs."""

    def __init__(self) -> None:
        self.total = 0.0
        self._plain = Epochs._train

    def __enter__(self) -> Timed:
        plain = self._plain

        def train(*args: Any) -> None:
            start = time.perf_counter()
            plain(*args)
            self.total += time.perf_counter() - start

        setattr(Epochs, "_train", train)  # noqa: B010 (mypy lets no method be assigned)
        return self

    def __exit__(self, *error: object) -> None:
        setattr(Epochs, "_train", self._plain)  # noqa: B010


def _fit(package: Any, settings: dict[str, Any], X: Any, y: Any) -> None:
    package.MLPClassifier(**settings).fit(X, y)


def fits(name: str, dtype: str, repeats: int, epochs: int) -> None:
    """One line of the table of fits."""
    X, y, network = data_sets()[name]
    X = np.ascontiguousarray(X, dtype)
    settings: dict[str, Any] = {"random_state": 0, "max_iter": epochs, **network}
    packages = {"pynn": pynn.sklearn, "scikit-learn": neural_network}
    functions: dict[str, Callable[[], Any]] = {
        library: partial(_fit, package, settings, X, y) for library, package in packages.items()
    }
    epochs_done = pynn.sklearn.MLPClassifier(**settings).fit(X, y).n_iter_
    hidden = network.get("hidden_layer_sizes", (100,))

    def plain() -> None:
        net = pynn.MLP([X.shape[1], *hidden, 10], l2=1e-4 / BATCH, dtype=dtype, seed=0)
        net.fit(X, y, epochs=epochs_done, batch_size=BATCH, optimizer=pynn.Adam(), progress=False)

    functions["plain"] = plain
    found = medians(functions, repeats)
    shares = []
    for _ in range(repeats):
        with Timed() as timed:
            whole = seconds(functions["pynn"])
        shares.append(whole / timed.total - 1)
    ours, theirs = found["pynn"], found["scikit-learn"]
    print(
        f"{name:26} {dtype:8} {1e3 * ours:9.1f} {1e3 * theirs:13.1f} {theirs / ours:6.1f} "
        f"{100 * (ours / found['plain'] - 1):9.1f} % {100 * statistics.median(shares):9.1f} %"
    )


def one_row(name: str, dtype: str, repeats: int) -> None:
    """One line of the table of predictions."""
    X, y, network = data_sets()[name]
    X = np.ascontiguousarray(X, dtype)
    settings: dict[str, Any] = {"random_state": 0, "max_iter": 2, **network}
    ours = pynn.sklearn.MLPClassifier(**settings).fit(X, y)
    theirs = neural_network.MLPClassifier(**settings).fit(X, y)
    net, row, calls = ours._link.net, X[:1].copy(), 300
    functions = {
        "net": lambda: net(row),
        "pynn": lambda: ours.predict(row),
        "scikit-learn": lambda: theirs.predict(row),
    }
    times: dict[str, list[float]] = {key: [] for key in functions}
    for _ in range(5 * repeats):
        for key, function in functions.items():
            times[key].append(timeit.timeit(function, number=calls) / calls * 1e6)
    found = {key: statistics.median(values) for key, values in times.items()}
    print(
        f"{name:26} {dtype:8} {found['net']:9.2f} {found['pynn']:9.2f} "
        f"{found['pynn'] - found['net']:9.2f} {found['scikit-learn']:13.2f}"
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=200, help="max_iter, by default the default")
    parser.add_argument("--threads", type=int, help="of pynn; by default those it chooses")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.threads:
        pynn.set_num_threads(arguments.threads)
    print(f"fit, at most {arguments.epochs} epochs, ms")
    print(
        f"{'':26} {'':8} {'pynn':>9} {'scikit-learn':>13} {'ratio':>6} {'over MLP.fit':>11} "
        f"{'over C++':>11}"
    )
    for name in data_sets():
        for dtype in ("float64", "float32"):
            fits(name, dtype, arguments.repeats, arguments.epochs)
    print("\npredict, one row, µs")
    print(f"{'':26} {'':8} {'the net':>9} {'pynn':>9} {'wrapper':>9} {'scikit-learn':>13}")
    for name in data_sets():
        for dtype in ("float64", "float32"):
            one_row(name, dtype, arguments.repeats)


if __name__ == "__main__":
    main()
