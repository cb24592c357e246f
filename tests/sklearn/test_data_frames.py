"""Predictions from data frames, and the copies that predictions do not make."""

import copy
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from pairs import fit_both, load

import pynn
from pynn.sklearn import MLPClassifier, MLPRegressor, _predictions
from pynn.sklearn._plain import STEP, is_finite

pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["a", "b", "c", "d"]
X, y = load("iris")
FRAME = pandas.DataFrame(X, columns=NAMES)


@pytest.fixture(scope="module")
def fitted():
    """pynn's classifier and scikit-learn's, on a data frame."""
    return fit_both("Classifier", FRAME, y, max_iter=10)


def two_blocks():
    frame = FRAME[["a", "b"]].copy()
    frame["c"] = np.arange(150)
    frame["d"] = X[:, 3].astype(np.float32)
    return frame


def with_bools():
    frame = FRAME.copy()
    frame["c"] = X[:, 2] > 4
    return frame


# Frames, and whether they are read without scikit-learn's checks.
FRAMES = {
    "the same": (lambda: FRAME, True),
    "a row": (lambda: FRAME.iloc[:1], True),
    "every other row": (lambda: FRAME[::2], True),
    "names made again": (lambda: pandas.DataFrame(X[:5], columns=list("abcd")), True),
    "float32": (lambda: FRAME.astype("float32"), True),
    "integers": (lambda: FRAME.astype("int32"), True),
    "unsigned": (lambda: FRAME.astype("uint8"), True),
    "bool": (lambda: FRAME > 1, True),
    "two blocks": (two_blocks, True),
    "bool beside floats": (with_bools, True),
    "large": (lambda: pandas.DataFrame(np.full((9, 4), 1.5e308), columns=NAMES), True),
    "float16": (lambda: FRAME.astype("float16"), False),
    "objects": (lambda: FRAME.astype(object), False),
    "Float64": (lambda: FRAME.astype("Float64"), False),
    "Int64": (lambda: FRAME.round().astype("Int64"), False),
    "sparse": (lambda: FRAME.astype(pandas.SparseDtype("float64", 0.0)), False),
    "a sparse column": (
        lambda: FRAME.astype({"a": pandas.SparseDtype("float64", 0.0)}),
        False,
    ),
    "text": (lambda: FRAME.assign(a="x"), False),
    "NaN": (lambda: FRAME.where(FRAME > 1), False),
    "infinite": (lambda: FRAME.replace(1.4, np.inf), False),
    "no rows": (lambda: FRAME[:0], False),
    "other order": (lambda: FRAME[["b", "a", "c", "d"]], False),
    "a column less": (lambda: FRAME[["a", "b", "c"]], False),
    "a column more": (lambda: FRAME.assign(e=1.0), False),
    "another name": (lambda: FRAME.rename(columns={"a": "z"}), False),
    "numbers as names": (lambda: pandas.DataFrame(X), False),
    "mixed names": (lambda: pandas.DataFrame(X, columns=["a", "b", "c", 3]), False),
    "an array": (lambda: X, False),
    "a list": (X.tolist, False),
}


def outcome(predict, samples):
    """The result or the exception, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = predict(samples)
        except (ValueError, TypeError) as error:
            result = (type(error), str(error).replace("MLP", ""))
    return result, [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize("case", FRAMES)
def test_checks_are_scikit_learns(case, fitted, monkeypatch):
    make, quick = FRAMES[case]
    samples = make()
    ours, theirs = fitted
    result, messages = outcome(ours.predict_proba, samples)
    expected, expected_messages = outcome(theirs.predict_proba, samples)
    if case == "large":  # scikit-learn's product overflows
        expected = np.eye(3)[result.argmax(axis=1)]
        expected_messages = []
    assert messages == expected_messages
    if isinstance(expected, tuple) and "can't multiply sequence" in expected[1]:
        assert case == "text"  # scikit-learn 1.5 does not look, and its product fails
        assert result[0] is TypeError
        assert "text in row 0, column 0" in result[1]
    elif isinstance(expected, tuple):
        assert result == expected
    else:
        assert result.dtype == expected.dtype
        rtol = 1e-9 if expected.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(result, expected, rtol=rtol, atol=1e-12)

    checked = []
    validate = _predictions.validate_data
    monkeypatch.setattr(
        _predictions, "validate_data", lambda *a, **k: (checked.append(1), validate(*a, **k))[1]
    )
    for method in (ours.predict, ours.predict_proba, ours.transform):
        checked.clear()
        outcome(method, samples)
        assert bool(checked) != quick


def test_frames_of_another_estimator_and_changed_names(fitted):
    ours = copy.deepcopy(fitted[0])
    expected = ours.predict(FRAME)
    np.testing.assert_array_equal(ours.predict(FRAME), expected)
    ours.feature_names_in_ = np.array(["w", "x", "y", "z"], dtype=object)
    with pytest.raises(ValueError, match="feature names should match"):
        ours.predict(FRAME)
    renamed = FRAME.set_axis(["w", "x", "y", "z"], axis=1)
    np.testing.assert_array_equal(ours.predict(renamed), expected)
    ours.fit(FRAME, y)
    with pytest.raises(ValueError, match="feature names should match"):
        ours.predict(renamed)
    ours.fit(X, y)
    with pytest.warns(UserWarning, match="X has feature names, but MLPClassifier was fitted"):
        ours.predict(FRAME)


def test_predictions_leave_nothing_in_a_pickle(fitted):
    ours = fitted[0]
    ours.predict(FRAME)
    assert b"FrameReader" not in pickle.dumps(ours)


LAYOUTS = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "other columns": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "other rows": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: x[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 64), (100, 64), (5 * STEP // 64, 64), (3, 2 * STEP + 1)])
def test_is_finite(shape, layout):
    samples = LAYOUTS[layout](np.full(shape, np.finfo(np.float64).max))
    with np.errstate(all="raise"):
        assert is_finite(samples)
        for bad in (np.nan, np.inf, -np.inf):
            for place in ((0, 0), (-1, -1), (shape[0] // 2, 7)):
                samples[place] = bad
                assert not is_finite(samples)
                samples[place] = 1.0


# ---------------------------------------------------------- nothing is copied


def wide(**settings):
    """A classifier with 2.7 MB of parameters, fitted on a data frame."""
    samples = pandas.DataFrame(X[:30])
    samples.columns = NAMES
    settings = {"hidden_layer_sizes": (500, 500), "max_iter": 1, "random_state": 0, **settings}
    return MLPClassifier(**settings).fit(samples, np.arange(30) % 3)


def replaced(estimator):
    estimator.coefs_[1] = estimator.coefs_[1] * 1.0
    return estimator


def all_replaced(estimator):
    estimator.coefs_ = [c.copy() for c in estimator.coefs_]
    estimator.intercepts_ = [b.copy() for b in estimator.intercepts_]
    return estimator


ESTIMATORS = {
    "fitted": lambda e: e,
    "pickled": lambda e: pickle.loads(pickle.dumps(e)),
    "deepcopy": copy.deepcopy,
    "set_params": lambda e: e.set_params(alpha=1.0, solver="sgd"),
    "activation": lambda e: e.set_params(activation="tanh"),
    "replaced": replaced,
    "all replaced": all_replaced,
    "replaced and pickled": lambda e: pickle.loads(pickle.dumps(replaced(e))),
}
METHODS = {
    "predict": lambda e, s: e.predict(s),
    "predict_proba": lambda e, s: e.predict_proba(s),
    "predict_log_proba": lambda e, s: e.predict_log_proba(s),
    "score": lambda e, s: e.score(s, [0]),
    "transform": lambda e, s: e.transform(s),
    "first layer": lambda e, s: e.transform(s, 0),
}


@pytest.mark.parametrize("given", ["frame", "array", "integers"])
@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_predictions_copy_no_parameters(kind, given):
    estimator = ESTIMATORS[kind](wide())
    samples = {"frame": FRAME[:1], "array": X[:1], "integers": FRAME[:1].astype(int)}[given]
    for method in METHODS.values():
        method(estimator, samples)  # (imports, caches)
        tracemalloc.start()
        method(estimator, samples)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 300_000  # of 2.0 MB of the largest layer


def test_scoring_in_a_fit_copies_no_parameters(monkeypatch):
    made = []
    original = pynn.MLP.__init__
    monkeypatch.setattr(
        pynn.MLP, "__init__", lambda self, *a, **k: (made.append(1), original(self, *a, **k))[1]
    )
    estimator = wide(max_iter=4, early_stopping=True, scoring="accuracy")
    assert len(estimator.validation_scores_) == 4
    assert len(made) == 1


# ------------------------------------------ outputs of arrays that were replaced


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("output", ["softmax", "logistic", "labels", "identity", "exp"])
@pytest.mark.parametrize("activation", ["relu", "logistic", ["gelu", "softplus"]])
def test_replaced_arrays_give_the_bits_of_the_fits(activation, output, dtype):
    samples = X.astype(dtype)
    targets = {
        "softmax": y,
        "logistic": y == 1,
        "labels": np.eye(3, dtype=int)[y],
        "identity": X[:, :2],
        "exp": X[:, :2],
    }[output]
    settings = {"loss": "poisson"} if output == "exp" else {}
    kind = MLPRegressor if output in ("identity", "exp") else MLPClassifier
    estimator = kind(
        hidden_layer_sizes=(9, 7), activation=activation, max_iter=3, random_state=0, **settings
    ).fit(samples, targets)
    name = "predict" if kind is MLPRegressor else "predict_proba"
    expected = getattr(estimator, name)(samples)
    layers = [estimator.transform(samples, i) for i in (0, -1)]
    all_replaced(estimator)
    for given in (samples, np.asfortranarray(samples), samples.astype(np.float64)):
        result = getattr(estimator, name)(given)
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == given.dtype
        for i, layer in zip((0, -1), layers, strict=True):
            np.testing.assert_array_equal(estimator.transform(given, i), layer)
    sparse = pytest.importorskip("scipy.sparse")
    np.testing.assert_array_equal(getattr(estimator, name)(sparse.csr_matrix(samples)), expected)


def test_replaced_arrays_of_other_types():
    estimator = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(X, y)
    coefs = [np.arange(12).reshape(4, 3), np.asfortranarray(np.ones((3, 1), np.float32))]
    intercepts = [np.array([1, 2, 3], ">i4"), [0.5]]
    estimator.coefs_, estimator.intercepts_ = coefs, intercepts
    expected = np.maximum(X @ coefs[0] + intercepts[0], 0) @ coefs[1] + intercepts[1]
    np.testing.assert_allclose(estimator.predict(X), expected[:, 0], rtol=1e-12)
    coefs[0][:] *= 2
    expected = np.maximum(X @ coefs[0] + intercepts[0], 0) @ coefs[1] + intercepts[1]
    np.testing.assert_allclose(estimator.predict(X), expected[:, 0], rtol=1e-12)


REPLACED = {
    "inputs": ("coefs_", 0, np.ones((3, 3)), r"coefs_\[0\] has shape \(3, 3\), expected \(4, un"),
    "layer": ("coefs_", 1, np.ones((2, 1)), r"coefs_\[1\] has shape \(2, 1\), expected \(3, unit"),
    "axes": ("coefs_", 1, np.ones(3), r"coefs_\[1\] has shape \(3,\), expected \(3, units\)"),
    "bias": ("intercepts_", 0, np.ones(2), r"intercepts_\[0\] has shape \(2,\), expected \(3,\)"),
}


@pytest.mark.parametrize("case", REPLACED)
def test_replaced_arrays_that_do_not_fit(case):
    name, index, array, message = REPLACED[case]
    estimator = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(X, y)
    getattr(estimator, name)[index] = array
    with pytest.raises(ValueError, match=message):
        estimator.predict(X)


def test_errors_of_replaced_arrays():
    estimator = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(X, y)
    estimator.intercepts_ = estimator.intercepts_[:1]
    with pytest.raises(ValueError, match="coefs_ has 2 arrays, but intercepts_ has 1"):
        estimator.predict(X)
    estimator = all_replaced(
        MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(X, y)
    )
    with pytest.raises(ValueError, match="layer must be an integer from -1 to 0, got 1"):
        estimator.transform(X, 1)
    estimator = all_replaced(
        MLPRegressor(hidden_layer_sizes=(), max_iter=1, random_state=0).fit(X, y)
    )
    with pytest.raises(ValueError, match="no hidden layer"):
        estimator.transform(X)
