"""The activations in NumPy, for any floating type, and inputs where they bend or saturate."""

import numpy as np
import reference

import pynn


def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, np.ones_like(e)) / (1 + e)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def leaky_relu(x, alpha=0.01):
    return np.where(x < 0, x.dtype.type(alpha) * x, x)


EXACT = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "elu": elu,
    "leaky_relu": leaky_relu,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))),
}
# The derivative, of x.
SLOPES = {
    "relu": lambda x: x > 0,
    "sigmoid": lambda x: sigmoid(x) * sigmoid(-x),
    "tanh": lambda x: 1 / np.cosh(x) ** 2,
    "elu": lambda x, alpha=1.0: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    "leaky_relu": lambda x, alpha=0.01: np.where(x > 0, 1, alpha),
    "silu": lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
    "softplus": sigmoid,
}


def widened(x):
    return x.astype(reference.WIDER[x.dtype])


def backward(name, dy, x, **keywords):
    """The gradient from x: what the function wants is its output, for silu its input."""
    given = x if name == "silu" else getattr(pynn, name)(x, **keywords)
    return getattr(pynn, f"{name}_backward")(dy, given, **keywords)


def dense(dtype):
    """Numbers from the whole of a type, and many where the functions bend and end."""
    rng = np.random.default_rng(0)
    if dtype == np.float32:
        everywhere = np.arange(0, 2**32, 9973, dtype=np.uint32).view(dtype)
        ends = (112, 104.5, 89, 17, 10, 8)
    else:
        everywhere = rng.integers(0, 2**64, 400_000, dtype=np.uint64).view(dtype)
        ends = (760, 746, 710, 38, 20, 8)
    near = [np.linspace(-end, end, 60_001) for end in (*ends, 2, 1, 0.4)]
    small = np.ldexp(rng.uniform(-1, 1, 60_000), rng.integers(-60, 4, 60_000))
    return np.concatenate([everywhere, small.astype(dtype), *(x.astype(dtype) for x in near)])
