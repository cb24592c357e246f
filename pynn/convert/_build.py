"""Networks made of plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn._types import OUTPUT_ACTIVATIONS, Array
from pynn.formats.spec import LayerSpec, NetworkSpec, check_chain
from pynn.losses import LOSS_OF_OUTPUT
from pynn.mlp import MLP

# f(c x) = c f(x) for c >= 0: dropout before them is dropout after them.
HOMOGENEOUS = ("identity", "relu", "leaky_relu")


@dataclass
class _Dense:
    """A layer of a multilayer perceptron with the dropout before and the activation after it."""

    layer: LayerSpec
    dropout: float
    activation: str | None = None


def dense_layers(spec: NetworkSpec) -> list[_Dense]:
    """Return the layers of a specification as those of a multilayer perceptron.

    Parameters
    ----------
    spec : NetworkSpec
        Each layer has a `source`, which messages name.

    Raises
    ------
    ValueError
        If a multilayer perceptron cannot express these layers, naming the one in the way.
    """
    found: list[_Dense] = []
    rate, rate_source = 0.0, ""  # of the dropout since the last dense layer
    for layer in spec.layers:
        here = layer.source
        if layer.kind == "Flatten":  # a network takes rows
            continue
        if layer.kind == "Dropout":
            # One dropout with this rate equals two in a row.
            rate += layer.config["rate"] - rate * layer.config["rate"]
            rate_source = here
        elif layer.kind == "Dense":
            if found and found[-1].activation in OUTPUT_ACTIVATIONS:
                raise ValueError(
                    f"{here}, after {found[-1].activation}, which is possible at the end only"
                )
            found.append(_Dense(layer, rate))
            rate = 0.0
        else:
            name = layer.config["name"]
            _check_activation(layer, name, found)
            if rate and name not in HOMOGENEOUS:
                raise ValueError(
                    f"{rate_source}, between a Linear and its activation {name}; dropout is "
                    "possible after the activation"
                )
            found[-1].activation = name
    if not found:
        raise ValueError("module has no Linear layer")
    if rate:
        raise ValueError(f"{rate_source}, after the last Linear; dropout is of a layer's input")
    check_chain(
        [dense.layer.arrays["kernel"].shape for dense in found],
        [f"{dense.layer.source}, which" for dense in found],
    )
    return found


def _check_activation(layer: LayerSpec, name: str, found: list[_Dense]) -> None:
    here = layer.source
    if not found:
        raise ValueError(f"{here}, before any Linear; a layer's activation comes after it")
    if found[-1].activation is not None:
        raise ValueError(
            f"{here}, after {found[-1].activation}; a Linear has at most one activation"
        )
    if name == "softmax" and found[-1].layer.output_shape == (1,):
        raise ValueError(
            f"{here}, over one output, which is always 1; end in Sigmoid, or in two outputs"
        )


def make_network(spec: NetworkSpec, loss: Any, *, seed: Any) -> MLP:
    """Make the network of a specification.

    Parameters
    ----------
    spec : NetworkSpec
    loss : str, Loss or None
        None: the loss that the output activation stands for.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator

    Returns
    -------
    MLP
        Without biases if no layer has one. If only some have one, the others get zeros.
    """
    dense = dense_layers(spec)
    output = dense[-1].activation
    weights = [each.layer.arrays["kernel"] for each in dense]
    biases: list[Array] = []
    if any("bias" in each.layer.arrays for each in dense):
        biases = [
            each.layer.arrays.get("bias", np.zeros(each.layer.output_shape)) for each in dense
        ]
    dropout = tuple(each.dropout for each in dense)
    options: dict[str, Any] = {"dropout": dropout} if any(dropout) else {}
    if loss is None:
        loss = LOSS_OF_OUTPUT.get(output or "identity", "squared_error")
    try:
        net = MLP(
            (len(weights[0]), *(weight.shape[1] for weight in weights)),
            tuple(each.activation or "identity" for each in dense[:-1]),
            loss,
            output,
            init=_no_draw,
            bias=bool(biases),
            dtype=spec.dtype,
            seed=seed,
            **options,
        )
    except ValueError as error:
        if output is not None and str(error).startswith("output_activation"):
            raise ValueError(f"module ends in {output}, which loss does not fit: {error}") from None
        raise
    net.set_weights(weights, biases)
    return net


def _no_draw(rng: Any, shape: tuple[int, int], dtype: Any) -> Array:
    """Return initial weights without a random draw; `set_weights` replaces them."""
    return np.zeros(shape, dtype)
