"""The table of scikit-learn's example "Compare Stochastic learning strategies"."""

import warnings

import pytest
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import MinMaxScaler

from pynn import sklearn as pynn_sklearn

SGD = {"solver": "sgd", "learning_rate_init": 0.2}
NESTEROV = {"momentum": 0.9, "nesterovs_momentum": True}
CLASSICAL = {"momentum": 0.9, "nesterovs_momentum": False}
STRATEGIES = {
    "constant": {**SGD, "learning_rate": "constant", "momentum": 0},
    "constant, momentum": {**SGD, "learning_rate": "constant", **CLASSICAL},
    "constant, Nesterov": {**SGD, "learning_rate": "constant", **NESTEROV},
    "invscaling": {**SGD, "learning_rate": "invscaling", "momentum": 0},
    "invscaling, momentum": {**SGD, "learning_rate": "invscaling", **CLASSICAL},
    "invscaling, Nesterov": {**SGD, "learning_rate": "invscaling", **NESTEROV},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}
DATA = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "circles": lambda: datasets.make_circles(noise=0.2, factor=0.5, random_state=1),
    "moons": lambda: datasets.make_moons(noise=0.3, random_state=0),
}


def lines(package, X, y, strategy, max_iter):
    """What the example prints of one fit, and the number of its epochs."""
    model = package.MLPClassifier(random_state=0, max_iter=max_iter, **strategy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    return (
        f"Training set score: {model.score(X, y):f}",
        f"Training set loss: {model.loss_:f}",
        f"{len(model.loss_curve_)} epochs",
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("data", DATA)
def test_the_lines_are_scikit_learns(data, strategy):
    """Digit for digit, on the example's data as it makes and scales them."""
    X, y = DATA[data]()
    X = MinMaxScaler().fit_transform(X)
    arguments = (X, y, STRATEGIES[strategy], 15 if data == "digits" else 400)
    assert lines(pynn_sklearn, *arguments) == lines(neural_network, *arguments)
