"""`training=True`: a network's outputs and gradients with the dropout of the next step, as `fit`
computes them with the samples as one mini-batch."""

import copy

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, assert_close, assert_same_bits, make_samples, parameters_of

import pynn

RELATIVE = {"float64": 1e-12, "float32": 2e-5}
dtypes = pytest.mark.parametrize("dtype", RELATIVE)
# The core goes through more than 1024 rows in blocks.
rows_of = pytest.mark.parametrize("rows", [1, 7, 64, 1025, 2500])


@rows_of
@dtypes
def test_an_identity_network_shows_its_mask(rows, dtype):
    net = pynn.MLP([9, 9], loss="mse", dropout=[0.3], bias=False, dtype=dtype, seed=4)
    net.set_weights([np.eye(9)])
    seen = net(np.ones((rows, 9)), training=True)
    np.testing.assert_allclose(seen, NumpyMLP(net).masks(0, rows), rtol=1e-6)
    assert (net(np.ones((rows, 9))) == 1).all()


def numpy_forward(net, x, masks):
    """Inputs of each layer, and the outputs, of a network of tanh layers."""
    inputs, h = [], x
    last = len(net.weights) - 1
    for i, (w, b, mask) in enumerate(zip(net.weights, net.biases, masks, strict=True)):
        inputs.append(h * mask)
        z = inputs[-1] @ w.astype(float) + b
        h = np.tanh(z) if i < last else z
    return inputs, h


def numpy_backward(net, inputs, masks, x, dout):
    dw, db, delta = [], [], dout
    hidden = numpy_hidden(net, inputs)
    for i in reversed(range(len(net.weights))):
        dw.insert(0, inputs[i].T @ delta)
        db.insert(0, delta.sum(axis=0))
        delta = (delta @ net.weights[i].astype(float).T) * masks[i]
        if i:
            delta = delta * (1 - hidden[i - 1] ** 2)
    return delta, [*dw, *db]


def numpy_hidden(net, inputs):
    pairs = zip(inputs[:-1], net.weights, net.biases, strict=False)
    return [np.tanh(a @ w.astype(float) + b) for a, w, b in pairs]


def make(dtype="float64", **options):
    net = pynn.MLP([6, 8, 5, 2], "tanh", "mse", dropout=[0.2, 0.0, 0.5], dtype=dtype,
                   **{"seed": 3, **options})  # fmt: skip
    for bias in net.biases:
        bias[...] = np.linspace(-0.4, 0.4, len(bias))
    return net


class Masks:
    """Those of a mini-batch, layer by layer, seen by gradients of the same step.

    A layer's number enters the mask: the network that shows it has identities below that layer.
    """

    def __init__(self, net, rows):
        self.net, self.rows = net, rows

    def __iter__(self):
        for layer, rate in enumerate(self.net.dropout):
            units = self.net.layer_sizes[layer]
            if not rate:
                yield 1.0
                continue
            rates = [0.0] * layer + [rate]
            eyes = pynn.MLP([units] * (layer + 2), "identity", "mse", dropout=rates, bias=False,
                            dtype="float64", seed=0)  # fmt: skip
            eyes.set_weights([np.eye(units)] * (layer + 1))
            eyes._engine.rng_position[...] = self.net._engine.rng_position
            yield eyes(np.ones((self.rows, units)), training=True)


@rows_of
@dtypes
@pytest.mark.parametrize("step", [0, 5])
def test_outputs_and_gradients_in_numpy(rows, dtype, step):
    net = make(dtype)
    net._engine.rng_position[1] = step
    rng = np.random.default_rng(0)
    x, dout = (rng.normal(size=(rows, n)).astype(dtype) for n in (6, 2))
    y = rng.normal(size=(rows, 2)).astype(dtype)
    masks = list(Masks(net, rows))
    reference = NumpyMLP(net)
    for layer, mask in enumerate(masks):
        np.testing.assert_allclose(mask, reference.masks(layer, rows), rtol=1e-13)
    inputs, outputs = numpy_forward(net, x.astype(float), masks)
    dx, parameters = numpy_backward(net, inputs, masks, x, dout.astype(float))
    relative = RELATIVE[dtype]
    before, state = parameters_of(net), net._engine.rng_position.copy()

    out = np.empty((rows, 2), dtype)
    assert net(x, out, training=True) is out
    assert_close([net(x, training=True), out], [outputs, outputs], relative)
    assert_close([net.backward(dout, x, training=True)], [dx], relative)
    got, dw, db = net.backward(dout, x, training=True, parameters=True)
    assert_close([got, *dw, *db], [dx, *parameters], relative)
    slope = 2 * (outputs - y) / outputs.size
    expected, _ = numpy_backward(net, inputs, masks, x, slope)
    assert_close([net.input_gradient(x, y, training=True)], [expected], 10 * relative)

    np.testing.assert_array_equal(net._engine.rng_position, state)  # no step was done
    assert_same_bits(net, before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@dtypes
def test_any_number_of_threads_gives_the_same_bits(threads, dtype):
    net = pynn.MLP([40, 300, 200, 3], "gelu", "mse", dropout=0.4, dtype=dtype, seed=1)
    rng = np.random.default_rng(0)
    x, dout = (rng.normal(size=(2500, n)).astype(dtype) for n in (40, 3))

    def results():
        return [
            net(x, training=True),
            net.backward(dout, x, training=True),
            net.input_gradient(x, dout, training=True),
        ]

    with pynn.threads(1):
        one = results()
    with pynn.threads(threads):
        assert_same_bits(results(), one)


@rows_of
@pytest.mark.parametrize("loss", ["mse", "softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_it_is_what_fit_sees(rows, loss):
    """One step of SGD(1) takes the gradient off; `backward` gives it from the same outputs."""
    net = pynn.MLP([6, 8, 5, 3], "tanh", loss, dropout=[0.2, 0.3, 0.5], dtype="float64", seed=3)
    twin = copy.deepcopy(net)
    x, y = make_samples(loss, rows, 6, 3)
    for _ in range(2):  # the masks of two steps
        before = parameters_of(net)
        p = net(x, training=True)
        if loss == "mse":
            dout = 2 * (p - y) / p.size
        elif loss == "softmax_cross_entropy":
            dout = -y / p / rows
        else:
            dout = (p - y) / (p * (1 - p)) / rows
        _, dw, db = net.backward(dout, x, training=True, parameters=True)
        net.train_on_batch(x, y, pynn.SGD(1.0))
        assert_close(
            [a - b for a, b in zip(before, parameters_of(net), strict=True)], [*dw, *db], 1e-9
        )
        twin.fit(x, y, epochs=1, batch_size=rows, shuffle=False, optimizer=pynn.SGD(1.0))
        assert_same_bits(twin, net)


def test_the_mask_is_of_the_next_step_and_changes_with_it():
    net, x = make(), np.ones((30, 6))
    first = net(x, training=True)
    np.testing.assert_array_equal(net(x, training=True), first)
    net.train_on_batch(x, np.zeros((30, 2)), pynn.SGD(1e-300))
    assert int(net._engine.rng_position[1]) == 1
    second = net(x, training=True)
    assert (second != first).any()
    assert not np.allclose(second, first)


def test_without_dropout_it_is_the_plain_call():
    net = pynn.MLP([6, 8, 2], "tanh", "mse", dtype="float64", seed=0)
    x, y = make_samples("mse", 1500, 6, 2)
    np.testing.assert_array_equal(net(x, training=True), net(x))
    np.testing.assert_array_equal(net.backward(y, x, training=True), net.backward(y, x))
    np.testing.assert_array_equal(net.input_gradient(x, y, training=True), net.input_gradient(x, y))


def test_single_samples_and_none():
    net, x = make(), np.ones((1, 6))
    np.testing.assert_array_equal(net(x[0], training=True), net(x, training=True)[0])
    np.testing.assert_array_equal(
        net.backward(np.ones(2), x[0], training=True),
        net.backward(np.ones((1, 2)), x, training=True)[0],
    )
    assert net(x[:0], training=True).shape == (0, 2)


@pytest.mark.parametrize("value", [1, None, "yes", np.array(True)])
def test_training_is_true_or_false(value):
    net, x, y = make(), np.ones((3, 6)), np.ones((3, 2))
    for call in (
        lambda: net(x, training=value),
        lambda: net.backward(y, x, training=value),
        lambda: net.input_gradient(x, y, training=value),
        lambda: net.gradients(x, y, training=value),
    ):
        with pytest.raises(TypeError, match="training must be True or False"):
            call()
    np.testing.assert_array_equal(net(x, training=np.True_), net(x, training=True))
    np.testing.assert_array_equal(net(x, training=np.False_), net(x))
