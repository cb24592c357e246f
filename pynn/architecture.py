"""Checks of what a network is made of: sizes, activations, and settings of its layers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from pynn import _checks
from pynn._names import ACTIVATIONS as ALIASES
from pynn._names import canonical
from pynn._types import ACTIVATIONS, FLOATS
from pynn.losses import LOSSES

# Activations whose derivatives are functions of their outputs: a layer applies them itself.
FUSED = ("identity", "relu", "leaky_relu", "elu", "softplus", "exp", "sigmoid", "tanh")
# Beyond this, bytes cannot be counted in 64 bits.
MOST_PARAMETERS = 2**58


def check_sizes(layer_sizes: Any) -> tuple[int, ...]:
    """`layer_sizes` as a tuple of at least two positive ints."""
    try:
        sizes = tuple(layer_sizes)
    except TypeError:
        raise TypeError(
            f"layer_sizes must be a sequence of integers, got {layer_sizes!r}"
        ) from None
    if len(sizes) < 2:
        raise ValueError(f"layer_sizes must hold at least inputs and outputs, got {layer_sizes!r}")
    checked = tuple(_checks.integer(n, f"layer_sizes[{i}]", 1) for i, n in enumerate(sizes))
    parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(checked))
    if parameters > MOST_PARAMETERS:
        raise ValueError(f"layer_sizes {checked} makes {parameters:.3g} parameters")
    return checked


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """`dtype` as one of NumPy's two that the kernels have."""
    try:
        checked: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from None
    if checked not in FLOATS or dtype is None:
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return checked


def check_activations(activation: Any, count: int) -> tuple[str, ...]:
    """One name for each of `count` hidden layers."""
    if isinstance(activation, str):
        return (canonical(activation, "activation", ACTIVATIONS, ALIASES),) * count
    if callable(activation):
        return (canonical(activation, "activation", ACTIVATIONS, ALIASES),) * count
    try:
        names = tuple(activation)
    except TypeError:
        raise TypeError(f"activation must be a name or a sequence, got {activation!r}") from None
    if len(names) != count:
        raise ValueError(f"activation has {len(names)} names, but there are {count} hidden layers")
    return tuple(
        canonical(name, f"activation[{i}]", ACTIVATIONS, ALIASES) for i, name in enumerate(names)
    )


def check_output_activation(name: Any, loss: str) -> str:
    """The output activation `name`, or the loss's own, if it fits the loss."""
    info = LOSSES[loss]
    if name is None:
        return info.output
    try:
        return canonical(name, "output_activation", info.outputs, ALIASES)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (for loss={loss!r})") from None


def check_softmax(output: str, loss: str, outputs: int) -> None:
    """Refuse a softmax over one output, which is always 1."""
    if output == "softmax" and outputs == 1:
        cure = (
            "for yes or no pass loss='sigmoid_cross_entropy', or 2 outputs; for values loss='mse'"
            if loss == "softmax_cross_entropy"
            else "pass another output_activation"
        )
        raise ValueError(f"loss={loss!r} with 1 output has a softmax that is always 1: {cure}")


def check_per_layer(
    value: Any, name: str, count: int, *, high: float = math.inf, of_input: float | None = None
) -> tuple[float, ...]:
    """One number of at least 0 for each of `count` layers with weights.

    Parameters
    ----------
    value : float or sequence of float
    name : str
        The argument's name, for the message.
    count : int
    high : float
        Numbers are below it.
    of_input : float, optional
        What a single number means for the first layer, if not itself.

    Returns
    -------
    tuple of float
    """
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        number = _checks.number(value, name, low=0.0, high=high, open_low=False)
        first = number if of_input is None else of_input
        return (first, *(number,) * (count - 1))
    values = list(value)
    if len(values) != count:
        raise ValueError(
            f"{name} has {len(values)} values, expected one number, or {count}: one for each layer "
            "with weights"
        )
    return tuple(
        _checks.number(v, f"{name}[{i}]", low=0.0, high=high, open_low=False)
        for i, v in enumerate(values)
    )
