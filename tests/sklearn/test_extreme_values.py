"""Values near the ends of the float range, and callers that let NumPy raise on every flag."""

import numpy as np
import pytest
from sklearn import neural_network

import pynn.sklearn
from pynn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 6))
y = np.arange(60) % 3
SIGNS = rng.choice([-1.0, 1.0], size=(60, 6))


def extremes(dtype):
    info = np.finfo(dtype)
    return {
        "largest": np.full((60, 6), info.max, dtype),
        "both signs": (SIGNS * info.max).astype(dtype),
        "tiny": (SIGNS * info.tiny).astype(dtype),
        "subnormal": np.full((60, 6), info.smallest_subnormal, dtype),
        "all sizes": np.resize(np.array([info.max, info.tiny, -1, 0], dtype), (60, 6)),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", extremes(np.float64))
@pytest.mark.parametrize("given", ["array", "frame", "sparse", "replaced"])
def test_predictions_are_silent(given, case, dtype):
    samples, fitted = extremes(dtype)[case], X.astype(dtype)
    if given == "frame":
        pandas = pytest.importorskip("pandas")
        samples, fitted = (pandas.DataFrame(s).add_prefix("x") for s in (samples, fitted))
    elif given == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
        samples = sparse.csr_matrix(samples)
    classifier = MLPClassifier(5, max_iter=2, random_state=0).fit(fitted, y)
    regressor = MLPRegressor(hidden_layer_sizes=5, max_iter=2, random_state=0).fit(fitted, y)
    if given == "replaced":
        for estimator in (classifier, regressor):
            estimator.coefs_ = [c.copy() for c in estimator.coefs_]
    for errors in ("warn", "raise"):
        with np.errstate(all=errors):
            for method in (
                classifier.predict,
                classifier.predict_proba,
                classifier.transform,
                regressor.predict,
            ):
                assert len(method(samples)) == 60
            classifier.score(samples, y)


def test_predictions_are_scikit_learns():
    """Where both products stay finite."""
    ours, theirs = (
        package.MLPClassifier(5, max_iter=2, random_state=0).fit(X, y)
        for package in (pynn.sklearn, neural_network)
    )
    samples = np.full((3, 6), 1e307)
    expected = theirs.predict(samples)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(ours.predict(samples), expected)
        for bad in (np.nan, np.inf):
            samples[1, 2] = bad
            with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
                ours.predict(samples)


WEIGHTS = {
    "large": np.full(60, 1e308),
    "small": np.full(60, 1e-308),
    "mixed": np.where(y == 1, 1e308, 1e-308),
    "one": np.eye(60)[0],
}


def fit(estimator, *args, **kwargs):
    """Fit; whether the parameters are still finite is another matter."""
    for errors in ("warn", "raise"):
        with np.errstate(all=errors):
            try:
                estimator.fit(*args, **kwargs)
            except ValueError as error:
                assert "non-finite parameter" in str(error)  # noqa: PT017


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("case", extremes(np.float64))
def test_fits_are_silent(case, early_stopping, solver):
    settings = {"max_iter": 2, "random_state": 0, "solver": solver}
    settings["early_stopping"] = early_stopping
    samples = extremes(np.float64)[case]
    fit(MLPClassifier(5, **settings), samples, y)
    fit(MLPRegressor(hidden_layer_sizes=5, **settings), X, samples[:, 0])
    fit(MLPRegressor(hidden_layer_sizes=5, **settings), samples, X)
    fit(MLPRegressor(hidden_layer_sizes=5, loss="poisson", **settings), X, abs(samples))


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_are_silent(case, solver):
    settings = {"max_iter": 2, "random_state": 0, "solver": solver}
    weights = WEIGHTS[case]
    fit(MLPClassifier(5, **settings), X, y, weights)
    fit(MLPClassifier(5, class_weight={0: 1e308, 1: 1e-308}, **settings), X, y, weights)
    fit(MLPRegressor(hidden_layer_sizes=5, **settings), X, y, weights)
    if solver != "lbfgs":
        fit(MLPClassifier(5, **settings), X, y, validation_data=(X, y, weights))
        large = np.full(60, 1e308)
        fit(
            MLPRegressor(hidden_layer_sizes=5, **settings),
            X,
            y,
            validation_data=(X, large, weights),
        )
