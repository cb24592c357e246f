"""Wrong layers and arguments: which layer, what came, what it takes; before memory is taken."""

import re
import tracemalloc

import numpy as np
import pytest

import pynn
from pynn import layers as L

# Arguments of Keras, torch and others; typing errors; missing and positional ones.
KEYWORDS = [
    (
        lambda: L.Dense(10, use_bias=False),
        "Dense() got an unexpected keyword argument 'use_bias'; pynn calls it 'bias'",
    ),
    (lambda: L.Dense(10, kernel_initializer="zeros"), "'kernel_initializer'; pynn calls it 'init'"),
    (lambda: L.Dense(10, kernel_regularizer="l2"), "'kernel_regularizer'; pynn calls it 'l2'"),
    (lambda: L.Dense(10, kernel_constraint=2), "'kernel_constraint'; pynn calls it 'max_norm'"),
    (
        lambda: L.Dense(in_features=4, out_features=3),
        "'in_features': it is inferred: pass input_shape= to pynn.Sequential",
    ),
    (lambda: L.Dense(10, dtype="float64"), "'dtype': pass it to pynn.Sequential"),
    (lambda: L.Dense(10, trainable=False), "'trainable': call net.set_trainable(name, False)"),
    (lambda: L.Dense(10, dropout=0.5), "'dropout': add pynn.layers.Dropout(rate) after it"),
    (lambda: L.Dense(10, activaton="relu"), "'activaton'; did you mean 'activation'?"),
    (lambda: L.Dense(10, nonsense=1), "Dense() got an unexpected keyword argument 'nonsense'"),
    (L.Dense, "Dense() missing 1 required positional argument: 'units'"),
    (
        lambda: L.Dense(10, "relu", False),
        "Dense() takes 2 positional arguments, units and activation, got 3: write bias=False",
    ),
    (lambda: L.BatchNorm(eps=1e-5), "'eps'; pynn calls it 'epsilon'"),
    (lambda: L.BatchNorm(num_features=3), "'num_features': channels are the last axis"),
    (lambda: L.BatchNorm(center=False), "'center': gamma and beta are always there"),
    (lambda: L.LayerNorm(normalized_shape=3), "'normalized_shape': channels are the last axis"),
    (lambda: L.Dropout(p=0.5), "'p'; pynn calls it 'rate'"),
    (lambda: L.Embedding(input_dim=9, output_dim=3), "'input_dim'; pynn calls it 'vocabulary'"),
    (
        lambda: L.Embedding(num_embeddings=9, embedding_dim=3),
        "'num_embeddings'; pynn calls it 'vocabulary'",
    ),
    (lambda: L.Embedding(9), "Embedding() missing 1 required positional argument: 'units'"),
    (lambda: L.Conv2D(out_channels=8, kernel_size=3), "'out_channels'; pynn calls it 'filters'"),
    (lambda: L.Conv2D(8), "Conv2D() missing 1 required positional argument: 'kernel_size'"),
    (lambda: L.MaxPool1D(2, stride=1), "'stride'; pynn calls it 'strides'"),
    (lambda: L.Reshape(target_shape=(2, 2)), "'target_shape'; pynn calls it 'shape'"),
    (lambda: L.Activation(activation="relu"), "'activation'; pynn calls it 'function'"),
    (lambda: L.Flatten(data_format="channels_first"), "'data_format': channels are the last axis"),
    (
        lambda: L.GlobalAvgPool1D(keepdims=True),
        "GlobalAvgPool1D() got an unexpected keyword argument 'keepdims'",
    ),
    (lambda: L.RBF(5, sigma=2), "'sigma'; pynn calls it 'width'"),
    (L.Residual, "Residual() missing 1 required positional argument: 'layers'"),
    (
        lambda: pynn.Sequential([L.Dense(3)]),
        "Sequential() missing 1 required positional argument: 'input_shape'",
    ),
    (
        lambda: pynn.Sequential([L.Dense(3)], input_dim=4),
        "'input_dim'; pynn calls it 'input_shape'",
    ),
    (
        lambda: pynn.Sequential([L.Dense(3)], 4, activation="relu"),
        "'activation': pass it to a layer, such as pynn.layers.Dense",
    ),
    (
        lambda: pynn.Sequential([L.Dense(3)], 4, optimizer="adam"),
        "'optimizer': pass optimizer= to fit",
    ),
    (lambda: pynn.Sequential(layer_sizes=[4, 3]), "'layer_sizes': pass layers, such as"),
]


@pytest.mark.parametrize("case", KEYWORDS, ids=lambda case: case[1][:40])
def test_keywords(case):
    call, message = case
    with pytest.raises(TypeError, match=re.escape(message)):
        call()


SETTINGS = [
    (lambda: L.Dense("3"), TypeError, "units must be an integer, got '3'"),
    (lambda: L.Dense(0), ValueError, "units must be at least 1, got 0"),
    (lambda: L.Dense(2.5), TypeError, "units must be an integer, got 2.5"),
    (
        lambda: L.Dense(3, "rleu"),
        ValueError,
        "activation must be one of .* got 'rleu'; did you mean 'relu'",
    ),
    (lambda: L.Dense(3, lambda x: x), ValueError, "activation must be one of"),
    (lambda: L.Dense(3, 5), TypeError, "activation must be one of .* got 5"),
    (lambda: L.Dense(3, l1=-1), ValueError, r"l1 must be in \[0, inf\), got -1"),
    (lambda: L.Dense(3, l2=float("nan")), ValueError, r"l2 must be in \[0, inf\), got nan"),
    (lambda: L.Dense(3, max_norm=-1), ValueError, "max_norm must be in"),
    (lambda: L.Dense(3, bias="no"), TypeError, "bias must be True or False, got 'no'"),
    (lambda: L.Dense(3, init="hee"), ValueError, "init must be one of"),
    (lambda: L.Dense(3, name="a.b"), ValueError, "name must be a string without a dot, got 'a.b'"),
    (lambda: L.Dense(3, name="3"), ValueError, "name must not be a number"),
    (lambda: L.Dropout(1), ValueError, r"rate must be in \[0, 1\), got 1"),
    (lambda: L.Dropout(-0.1), ValueError, r"rate must be in \[0, 1\), got -0.1"),
    (lambda: L.Dropout(float("nan")), ValueError, r"rate must be in \[0, 1\), got nan"),
    (lambda: L.Dropout("a"), TypeError, "rate must be a number, got 'a'"),
    (lambda: L.Reshape(0), ValueError, r"shape\[0\] must be at least 1, got 0"),
    (lambda: L.Reshape((2, "a")), TypeError, r"shape\[1\] must be an integer, got 'a'"),
    (lambda: L.Reshape((-1, -1)), ValueError, "shape may have one size of -1"),
    (lambda: L.Reshape(None), TypeError, "shape must be a tuple of integers, got None"),
    (lambda: L.Reshape((2**40, 2**40)), ValueError, "shape is too large"),
    (lambda: L.Residual([]), ValueError, "layers must hold at least one layer"),
    (
        lambda: L.Residual(L.Dense(3)),
        TypeError,
        r"layers must be a sequence of layers, got Dense\(3\): put it in a list",
    ),
    (
        lambda: L.Residual([L.Dense(3), np.tanh]),
        TypeError,
        r"layers\[1\] must be a layer .* for a function: pynn.layers.Activation",
    ),
    (
        lambda: L.RBF(3, centers=[[1, 2]]),
        ValueError,
        r"centers has shape \(1, 2\), expected \(3, features\)",
    ),
    (lambda: L.RBF(3, width=0), ValueError, "width must be positive"),
    (
        lambda: L.RBF(3, width=[1, 2]),
        ValueError,
        r"width has shape \(2,\), expected \(\) or \(3,\)",
    ),
    (lambda: L.RBF(3, centers=[[np.nan]] * 3), ValueError, "centers must be finite"),
    (
        lambda: L.RBF.from_data(np.ones((2, 3)), 5),
        ValueError,
        "X has 2 samples, too few for units=5",
    ),
    (lambda: L.BatchNorm(2), ValueError, r"momentum must be in \[0, 1\], got 2"),
    (lambda: L.LayerNorm(epsilon=-1), ValueError, "epsilon must be in"),
    (
        lambda: L.PositionEmbedding("x"),
        ValueError,
        "kind must be 'learned' or 'sinusoidal', got 'x'",
    ),
    (lambda: L.Activation("rulu"), ValueError, "function must be one of .* did you mean 'relu'"),
    (lambda: L.Embedding(3, 3, sparse=1), TypeError, "sparse must be True or False, got 1"),
]


@pytest.mark.parametrize("case", SETTINGS, ids=lambda case: case[2][:40])
def test_settings(case):
    call, error, message = case
    with pytest.raises(error, match=message):
        call()


# Layers and a sample's shape; the message names the layer, what it takes, and what came.
NETWORKS = [
    (
        [L.Dense(3), L.Embedding(4, 5)],
        4,
        r"layer 1 \(Embedding\): it reads tokens: make it the first layer",
    ),
    (
        [L.Embedding(4, 5)],
        (3, 4),
        r"layer 0 \(Embedding\): it reads tokens, of shape \(time,\); its input has shape \(3, 4\)",
    ),
    (
        [L.Dense(5), L.GlobalAvgPool1D()],
        4,
        r"layer 1 \(GlobalAvgPool1D\): it takes inputs of shape \(time, channels\)",
    ),
    (
        [L.GlobalMaxPool2D(), L.Dense(3)],
        (3, 4),
        r"layer 0 \(GlobalMaxPool2D\): it takes inputs of shape \(height, width, channels\)",
    ),
    (
        [L.PositionEmbedding(), L.Dense(3)],
        4,
        r"layer 0 \(PositionEmbedding\): it takes sequences, of shape \(time, features\)",
    ),
    (
        [L.Reshape((3, 3)), L.Dense(3)],
        4,
        r"layer 0 \(Reshape\): 4 values do not fit the shape \(3, 3\)",
    ),
    (
        [L.Reshape((3, -1)), L.Dense(3)],
        4,
        r"layer 0 \(Reshape\): 4 values do not fit the shape \(3, -1\)",
    ),
    (
        [L.Residual([L.Dense(3), L.Flatten()]), L.Dense(2)],
        (5, 4),
        r"layer 0 \(Residual\): its layers change the shape to \(15,\)",
    ),
    (
        [L.Residual([L.Dropout(0)]), L.Dense(2)],
        4,
        r"layer 0 \(Residual\): its layers compute nothing",
    ),
    (
        [L.Dense(3), L.Residual([L.Dense(2), L.Residual([L.Reshape(3)])])],
        4,
        r"layer 1.1.0 \(Reshape\): 2 values do not fit the shape \(3,\)",
    ),
    (
        [L.Dense(3, name="a"), L.Residual([L.PositionEmbedding()], name="b")],
        4,
        r"layer b.0 \(PositionEmbedding\)",
    ),
    (
        [L.Dense(4), L.RBF(2, centers=[[1, 2], [3, 4]]), L.Dense(2)],
        4,
        r"layer 1 \(RBF\): its centers have 2 features, not 4",
    ),
    ([L.Dense(3, name="a"), L.Dense(3, name="a")], 4, "layers 0 and 1 have the same name 'a'"),
    (
        [L.Dense(2**62)],
        4,
        r"layer 0 \(Dense\): its kernel would have the shape \(4, 4611686018427387904\)",
    ),
    (
        [L.Dense(3), L.Dense(2**40), L.Dense(2**40)],
        4,
        r"layer 2 \(Dense\): its kernel would have the shape",
    ),
    (
        [L.Embedding(2**40, 2**20), L.Dense(3)],
        4,
        r"layer 0 \(Embedding\): its embeddings would have the shape",
    ),
    ([L.Flatten(), L.Dropout(0.5)], 4, "layers have no parameters to train"),
    ([L.PositionEmbedding("sinusoidal")], (3, 4), "layers have no parameters to train"),
    ([], 4, "layers must hold at least one layer"),
    ([L.Dense(3)], (3, None), r"input_shape is \(3, None\): only its first size may be None"),
    ([L.Dense(3)], (), "input_shape must have 1 to 4 dimensions"),
    ([L.Dense(3)], 0, r"input_shape\[0\] must be at least 1, got 0"),
    ([L.Dense(3)], (2**40, 2**40), "input_shape is too large"),
    ([L.Dense(1)], 4, "softmax that is always 1"),
    ([L.Dense(3, "relu")], 4, "output_activation must be one of softmax; got 'relu'"),
    (
        [L.Dense(3, init=lambda rng, shape, dtype: np.ones(3))],
        4,
        r"init returned an array of shape \(3,\), expected \(4, 3\)",
    ),
]


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case[2][:40])
def test_networks_that_cannot_be_built(case):
    layers, input_shape, message = case
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            pynn.Sequential(layers, input_shape)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (L.Dense(3), r"layers must be a sequence of layers, got Dense\(3\): put it in a list"),
        (5, "layers must be a sequence of layers, got 5"),
        ([L.Dense(3), "relu"], r"layers\[1\] must be a layer of pynn.layers, got 'relu'; for a"),
        ([L.Dense(3), L.Flatten], r"layers\[1\] must be .*: call it, Flatten\(...\)"),
        ([L.Dense(3), None], r"layers\[1\] must be a layer of pynn.layers, got None"),
    ],
)
def test_what_is_no_layer(layers, message):
    with pytest.raises(TypeError, match=message):
        pynn.Sequential(layers, 4)


def test_shapes_of_a_layer_alone():
    assert L.Residual([L.Dense(5)]).output_shape((3, 4)) == (3, 5)
    with pytest.raises(ValueError, match=r"layer 0 \(GlobalMaxPool3D\): it takes inputs of shape"):
        L.GlobalMaxPool3D().output_shape((3, 4))
    with pytest.raises(TypeError, match="input_shape"):
        L.Dense(3).output_shape("a")


ATTRIBUTES = [
    (
        lambda net: setattr(net.layers[0], "units", 4),
        AttributeError,
        "cannot assign to field 'units'",
    ),
    (
        lambda net: setattr(net, "layers", ()),
        AttributeError,
        r"read-only.*load_state_dict\(net.state_dict\(\)\)",
    ),
    (lambda net: net.parameters["0.kernal"], KeyError, "did you mean '0.kernel'"),
    (lambda net: net.parameters.__setitem__("0.kernel", np.ones((2, 2))), ValueError, "broadcast"),
    (lambda net: net.parameters.__setitem__("0.kernel", "a"), ValueError, "could not convert"),
    (lambda net: net.load_state_dict({}), ValueError, "state has no '0.kernel'"),
    (lambda net: net.load_state_dict(5), TypeError, "state must be a mapping"),
    (lambda net: net.load_state_dict({**net.state_dict(), "x": 1}), ValueError, "unknown 'x'"),
    (
        lambda net: net.load_state_dict({**net.state_dict(), "0.bias": [1]}),
        ValueError,
        r"state\['0.bias'\] has shape \(1,\), expected \(3,\)",
    ),
    (lambda net: net.hidden(np.ones((2, 4)), 3), ValueError, "there is no layer 3"),
    (lambda net: net.hidden(np.ones((2, 4)), "x"), ValueError, "got 'x'"),
    (lambda net: net.hidden(np.ones((2, 4)), 1.5), TypeError, "index must be an integer"),
    (
        lambda net: net.backward(np.ones((2, 4)), np.ones((2, 4))),
        ValueError,
        r"dout has shape \(2, 4\), expected \(2, 3\)",
    ),
    (lambda net: net.set_trainable(0, "no"), TypeError, "trainable must be True or False"),
]


@pytest.mark.parametrize("case", ATTRIBUTES, ids=lambda case: case[2][:40])
def test_a_network_made_wrong_use_of(case):
    call, error, message = case
    net = pynn.Sequential([L.Dense(3)], 4, seed=0)
    before = net.state_dict()
    with pytest.raises(error, match=message):
        call(net)
    for key, array in net.parameters.items():
        np.testing.assert_array_equal(array, before[key])
