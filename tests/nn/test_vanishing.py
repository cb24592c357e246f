"""Values and derivatives that vanish are 0 in a network before they are denormal."""

import numpy as np
import pytest
from scipy import special

import pynn

LEAST = {"float32": 2.0**-110, "float64": 2.0**-1000}
LOWEST = {"float32": -110.0, "float64": -760.0}
ACTIVATIONS = {
    "sigmoid": (special.expit, lambda x: special.expit(x) * special.expit(-x)),
    "softplus": (lambda x: np.logaddexp(0, x), special.expit),
    "silu": (
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) * (1 + x * special.expit(-x)),
    ),
    "gelu": (
        lambda x: x * special.ndtr(x),
        lambda x: special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    ),
}


def unit_by_unit(activation, dtype, x):
    """A network whose hidden units each see one input and pass on what they make of it."""
    net = pynn.MLP([len(x), len(x), 1], activation, loss="squared_error", init="zeros", dtype=dtype)
    net.weights[0][...] = np.eye(len(x))
    net.weights[1][...] = 1
    return net


@pytest.mark.parametrize("dtype", LEAST)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_vanishes_is_0(activation, dtype):
    least = LEAST[dtype]
    low = LOWEST[dtype] if activation != "gelu" else -np.sqrt(-2 * LOWEST[dtype])
    x = np.concatenate([np.linspace(low, 0, 301), np.linspace(0.5, -low, 50)]).astype(dtype)
    net = unit_by_unit(activation, dtype, x)
    values = net.hidden(x[np.newaxis], 0)[0]
    derivatives = net.backward(np.ones((1, 1), dtype), x[np.newaxis])[0]
    eps = np.finfo(dtype).eps
    for got, f in zip((values, derivatives), ACTIVATIONS[activation], strict=True):
        with np.errstate(under="ignore"):
            expected = f(x.astype(float))
        assert np.all(got[np.abs(expected) < 0.999 * least] == 0)
        assert np.any(np.abs(expected) < 0.999 * least)
        shows = np.abs(expected) > 1.001 * least
        # (A derivative is one of the output, which knows 1 - 1e-20 as 1.)
        error = np.abs(got - expected) - eps * (x > 0)
        assert np.all(error[shows] <= 3000 * eps * np.abs(expected[shows]))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "elu", "softplus", "silu", "gelu"])
def test_no_gradient_is_denormal(activation):
    """Through many layers of units that are nearly off."""
    rng = np.random.default_rng(0)
    net = pynn.MLP([8] * 12 + [3], activation, seed=0)
    for weight, bias in zip(net.weights, net.biases, strict=True):
        weight[...] *= 8
        bias[...] = rng.normal(scale=12, size=bias.shape)
    X, y = rng.normal(scale=5, size=(64, 8)).astype(np.float32), rng.integers(3, size=64)
    for layer in range(len(net.weights) - 1):
        hidden = np.abs(net.hidden(X, layer))
        assert not np.any((hidden > 0) & (hidden < np.finfo(np.float32).tiny)), layer
    _, _, biases = net.backward(np.eye(3, dtype=np.float32)[y], X, parameters=True)
    for bias in biases:  # sums of what comes back to the units
        assert not np.any((bias != 0) & (np.abs(bias) < np.finfo(np.float32).tiny))


def test_what_is_not_finite_stays():
    for activation in ACTIVATIONS:
        x = np.array([np.nan, -np.inf, np.inf, 0], np.float32)
        net = unit_by_unit(activation, "float32", x[:1])
        with np.errstate(invalid="ignore"):
            got = net.hidden(x[:, np.newaxis], 0)[:, 0]
        zero = ACTIVATIONS[activation][0](0.0)
        one = 1 if activation == "sigmoid" else np.inf
        np.testing.assert_array_equal(got, np.float32([np.nan, 0, one, zero]))


@pytest.mark.parametrize("dtype", LEAST)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "tanh", "elu"])
def test_the_bits_are_those_of_a_row_alone(activation, dtype):
    """In batches that fill no vector, and divided among threads, which take pieces in turn."""
    rng = np.random.default_rng(0)
    net = pynn.MLP([40, 131, 3], activation, dtype=dtype, seed=0)
    net.weights[0][...] *= 20 if dtype == "float32" else 100
    X = rng.normal(scale=10, size=(331, 40)).astype(dtype)
    hidden = net.hidden(X)
    if activation in ACTIVATIONS:
        assert np.count_nonzero(hidden == 0) > 100
    expected = np.stack([net(row) for row in X])
    for threads in (1, 2, 3):
        with pynn.threads(threads):
            assert net(X).tobytes() == expected.tobytes()
            assert net.hidden(X).tobytes() == hidden.tobytes()
