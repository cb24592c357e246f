"""For the same random_state the coefficients are scikit-learn's."""

import warnings

import numpy as np
import pytest
from pairs import check, difference, fit_both, load
from sklearn import neural_network
from sklearn.base import clone

from pynn.sklearn import MLPClassifier
from pynn.sklearn._compat import VERSION

CLASSES = ["iris", "digits", "circles", "moons", "breast cancer", "multilabel"]
NUMBERS = ["diabetes", "multioutput"]
ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
# L-BFGS magnifies rounding: after 60 iterations scikit-learn itself differs by more than 1e-4 here
# when it is given the same samples in the opposite order.
SENSITIVE = [("iris", "logistic"), ("circles", "logistic")]
KIND = dict.fromkeys(CLASSES, "Classifier") | dict.fromkeys(NUMBERS, "Regressor")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("data", KIND)
def test_one_epoch(data, solver, activation):
    X, y = load(data)
    both = fit_both(KIND[data], X, y, solver=solver, activation=activation, max_iter=1)
    check(*both, 1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("data", KIND)
def test_adam(data, activation):
    X, y = load(data)
    check(
        *fit_both(
            KIND[data], X, y, activation=activation, max_iter=40, hidden_layer_sizes=(20, 10)
        ),
        1e-6,
    )


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("data", ["iris", "moons", "breast cancer", "diabetes"])
def test_whole_fits_of_sgd(data, learning_rate, early_stopping):
    """They end by themselves, most of them, at the same epoch."""
    X, y = load(data)
    both = fit_both(
        KIND[data],
        X,
        y,
        solver="sgd",
        learning_rate=learning_rate,
        early_stopping=early_stopping,
        learning_rate_init=0.02,
        hidden_layer_sizes=(16,),
        max_iter=250,
        tol=1e-3,
    )
    check(*both, 1e-6)


@pytest.mark.parametrize("data", ["iris", "circles", "diabetes"])
def test_whole_fits_of_adam_with_early_stopping(data):
    X, y = load(data)
    check(*fit_both(KIND[data], X, y, early_stopping=True, learning_rate_init=0.01), 1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.0},
        {"momentum": 0.5, "nesterovs_momentum": False},
        {"momentum": 1.0, "learning_rate_init": 1e-4},
        {"batch_size": 7},
        {"batch_size": 10**6},
        {"shuffle": False},
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 5},
        {"tol": 0.1, "n_iter_no_change": 2},
    ],
    ids=str,
)
def test_settings_of_sgd(settings):
    X, y = load("iris")
    check(*fit_both("Classifier", X, y, solver="sgd", **{"max_iter": 20, **settings}), 1e-6)


@pytest.mark.parametrize(
    "settings", [{"beta_1": 0.0}, {"beta_2": 0.5}, {"epsilon": 0.1}, {"learning_rate_init": 0.05}]
)
def test_settings_of_adam(settings):
    X, y = load("iris")
    check(*fit_both("Classifier", X, y, max_iter=20, **settings), 1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("data", [*KIND, "counts"])
def test_lbfgs(data, activation):
    X, y = load(data)
    loss = {"loss": "poisson"} if data == "counts" else {}
    both = fit_both(
        KIND.get(data, "Regressor"),
        X,
        y,
        solver="lbfgs",
        activation=activation,
        hidden_layer_sizes=(10,),
        max_iter=60,
        **loss,
    )
    assert both[0].n_iter_ == both[1].n_iter_
    tolerance = 1e-4
    if (data, activation) in SENSITIVE:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reversed_rows = clone(both[1]).fit(X[::-1], y[::-1])
        tolerance = max(tolerance, 10 * difference(reversed_rows, both[1]))
    check(*both, tolerance)


def test_lbfgs_where_probabilities_are_clipped():
    """The first step along the gradient leaves true classes with probabilities of 1e-30."""
    X, y = load("digits")
    check(*fit_both("Classifier", 16 * X, y, solver="lbfgs", max_iter=10), 1e-8)


@pytest.mark.parametrize("max_fun", [1, 10])
def test_lbfgs_ends_by_max_fun(max_fun):
    X, y = load("iris")
    check(*fit_both("Classifier", X, y, solver="lbfgs", max_fun=max_fun), 1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_poisson(solver, outputs):
    X, y = load("multioutput")
    counts = np.abs(np.round(3 * y[:, :outputs]))
    check(
        *fit_both("Regressor", X, counts, solver=solver, loss="poisson", max_iter=30),
        1e-6,
    )


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("data", ["iris", "multilabel", "diabetes", "multioutput"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sample_weights(data, solver, early_stopping):
    """The penalty is divided by the sum of a mini-batch's weights."""
    X, y = load(data)
    weights = np.random.RandomState(0).rand(len(y)) * 3
    both = fit_both(
        KIND[data],
        X,
        y,
        weights,
        solver=solver,
        alpha=0.1,
        max_iter=20,
        batch_size=32,
        early_stopping=early_stopping,
    )
    check(*both, 1e-6)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("layout", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
def test_sparse(layout, solver):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = load("digits")
    ours, theirs = fit_both("Classifier", getattr(sparse, layout)(X), y, solver=solver, max_iter=10)
    check(ours, theirs, 1e-6)
    Z = getattr(sparse, layout)(X)
    np.testing.assert_allclose(ours.predict_proba(Z), theirs.predict_proba(Z), rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(Z), ours.predict_proba(X), rtol=1e-9)


def test_lbfgs_of_a_sparse_matrix_with_weights():
    from scipy.sparse import csr_matrix

    X, y = load("digits")
    weights = np.random.RandomState(0).rand(len(y))
    for kind, target in (("Classifier", y), ("Regressor", y / 10)):
        both = fit_both(kind, csr_matrix(X), target, weights, solver="lbfgs", max_iter=10, alpha=1)
        check(*both, 1e-6)


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_partial_fit(kind):
    X, y = load("iris")
    first = {"classes": [0, 1, 2]} if kind == "Classifier" else {}
    ours, theirs = fit_both(kind, X, y, solver="sgd", learning_rate="invscaling", max_iter=2)
    for step in range(6):
        rows = slice(20 * step, 20 * step + 40)
        ours.partial_fit(X[rows], y[rows], **first)
        theirs.partial_fit(X[rows], y[rows], **first)
    check(ours, theirs, 1e-9)
    assert ours._optimizer.learning_rate == theirs._optimizer.learning_rate


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_warm_start(solver, early_stopping):
    X, y = load("iris")
    ours, theirs = fit_both(
        "Classifier",
        X,
        y,
        solver=solver,
        early_stopping=early_stopping,
        warm_start=True,
        max_iter=7,
    )
    for estimator in (ours, theirs):
        estimator.set_params(max_iter=5, alpha=0.01).fit(X, y)
        estimator.fit(X[::2], y[::2])
    check(ours, theirs, 1e-6)


def test_a_random_state_goes_on():
    """A RandomState is drawn from as scikit-learn draws."""
    X, y = load("iris")
    first, second = np.random.RandomState(5), np.random.RandomState(5)
    parameters = {"early_stopping": True, "tol": 1.0, "n_iter_no_change": 2}
    for _ in range(2):
        ours = MLPClassifier(random_state=first, **parameters).fit(X, y)
        theirs = neural_network.MLPClassifier(random_state=second, **parameters).fit(X, y)
    assert difference(ours, theirs) < 1e-10
    assert first.randint(10**6) == second.randint(10**6)


@pytest.mark.parametrize("labels", [["a", "b", "c"], [7, -3, 2], [0.5, 1.5, 2.5]])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels(labels, early_stopping):
    X, y = load("iris")
    for chosen in (slice(None), y < 2, y < 1):
        target = np.array(labels)[y][chosen]
        if labels[0] == 0.5:
            target = target.astype(object).astype(str)
        if early_stopping and len(set(target)) == 1:
            continue
        if early_stopping and target.dtype.kind not in "biuf" and VERSION < (1, 9):
            pytest.skip("scikit-learn's early stopping takes labels that are strings since 1.9")
        ours, theirs = fit_both(
            "Classifier", X[chosen], target, max_iter=10, early_stopping=early_stopping
        )
        check(ours, theirs, 1e-8)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        assert ours.predict(X).dtype == theirs.predict(X).dtype
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8)
        np.testing.assert_allclose(
            ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-8, atol=1e-12
        )


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_verbose(kind, capsys):
    X, y = load("iris")
    printed = []
    ours, theirs = (
        estimator.set_params(verbose=True, early_stopping=early)
        for early in (True,)
        for estimator in fit_both(kind, X, y, solver="sgd", learning_rate="adaptive", max_iter=2)
    )
    for estimator in (ours, theirs):
        estimator.set_params(max_iter=200, tol=0.01, n_iter_no_change=2, learning_rate_init=1e-5)
        estimator.fit(X, y)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Setting learning rate to" in printed[0]
