"""Networks as plain data, and their outputs computed by SciPy in float64."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import special

from pynn.formats.spec import dense_network

FUNCTIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * special.ndtr(x),
    "silu": lambda x: x * special.expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "softmax": lambda x: special.softmax(x, axis=-1),
    "exp": np.exp,
}


@pytest.fixture
def make_layers():
    def make(
        sizes=(5, 7, 6, 3),
        hidden="relu",
        output="identity",
        *,
        bias=True,
        dtype="float32",
        dropout=(),
    ):
        rng = np.random.default_rng(0)
        count = len(sizes) - 1
        names = (hidden,) * (count - 1) if isinstance(hidden, str) else tuple(hidden)
        weights = [
            (rng.normal(size=shape) / np.sqrt(shape[0])).astype(dtype) for shape in pairwise(sizes)
        ]
        biases = [rng.normal(size=n).astype(dtype) for n in sizes[1:]] if bias else []
        return dense_network(weights, biases, (*names, output), dropout=dropout, loss="mse")

    return make


@pytest.fixture
def forward():
    def compute(spec, x):
        y = np.asarray(x, np.float64)
        for layer in spec.layers:
            if layer.kind == "Dense":
                y = y @ layer.arrays["kernel"].astype(np.float64) + layer.arrays.get("bias", 0)
            elif layer.kind == "Activation":
                y = FUNCTIONS[layer.config["name"]](y)
        return y

    return compute


@pytest.fixture
def assert_close():
    def check(result, expected):
        assert result.shape == expected.shape
        double = result.dtype == np.float64
        np.testing.assert_allclose(
            result, expected, rtol=1e-12 if double else 2e-5, atol=1e-13 if double else 2e-6
        )

    return check
