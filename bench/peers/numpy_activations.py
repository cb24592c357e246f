"""Activations in well-written NumPy: SciPy's functions, results in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.special import erf, expit

from .base import Array


def relu(x: Array, out: Array, buffer: Array) -> Any:
    return np.maximum(x, 0, out=out)


def leaky_relu(x: Array, out: Array, buffer: Array) -> Any:
    np.multiply(x, 0.01, out=out)
    return np.maximum(x, out, out=out)


def elu(x: Array, out: Array, buffer: Array) -> Any:
    np.minimum(x, 0, out=out)
    np.expm1(out, out=out)
    np.maximum(x, 0, out=buffer)
    return np.add(out, buffer, out=out)


def silu(x: Array, out: Array, buffer: Array) -> Any:
    expit(x, out=out)
    return np.multiply(x, out, out=out)


def softplus(x: Array, out: Array, buffer: Array) -> Any:
    return np.logaddexp(x, 0, out=out)


def sigmoid(x: Array, out: Array, buffer: Array) -> Any:
    return expit(x, out=out)


def tanh(x: Array, out: Array, buffer: Array) -> Any:
    return np.tanh(x, out=out)


def gelu(x: Array, out: Array, buffer: Array) -> Any:
    np.multiply(x, math.sqrt(0.5), out=out)
    erf(out, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, x, out=out)
    return np.multiply(out, 0.5, out=out)


def gelu_tanh(x: Array, out: Array, buffer: Array) -> Any:
    np.multiply(x, x, out=out)
    np.multiply(out, 0.044715, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, x, out=out)
    np.multiply(out, math.sqrt(2 / math.pi), out=out)
    np.tanh(out, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, x, out=out)
    return np.multiply(out, 0.5, out=out)


# Half the time of scipy.special.softmax and log_softmax.
def softmax(x: Array, out: Array, buffer: Array) -> Any:
    np.subtract(x, np.max(x, axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    return np.divide(out, np.sum(out, axis=1, keepdims=True), out=out)


def log_softmax(x: Array, out: Array, buffer: Array) -> Any:
    np.subtract(x, np.max(x, axis=1, keepdims=True), out=out)
    np.exp(out, out=buffer)
    total = np.sum(buffer, axis=1, keepdims=True)
    return np.subtract(out, np.log(total, out=total), out=out)


FUNCTIONS = (
    relu,
    leaky_relu,
    elu,
    silu,
    softplus,
    sigmoid,
    tanh,
    gelu,
    gelu_tanh,
    softmax,
    log_softmax,
)
BY_NAME = {function.__name__: function for function in FUNCTIONS}


def program(function: str, x: Array) -> Callable[[], Any]:
    """Give a function applied to `x`, its arrays made once."""
    return partial(BY_NAME[function], x, np.empty_like(x), np.empty_like(x))
