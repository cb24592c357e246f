"""Initial weights, drawn from a NumPy generator, so that a NumPy program can draw the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._types import Array

Initializer = Callable[[np.random.Generator, tuple[int, int], np.dtype[Any]], Array]

# The variance of the weights from the layer's fans: He et al. (2015), Glorot and Bengio (2010),
# LeCun et al. (1998).
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "he": lambda fan_in, fan_out: 2.0 / fan_in,
    "glorot": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1.0 / fan_in,
}
NAMES = tuple(f"{scheme}_{shape}" for scheme in VARIANCES for shape in ("normal", "uniform"))


def draw(
    name: str, rng: np.random.Generator, shape: tuple[int, int], dtype: np.dtype[Any]
) -> Array:
    """Weights of `shape` (fan_in, fan_out), drawn in float64 and rounded to `dtype`.

    Parameters
    ----------
    name : str
        One of `NAMES`: the scheme fixes the variance, and the second word the distribution.
    rng : numpy.random.Generator
        ``rng.normal(0, std, shape)`` or ``rng.uniform(-limit, limit, shape)`` is drawn from it.
    shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    ndarray
    """
    scheme, distribution = name.split("_")
    std = math.sqrt(VARIANCES[scheme](*shape))
    if distribution == "normal":
        return rng.normal(0.0, std, shape).astype(dtype)
    limit = math.sqrt(3.0) * std
    return rng.uniform(-limit, limit, shape).astype(dtype)
