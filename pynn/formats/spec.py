"""A network's forward pass as plain data: what writers take and readers return."""

from __future__ import annotations

import importlib
import itertools
import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from pynn._types import Array

# The parameters of the dense layer that a residual applies to its input.
PROJECTION = ("projection.kernel", "projection.bias")


@dataclass(frozen=True)
class LayerSpec:
    """One layer.

    Attributes
    ----------
    kind : str
        "Dense", "BatchNorm", ...: a class's name in `pynn.layers`. A layer's activation is a
        further layer, of kind "Activation".
    output_shape : tuple of int
        Without the axis of samples.
    config : dict
        The layer's settings: `name` of an activation, `rate` of a dropout, else those of the layer.
    arrays : dict of str to ndarray
        The parameters: `kernel` of shape (inputs, outputs) and, if there is one, `bias`; of other
        layers as the network names them. Those of a residual's projection are
        `projection.kernel` and `projection.bias`.
    names : dict of str to str
        Where a user finds these parameters: ``{"kernel": "weights[0]"}`` is an attribute,
        ``{"kernel": "0.kernel"}`` a name in the network's `parameters`.
    source : str
        The object that this layer was read from, for messages.
    path : str
        The layer's index or name in a network of layers, nested ones dotted.
    layers : tuple of LayerSpec
        What a residual adds to its input.
    """

    kind: str
    output_shape: tuple[int, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    path: str = ""
    layers: tuple[LayerSpec, ...] = ()


@dataclass(frozen=True)
class NetworkSpec:
    """The layers in the order of the forward pass.

    Attributes
    ----------
    layers : tuple of LayerSpec
    input_shape : tuple of int
        Without the axis of samples.
    dtype : numpy.dtype
        The type of the parameters and of the arithmetic.
    loss : str or None
        The name of the loss; None if unknown.
    classes : list or None
        The labels of a classifier's classes, in the order of its outputs. For one sigmoid output:
        the labels of 0 and 1.
    """

    layers: tuple[LayerSpec, ...]
    input_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    loss: str | None = None
    classes: list[Any] | None = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of a sample's output."""
        return self.layers[-1].output_shape

    @property
    def parameter_count(self) -> int:
        """The number of parameters."""
        return sum(array.size for _, array in self.parameters())

    @property
    def tokens(self) -> bool:
        """True if the inputs are integers, which an embedding reads."""
        return any(layer.kind == "Embedding" for layer in self.layers)

    @property
    def is_mlp(self) -> bool:
        """True for dense layers over vectors, with dropout and one activation each."""
        before = ""
        for layer in self.layers:
            if layer.kind == "Activation":
                if before != "Dense":
                    return False
            elif layer.kind not in ("Dense", "Dropout"):
                return False
            before = layer.kind
        return len(self.input_shape) == 1

    def walk(self) -> Iterator[LayerSpec]:
        """Yield the layers, nested ones after the one that holds them."""
        return walk(self.layers)

    def parameters(self) -> Iterator[tuple[str, Array]]:
        """Yield each parameter's name, such as "weights[0]", and its array."""
        for layer in self.walk():
            for role, array in layer.arrays.items():
                yield layer.names[role], array

    def steps(self) -> list[tuple[tuple[int, ...], str]]:
        """Return the output shape and the activation of each layer that has parameters.

        Returns
        -------
        list of tuple
            (shape, activation), "identity" for a layer that no activation follows.
        """
        found: list[tuple[tuple[int, ...], str]] = []
        for layer in self.layers:
            if layer.kind == "Activation" and found:
                found[-1] = (found[-1][0], layer.config["name"])
            elif layer.arrays:
                found.append((layer.output_shape, "identity"))
        return found


def walk(layers: Sequence[LayerSpec]) -> Iterator[LayerSpec]:
    """Yield layers, nested ones after the one that holds them."""
    for layer in layers:
        yield layer
        yield from walk(layer.layers)


class HasSpec(Protocol):
    """A network: an object that describes itself as plain data."""

    def to_spec(self) -> NetworkSpec:
        """Return the forward pass in copies."""


def dense_network(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    *,
    dropout: Sequence[float] = (),
    loss: str | None = None,
    names: tuple[str, str] = ("weights", "biases"),
    classes: list[Any] | None = None,
) -> NetworkSpec:
    """Describe a multilayer perceptron.

    Parameters
    ----------
    weights : sequence of ndarray of shape (inputs, outputs)
        All of one dtype.
    biases : sequence of ndarray of shape (outputs,)
        Empty for a network without biases.
    activations : sequence of str
        One for each layer.
    dropout : sequence of float
        The rate of each layer's inputs; empty for none.
    loss : str, optional
    names : tuple of str
        The attributes in which a user finds the weights and the biases.
    classes : list, optional

    Returns
    -------
    NetworkSpec
    """
    layers: list[LayerSpec] = []
    for i, (weight, activation) in enumerate(zip(weights, activations, strict=True)):
        inputs, outputs = weight.shape
        if dropout and dropout[i]:
            layers.append(LayerSpec("Dropout", (inputs,), {"rate": dropout[i]}))
        arrays = {"kernel": weight} | ({"bias": biases[i]} if len(biases) else {})
        layers.append(
            LayerSpec(
                "Dense",
                (outputs,),
                {},
                arrays,
                {"kernel": f"{names[0]}[{i}]", "bias": f"{names[1]}[{i}]"},
            )
        )
        if activation != "identity":
            layers.append(LayerSpec("Activation", (outputs,), {"name": activation}))
    return NetworkSpec(tuple(layers), weights[0].shape[:1], weights[0].dtype, loss, classes)


def identifier(name: str) -> str:
    """Return a parameter's name in letters, digits and underscores: "weights0", "_0_kernel"."""
    plain = re.sub(r"\W", "_", re.sub(r"[\[\]]", "", name), flags=re.ASCII)
    return f"_{plain}" if plain[:1].isdigit() else plain


def distinct(name: str, taken: Container[str]) -> str:
    """Return `name`, with a number after it if it is taken."""
    names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
    return next(each for each in names if each not in taken)


def attribute(name: str) -> str:
    """Return how a user reads a parameter: "net.weights[0]", "net.parameters['0.kernel']"."""
    return f"net.parameters[{name!r}]" if "." in name else f"net.{name}"


def look_up(table: Mapping[str, Any], layer: LayerSpec, format_name: str) -> Any:
    """Return the entry for a layer's kind in a format's table.

    Raises
    ------
    ValueError
        If the format has no such layer.
    """
    if layer.kind not in table:
        place = f"layer {layer.path} ({layer.kind})" if layer.path else f"the layer {layer.kind}"
        raise ValueError(f"{format_name} cannot express {place}; it has {', '.join(table)}")
    return table[layer.kind]


def batch_norm_scale(layer: LayerSpec) -> Array:
    """Return what batch normalization multiplies the centered values by, in float64."""
    gamma, variance = (layer.arrays[r].astype(np.float64) for r in ("gamma", "moving_variance"))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale: Array = gamma / np.sqrt(variance + layer.config["epsilon"])
    return scale


def check_chain(shapes: Sequence[tuple[int, int]], names: Sequence[str]) -> None:
    """Check that each layer takes as many inputs as the one before has outputs.

    Parameters
    ----------
    shapes : sequence of tuple (inputs, outputs)
    names : sequence of str
        The layers' names, for the message.
    """
    for (before, after), name in zip(pairwise(shapes), names[1:], strict=True):
        if after[0] != before[1]:
            raise ValueError(
                f"{name} takes {after[0]} inputs, but the layer before it has {before[1]} outputs"
            )


def spec_of(net: Any) -> NetworkSpec:
    """Return a network as plain data, in copies.

    Raises
    ------
    TypeError
        If `net` is not a network of pynn.
    """
    if isinstance(net, type) or not hasattr(net, "to_spec"):
        raise TypeError(f"net must be a pynn.MLP, got {describe_other(net)}")
    spec: NetworkSpec = net.to_spec()
    return spec


def describe_other(given: Any) -> str:
    """Describe, for a message, an object that is not the network expected, and name the cure."""
    if isinstance(given, type):
        return f"the class {given.__name__}; pass an instance"
    kind = type(given).__name__
    modules = {base.__module__.partition(".")[0] for base in type(given).__mro__}
    if hasattr(given, "to_spec"):
        return f"{kind}, which is a network of pynn already"
    if kind == "History" and "pynn" in modules:
        return f"{kind}, which fit returns; pass the network itself"
    if isinstance(given, str | bytes | os.PathLike):
        return f"{kind}; pynn.load reads a network from a file"
    if kind == "FitManyResult":
        return f"{kind}; pass one of its models"
    if "keras" in modules:
        return f"{kind} of keras; pynn.from_keras makes a network of a model"
    if "torch" in modules:
        return f"{kind} of torch; pynn.from_torch makes a network of a module"
    if hasattr(given, "get_params") and hasattr(given, "fit"):
        return f"{kind}, an estimator; pynn.from_sklearn makes a network of a multilayer perceptron"
    return kind


def optional(package: str, function: str, install: str) -> Any:
    """Import a package that pynn does not depend on.

    Raises
    ------
    ImportError
        Naming the package to install.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{function} needs {install}: pip install {install}") from error
