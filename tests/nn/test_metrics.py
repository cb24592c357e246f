"""Metrics have scikit-learn's values, whatever the blocks in which the rows come."""

import numpy as np
import pytest

from pynn.metrics import resolve

sklearn_metrics = pytest.importorskip("sklearn.metrics")

ROWS = 500
RNG = np.random.default_rng(0)
WEIGHT = RNG.exponential(size=ROWS) * (RNG.random(ROWS) > 0.2)
SOFTMAX, SIGMOID = "softmax_cross_entropy", "sigmoid_cross_entropy"


def measure(metric, outputs, target, *, labels=False, weight=None, piece=ROWS):
    metric.start()
    for i in range(0, len(outputs), piece):
        rows = slice(i, i + piece)
        w = None if weight is None else weight[rows]
        assert metric.update(outputs[rows], target[rows], labels, w) is None
    result = metric.result()
    assert type(result) is float
    return result


def one(metric, loss, outputs):
    ((name, made),) = resolve(metric, loss, outputs).items()
    assert name == metric
    return made


pieces = pytest.mark.parametrize("piece", [1, 7, 128, ROWS])
weights = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def probabilities(columns, dtype, *, ties):
    p = RNG.dirichlet(np.ones(columns), ROWS)
    if ties:
        p = np.round(p, 1)
    return p.astype(dtype)


@pieces
@weights
@dtypes
@pytest.mark.parametrize("ties", [False, True])
def test_classes(piece, weight, dtype, ties):
    p, y = probabilities(6, dtype, ties=ties), RNG.integers(6, size=ROWS)
    one_hot = np.eye(6)[y]
    expected = sklearn_metrics.accuracy_score(y, p.argmax(1), sample_weight=weight)
    for target, labels in ((y, True), (one_hot, False), (one_hot * 0.8 + 0.02, False)):
        metric = one("accuracy", SOFTMAX, 6)
        value = measure(metric, p, target, labels=labels, weight=weight, piece=piece)
        assert value == pytest.approx(expected, rel=1e-12)
        for k in (1, 2, 3, 5):
            top = one(f"top_{k}", SOFTMAX, 6)
            value = measure(top, p, target, labels=labels, weight=weight, piece=piece)
            wanted = sklearn_metrics.top_k_accuracy_score(
                y, p, k=k, labels=np.arange(6), sample_weight=weight
            )
            assert value == pytest.approx(wanted, rel=1e-12)


def test_a_diverged_network_is_never_among_the_best():
    p = np.full((5, 4), np.nan)
    assert measure(one("top_3", SOFTMAX, 4), p, np.arange(5) % 4, labels=True) == 0
    p[:, 2] = 0.5  # the others, unknown, count as better
    assert measure(one("top_3", SOFTMAX, 4), p, np.full(5, 2), labels=True) == 0


@pieces
@weights
@dtypes
def test_yes_or_no(piece, weight, dtype):
    for columns in (1, 4):
        p = np.round(RNG.random((ROWS, columns)), 1).astype(dtype)  # 0.5 is a no
        y = (RNG.random((ROWS, columns)) > 0.5).astype(float)
        expected = sklearn_metrics.accuracy_score(y, p > 0.5, sample_weight=weight)
        metric = one("accuracy", SIGMOID, columns)
        assert measure(metric, p, y, weight=weight, piece=piece) == pytest.approx(expected)
    labels = RNG.integers(4, size=ROWS)
    expected = sklearn_metrics.accuracy_score(labels, p.argmax(1), sample_weight=weight)
    value = measure(metric, p, labels, labels=True, weight=weight, piece=piece)
    assert value == pytest.approx(expected)


@pieces
@weights
@pytest.mark.parametrize("loss", [SOFTMAX, SIGMOID])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_two_classes(piece, weight, loss, share):
    y = (RNG.random(ROWS) < share).astype(int)
    p = RNG.random(ROWS) * 0.999
    outputs = np.stack([1 - p, p], axis=1) if loss == SOFTMAX else p[:, None]
    target, labels = (y, True) if loss == SOFTMAX else (y[:, None], False)
    for name in ("precision", "recall", "f1"):
        function = getattr(sklearn_metrics, f"{name}_score")
        expected = function(y, p > 0.5, sample_weight=weight, zero_division=0)
        metric = one(name, loss, outputs.shape[1])
        value = measure(metric, outputs, target, labels=labels, weight=weight, piece=piece)
        assert value == pytest.approx(expected, rel=1e-12)


def test_two_classes_of_which_none_is_predicted():
    y, p = np.array([0, 1, 1]), np.zeros((3, 1))
    for name in ("precision", "recall", "f1"):
        assert measure(one(name, SIGMOID, 1), p, y[:, None]) == 0


VALUES = {
    "mse": sklearn_metrics.mean_squared_error,
    "rmse": getattr(
        sklearn_metrics,
        "root_mean_squared_error",  # scikit-learn 1.4
        lambda y, p, sample_weight: np.mean(
            np.sqrt(np.average((y - p) ** 2, axis=0, weights=sample_weight))
        ),
    ),
    "mae": sklearn_metrics.mean_absolute_error,
    "r2": sklearn_metrics.r2_score,
}


@pieces
@weights
@dtypes
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("shift", [0, 1e4])
@pytest.mark.parametrize("name", VALUES)
def test_values(name, shift, columns, dtype, weight, piece):
    scale = np.array([1, 20, 0.1])[:columns]
    y = (RNG.normal(size=(ROWS, columns)) * scale + shift).astype(dtype)
    p = (y + RNG.normal(size=y.shape) * scale * 0.6).astype(dtype)
    expected = VALUES[name](y.astype(float), p.astype(float), sample_weight=weight)
    value = measure(one(name, "mse", columns), p, y, weight=weight, piece=piece)
    assert value == pytest.approx(expected, rel=1e-9)


@pieces
def test_r2_far_from_0_is_exact(piece):
    """Sums of squares would have lost all digits: 1e9 squared, in float64."""
    y = RNG.normal(size=(ROWS, 1)) + 1e9
    p = y + RNG.normal(size=y.shape) * 0.5
    exact_y, exact_p = (np.longdouble(a) for a in (y, p))
    expected = 1 - ((exact_y - exact_p) ** 2).sum() / ((exact_y - exact_y.mean()) ** 2).sum()
    assert measure(one("r2", "mse", 1), p, y, piece=piece) == pytest.approx(
        float(expected), rel=1e-6
    )


@pieces
@weights
@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_r2_of_constant_targets(value, weight, piece):
    """scikit-learn's convention: 1 if they are met, and else 0; and no nearly constant ones."""
    y = np.full((ROWS, 2), value)
    p = y.copy()
    assert measure(one("r2", "mse", 2), p, y, weight=weight, piece=piece) == 1
    p[:, 1] += RNG.normal(size=ROWS)
    assert measure(one("r2", "mse", 2), p, y, weight=weight, piece=piece) == 0.5


def test_r2_where_only_rows_without_weight_differ():
    y, weight = np.array([[7.0], [0.1], [0.1], [0.1]]), np.array([0, 1.0, 2.0, 3.0])
    for piece in (1, 2, 4):
        assert measure(one("r2", "mse", 1), y + 0.5, y, weight=weight, piece=piece) == 0


def test_integers_as_targets():
    y, p = RNG.integers(200, 256, size=(ROWS, 1)).astype(np.uint8), np.zeros((ROWS, 1), "f4")
    for name, function in VALUES.items():
        expected = function(y.astype(float), p, sample_weight=None)
        assert measure(one(name, "mse", 1), p, y) == pytest.approx(expected)


def test_nothing_to_measure():
    for name, loss, columns in (
        ("accuracy", SOFTMAX, 3), ("top_2", SOFTMAX, 3), ("mse", "mse", 2), ("r2", "mse", 2),
        ("rmse", "mse", 2),
    ):  # fmt: skip
        metric = one(name, loss, columns)
        assert np.isnan(metric.result())  # resolve has started it
        outputs, target = np.ones((3, columns)), np.zeros((3, columns))
        assert np.isnan(measure(metric, outputs, target, weight=np.zeros(3)))
    assert np.isnan(measure(one("r2", "mse", 1), np.ones((1, 1)), np.ones((1, 1))))  # one row


def test_a_diverged_network_does_not_warn():
    y = RNG.normal(size=(6, 2))
    for bad in (np.nan, np.inf, 1e300):
        p = np.full((6, 2), bad)
        for name in VALUES:
            value = measure(one(name, "mse", 2), p, y, piece=4, weight=np.ones(6))
            assert not np.isfinite(value) or abs(value) >= 1e299


def test_metrics_start_again():
    y, p = RNG.normal(size=(2, ROWS, 2))
    for name, metric in resolve([*VALUES], "huber", 2).items():
        first = measure(metric, p, y)
        measure(metric, p * 2, y)
        assert measure(metric, p, y) == first, name


# ------------------------------------------------------------------- callables


@pieces
def test_a_callable_gets_all_rows(piece):
    seen = []

    def bias(y_true, y_pred):
        seen.append((y_true, y_pred))
        return np.float32(np.mean(y_pred - y_true))

    y, p = RNG.normal(size=(2, ROWS, 3))
    metric = resolve([bias], "mse", 3)["bias"]
    value = measure(metric, p, y, weight=WEIGHT, piece=piece)
    assert value == np.float32(np.mean(p - y))
    np.testing.assert_array_equal(seen[0][0], y)
    np.testing.assert_array_equal(seen[0][1], p)
    measure(metric, p[:, :1], y[:, :1], piece=piece)
    np.testing.assert_array_equal(seen[1][0], y[:, 0])
    np.testing.assert_array_equal(seen[1][1], p[:, 0])


@pieces
@weights
def test_functions_of_scikit_learn(piece, weight):
    p, y = probabilities(3, "float64", ties=False), RNG.integers(3, size=ROWS)
    metric = resolve([sklearn_metrics.log_loss], SOFTMAX, 3)["log_loss"]
    value = measure(metric, p, y, labels=True, weight=weight, piece=piece)
    assert value == pytest.approx(sklearn_metrics.log_loss(y, p, sample_weight=weight))
    q, z = RNG.random((ROWS, 1)), RNG.integers(2, size=(ROWS, 1))
    metric = resolve({"auc": sklearn_metrics.roc_auc_score}, SIGMOID, 1)["auc"]
    value = measure(metric, q, z, weight=weight, piece=piece)
    expected = sklearn_metrics.roc_auc_score(z[:, 0], q[:, 0], sample_weight=weight)
    assert value == pytest.approx(expected)


def test_rows_may_come_in_one_buffer():
    metric = resolve({"sum": lambda y, p: p.sum() + y.sum()}, "mse", 2)["sum"]
    buffer = np.empty((2, 2))
    metric.start()
    for value in (1.0, 2.0):
        buffer[...] = value
        metric.update(buffer, buffer, False, None)
    assert metric.result() == 24


def test_what_a_callable_returns():
    for wrong in (None, "0.5", np.ones(3)):
        metric = resolve({"odd": lambda y, p, wrong=wrong: wrong}, "mse", 1)["odd"]
        with pytest.raises(TypeError, match="the metric odd returned must be a number"):
            measure(metric, np.ones((3, 1)), np.ones((3, 1)))


# ----------------------------------------------------------------------- names


def test_names():
    def gain(y_true, y_pred):
        return 0.0

    assert list(resolve(None, SOFTMAX, 3)) == ["accuracy"]
    assert list(resolve(None, SIGMOID, 3)) == ["accuracy"]
    assert resolve(None, "poisson", 1) == {}
    assert resolve((), SOFTMAX, 3) == {}
    assert list(resolve("top_2", SOFTMAX, 3)) == ["top_2"]
    assert list(resolve(gain, "mse", 3)) == ["gain"]
    assert list(resolve(["r2", gain, "mae"], "huber", 1)) == ["r2", "gain", "mae"]
    given = {"acc": "accuracy", "mine": gain, "other": lambda y, p: 1.0}
    assert list(resolve(given, SOFTMAX, 3)) == list(given)


@pytest.mark.parametrize(
    ("metrics", "loss", "outputs", "exception", "says"),
    [
        ("accuracy", "mse", 3, ValueError, ["metrics[0]", "'accuracy'", "'mse'"]),
        (["top_2"], SIGMOID, 5, ValueError, ["'top_2'", "softmax", SIGMOID]),
        (["accuracy", "top_5"], SOFTMAX, 5, ValueError, ["metrics[1]", "'top_5'", "5 classes"]),
        (["top_0"], SOFTMAX, 5, ValueError, ["top_<k>", "'top_0'"]),
        (["top_k"], SOFTMAX, 5, ValueError, ["top_<k>", "'top_k'"]),
        (["f1"], SOFTMAX, 3, ValueError, ["'f1'", "two classes", "3 outputs"]),
        (["recall"], SIGMOID, 2, ValueError, ["'recall'", "two classes", "2 outputs"]),
        (["precision"], "mse", 1, ValueError, ["'precision'", "two classes", "'mse'"]),
        (["r2"], SOFTMAX, 3, ValueError, ["'r2'", "loss of values", SOFTMAX]),
        (["mse"], SIGMOID, 1, ValueError, ["'mse'", SIGMOID]),
        (["hinge"], "mse", 1, ValueError, ["metrics[0]", "accuracy", "r2", "'hinge'"]),
        (["mae", "mae"], "mse", 1, ValueError, ["metrics[1]", "'mae'", "already"]),
        ([lambda y, p: 0], "mse", 1, ValueError, ["metrics[0]", "no name", "metrics={"]),
        ({"loss": "mse"}, "mse", 1, ValueError, ["'loss'"]),
        ({"val_mse": "mse"}, "mse", 1, ValueError, ["'val_mse'"]),
        ({3: "mse"}, "mse", 1, TypeError, ["mapping", "3"]),
        ({"a": 3}, "mse", 1, TypeError, ["metrics['a']", "3"]),
        ([3], "mse", 1, TypeError, ["metrics[0]", "3"]),
        ([dict], "mse", 1, TypeError, ["metrics[0]", "dict"]),
        (3, "mse", 1, TypeError, ["metrics", "3"]),
    ],
)
def test_errors(metrics, loss, outputs, exception, says):
    with pytest.raises(exception) as caught:
        resolve(metrics, loss, outputs)
    for word in says:
        assert word in str(caught.value)
