"""Fits of pynn's and scikit-learn's estimators side by side."""

import warnings

import numpy as np
import pytest
from sklearn import datasets, neural_network
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import pynn.sklearn
from pynn.sklearn._compat import VERSION


def _scaled(data):
    X, y = data
    return StandardScaler().fit_transform(X), y


def load(name):
    """X and y of a data set."""
    if name == "iris":
        return datasets.load_iris(return_X_y=True)
    if name == "digits":
        X, y = datasets.load_digits(return_X_y=True)
        return X[:400] / 16, y[:400]
    if name == "circles":
        return datasets.make_circles(noise=0.2, factor=0.5, random_state=1)
    if name == "moons":
        X, y = datasets.make_moons(noise=0.3, random_state=0)
        return MinMaxScaler().fit_transform(X), y
    if name == "breast cancer":
        return _scaled(datasets.load_breast_cancer(return_X_y=True))
    if name == "diabetes":
        X, y = _scaled(datasets.load_diabetes(return_X_y=True))
        return X, y / 100
    if name == "multilabel":
        return datasets.make_multilabel_classification(random_state=0)
    if name == "multioutput":
        X, y = datasets.make_regression(n_targets=3, random_state=0)
        return X, y / 100
    if name == "counts":
        X, y = load("diabetes")
        return X, np.round(3 * y)
    raise ValueError(name)


def fit_both(kind, X, y, sample_weight=None, **parameters):
    """pynn's estimator and scikit-learn's, fitted, and the messages of what each warned of."""
    if sample_weight is not None and VERSION < (1, 7):
        pytest.skip("scikit-learn's networks take sample weights since 1.7")
    if parameters.get("loss") == "poisson" and VERSION < (1, 7):
        pytest.skip("scikit-learn's networks have the poisson loss since 1.7")
    weights = () if sample_weight is None else (sample_weight,)
    fitted, messages = [], []
    for package in (pynn.sklearn, neural_network):
        estimator = getattr(package, f"MLP{kind}")(**{"random_state": 3, **parameters})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(X, y, *weights)
        fitted.append(estimator)
        messages.append(
            [
                (w.category, str(w.message).split("\n")[0])
                for w in caught
                if w.category is not DeprecationWarning
            ]
        )
    assert messages[0] == messages[1]
    return fitted


def difference(ours, theirs):
    """The largest relative difference of coefficients and intercepts, array by array."""
    pairs = zip(
        [*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True
    )
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)


def check(ours, theirs, tolerance):
    """Everything that a fit leaves agrees."""
    assert difference(ours, theirs) < tolerance
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "best_loss_", "loss_curve_"):
        if getattr(theirs, name, None) is not None:
            np.testing.assert_allclose(
                getattr(ours, name), getattr(theirs, name), rtol=tolerance, err_msg=name
            )
        else:
            assert getattr(ours, name, None) is None
    for name in ("validation_scores_", "best_validation_score_"):
        if getattr(theirs, name, None) is not None:
            np.testing.assert_allclose(
                getattr(ours, name), getattr(theirs, name), rtol=tolerance, atol=1e-12
            )
        else:
            assert getattr(ours, name, None) is None
