"""A scalar reference predicts every bit of each layer; an embedding has those of a dense layer."""

import layer_nets as nets
import layer_reference
import numpy as np
import pytest
from reference import FLOATS, assert_same_bits

import pynn
from pynn import layers as L

TYPES = pytest.mark.parametrize("dtype", FLOATS)
FUSED = pytest.mark.skipif(
    not pynn.show_config("dict")["fused_multiply_add"], reason="this set has no fused multiply-add"
)
OPTIMIZERS = (
    lambda: pynn.SGD(0.1),
    lambda: pynn.SGD(0.1, momentum=0.9),
    lambda: pynn.SGD(0.1, weight_decay=0.01),
    pynn.Adam,
    pynn.RMSprop,
)
# A ragged piece of samples after a whole one, for the cheap ones.
LONG = ("dense", "batch norm", "layer norm", "rbf over time", "position embedding", "embedding")


def check(net, n, training):
    x, dout = nets.samples(net, n), nets.values(net, n)
    tape = layer_reference.Tape(net, training)
    expected = tape.forward(x)
    assert_same_bits(net(x, training=training), expected)
    dx, gradients = tape.backward(dout)
    own_dx, own = net.backward(dout, x, parameters=True, training=training)
    if dx is not None:
        assert_same_bits(own_dx, dx)
    for name in net.trainable_parameters:
        assert_same_bits(own[name], gradients[name])


@FUSED
@TYPES
@pytest.mark.parametrize("name", nets.NETS)
def test_scalars_predict_each_bit(name, dtype):
    net = nets.make(name, dtype=dtype)
    modes = (False, True) if nets.has(net.layers, L.BatchNorm) else (False,)
    for training in modes:
        for n in (1, 9):
            check(net, n, training)


@FUSED
@TYPES
@pytest.mark.parametrize("name", LONG)
def test_scalars_predict_sums_over_several_pieces(name, dtype):
    """600 samples are two pieces; with several positions the first one has further cuts."""
    with pynn.threads(2):
        check(nets.make(name, dtype=dtype), 600, training=name == "batch norm")


@FUSED
@TYPES
def test_scalars_predict_running_statistics(dtype):
    net = nets.make("batch norm, first and last", dtype=dtype)
    x, y = nets.samples(net, 60), nets.values(net, 60)
    before = net.state_dict()
    tape = layer_reference.Tape(net, training=True)
    tape.forward(x)
    norms = {
        path: node for node, _, path in tape.nodes if isinstance(node, layer_reference.BatchNorm)
    }
    net.train_on_batch(x, y, "sgd")
    for path, node in norms.items():
        momentum = net.layers[int(path)].momentum
        for of, now in (("mean", node.mean), ("variance", node.variance)):
            key = f"{path}.moving_{of}"
            followed = momentum * before[key].astype(float) + (1 - momentum) * now.astype(float)
            assert_same_bits(net.parameters[key], followed.astype(dtype))


@TYPES
@pytest.mark.parametrize("time", [1, 3])
def test_an_embedding_has_the_bits_of_a_dense_layer(time, dtype):
    rest = [L.Dense(4, "tanh"), L.Flatten(), L.Dense(3)]
    tokens = pynn.Sequential([L.Embedding(9, 5), *rest], time, loss="mse", dtype=dtype, seed=0)
    one_hot = pynn.Sequential(
        [L.Dense(5, bias=False), *rest], (time, 9), loss="mse", dtype=dtype, seed=0
    )
    names = {"0.embeddings": "0.kernel"}
    for name, array in tokens.parameters.items():
        one_hot.parameters[names.get(name, name)] = array
    for n in (1, 7, 600, 1100):
        x, y = nets.samples(tokens, n), nets.values(tokens, n)
        rows = np.eye(9, dtype=dtype)[x]
        assert_same_bits(tokens(x), one_hot(rows))
        loss, gradients = tokens.gradients(x, y)
        expected_loss, expected = one_hot.gradients(rows, y)
        assert loss == expected_loss
        for name, gradient in gradients.items():
            assert_same_bits(gradient, expected[names.get(name, name)])
        for make in OPTIMIZERS:
            tokens.train_on_batch(x, y, make())
            one_hot.train_on_batch(rows, y, make())
            for name, array in tokens.parameters.items():
                assert_same_bits(array, one_hot.parameters[names.get(name, name)])
