"""The results of `predict`, `predict_proba` and `score`, also with NaN."""

import copy
import io
import pickle

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, make_samples

import pynn

X, _ = make_samples("mse", 30, 4, 1)
VALUES = X[:, 0] - X[:, 1] ** 2
COLUMN = VALUES[:, None]
LABELS = (VALUES > 0).astype(int)


def make(loss="mse", outputs=1, **options):
    return pynn.MLP([4, 5, outputs], loss=loss, **{"seed": 0, "dtype": "float64", **options})


def saved(net):
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    return pynn.load(file)


COPIES = {
    "itself": lambda net: net,
    "saved": saved,
    "pickled": lambda net: pickle.loads(pickle.dumps(net)),
    "copied": copy.copy,
    "deeply copied": copy.deepcopy,
}


def fit(net, y):
    net.fit(X, y, epochs=1)


def batch(net, y):
    net.train_on_batch(X, y)


def iterator(net, y):
    net.fit((X[i : i + 10], y[i : i + 10]) for i in range(0, 30, 10))


def many(net, y):
    pynn.fit_many([net], X, y, epochs=1)


def stopped(net, y):
    """A fit that an exception ends has been one."""

    def fails(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=3, callbacks=fails)


WAYS = {"fit": fit, "train_on_batch": batch, "iterator": iterator, "fit_many": many,
        "a stopped fit": stopped}  # fmt: skip


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", ["mse", "poisson", "huber", pynn.Pinball(0.9)], ids=str)
def test_a_regression_follows_the_last_fitted_y(loss, way, copied):
    net, offset = make(loss), 10.0  # (counts are not negative)
    for y, shape in ((VALUES, (30,)), (COLUMN, (30, 1)), (VALUES.tolist(), (30,))):
        WAYS[way](net, np.add(y, offset))
        other = COPIES[copied](net)
        assert other.predict(X).shape == shape
        assert other(X).shape == (30, 1)
        np.testing.assert_array_equal(other.predict(X).reshape(30, 1), other(X))
        assert other.predict(X[0]).shape == shape[1:]
        assert other.predict(X[:0]).shape == (0, *shape[1:])
        net = other


def test_a_network_that_has_not_been_fitted():
    assert make().predict(X).shape == (30, 1)


def test_what_does_not_train_changes_no_shape():
    net = make()
    net.fit(X, VALUES, epochs=1)
    net.evaluate(X, COLUMN), net.gradients(X, COLUMN), net.score(X, COLUMN)
    net.fit(X, VALUES, epochs=1, validation_data=(X, COLUMN))
    with pytest.raises(ValueError, match="epochs"):
        net.fit(X, COLUMN, epochs=0)
    with pytest.raises(ValueError, match="sample_weight"):
        net.train_on_batch(X, COLUMN, sample_weight=np.ones(3))
    assert net.predict(X).shape == (30,)


def test_the_error_of_a_regression_is_the_one_that_evaluate_gives():
    """As users write it: (n,) against (n, 1) would broadcast to (n, n)."""
    net = make()
    net.fit(X, VALUES, epochs=30)
    assert np.mean((net.predict(X) - VALUES) ** 2) == pytest.approx(
        net.evaluate(X, VALUES)["loss"], rel=1e-12
    )


def test_fit_many_of_folds_and_grids():
    result = pynn.fit_many({"hidden": [3, 5], "loss": ["mse"]}, X, VALUES, epochs=1)
    assert [net.predict(X).shape for net in result] == [(30,)] * 2
    result = pynn.fit_many({"hidden": [3], "loss": ["mse"]}, X, COLUMN, epochs=1, cv=2)
    assert [net.predict(X).shape for net in result[0]] == [(30, 1)] * 2


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize(
    ("loss", "outputs", "y", "shape"),
    [
        ("softmax_cross_entropy", 2, LABELS, (30,)),
        ("softmax_cross_entropy", 2, np.eye(2)[LABELS], (30,)),
        ("sigmoid_cross_entropy", 1, LABELS, (30,)),
        ("sigmoid_cross_entropy", 1, LABELS[:, None], (30,)),
        ("sigmoid_cross_entropy", 3, np.stack([LABELS] * 3, axis=1), (30, 3)),
        ("mse", 2, np.stack([VALUES] * 2, axis=1), (30, 2)),
    ],
)
def test_others_have_one_shape(loss, outputs, y, shape, copied):
    net = make(loss, outputs)
    net.fit(X, y, epochs=2)
    net = COPIES[copied](net)
    assert net.predict(X).shape == shape
    assert net.predict(X[3]).shape == shape[1:]
    np.testing.assert_array_equal(net.predict(X[3]), net.predict(X)[3])


# --------------------------------------------------------------- predict_proba


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "outputs", "columns"),
    [
        ("softmax_cross_entropy", 3, 3),
        ("sigmoid_cross_entropy", 1, 2),
        ("sigmoid_cross_entropy", 3, 3),
    ],
)
def test_predict_proba(loss, outputs, columns, dtype):
    net = make(loss, outputs, dtype=dtype)
    expected = NumpyMLP(net)(X)
    if outputs == 1:
        expected = np.concatenate([1 - expected, expected], axis=1)
    proba = net.predict_proba(X)
    assert proba.shape == (30, columns)
    assert proba.dtype == net.dtype
    np.testing.assert_allclose(proba, expected, atol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(net.predict_proba(X[7]), proba[7])
    assert net.predict_proba(X[:0]).shape == (0, columns)
    if loss == "softmax_cross_entropy" or outputs == 1:
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(net.predict(X), proba.argmax(axis=1))
    else:
        np.testing.assert_array_equal(net.predict(X), proba > 0.5)


@pytest.mark.parametrize("loss", ["mse", "poisson", pynn.Huber(0.5)], ids=str)
def test_values_have_no_probabilities(loss):
    with pytest.raises(ValueError, match="predict_proba needs a cross-entropy, but the loss is"):
        make(loss).predict_proba(X)


# ----------------------------------------------------------------------- score

WEIGHTS = [None, np.linspace(0, 2, 30)]


@pytest.mark.parametrize("weights", WEIGHTS, ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("loss", "outputs"),
    [("softmax_cross_entropy", 3), ("sigmoid_cross_entropy", 1), ("sigmoid_cross_entropy", 3),
     ("mse", 1), ("mse", 3), ("poisson", 2)],
)  # fmt: skip
def test_the_score_is_scikit_learns(loss, outputs, weights):
    metrics = pytest.importorskip("sklearn.metrics")
    net, rng = make(loss, outputs), np.random.default_rng(1)
    if loss == "softmax_cross_entropy":
        y = rng.integers(3, size=30)
    elif loss == "sigmoid_cross_entropy":
        y = rng.integers(2, size=30 if outputs == 1 else (30, outputs))
    else:
        y = 1.0 + rng.random((30, outputs) if outputs > 1 else 30)
    net.fit(X, y, epochs=3)
    measure = metrics.r2_score if loss in ("mse", "poisson") else metrics.accuracy_score
    expected = measure(y, net.predict(X), sample_weight=weights)
    assert net.score(X, y, weights) == pytest.approx(expected, rel=1e-10)
    assert net.score(X, y, sample_weight=weights) == pytest.approx(expected, rel=1e-10)


# ------------------------------------------------------------------------- NaN

CLASSIFIERS = [
    ("softmax_cross_entropy", 3),
    ("sigmoid_cross_entropy", 1),
    ("sigmoid_cross_entropy", 3),
]


def targets(loss, outputs, rows):
    rng = np.random.default_rng(2)
    if loss == "softmax_cross_entropy":
        return rng.integers(outputs, size=rows)
    return rng.integers(2, size=(rows, outputs)).astype(float)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("loss", "outputs"), CLASSIFIERS)
def test_nan_belongs_to_no_class(loss, outputs, bad):
    """In the second block of rows that evaluate() takes, too."""
    net, rows = make(loss, outputs), 5000
    x = np.random.default_rng(0).normal(size=(rows, 4))
    y = targets(loss, outputs, rows)
    if np.isinf(bad):
        net.weights[0][2] = [1.0, -1.0, 1.0, 1.0, 1.0]
        net.weights[1][...] = [[1.0], [-1.0], [-1.0], [1.0], [1.0]]  # inf - inf
        net.biases[0][...] = 0.0
    x[4711, 2] = bad
    for call in (net.predict, net.predict_proba):
        with pytest.raises(
            FloatingPointError, match=r"^the output is nan; X .* in row 4711, column 2$"
        ):
            call(x)
        with pytest.raises(FloatingPointError, match="in row 0"):
            call(x[4711])
    for call in (net.evaluate, net.score):
        with pytest.raises(FloatingPointError, match=r"the output is nan; X .* in row 4711"):
            call(x, y)
    assert np.isnan(net(x)[4711]).any()


def test_a_regression_predicts_nan_as_numpy_does():
    net, x = make(), X.copy()
    x[3, 1] = np.nan
    assert np.isnan(net.predict(x)[3]).all()
    for call in (net.evaluate, net.score):
        with pytest.raises(FloatingPointError, match=r"X has a value .* in row 3"):
            call(x, COLUMN)


def test_nan_in_the_weights_is_said():
    net = make("softmax_cross_entropy", 3)
    net.weights[0][0, 0] = np.nan
    net.biases[0][...] = 5.0
    with pytest.raises(FloatingPointError, match="the weights have values that are not finite"):
        net.predict(X)


def test_nan_in_the_targets():
    net, y = make(), COLUMN.copy()
    y[5] = np.nan
    for call in (net.evaluate, net.score):
        with pytest.raises(FloatingPointError, match="y has a value that is not finite in row 5"):
            call(X, y)


@pytest.mark.parametrize("where", ["validation_data", "validation_split"])
@pytest.mark.parametrize("part", [0, 1])
def test_nan_in_validation_data_ends_the_fit_with_its_row(where, part):
    net, data = make(), [X.copy(), COLUMN.copy()]
    data[part][28] = np.nan
    if where == "validation_data":
        call = {"X": X, "y": COLUMN, "validation_data": tuple(data)}
        name = f"validation_data[{part}]"
    else:
        call = {"X": data[0], "y": data[1], "validation_split": 0.2, "shuffle": False}
        name = "Xy"[part]
    stop = pynn.EarlyStopping("val_loss", patience=2)
    with pytest.raises(FloatingPointError) as caught:
        net.fit(**call, epochs=5, callbacks=stop)
    assert f"{name} has a value that is not finite in row 28" in str(caught.value)
    assert all(np.isfinite(w).all() for w in net.weights)
    assert int(net.optimizer._states[net].steps[0]) == 1  # seen after the first epoch


def test_a_metric_that_is_nan_is_never_an_improvement_and_never_silent():
    net, stop = make(), pynn.EarlyStopping("val_odd", mode="max", patience=3)
    with pytest.warns(RuntimeWarning, match=r"monitor='val_odd' was nan to the end.*no best epoch"):
        history = net.fit(
            X, VALUES, epochs=9, validation_data=(X, VALUES), callbacks=stop,
            metrics={"odd": lambda y, p: np.nan},
        )  # fmt: skip
    assert len(history) == 3
    assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (None, None, 3)


def test_a_metric_that_is_nan_at_first():
    net, stop, values = make(), pynn.EarlyStopping("val_odd", mode="max", patience=3), []

    def odd(y, p):
        values.append(np.nan if len(values) < 4 else float(len(values)))
        return values[-1]

    net.fit(X, VALUES, epochs=4, validation_data=(X, VALUES), callbacks=stop,
            metrics={"odd": odd})  # fmt: skip
    assert stop.best == max(v for v in values if not np.isnan(v))
    assert stop.best_epoch == 4


@pytest.mark.parametrize("state", ["raise", "warn"])
def test_values_near_the_largest_are_silent(state):
    """Sums over all outputs would overflow; the caller's NumPy may be told to raise."""
    net = make(dtype="float32")
    net.set_weights([np.eye(4, 5), np.full((5, 1), 1.0)], [np.zeros(5), np.zeros(1)])
    x = np.full((30, 4), 8e37, np.float32)
    with np.errstate(all=state):
        assert (net.predict(x) == np.float32(8e37) * 4).all()
        assert net.predict(x).dtype == np.float32
