"""ONNX's own node tests, for the operators that the layers export, where their shapes fit."""

import functools
import math
import warnings

import numpy as np
import pytest

import pynn
from pynn import layers as L

node_tests = pytest.importorskip("onnx.backend.test.case.node")
helper = pytest.importorskip("onnx.helper")


def apply(layers, x, parameters=None):
    """What layers compute, with the given parameters."""
    net = pynn.Sequential([*layers, L.Dense(1)], x.shape[1:], loss="mse", seed=0)
    for name, value in (parameters or {}).items():
        net.parameters[name] = value
    return net.hidden(x, len(layers) - 1)


def channels_last(x):
    return np.moveaxis(x, 1, -1)


def batch_normalization(attributes, x, gamma, beta, mean, variance):
    settings = attributes.get("momentum", 0.9), attributes.get("epsilon", 1e-5)
    layer = L.BatchNorm(settings[0], epsilon=settings[1])
    net = pynn.Sequential([layer], channels_last(x).shape[1:], loss="mse")
    values = (gamma, beta, mean, variance)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    for name, value in zip(names, values, strict=True):
        net.parameters[f"0.{name}"] = value
    samples = channels_last(x)
    if not attributes.get("training_mode"):
        return (np.moveaxis(net(samples), -1, 1),)
    y = np.moveaxis(net(samples, training=True), -1, 1)
    net.backward(np.zeros_like(samples), samples, training=True, parameters=True)
    return y, net.parameters["0.moving_mean"], net.parameters["0.moving_variance"]


def layer_normalization(attributes, x, gamma, beta):
    axis = attributes.get("axis", -1) % x.ndim
    size = math.prod(x.shape[axis:])
    rows = x.reshape(1 if axis == 0 else x.shape[0], -1, size)
    layer = L.LayerNorm(epsilon=attributes.get("epsilon", 1e-5))
    parameters = {"0.gamma": gamma.reshape(-1), "0.beta": beta.reshape(-1)}
    return (apply([layer], rows, parameters).reshape(x.shape),)


def pool(of_images):
    def run(attributes, x):
        y = apply([of_images()], channels_last(x))
        return (y.reshape(*x.shape[:2], 1, 1),)

    return run


def gather(attributes, data, indices):
    axis = attributes.get("axis", 0)
    if indices.min() < 0:
        return None  # a token is at least 0
    table = np.moveaxis(data, axis, 0)
    net = pynn.Sequential(
        [L.Embedding(len(table), max(table[0].size, 1))], indices.size, loss="mse"
    )
    net.parameters["0.embeddings"] = table.reshape(len(table), -1)
    y = net(indices.reshape(1, -1)).reshape(*indices.shape, *table.shape[1:])
    return (np.moveaxis(y, tuple(range(indices.ndim)), tuple(range(axis, axis + indices.ndim))),)


def gemm(attributes, a, b, c=None):
    a = attributes.get("alpha", 1) * (a.T if attributes.get("transA") else a)
    b = b.T if attributes.get("transB") else b
    bias = 0 if c is None else attributes.get("beta", 1) * c
    if np.ndim(bias) == 2 and len(bias) > 1:
        return None  # a bias is of the outputs
    net = pynn.Sequential([L.Dense(b.shape[1])], b.shape[0], loss="mse")
    net.parameters["0.kernel"] = b
    net.parameters["0.bias"] = np.broadcast_to(bias, (1, b.shape[1]))[0]
    return (net(a),)


def matmul(attributes, a, b):
    if a.ndim < 2 or b.ndim != 2:
        return None  # a kernel is a matrix
    return gemm(attributes, a, b)


def activation(function, **expected):
    def run(attributes, x):
        if any(attributes.get(name, value) != value for name, value in expected.items()):
            return None
        return (apply([L.Activation(function)], x.reshape(1, -1, x.shape[-1])).reshape(x.shape),)

    return run


def softmax(attributes, x):
    axis = attributes.get("axis", -1)
    y = apply([L.Activation("softmax")], np.moveaxis(x, axis, -1))
    return (np.moveaxis(y, -1, axis),)


def flatten(attributes, x):
    if attributes.get("axis", 1) % x.ndim != 1:
        return None  # samples stay
    return (apply([L.Flatten()], x),)


def reshape(attributes, x, shape):
    sizes = [x.shape[i] if n == 0 else int(n) for i, n in enumerate(shape)]
    if x.size == 0 or sizes[0] != len(x) or len(sizes) < 2:
        return None  # samples stay
    return (apply([L.Reshape(tuple(sizes[1:]))], x),)


OPERATORS = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "GlobalAveragePool": pool(L.GlobalAvgPool2D),
    "GlobalMaxPool": pool(L.GlobalMaxPool2D),
    "Gather": gather,
    "Gemm": gemm,
    "MatMul": matmul,
    "Flatten": flatten,
    "Reshape": reshape,
    "Softmax": softmax,
    "Relu": activation("relu"),
    "LeakyRelu": activation("leaky_relu", alpha=0.01),
    "Elu": activation("elu", alpha=1.0),
    "Gelu": activation("gelu", approximate=b"none"),
    "Sigmoid": activation("sigmoid"),
    "Softplus": activation("softplus"),
    "Swish": activation("silu", alpha=1.0),
    "Tanh": activation("tanh"),
    "Exp": activation("exp"),
}


@functools.cache
def cases():
    """The tests of one node each, by operator and name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # (NumPy's, where other operators overflow)
        collected = node_tests.collect_testcases(None)
    found = {}
    for case in collected:
        nodes = [] if case.model is None else case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS and case.data_sets:
            found.setdefault(nodes[0].op_type, {})[case.name] = case
    return found


@pytest.mark.parametrize("operator", OPERATORS)
def test_nodes(operator):
    ran = 0
    for name, case in cases()[operator].items():
        node = case.model.graph.node[0]
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        for inputs, outputs in case.data_sets:
            if any(np.asarray(each).dtype.kind not in "fi" for each in inputs):
                continue
            actual = OPERATORS[operator](attributes, *inputs)
            if actual is None:
                continue
            ran += 1
            for a, b in zip(actual, outputs, strict=False):
                assert a.shape == b.shape, name
                np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, err_msg=name)
    assert ran > 0
