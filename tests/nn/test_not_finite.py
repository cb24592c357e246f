"""NaN, infinities and divergence stop a fit before the mini-batch that they would spoil."""

import re

import numpy as np
import pandas as pd
import pytest
from numpy_mlp import NumpyMLP, assert_close, assert_same_bits, make_samples, parameters_of

import pynn

N, BATCH = 40, 8


def make(activation="tanh", loss="mse", seed=0, dtype="float64", **options):
    net = pynn.MLP([4, 6, 3], activation, loss, seed=seed, dtype=dtype, **options)
    return net, *make_samples(loss, N, 4, 3)


def fit(net, x, y, **options):
    options = {"shuffle": False, "epochs": 3, "batch_size": BATCH, **options}
    return net.fit(x, y, optimizer=pynn.SGD(0.05, momentum=0.5), **options)


def expect(net, x, y, message, **options):
    with pytest.raises(FloatingPointError, match=message) as caught:
        fit(net, x, y, **options)
    assert "The weights are those before this mini-batch" in str(caught.value)
    assert all(np.isfinite(a).all() for a in parameters_of(net))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["identity", "relu", "sigmoid", "tanh"])
def test_bad_sample(activation, bad, dtype):
    net, x, y = make(activation, dtype=dtype)
    x[19, 2] = bad
    expect(
        net, x, y, r"epoch 1, mini-batch 2; X has a value that is not finite in row 19, column 2\."
    )
    same, x, y = make(activation, dtype=dtype)
    fit(same, x[:16], y[:16], epochs=1)
    assert_same_bits(net, same)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_target(bad):
    net, x, y = make()
    y[8, 0] = bad
    expect(net, x, y, r"mini-batch 1; y has a value that is not finite in row 8, column 0\.")
    same, x, y = make()
    fit(same, x[:8], y[:8], epochs=1)
    assert_same_bits(net, same)


def test_bad_sample_in_a_shuffled_fit():
    net, x, y = make()
    numpy_net = NumpyMLP(net)
    x[19] = np.nan
    order = numpy_net.rng.permutation(N)
    batch = int(np.flatnonzero(order == 19)[0]) // BATCH
    expect(net, x, y, rf"epoch 1, mini-batch {batch}; X .* in row 19, column 0\.", shuffle=True)
    for i in range(batch):
        rows = order[i * BATCH : (i + 1) * BATCH]
        numpy_net.train_on_batch(x[rows], y[rows], 0.05, momentum=0.5)
    assert_close(parameters_of(net), numpy_net, 1e-12)


def test_bad_sample_beyond_float32():
    net, x, y = make("relu", dtype="float32")
    x[0] = 1e300  # finite in float64, infinite in the network's type
    expect(
        net, x, y, "mini-batch 0; X has a value that is too large for float32 in row 0, column 0"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence(dtype):
    net, x, y = make("relu", dtype=dtype)
    rate = 1e8
    numpy_net, trail = NumpyMLP(net), []
    with pytest.raises(FloatingPointError, match=r"smaller learning rate|not finite") as caught:
        net.fit(x, y, epochs=100, batch_size=BATCH, shuffle=False, optimizer=pynn.SGD(rate))
    place = re.search(r"the loss is (inf|nan) in epoch (\d+), mini-batch (\d+);", str(caught.value))
    steps = (int(place[2]) - 1) * (N // BATCH) + int(place[3])
    assert steps > 0
    same, *_ = make("relu", dtype=dtype)
    sgd = pynn.SGD(rate)
    for i in range(steps):
        rows = slice(i % 5 * BATCH, (i % 5 + 1) * BATCH)
        trail.append(same.train_on_batch(x[rows], y[rows], sgd))
    assert_same_bits(net, same)
    assert np.isfinite(trail).all(), "an infinite loss was one step too late"
    assert all(np.isfinite(a).all() for a in parameters_of(net))
    with np.errstate(all="ignore"):
        first = numpy_net.train_on_batch(x[:BATCH], y[:BATCH], rate)
    assert trail[0] == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("columns", ["abcd", range(10, 14)], ids=["names", "numbers"])
def test_table_names_its_column(columns):
    net, x, y = make()
    table = pd.DataFrame(x, columns=list(columns)).assign(flag=y[:, 0] > 0)
    table.iloc[19, 2] = np.nan
    net = pynn.MLP([5, 6, 3], loss="mse", seed=0)
    place = rf"X has a value that is not finite in row 19, column {columns[2]!r}(\.|$)"
    for call in (net.fit, net.train_on_batch, net.gradients, net.evaluate, net.score):
        with pytest.raises(FloatingPointError, match=place):
            call(table, y)
    classifier = pynn.MLP([5, 6, 3], seed=0)
    for predict in (classifier.predict, classifier.predict_proba):
        with pytest.raises(FloatingPointError, match=place):
            predict(table)
    with pytest.raises(FloatingPointError, match=place.replace("X", r"validation_data\[0\]")):
        net.fit(table.fillna(0), y, epochs=1, validation_data=(table, y))


def test_train_on_batch():
    net, x, y = make()
    before = parameters_of(net)
    x[5, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"the loss is nan; X .* in row 5") as caught:
        net.train_on_batch(x, y, pynn.SGD())
    assert "epoch" not in str(caught.value)
    assert_same_bits(net, before)


def test_gradients():
    net, x, y = make()
    x[5, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"the loss is nan; X .* in row 5"):
        net.gradients(x, y)


def test_bad_weights_are_named():
    net, x, y = make()
    net.weights[1][2, 2] = np.nan
    with pytest.raises(FloatingPointError, match="the weights have values that are not finite"):
        fit(net, x, y)


def test_the_history_keeps_the_whole_epochs():
    net, x, y = make()

    def spoil(net, history):
        if len(history) == 2:
            x[0] = np.nan

    with pytest.raises(FloatingPointError, match="epoch 3, mini-batch 0"):
        fit(net, x, y, callbacks=spoil)
    assert net.history.epoch == [1, 2]


def test_the_fit_goes_on_without_the_bad_sample():
    net, x, y = make()
    x[39] = np.nan
    expect(net, x, y, "epoch 1, mini-batch 4")
    losses = fit(net, x[:39], y[:39], epochs=20).loss
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("n", [1, 3])
def test_the_error_is_the_same_with_several_threads(n):
    net = pynn.MLP([200, 300, 10], loss="mse", seed=0)
    x, y = make_samples("mse", 300, 200, 10)
    x[200, 7] = np.inf
    with pynn.threads(n):
        expect(net, x, y, r"mini-batch 1; X .* in row 200", batch_size=128)
    same = pynn.MLP([200, 300, 10], loss="mse", seed=0)
    x, y = make_samples("mse", 300, 200, 10)
    fit(same, x[:128], y[:128], batch_size=128, epochs=1)
    assert_same_bits(net, same)


@pytest.mark.parametrize("count", [2, 5000])
def test_probabilities_that_are_nan_are_errors_in_an_evaluation(count):
    """A softmax over infinities, which are finite weights' own."""
    net = pynn.MLP([2, 3], seed=0)
    net.set_weights([np.full((2, 3), 3e38)], [np.zeros(3)])
    X, y = np.zeros((count, 2)), np.zeros(count, int)
    X[-1] = 9
    message = f"the output is nan; it overflows for row {count - 1} of X: scale the inputs"
    for evaluate in (net.evaluate, net.score, lambda X, y: net.predict(X)):
        with pytest.raises(FloatingPointError, match=message):
            evaluate(X, y)
