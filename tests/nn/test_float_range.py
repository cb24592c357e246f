"""Values at the ends of the float range: silent under ``np.errstate(all="raise")``, and right."""

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, parameters_of

import pynn
from pynn import _array_input
from pynn.metrics import resolve

RNG = np.random.default_rng(3)
N = 40
UNIT = RNG.uniform(-1, 1, size=(N, 3))
VALUES = RNG.uniform(-1, 1, size=N)
WEIGHT = RNG.uniform(0.1, 1, size=N)
Y = np.arange(N) % 2
SCALES = [1e-320, 1e-40, 1.0, 1e38, 1e300, 1.7e308]
scales = pytest.mark.parametrize("scale", SCALES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def scaled(array, scale):
    with np.errstate(all="ignore"):
        return array * scale


def both(function):
    """What `function` returns under the default state, and where everything raises."""
    with np.errstate(all="ignore"):
        expected = function()
    with np.errstate(all="raise"):
        return expected, function()


def assert_same(pair):
    np.testing.assert_equal(*pair)


def regressor(dtype, loss="mse", outputs=1):
    return pynn.MLP([3, 4, outputs], loss=loss, dtype=dtype, seed=0)


def classifier(dtype):
    return pynn.MLP([3, 4, 2], dtype=dtype, seed=0)


@scales
@dtypes
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "pinball", "poisson", "squared_error"])
def test_evaluate(loss, dtype, scale):
    y = scaled(np.abs(VALUES), scale)
    for weight in (None, scaled(WEIGHT, scale)):
        assert_same(
            both(
                lambda weight=weight: regressor(dtype, loss).evaluate(
                    UNIT, y, weight, metrics=["mse", "rmse", "mae", "r2"]
                )
            )
        )


@scales
@dtypes
def test_inputs(dtype, scale):
    x = scaled(UNIT, scale)
    assert_same(both(lambda: regressor(dtype)(x)))
    assert_same(both(lambda: regressor(dtype).hidden(x)))
    assert_same(both(lambda: classifier(dtype).hidden(x.tolist())))
    assert_same(both(lambda: regressor(dtype).backward(x[:, :1], UNIT, parameters=True)))


@scales
@dtypes
def test_training(dtype, scale):
    def fit():
        net = classifier(dtype)
        history = net.fit(
            UNIT, Y, epochs=3, sample_weight=scaled(WEIGHT, scale), class_weight="balanced",
            validation_split=0.2, metrics=["accuracy", "f1"], optimizer=pynn.Adam(0.01),
            callbacks=[pynn.EarlyStopping("val_loss", patience=2)],
        )  # fmt: skip
        figures = {k: v for k, v in history.history.items() if k != "seconds"}
        return figures, net.get_weights(), net.gradients(UNIT, Y, scaled(WEIGHT, scale))

    pair = both(fit)
    assert_same(pair)
    assert all(np.isfinite(w).all() for w in pair[0][1][0])


@dtypes
def test_weights_that_are_tiny(dtype):
    net = regressor(dtype)
    with np.errstate(all="raise"):
        net.set_weights([np.full((3, 4), 1e-300), np.full((4, 1), -1e-320)], net.biases)
        pynn.MLP([2, 2], init=lambda rng, shape, d: np.full(shape, 1e-300), dtype=dtype)
    tiny = np.float32(1e-300) if dtype == "float32" else 1e-300
    assert (net.weights[0] == tiny).all()


def test_cast():
    values = np.array([1e300, -1e300, 1e-300, np.nan, np.inf, 0.1])
    with np.errstate(all="raise"):
        result = _array_input.cast(values, np.float32)
    np.testing.assert_array_equal(result, [np.inf, -np.inf, 0, np.nan, np.inf, np.float32(0.1)])
    assert _array_input.cast(result, np.float32) is result


# ----------------------------------------------------------- weights of samples


@dtypes
@pytest.mark.parametrize("exponent", [-1000, -200, 130, 1000])
@pytest.mark.parametrize("way", ["sample", "class", "both"])
def test_only_the_ratios_of_weights_count(dtype, exponent, way):
    """To the bit, where the factor is a power of two: each product and sum is scaled by it."""
    factor = 2.0**exponent
    options = {"sample_weight": WEIGHT, "class_weight": {0: 0.5, 1: 1.25}}
    if way == "class":
        del options["sample_weight"]
    large = dict(options)
    if way != "class":
        large["sample_weight"] = WEIGHT * factor
    if way != "sample":
        large["class_weight"] = {k: v * factor for k, v in options["class_weight"].items()}
    nets = [classifier(dtype) for _ in range(2)]
    for net, given in zip(nets, (options, large), strict=True):
        net.fit(UNIT, Y, epochs=2, optimizer=pynn.SGD(0.1), **given)
    assert_same_bits(nets[0], parameters_of(nets[1]))
    assert nets[0].history["loss"] == nets[1].history["loss"]
    first, second = (net.evaluate(UNIT, Y, w) for net, w in zip(
        nets, (WEIGHT, WEIGHT * factor), strict=True
    ))  # fmt: skip
    assert first == second


def test_products_of_weights_do_not_overflow():
    nets = [classifier("float64") for _ in range(2)]
    for net, low, high in zip(nets, (1.0, 2.0**55), (1.0, 2.0**1000), strict=True):
        weights = {0: 0.5 * high, 1: 1.25 * high}
        net.fit(UNIT, Y, sample_weight=WEIGHT * low, class_weight=weights, optimizer=pynn.SGD(0.1))
    assert_same_bits(nets[0], parameters_of(nets[1]))


@dtypes
def test_a_mini_batch_of_tiny_weights(dtype):
    """The second mini-batch's weights are below float32's range beside the first's."""
    weight = np.where(np.arange(N) < N // 2, 1.0, 2.0**-200) * WEIGHT
    nets = [classifier(dtype) for _ in range(2)]
    for net, w in zip(nets, (weight, WEIGHT), strict=True):
        net.fit(UNIT, Y, batch_size=N // 2, shuffle=False, sample_weight=w, optimizer=pynn.SGD(0.1))
    assert_same_bits(nets[0], parameters_of(nets[1]))
    assert nets[0].history["loss"] == nets[1].history["loss"]


# ---------------------------------------------------------------- NaN in metrics


def measure(name, loss, outputs, target, labels):
    metric = resolve([name], loss, outputs.shape[1])[name]
    metric.start()
    with np.errstate(all="raise"):
        metric.update(outputs, target, labels, None)
        return metric.result()


SOFTMAX, SIGMOID = "softmax_cross_entropy", "sigmoid_cross_entropy"


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_nan_is_never_the_right_class(column, label):
    p = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    p[0, column] = np.nan
    target = np.full(2, label)
    right = (label == 2) / 2  # at most the second row
    assert measure("accuracy", SOFTMAX, p, target, labels=True) == right
    assert measure("top_2", SOFTMAX, p, target, labels=True) == (label > 0) / 2
    assert measure("accuracy", SOFTMAX, p, np.eye(3)[target], labels=False) == right


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_nan_is_neither_yes_nor_no(target):
    y = np.array([[target, 0.0], [target, 0.0]])
    p = np.array([[target, np.nan], [target, 0.0]])
    assert measure("accuracy", SIGMOID, p, y, labels=False) == 0.5
    assert measure("accuracy", SIGMOID, p[:, 1:], y[:, 1:], labels=False) == 0.5


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("loss", [SOFTMAX, SIGMOID])
def test_nan_of_two_classes_counts_as_wrong(loss, positive):
    """As if the other class had been predicted."""
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    y = np.array([positive, 1, 1, 0])
    p = np.array([np.nan, 0.9, 0.2, 0.8])
    predicted = np.array([1 - positive, 1, 0, 1])
    outputs = np.stack([1 - p, p], axis=1) if loss == SOFTMAX else p[:, None]
    target, labels = (y, True) if loss == SOFTMAX else (y[:, None], False)
    for name in ("precision", "recall", "f1"):
        expected = getattr(sklearn_metrics, f"{name}_score")(y, predicted)
        assert measure(name, loss, outputs, target, labels) == pytest.approx(expected)


def test_nan_in_errors_stays():
    y, p = np.ones((3, 1)), np.array([[1.0], [np.nan], [1.0]])
    for name in ("mse", "rmse", "mae", "r2"):
        assert np.isnan(measure(name, "mse", p, y, labels=False))
