"""A network with parameters beyond the L2 cache: other strategies, the same bits."""

import numpy as np
import pytest
import reference
from numpy_mlp import assert_same_bits, make_samples, parameters_of
from reference import dot_chain

import pynn

SIZES = (300, 640, 1100, 9)
RATE = 0.01
# A single sample, fewer than a vector has lanes, several tiles of rows, enough rows to pack for.
BATCHES = [1, 3, 40, 130]

IS_FUSED = pynn.show_config("dict")["fused_multiply_add"]
FUSED = pytest.mark.skipif(not IS_FUSED, reason="this set has no fused multiply-add")


def row_by_row(a, b):
    """A product of single rows, which the chains of tests/kernels predict."""
    return np.array([pynn.matmul(row, b) for row in a])


def column_by_column(a, b):
    return np.array([pynn.matmul(a, column) for column in np.ascontiguousarray(b.T)]).T


def added(factor, a, b):
    """``factor * a + b`` as the instruction set rounds it."""
    if not IS_FUSED:
        return a.dtype.type(factor) * a + b
    return np.vectorize(reference.FMA[a.dtype], otypes=[a.dtype])(a.dtype.type(factor), a, b)


@pytest.fixture(params=[(b, d) for b in BATCHES for d in reference.FLOATS], ids=str)
def step(request):
    """The parameters after a step of SGD, and the same by hand: (net, layer inputs, deltas, W)."""
    batch, dtype = request.param
    x, y = make_samples("squared_error", batch, SIZES[0], SIZES[-1])
    x, y = x.astype(dtype), y.astype(dtype)
    net = pynn.MLP(SIZES, "relu", "squared_error", dtype=dtype, seed=3)
    before = [w.copy() for w in net.weights]
    inputs = [x]
    for i, w in enumerate(before):
        z = row_by_row(inputs[-1], w) + net.biases[i]
        inputs.append(np.maximum(z, 0) if i < len(before) - 1 else z)
    output = inputs.pop()
    deltas = [pynn.squared_error(output, y)[1]]
    for w, a in zip(before[:0:-1], inputs[:0:-1], strict=True):
        deltas.insert(0, np.where(a > 0, row_by_row(deltas[0], w.T), dtype(0)))
    return net, x, y, before, inputs, output, deltas


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_is_that_of_its_rows(step, threads):
    net, x, y, before, inputs, output, deltas = step
    with pynn.threads(threads):
        np.testing.assert_array_equal(net.predict(x), output)
        net.fit(x, y, epochs=1, batch_size=len(x), optimizer=pynn.SGD(RATE), shuffle=False)
    rng = np.random.default_rng(0)
    for w, old, a, d in zip(net.weights, before, inputs, deltas, strict=True):
        rows = np.r_[0, len(w) - 1, rng.integers(0, len(w), 20)]
        gradient = column_by_column(np.ascontiguousarray(a.T[rows]), d)
        np.testing.assert_array_equal(w[rows], added(-RATE, gradient, old[rows]))


@FUSED
def test_a_chain_predicts_the_layers(step):
    net, x, y, before, inputs, output, deltas = step
    rng = np.random.default_rng(1)
    gradients = net.gradients(x, y)[1]
    for layer, (w, a, d) in enumerate(zip(before, inputs, deltas, strict=True)):
        for _ in range(5):
            i, j = rng.integers(w.shape[0]), rng.integers(w.shape[1])
            assert gradients[layer][i, j] == dot_chain(a[:, i], d[:, j])
    r, j = rng.integers(len(x)), rng.integers(SIZES[-1])
    assert output[r, j] == dot_chain(inputs[-1][r], before[-1][:, j]) + net.biases[-1][j]
    units = np.flatnonzero(inputs[1][r])
    i = rng.choice(units)
    assert deltas[0][r, i] == dot_chain(deltas[1][r], before[1][i])


@pytest.mark.parametrize("momentum", [True, False], ids=["momentum", "adam"])
@pytest.mark.parametrize("batch", [1, 33])
def test_rows_and_threads_do_not_change_bits(batch, momentum):
    x, y = make_samples("softmax_cross_entropy", 70, SIZES[0], SIZES[-1], labels=True)

    def trained(threads):
        net = pynn.MLP(SIZES, seed=0)
        optimizer = pynn.SGD(RATE, momentum=0.9) if momentum else pynn.Adam()
        with pynn.threads(threads):
            net.fit(x, y, epochs=1, batch_size=batch, optimizer=optimizer, shuffle=False)
            return [*parameters_of(net), net(x), net(x[5:6])]

    one = trained(1)
    assert_same_bits(trained(2), one)
    assert_same_bits([one[-2][5:6]], [one[-1]])


# A team divides such a network's layers, not the rows: what is drawn or computed row by row has to
# know the rows of its part, what is computed by columns its columns. (Single rows from 6 MB on.)
LARGER = (300, 900, 1500, 9)
KINDS = {
    "tanh, dropout": {"activation": "tanh", "dropout": 0.3},
    "gelu, no bias": {"activation": "gelu", "bias": False},
    "elu, regularized": {"activation": "elu", "l1": 1e-5, "l2": 1e-4, "max_norm": 0.5},
    "sigmoid, softmax inside": {
        "activation": "sigmoid",
        "loss": "mse",
        "output_activation": "softmax",
        "dropout": 0.1,
    },
}


@pytest.mark.parametrize("batch", [1, 2, 37])
@pytest.mark.parametrize("name", KINDS)
def test_divided_layers_give_the_bits_of_one_thread(name, batch):
    # (Each kind, and each size, in either type.)
    kind, dtype = KINDS[name], reference.FLOATS[([*KINDS].index(name) + batch) % 2]
    x, y = make_samples("softmax_cross_entropy", 75, LARGER[0], LARGER[-1], labels=True)
    y = np.eye(LARGER[-1])[y]
    rows = np.random.default_rng(0).permutation(len(x))[:40]
    weights = np.arange(1.0, 41.0)
    count = 40 if batch > 2 else 3 * batch  # the last mini-batch is smaller, or there are three

    def results(threads):
        net = pynn.MLP(LARGER, **kind, seed=0, dtype=dtype)
        optimizer = pynn.SGD(RATE, clip_norm=0.1) if batch == 2 else pynn.Adam()
        with pynn.threads(threads):
            net.fit(
                x[rows[:count]],
                y[rows[:count]],
                epochs=1,
                batch_size=batch,
                optimizer=optimizer,
                sample_weight=weights[:count],
            )
            _, dw, db = net.gradients(x[:batch], y[:batch])
            found = [*parameters_of(net), *dw, *db, net.input_gradient(x[:batch], y[:batch])]
            out = net(x[:batch])
            return [*found, out, net.backward(out, x[:batch]), net(x[::2]), net.hidden(x[:batch])]

    one = results(1)
    for threads in (2, 3, 5):
        assert_same_bits(results(threads), one)
