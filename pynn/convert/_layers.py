"""What all conversions share: a network as plain data, and optional packages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pynn._types import Array
from pynn.history import History
from pynn.mlp import MLP

# Every activation of a hidden layer, and those that only an output has.
HIDDEN = (
    "identity",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "sigmoid",
    "tanh",
)
OUTPUT_ONLY = ("softmax", "exp")

# The slope of "leaky_relu" below 0.
LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class Layers:
    """A network's forward pass.

    Attributes
    ----------
    loss : str
    activations : tuple of str
        One for each layer; the last is the output's.
    weights : list of ndarray of shape (inputs, outputs)
    biases : list of ndarray of shape (outputs,)
        Empty for a network without biases.
    dropout : tuple of float
        Of each layer's input.
    classes : list or None
        The labels of an estimator's classes, in the order of its outputs; for one sigmoid output
        the labels of 0 and 1.
    """

    loss: str
    activations: tuple[str, ...]
    weights: list[Array]
    biases: list[Array]
    dropout: tuple[float, ...]
    classes: list[Any] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of inputs, of each hidden layer's units, and of outputs."""
        return (len(self.weights[0]), *(w.shape[1] for w in self.weights))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of weights and arithmetic."""
        return self.weights[0].dtype

    @property
    def parameter_count(self) -> int:
        """The number of weights and biases."""
        return sum(array.size for array in (*self.weights, *self.biases))


def layers_of(net: Any) -> Layers:
    """`net` as plain data, in copies.

    Raises
    ------
    TypeError
        If `net` is not an MLP.
    """
    if not isinstance(net, MLP):
        raise TypeError(f"net must be a pynn.MLP, got {kind_of(net)}")
    weights, biases = net.get_weights()
    dropout = net.dropout
    return Layers(net._loss.name, net.activations, weights, biases, dropout)


def kind_of(given: Any) -> str:
    """What was given in place of a network, for a message, and the cure where there is one."""
    if isinstance(given, type):
        return f"the class {given.__name__}; pass an instance"
    kind = type(given).__name__
    modules = {base.__module__.partition(".")[0] for base in type(given).__mro__}
    if isinstance(given, MLP):
        return f"{kind}, which is a network of pynn already"
    if isinstance(given, History):
        return f"{kind}, which fit returns; pass the network itself"
    if isinstance(given, str | bytes | os.PathLike):
        return f"{kind}; pynn.load reads a network from a file"
    if kind == "FitManyResult":
        return f"{kind}; pass one of its models"
    if "torch" in modules:
        return f"{kind} of torch; pynn.from_torch makes a network of a module"
    if hasattr(given, "get_params") and hasattr(given, "fit"):
        return f"{kind}, an estimator; pynn.from_sklearn makes a network of a multilayer perceptron"
    return kind


def make_network(
    weights: Sequence[Array],
    biases: Sequence[Array],
    *,
    hidden: Sequence[str],
    loss: Any,
    output: str | None,
    dropout: Sequence[float],
    dtype: Any,
    seed: Any,
) -> MLP:
    """Make the network that has these arrays; no biases make one without biases."""
    options: dict[str, Any] = {"dropout": tuple(dropout)} if any(dropout) else {}
    net = MLP(
        (len(weights[0]), *(w.shape[1] for w in weights)),
        tuple(hidden),
        loss,
        output,
        init=_no_draw,
        bias=bool(len(biases)),
        dtype=dtype,
        seed=seed,
        **options,
    )
    net.set_weights(weights, biases)
    return net


def _no_draw(rng: Any, shape: tuple[int, int], dtype: Any) -> Array:
    """Initial weights that leave the generator alone: they are overwritten at once."""
    return np.zeros(shape, dtype)


def check_chain(shapes: Sequence[tuple[int, int]], names: Sequence[str]) -> None:
    """Check that each layer takes as many inputs as the one before has outputs."""
    for (before, after), name in zip(pairwise(shapes), names[1:], strict=True):
        if after[0] != before[1]:
            raise ValueError(
                f"{name} takes {after[0]} inputs, but the layer before it has {before[1]} outputs"
            )


def optional(package: str, function: str, install: str) -> Any:
    """Import a package that pynn does not depend on.

    Raises
    ------
    ImportError
        Naming what to install.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{function} needs {install}: pip install {install}") from error
