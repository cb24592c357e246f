"""Initial weights, drawn from a NumPy generator, so that a NumPy program can draw the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._names import INITIALIZERS as ALIASES
from pynn._names import canonical
from pynn._types import Array

# (A string: `import numpy` leaves numpy.random to its first use, and so does `import pynn`.)
Initializer = Callable[["np.random.Generator", tuple[int, int], np.dtype[Any]], Array]

# The variance of the weights from the layer's fans: He et al. (2015), Glorot and Bengio (2010),
# LeCun et al. (1998).
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "he": lambda fan_in, fan_out: 2.0 / fan_in,
    "glorot": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1.0 / fan_in,
}
NAMES = (
    *(f"{scheme}_{shape}" for scheme in VARIANCES for shape in ("normal", "uniform")),
    "orthogonal",
    "zeros",
)

# As in Keras and scikit-learn. He's weights are larger where a layer is wider than its inputs: the
# random function that the network then starts as remains in its predictions.
DEFAULT = "glorot_uniform"


def check_name(init: Any) -> str:
    """Pynn's name of an initialization."""
    return canonical(init, "init", NAMES, ALIASES)


def draw(
    name: str, rng: np.random.Generator, shape: tuple[int, int], dtype: np.dtype[Any]
) -> Array:
    """Weights of `shape` (fan_in, fan_out), drawn in float64 and rounded to `dtype`.

    Parameters
    ----------
    name : str
        One of `NAMES`. The schemes fix the variance, and the second word the distribution.
        "orthogonal": orthonormal columns (or rows, if there are fewer) [1]_.
    rng : numpy.random.Generator
        ``rng.normal(0, std, shape)``, ``rng.uniform(-limit, limit, shape)`` or, for "orthogonal",
        ``rng.normal(size=(larger, smaller))`` is drawn from it.
    shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    ndarray

    References
    ----------
    .. [1] A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of
       learning in deep linear neural networks", ICLR 2014.
    """
    if name == "zeros":
        return np.zeros(shape, dtype)
    if name == "orthogonal":
        return _orthogonal(rng, shape).astype(dtype)
    scheme, distribution = name.split("_")
    std = math.sqrt(VARIANCES[scheme](*shape))
    if distribution == "normal":
        return rng.normal(0.0, std, shape).astype(dtype)
    limit = math.sqrt(3.0) * std
    return rng.uniform(-limit, limit, shape).astype(dtype)


def draw_with_fans(
    name: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    fans: tuple[int, int],
    dtype: np.dtype[Any],
) -> Array:
    """Weights of any shape, whose last axis is the outputs.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    rng : numpy.random.Generator
    shape : tuple of int
    fans : tuple of int
        The numbers of inputs of an output, and of outputs of an input.
    dtype : numpy.dtype

    Returns
    -------
    ndarray
    """
    if name in ("zeros", "orthogonal"):
        matrix = (math.prod(shape[:-1]), shape[-1])
        return draw(name, rng, matrix, dtype).reshape(shape)
    scheme, distribution = name.split("_")
    std = math.sqrt(VARIANCES[scheme](*fans))
    if distribution == "normal":
        return rng.normal(0.0, std, shape).astype(dtype)
    limit = math.sqrt(3.0) * std
    return rng.uniform(-limit, limit, shape).astype(dtype)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    q, r = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # what makes the distribution uniform
    return q if shape[0] >= shape[1] else q.T
