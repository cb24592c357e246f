"""The weighted mean of losses and gradients holds for weights of any scale, however mixed."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from numpy_mlp import parameters_of

import pynn

N, RATE = 24, 0.5
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 3))
Y = RNG.normal(size=(N, 2))
UNIT = RNG.uniform(0.1, 1, N)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])

WEIGHTS = {
    **{f"{scale:g}": UNIT * scale for scale in (1e-322, 1e-310, 1e-45, 1e-42, 1e-20, 1, 1e18)},
    **{f"{scale:g}": UNIT * scale for scale in (1e19, 1e38, 1e150, 1e300, 1.7e308)},
    "least": np.full(N, 5e-324),
    "most": np.full(N, 1.7976931348623157e308),
    "one of many": np.where(np.arange(N) == 7, 1e-300, 0.0),
    "mixed": 10.0 ** RNG.uniform(-320, 308, N),
    "near": 10.0 ** RNG.uniform(-6, 6, N),
    "two scales": np.where(np.arange(N) < N // 2, 1e-318, 1e308),
}
scales = pytest.mark.parametrize("name", WEIGHTS)


def network(dtype, seed=0):
    return pynn.MLP([3, 2], loss="mse", dtype=dtype, seed=seed)


def shares(weight):
    """Each weight's part of their sum, divided exactly."""
    exact = [Fraction(float(w)) for w in weight]
    total = sum(exact)
    return np.array([float(w / total) for w in exact])


def mean_loss(net, x, y, weight):
    w, b = net.weights[0].astype(np.float64), net.biases[0].astype(np.float64)
    return float(shares(weight) @ np.mean((x @ w + b - y) ** 2, axis=1))


def gradients(net, x, y, weight):
    w, b = net.weights[0].astype(np.float64), net.biases[0].astype(np.float64)
    delta = (x @ w + b - y) * shares(weight)[:, np.newaxis]
    return x.T @ delta, delta.sum(axis=0)


def step(net, x, y, weight):
    """The parameters after a step of SGD."""
    dW, db = gradients(net, x, y, weight)
    return [net.weights[0] - RATE * dW, net.biases[0] - RATE * db]


def assert_near(got, expected, dtype):
    tolerance = 3e-6 if dtype == "float32" else 1e-13
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def by_fit(net, x, y, w):
    net.fit(x, y, epochs=1, batch_size=N, sample_weight=w, optimizer=pynn.SGD(RATE), shuffle=False)


def by_shuffled_fit(net, x, y, w):
    net.fit(x, y, epochs=1, batch_size=N, sample_weight=w, optimizer=pynn.SGD(RATE))


def by_batch(net, x, y, w):
    net.train_on_batch(x, y, pynn.SGD(RATE), w)


def by_iterator(net, x, y, w):
    net.fit(iter([(x, y, w)]), optimizer=pynn.SGD(RATE))


def by_list(net, x, y, w):
    net.fit([(x, y, w)], epochs=1, optimizer=pynn.SGD(RATE))


def by_sparse(net, x, y, w):
    net.train_on_batch(scipy.sparse.csr_matrix(x), y, pynn.SGD(RATE), w)


def by_clipped(net, x, y, w):
    net.train_on_batch(x, y, pynn.SGD(RATE, clip_norm=1e30), w)


def by_fit_many(net, x, y, w):
    pynn.fit_many(
        [net], x, y, epochs=1, batch_size=N, sample_weight=w, optimizer=pynn.SGD(RATE),
        refit=False,
    )  # fmt: skip


WAYS = [by_fit, by_shuffled_fit, by_batch, by_iterator, by_list, by_sparse, by_clipped, by_fit_many]


@scales
@dtypes
@pytest.mark.parametrize("way", WAYS)
def test_a_step(way, dtype, name):
    net, weight = network(dtype), WEIGHTS[name]
    expected = step(net, X, Y, weight)
    way(net, X, Y, weight)
    assert_near(parameters_of(net), expected, dtype)


@scales
@dtypes
def test_each_mini_batch_has_its_own_mean(dtype, name):
    """Those of a mini-batch count among themselves, however small beside the others."""
    net, weight = network(dtype), WEIGHTS[name]
    loss, sizes = 0.0, 8
    mirror = network("float64")
    mirror.set_weights(net.weights, net.biases)
    for first in range(0, N, sizes):
        rows = slice(first, first + sizes)
        if weight[rows].any():
            loss += sizes * mean_loss(mirror, X[rows], Y[rows], weight[rows])
            W, b = step(mirror, X[rows], Y[rows], weight[rows])
            mirror.set_weights([W], [b])
    history = net.fit(
        X, Y, epochs=1, batch_size=sizes, sample_weight=weight, optimizer=pynn.SGD(RATE),
        shuffle=False,
    )  # fmt: skip
    assert_near([*parameters_of(net), history.loss[0]], [*parameters_of(mirror), loss / N], dtype)


@scales
@dtypes
def test_losses_and_gradients(dtype, name):
    net, weight = network(dtype), WEIGHTS[name]
    expected = mean_loss(net, X, Y, weight)
    loss, dW, db = net.gradients(X, Y, weight)
    assert_near([loss, dW[0], db[0]], [expected, *gradients(net, X, Y, weight)], dtype)
    delta = (X @ net.weights[0] + net.biases[0] - Y) * shares(weight)[:, np.newaxis]
    assert_near([net.input_gradient(X, Y, weight)], [delta @ net.weights[0].T], dtype)
    assert_near([net.evaluate(X, Y, weight)["loss"]], [expected], dtype)
    assert_near([net.evaluate(X, Y, weight, metrics="mse")["mse"]], [expected], dtype)


@scales
@dtypes
def test_validation(dtype, name):
    net, weight = network(dtype), WEIGHTS[name]
    history = net.fit(X, Y, epochs=1, validation_data=(X, Y, weight), optimizer=pynn.SGD(RATE))
    assert_near([history["val_loss"][0]], [mean_loss(net, X, Y, weight)], dtype)


@dtypes
@pytest.mark.parametrize("low", [1e-318, 1e-200, 1e-30])
def test_held_out_samples_of_small_weights(dtype, low):
    net = network(dtype)
    weight = np.where(np.arange(N) < 18, 1e300, low) * UNIT
    history = net.fit(
        X, Y, epochs=1, validation_split=0.25, sample_weight=weight, shuffle=False,
        optimizer=pynn.SGD(RATE),
    )  # fmt: skip
    assert_near([history["val_loss"][0]], [mean_loss(net, X[18:], Y[18:], weight[18:])], dtype)


@dtypes
@pytest.mark.parametrize("sample", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("factors", [(1e-300, 2e-300), (1e300, 3e299), (0.5, 2.0), (0.0, 1e-310)])
def test_weights_of_classes(dtype, sample, factors):
    labels = np.arange(N) % 2
    nets = [pynn.MLP([3, 2], dtype=dtype, seed=0) for _ in range(2)]
    given = dict(enumerate(factors))
    nets[0].fit(
        X, labels, epochs=1, batch_size=N, sample_weight=UNIT * sample, class_weight=given,
        optimizer=pynn.SGD(RATE),
    )  # fmt: skip
    exact = [
        Fraction(float(w * sample)) * Fraction(factors[c])
        for w, c in zip(UNIT, labels, strict=True)
    ]
    ratios = np.array([float(w / sum(exact)) for w in exact])
    nets[1].train_on_batch(X, labels, pynn.SGD(RATE), ratios)
    assert_near(parameters_of(nets[0]), parameters_of(nets[1]), dtype)


@pytest.mark.parametrize("scale", [1e-320, 1e-42, 1e42, 1e300, 1e308])
@dtypes
def test_the_estimators(scale, dtype):
    """Without penalties: scikit-learn divides those by the sum of the weights."""
    pytest.importorskip("sklearn")
    from pynn.sklearn import MLPRegressor

    models = []
    for weight in (UNIT * scale, N * shares(UNIT * scale)):
        model = MLPRegressor(
            hidden_layer_sizes=(), solver="sgd", alpha=0.0, random_state=0, batch_size=N,
            learning_rate_init=RATE, momentum=0.0, nesterovs_momentum=False,
        )  # fmt: skip
        models.append(model.partial_fit(X.astype(dtype), Y.astype(dtype), weight))
    assert_near(models[0].coefs_, models[1].coefs_, dtype)
    assert np.isfinite(models[0].coefs_[0]).all()
