"""Networks with each kind of layer, their parameters random, for all formats."""

import numpy as np

import pynn
from pynn import layers as L

# By name: the layers before a last Dense(3), and the shape of a sample.
CASES = {
    "dense": ([L.Dense(4, "tanh")], 5),
    "dense without bias": ([L.Dense(4, "silu", bias=False)], 5),
    "dense over time": ([L.Dense(4, "relu"), L.Dense(2, bias=False)], (6, 5)),
    "dense over images": ([L.Dense(4, "gelu")], (3, 2, 5)),
    "activation first": ([L.Activation("relu")], 5),
    "softmax over time": ([L.Dense(4), L.Activation("softmax")], (6, 5)),
    "dropout": ([L.Dropout(0.2), L.Dense(4), L.Dropout(0.5), L.Activation("tanh")], 5),
    "flatten": ([L.Flatten()], (3, 2, 4)),
    "reshape": ([L.Reshape((4, -1)), L.Dense(2), L.Reshape((2, 4)), L.Reshape(8)], 12),
    "reshape a sequence": ([L.Reshape((2, 3, 2))], (4, 3)),
    "residual": ([L.Residual([L.Dense(8, "relu"), L.Dropout(0.1), L.Dense(5)])], 5),
    "residual with projection": ([L.Residual([L.Dense(8, "tanh")], "relu", name="block")], 5),
    "residual over time": ([L.Residual([L.LayerNorm(), L.Dense(7)], "elu")], (6, 5)),
    "residual of activations": (
        [L.Residual([L.Activation("sigmoid")]), L.Residual([L.Dropout(0.5)])],
        5,
    ),
    "residuals in residuals": (
        [L.Residual([L.Dense(6), L.Residual([L.Activation("tanh"), L.BatchNorm()]), L.Dense(5)])],
        5,
    ),
    "batch norm": ([L.BatchNorm(0.9, epsilon=0.01), L.Dense(4), L.BatchNorm()], 5),
    "batch norm over time": ([L.Dense(4), L.BatchNorm(), L.Activation("relu")], (6, 5)),
    "batch norm over images": ([L.BatchNorm()], (3, 2, 5)),
    "layer norm": ([L.LayerNorm(), L.Dense(4), L.LayerNorm(epsilon=0.1)], 5),
    "layer norm over time": ([L.LayerNorm()], (6, 5)),
    "embedding": ([L.Embedding(9, 4)], 6),
    "positions": ([L.Embedding(9, 4), L.PositionEmbedding(), L.GlobalAvgPool1D()], 6),
    "sinusoids": ([L.PositionEmbedding("sinusoidal"), L.Flatten()], (6, 5)),
    "average over time": ([L.GlobalAvgPool1D()], (6, 5)),
    "maximum over time": ([L.GlobalMaxPool1D()], (6, 5)),
    "average over images": ([L.GlobalAvgPool2D()], (3, 4, 5)),
    "maximum over images": ([L.GlobalMaxPool2D()], (3, 4, 5)),
    "average over videos": ([L.GlobalAvgPool3D()], (2, 3, 4, 5)),
    "maximum over videos": ([L.GlobalMaxPool3D()], (2, 3, 4, 5)),
    "rbf": ([L.RBF(4, width=1.5)], 5),
    "rbf over time": ([L.RBF(4, width=2.0, train_widths=False), L.GlobalMaxPool1D()], (6, 5)),
}
DTYPES = ["float32", "float64"]


def make_case(name, dtype="float32", loss="softmax_cross_entropy"):
    """The network of a case, all its parameters random, and inputs for it."""
    layers, shape = CASES[name]
    net = pynn.Sequential([*layers, L.Dense(3)], shape, loss, dtype=dtype, seed=0)
    rng = np.random.default_rng(1)
    for parameter, array in net.parameters.items():
        if parameter.endswith(("variance", "widths", "gamma")):
            array[...] = rng.uniform(0.5, 2, array.shape)
        elif not parameter.endswith("kernel"):
            array[...] = rng.normal(size=array.shape)
    return net, inputs(net)


def inputs(net, rows=7):
    """Samples for a network."""
    rng = np.random.default_rng(2)
    if isinstance(net.layers[0], L.Embedding):
        return rng.integers(0, net.layers[0].vocabulary, size=(rows, *net.input_shape))
    return rng.normal(size=(rows, *net.input_shape)).astype(net.dtype)


def layer_kinds():
    """The names of the layers that every format has."""
    windows = {f"{kind}{n}D" for kind in ("Conv", "AvgPool", "MaxPool") for n in (1, 2, 3)}
    return set(L.__all__) - {"Layer", "from_config"} - windows
