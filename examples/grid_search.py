"""A grid search over a pipeline, with scikit-learn's classifier and with pynn's.

Only the import differs; the results are the same::

    python examples/grid_search.py
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pynn.sklearn

GRID = {
    "mlpclassifier__hidden_layer_sizes": [(32,), (64, 32)],
    "mlpclassifier__alpha": [1e-4, 1.0],
}
# Of the best network's coefficients, relative to the largest of each layer.
MAX_DIFFERENCE = 1e-6


def search(classifier: Any, epochs: int) -> tuple[GridSearchCV, float]:
    """Search the grid with one library's classifier.

    Parameters
    ----------
    classifier : type
    epochs : int

    Returns
    -------
    search : GridSearchCV
    seconds : float
    """
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), classifier(max_iter=epochs, random_state=0))
    result = GridSearchCV(pipeline, GRID, cv=3)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs do not converge, and both libraries say so
        result.fit(X, y)
    return result, time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both searches and compare them.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line's.

    Returns
    -------
    int
        The exit status: 1 if the results differ.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    epochs = parser.parse_args(arguments).epochs

    theirs, their_seconds = search(neural_network.MLPClassifier, epochs)
    ours, our_seconds = search(pynn.sklearn.MLPClassifier, epochs)

    print(f"{'hidden layers':16} {'alpha':>8} {'scikit-learn':>13} {'pynn':>8}")
    scores = [search.cv_results_["mean_test_score"] for search in (theirs, ours)]
    for parameters, a, b in zip(ours.cv_results_["params"], *scores, strict=True):
        hidden, alpha = (parameters[f"mlpclassifier__{n}"] for n in ("hidden_layer_sizes", "alpha"))
        print(f"{hidden!s:16} {alpha:8g} {a:13.6f} {b:8.6f}")
    best = [search.best_estimator_[-1] for search in (theirs, ours)]
    difference = max(
        float(np.abs(a - b).max() / np.abs(a).max())
        for a, b in zip(best[0].coefs_, best[1].coefs_, strict=True)
    )
    equal = (
        np.array_equal(*scores)
        and ours.best_params_ == theirs.best_params_
        and difference <= MAX_DIFFERENCE
    )
    print(f"results equal: {'yes' if equal else 'no'}")
    print(f"largest relative difference of the best network's coefficients: {difference:.1e}")
    print(f"scikit-learn {their_seconds:.2f} s, pynn {our_seconds:.2f} s")
    print(f"ratio {their_seconds / our_seconds:.1f}")
    if not equal:
        print("the results differ", file=sys.stderr)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
