"""How the coefficients of pynn's and scikit-learn's estimators drift apart by rounding.

Prints the largest difference of the coefficients, relative to the largest of their array, after
some epochs (iterations of lbfgs), and beside it what rounding makes of scikit-learn alone: the
larger of two differences between its coefficients and its own, once with the rows of each
mini-batch in the opposite order, which changes nothing but the order of sums, and once with samples
that are larger by one unit in the last place. In float64. The tables of docs/sklearn.md are from
here::

    python tools/sklearn_rounding.py            # the worst activation of each data set
    python tools/sklearn_rounding.py --each     # each activation
"""

from __future__ import annotations

import argparse
import platform
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import pynn.sklearn

EPOCHS = (1, 10, 100, 400)
ITERATIONS = (10, 20, 40, 50, 60)
Cell = tuple[float, float]

ACTIVATIONS = {
    "sgd": ("tanh", "relu"),
    "adam": ("tanh", "relu"),
    "lbfgs": ("identity", "logistic", "tanh", "relu"),
}
BATCH = 25
SETTINGS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.02},
    "adam": {"solver": "adam", "learning_rate_init": 0.005},
}


def data_sets() -> dict[str, tuple[str, Any, Any]]:
    """The kind of estimator, samples and targets, by name."""
    digits = datasets.load_digits(return_X_y=True)
    moons = datasets.make_moons(noise=0.3, random_state=0)
    cancer = datasets.load_breast_cancer(return_X_y=True)
    diabetes = datasets.load_diabetes(return_X_y=True)
    return {
        "iris": ("Classifier", *datasets.load_iris(return_X_y=True)),
        "digits": ("Classifier", digits[0][:400] / 16, digits[1][:400]),
        "circles": ("Classifier", *datasets.make_circles(noise=0.2, factor=0.5, random_state=1)),
        "moons": ("Classifier", MinMaxScaler().fit_transform(moons[0]), moons[1]),
        "breast cancer": ("Classifier", StandardScaler().fit_transform(cancer[0]), cancer[1]),
        "diabetes": ("Regressor", StandardScaler().fit_transform(diabetes[0]), diabetes[1] / 100),
    }


def difference(a: Any, b: Any) -> float:
    """The largest of two estimators' coefficients and intercepts, relative to their array."""
    pairs = zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True)
    return max(float(np.abs(x - y).max() / np.abs(y).max()) for x, y in pairs)


def moved(X: Any) -> Any:
    """Samples larger by one unit in the last place; zeros stay."""
    return X * (1 + np.finfo(np.float64).eps)


def reversed_batches(order: Any) -> Any:
    """The same mini-batches, each with its rows in the opposite order."""
    return np.concatenate([order[i : i + BATCH][::-1] for i in range(0, len(order), BATCH)])


def four(kind: str, **parameters: Any) -> list[Any]:
    """pynn's estimator, scikit-learn's, and two more of scikit-learn's to compare with."""
    packages = (pynn.sklearn, neural_network, neural_network, neural_network)
    return [getattr(package, f"MLP{kind}")(random_state=3, **parameters) for package in packages]


def differences(estimators: list[Any]) -> Cell:
    """To scikit-learn's: of pynn's, and the larger of reversed rows and moved samples."""
    ours, theirs, *itself = estimators
    return difference(ours, theirs), max(difference(other, theirs) for other in itself)


def by_epoch(name: str, activation: str, solver: str, epochs: tuple[int, ...]) -> Iterator[Cell]:
    """The differences after each of these numbers of epochs."""
    kind, X, y = data_sets()[name]
    estimators = four(
        kind,
        activation=activation,
        hidden_layer_sizes=(20,),
        batch_size=BATCH,
        shuffle=False,
        **SETTINGS[solver],
    )
    X_moved = moved(X)
    classes = {"classes": np.unique(y)} if kind == "Classifier" else {}
    random = np.random.RandomState(0)
    for epoch in range(1, max(epochs) + 1):
        order = random.permutation(len(y))
        backwards = reversed_batches(order)
        seen = ((X, order), (X, order), (X, backwards), (X_moved, order))
        for estimator, (samples, rows) in zip(estimators, seen, strict=True):
            estimator.partial_fit(samples[rows], y[rows], **classes)
        if epoch in epochs:
            yield differences(estimators)


def by_iteration(name: str, activation: str, iterations: tuple[int, ...]) -> Iterator[Cell]:
    """The differences after each of these numbers of iterations of lbfgs."""
    kind, X, y = data_sets()[name]
    seen = ((X, y), (X, y), (X[::-1], y[::-1]), (moved(X), y))
    for count in iterations:
        estimators = four(
            kind,
            solver="lbfgs",
            activation=activation,
            hidden_layer_sizes=(10,),
            max_iter=count,
        )
        for estimator, samples in zip(estimators, seen, strict=True):
            estimator.fit(*samples)
        counts = {estimator.n_iter_ for estimator in estimators[:2]}
        if len(counts) > 1:
            print(f"the numbers of iterations differ: {counts}")
        yield differences(estimators)


def table(
    solver: str,
    title: str,
    columns: tuple[int, ...],
    data: list[str],
    cells: Callable[[str, str], Iterator[Cell]],
    each: bool,
) -> None:
    """Print a table in Markdown: a line for each data set, or each of its activations."""
    print("\n| " + " | ".join([f"{solver}, {title}", *(str(column) for column in columns)]) + " |")
    print("|---" * (1 + len(columns)) + "|", flush=True)
    for name in data:
        worst: Any = np.zeros((len(columns), 2))
        for activation in ACTIVATIONS[solver]:
            values = np.array(list(cells(name, activation)))
            worst = np.maximum(worst, values)
            if each:
                print_line(f"{name}, {activation}", values)
        if not each:
            print_line(name, worst)


def print_line(name: str, values: Any) -> None:
    """One line of a table."""
    texts = [f"{ours:.0e} / {own:.0e}" for ours, own in values]
    print("| " + " | ".join([name, *texts]) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", nargs="+", default=list(data_sets()), choices=data_sets())
    parser.add_argument("--each", action="store_true", help="a line for each activation")
    parser.add_argument("--quick", action="store_true", help="a few epochs: whether it runs")
    arguments = parser.parse_args()
    epochs = EPOCHS[:2] if arguments.quick else EPOCHS
    iterations = ITERATIONS[:2] if arguments.quick else ITERATIONS
    warnings.simplefilter("ignore")
    print(
        f"pynn {pynn.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}, "
        f"{platform.machine()}; in each cell: pynn / scikit-learn itself"
    )
    for solver in SETTINGS:
        cells = partial(by_epoch, solver=solver, epochs=epochs)
        table(solver, "after epoch", epochs, arguments.data, cells, arguments.each)
    cells = partial(by_iteration, iterations=iterations)
    table("lbfgs", "after iteration", iterations, arguments.data, cells, arguments.each)


if __name__ == "__main__":
    main()
