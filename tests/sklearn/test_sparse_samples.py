"""Sparse samples and sparse labels, beside scikit-learn's estimators."""

import sys

import numpy as np
import pytest
from numpy_mlp import run_python
from pairs import check, fit_both
from sanitizers import not_sanitized
from sklearn import neural_network

import pynn.sklearn
from pynn.sklearn import MLPClassifier, MLPRegressor

sparse = pytest.importorskip("scipy.sparse")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = sparse.random(160, 700, 0.03, format="csr", random_state=0)
Y = (X[:, :3].toarray() + RNG.normal(scale=0.1, size=(160, 3)) > 0.05).astype(int)
LABELS = RNG.integers(0, 3, 160)

FITS = {
    "adam": {},
    "sgd": {"solver": "sgd"},
    "plain sgd": {"solver": "sgd", "alpha": 0.0, "momentum": 0.0, "learning_rate_init": 0.1},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
    "one sample at a time": {"batch_size": 1},
}


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
@pytest.mark.parametrize("fit", FITS)
def test_the_coefficients_of_scikit_learn_and_the_bits_of_dense_samples(fit, kind):
    options = {"hidden_layer_sizes": (9,), "max_iter": 3, **FITS[fit]}
    y = LABELS if kind == "Classifier" else LABELS - 0.5
    ours, theirs = fit_both(kind, X, y, **options)
    check(ours, theirs, 1e-6)
    dense = getattr(pynn.sklearn, f"MLP{kind}")(**options, random_state=3).fit(X.toarray(), y)
    for left, right in zip(ours.coefs_ + ours.intercepts_, dense.coefs_ + dense.intercepts_,
                           strict=True):  # fmt: skip
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(ours.predict(X), dense.predict(X.toarray()))
    np.testing.assert_array_equal(ours.transform(X), dense.transform(X.toarray()))


@pytest.mark.parametrize("layout", ["csr_matrix", "csc_matrix", "csr_array", "lil_matrix"])
@pytest.mark.parametrize("samples", [X, X.toarray()], ids=["sparse", "dense"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_labels(solver, samples, layout):
    labels = getattr(sparse, layout)(Y)
    options = {"hidden_layer_sizes": (9,), "max_iter": 20, "random_state": 0, "solver": solver}
    ours = MLPClassifier(**options).fit(samples, labels)
    theirs = neural_network.MLPClassifier(**options).fit(samples, labels)
    predicted, expected = ours.predict(samples), theirs.predict(samples)
    assert type(predicted) is type(expected)
    assert predicted.dtype == expected.dtype
    np.testing.assert_array_equal(predicted.toarray(), expected.toarray())
    assert ours.score(samples, labels) == theirs.score(samples, labels)


def test_sparse_labels_in_every_way_to_fit():
    labels = sparse.csr_matrix(Y)
    options = {"hidden_layer_sizes": (9,), "max_iter": 4, "random_state": 0}
    both = MLPClassifier(**options), MLPClassifier(**options)
    for model, y in zip(both, (labels, Y), strict=True):
        model.partial_fit(X, y, classes=[0, 1, 2])
        model.partial_fit(X, y)
    np.testing.assert_array_equal(both[0].coefs_[0], both[1].coefs_[0])
    assert sparse.issparse(both[0].predict(X))
    assert not sparse.issparse(both[1].predict(X))
    scores = [
        MLPClassifier(**options, early_stopping=True, scoring="f1_macro")
        .fit(X, y, validation_data=(X[:30], y[:30]))
        .validation_scores_
        for y in (labels, Y)
    ]
    assert scores[0] == scores[1]


def test_sparse_numbers_are_refused():
    with pytest.raises(TypeError, match=r"pass y.toarray\(\)"):
        MLPRegressor().fit(X, sparse.csr_matrix(Y))


# The parameters have 42 MB in float32; 1100 rows of X would have 4.6 GB.
WIDE = """
import resource, warnings
import numpy as np
from scipy import sparse
from pynn.sklearn import MLPClassifier

warnings.simplefilter("ignore")
n, columns = 1100, 2**20
rng = np.random.default_rng(0)
starts = np.arange(0, 100 * n + 1, 100)
X = sparse.csr_matrix(
    (np.ones(100 * n, np.float32), rng.integers(0, columns, 100 * n), starts), (n, columns)
)
y = rng.integers(0, 2, n)
model = MLPClassifier((10,), solver="sgd", max_iter=2, early_stopping=True, random_state=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.fit(X, y).predict(X)
model.transform(X), model.score(X, y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@not_sanitized("its shadow memory counts too")
def test_memory_of_a_wide_matrix(tmp_path):
    """Parameters, velocity, the best parameters, and what they are drawn from in float64."""
    assert int(run_python(WIDE, tmp_path, timeout=120)) < 42 * 8
