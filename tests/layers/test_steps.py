"""Steps by hand: gradients that are applied, backward through two networks, running statistics."""

import layer_nets as nets
import numpy as np
import pytest
from reference import FLOATS, assert_same_bits

import pynn
from pynn import layers as L

OPTIMIZERS = {
    "sgd": lambda: pynn.SGD(0.1),
    "nesterov": lambda: pynn.SGD(0.01, momentum=0.9, nesterov=True),
    "decay": lambda: pynn.SGD(0.1, weight_decay=0.01),
    "adam": lambda: pynn.Adam(0.01),
    "adamw": lambda: pynn.AdamW(0.01),
    "rmsprop": lambda: pynn.RMSprop(0.01, momentum=0.3),
    "clipped": lambda: pynn.Adam(0.01, clip_norm=0.1),
}
WITH_DROPOUT = (
    [
        L.Dropout(0.2),
        L.Dense(20, max_norm=1),
        L.BatchNorm(),
        L.Dropout(0.3),
        L.Residual([L.Dense(20, "gelu")]),
        L.Dense(3),
    ],
    6,
)


def state(net):
    """Parameters, without the running statistics, which a step advances and gradients do not."""
    return {key: net.parameters[key] for key in net.trainable_parameters}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_applied_gradients_have_the_bits_of_a_step(optimizer, dtype):
    for layers, shape in (*nets.NETS.values(), WITH_DROPOUT):
        one, other = (
            pynn.Sequential(layers, shape, loss="mse", dtype=dtype, seed=0) for _ in range(2)
        )
        x, y = nets.samples(one, 21), nets.values(one, 21)
        steps, applied = OPTIMIZERS[optimizer](), OPTIMIZERS[optimizer]()
        for _ in range(3):
            one.train_on_batch(x, y, steps)
            _, gradients = other.gradients(x, y, training=True)
            applied.apply_gradients(other, gradients)
            for key, array in state(one).items():
                assert_same_bits(other.parameters[key], array)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "clipped"])
def test_sparse_embeddings_too(optimizer):
    """Rows of tokens that do not occur are left alone, whichever way the step is taken."""
    layers = [L.Embedding(50, 7, sparse=True), L.Flatten(), L.Dense(3)]
    one, other = (pynn.Sequential(layers, 4, loss="mse", seed=0) for _ in range(2))
    steps, applied = OPTIMIZERS[optimizer](), OPTIMIZERS[optimizer]()
    for seed in range(4):
        x, y = nets.samples(one, 6, seed), nets.values(one, 6, seed)
        before = one.parameters["0.embeddings"].copy()
        one.train_on_batch(x, y, steps)
        applied.apply_gradients(other, other.gradients(x, y, training=True)[1])
        absent = ~np.isin(np.arange(50), x)
        assert_same_bits(one.parameters["0.embeddings"][absent], before[absent])
        for key, array in one.parameters.items():
            assert_same_bits(other.parameters[key], array)


def test_a_fit_is_steps_on_its_mini_batches():
    for layers, shape in (*nets.NETS.values(), WITH_DROPOUT):
        one, other = (pynn.Sequential(layers, shape, loss="mse", seed=0) for _ in range(2))
        x, y = nets.samples(one, 21), nets.values(one, 21)
        one.fit(x, y, epochs=2, batch_size=8, optimizer="adam", shuffle=False)
        for _ in range(2):
            for i in range(0, 21, 8):
                other.train_on_batch(x[i : i + 8], y[i : i + 8], "adam")
        for key, array in one.parameters.items():
            assert_same_bits(other.parameters[key], array)


def test_what_advances_running_statistics():
    """Fits, steps, and backward(training=True, parameters=True); nothing else."""
    net = nets.make("batch norm, twice")
    x, y = nets.samples(net, 9), nets.values(net, 9)
    moving = [key for key in net.parameters if "moving" in key]
    dout = np.ones((9, 2))
    advance = {
        "fit": lambda: net.fit(x, y, epochs=1),
        "train_on_batch": lambda: net.train_on_batch(x, y),
        "backward": lambda: net.backward(dout, x, training=True, parameters=True),
    }
    leave = {
        "call": lambda: net(x),
        "call in training": lambda: net(x, training=True),
        "gradients": lambda: net.gradients(x, y),
        "gradients in training": lambda: net.gradients(x, y, training=True),
        "input_gradient": lambda: net.input_gradient(x, y, training=True),
        "backward": lambda: net.backward(dout, x, training=True),
        "backward of parameters": lambda: net.backward(dout, x, parameters=True),
        "evaluate": lambda: net.evaluate(x, y),
        "apply": lambda: pynn.SGD(0.1).apply_gradients(net, net.gradients(x, y)[1]),
    }
    for calls, changes in ((advance, True), (leave, False)):
        for name, call in calls.items():
            before = net.state_dict()
            call()
            for key in moving:
                assert (net.parameters[key] != before[key]).any() == changes, (name, key)


def test_two_networks_through_each_other():
    """An autoencoder of two halves takes the steps of the whole one."""
    first = [L.Dense(5, "tanh"), L.LayerNorm(), L.Dense(3)]
    second = [L.Residual([L.Dense(3, "elu")]), L.Dense(4)]
    whole = pynn.Sequential([*first, *second], 4, loss="mse", dtype="float64", seed=0)
    encoder = pynn.Sequential(first, 4, loss="mse", dtype="float64")
    decoder = pynn.Sequential(second, 3, loss="mse", dtype="float64")
    for key, array in whole.parameters.items():
        index, _, rest = key.partition(".")
        half, at = (encoder, int(index)) if int(index) < 3 else (decoder, int(index) - 3)
        half.parameters[f"{at}.{rest}"] = array
    x = nets.samples(whole, 30)
    optimizer, of_encoder, of_decoder = pynn.Adam(0.01), pynn.Adam(0.01), pynn.Adam(0.01)
    for _ in range(10):
        whole.train_on_batch(x, x, optimizer)
        code = encoder(x, training=True)
        _, gradients = decoder.gradients(code, x, training=True)
        dcode = decoder.input_gradient(code, x, training=True)
        _, through = encoder.backward(dcode, x, training=True, parameters=True)
        of_decoder.apply_gradients(decoder, gradients)
        of_encoder.apply_gradients(encoder, through)
    np.testing.assert_allclose(decoder(encoder(x)), whole(x), rtol=0, atol=1e-10)


BAD = {
    "missing": (lambda g: {k: g[k] for k in list(g)[1:]}, ValueError, "lacks '0.kernel'"),
    "unknown": (lambda g: {**g, "9.kernel": g["0.kernel"]}, ValueError, "unknown '9.kernel'"),
    "untrained": (
        lambda g: {**g, "1.moving_mean": g["1.beta"]},
        ValueError,
        "unknown '1.moving_mean'",
    ),
    "shape": (
        lambda g: {**g, "0.kernel": g["0.kernel"][1:]},
        ValueError,
        r"gradient of 0.kernel has shape \(2, 4\), expected \(3, 4\)",
    ),
    "not finite": (
        lambda g: {**g, "0.kernel": g["0.kernel"] * np.nan},
        FloatingPointError,
        "gradient is not finite",
    ),
    "a list": (lambda g: list(g.values()), TypeError, "must be a dict by the parameters' names"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_gradients_change_nothing(name):
    change, error, message = BAD[name]
    net = nets.make("batch norm, twice")
    x, y = nets.samples(net, 9), nets.values(net, 9)
    _, gradients = net.gradients(x, y)
    before = net.state_dict()
    with pytest.raises(error, match=message):
        pynn.SGD(0.1).apply_gradients(net, change(gradients))
    for key, array in net.parameters.items():
        assert_same_bits(array, before[key])
