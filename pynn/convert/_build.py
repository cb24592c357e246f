"""Networks made of plain data: `MLP` where it can express them, else `Sequential`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn import layers as L
from pynn._types import OUTPUT_ACTIVATIONS, Array
from pynn.formats.spec import PROJECTION, LayerSpec, NetworkSpec, check_chain
from pynn.layers._base import Graph, Layer, check_shape
from pynn.losses import LOSS_OF_OUTPUT, check_loss
from pynn.mlp import MLP
from pynn.sequential import Sequential

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


def make_any(spec: NetworkSpec, loss: Any, *, seed: Any, input_shape: Any = None) -> Any:
    """Make the multilayer perceptron of a specification, or a `Sequential` where it is none.

    Parameters
    ----------
    spec : NetworkSpec
        Each layer has a `source`, which messages name.
    loss : str, Loss or None
        None: the loss that the output activation stands for.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
    input_shape : int or tuple of int, optional
        Of a sample; by default what the layers say of it.

    Returns
    -------
    MLP or Sequential
    """
    shape = (
        None if input_shape is None else check_shape(input_shape, "input_shape", any_length=True)
    )
    kinds = {layer.kind for layer in spec.layers}
    if len(shape or ()) > 1 or not kinds <= {"Dense", "Dropout", "Flatten", "Activation"}:
        return make_sequential(spec, loss, seed=seed, input_shape=shape)
    try:
        if shape not in (None, dense_layers(spec)[0].layer.arrays["kernel"].shape[:1]):
            return make_sequential(spec, loss, seed=seed, input_shape=shape)
    except ValueError as error:
        try:
            return make_sequential(spec, loss, seed=seed, input_shape=shape)
        except ValueError:
            raise error from None
    return make_network(spec, loss, seed=seed)


def make_sequential(
    spec: NetworkSpec, loss: Any, *, seed: Any, input_shape: tuple[int, ...] | None
) -> Sequential:
    """Make the network of layers of a specification.

    Parameters
    ----------
    spec : NetworkSpec
        The output shapes are not read.
    loss : str, Loss or None
        None: the loss that the output activation stands for.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
    input_shape : tuple of int or None
        None: what the layers say of it.

    Returns
    -------
    Sequential
    """
    shape = input_shape or _inferred_shape(spec.layers)
    specs = list(spec.layers)
    last = specs[-1].config["name"] if specs and specs[-1].kind == "Activation" else None
    if loss is None:
        loss = LOSS_OF_OUTPUT.get(last or "identity", "squared_error")
    builder = _Builder(shape)
    try:
        layers = builder.build(specs, Graph(shape), "")
    except ValueError as error:
        if input_shape is None and "shape" in str(error):
            hint = f"for inputs of another shape than {shape} pass input_shape"
            raise ValueError(f"{error}; {hint}") from None
        raise
    options: dict[str, Any] = {"dtype": spec.dtype, "seed": seed}
    if last is not None and last in check_loss(loss, builder.outputs).info.inner:
        layers = builder.build(specs[:-1], Graph(shape), "")
        options["output_activation"] = last
    try:
        net = Sequential(layers, shape, loss, **options)
    except ValueError as error:
        if last is not None and str(error).startswith("output_activation"):
            raise ValueError(
                f"{specs[-1].source or 'the network'} ends in {last}, which loss does not fit: "
                f"{error}"
            ) from None
        raise
    net.load_state_dict(builder.arrays)
    return net


def _inferred_shape(layers: Sequence[LayerSpec]) -> tuple[int, ...]:
    """Return the shape of a sample that the first layer with an opinion takes."""
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        arrays = layer.arrays
        if layer.kind in SHAPES:
            array = arrays[SHAPES[layer.kind]]
            return array.shape[1:] if layer.kind == "RBF" else array.shape[:1]
        if layer.kind == "PositionEmbedding":
            return arrays["embeddings"].shape
        if layer.kind == "Residual":
            return arrays[PROJECTION[0]].shape[:1] if arrays else _inferred_shape(layer.layers)
        if layer.kind == "Embedding" and after is not None and after.kind == "PositionEmbedding":
            return after.arrays["embeddings"].shape[:1]
        if layer.kind == "Reshape" and -1 not in layer.config["shape"]:
            return (math.prod(layer.config["shape"]),)
        if layer.kind not in ("Activation", "Dropout", "Flatten"):
            cure = "=(time,)" if layer.kind == "Embedding" else ""
            raise ValueError(f"{layer.source}; for inputs of that kind pass input_shape{cure}")
    raise ValueError("no layer says how many inputs there are; pass input_shape")


# The array whose first axis (the last of RBF's) is that of the inputs' channels.
SHAPES = {"Dense": "kernel", "BatchNorm": "gamma", "LayerNorm": "gamma", "RBF": "centers"}


class _Builder:
    """Layers of pynn made of plain data, and their parameters by name.

    Parameters
    ----------
    shape : tuple of int
        Of a sample.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.arrays: dict[str, Array] = {}
        self.outputs = shape[-1]

    def build(self, specs: Sequence[LayerSpec], graph: Graph, prefix: str) -> list[Layer]:
        """Make layers that follow those in a graph, with a prefix of their names."""
        layers: list[Layer] = []
        mergeable = False
        for spec in specs:
            path, shape = f"{prefix}{len(layers)}", graph.shape
            if "axis" in spec.config and len(shape) != 1:
                raise ValueError(
                    f"{spec.source}, whose axis is not the last one of inputs of shape {shape}; "
                    "pynn has its channels last"
                )
            if spec.kind == "Activation" and mergeable:
                layers[-1] = _with_activation(layers[-1], spec.config["name"])
                mergeable = False
                continue
            known = len(graph.parameters)
            try:
                if spec.kind == "Residual":
                    held = self.build(spec.layers, Graph(shape), f"{path}.")
                    layers.append(L.Residual(held))
                else:
                    layers.append(BUILDERS[spec.kind](spec, shape))
                graph.append(layers[-1], path)
            except ValueError as error:
                if str(error).startswith(("module", "model")) or not spec.source:
                    raise
                raise ValueError(f"{spec.source}; {error}") from None
            self._take(spec, path, graph.parameters[known:], shape)
            mergeable = spec.kind in ("Dense", "Residual")
        self.outputs = graph.shape[-1]
        return layers

    def _take(self, spec: LayerSpec, path: str, parameters: Sequence[Any], shape: Any) -> None:
        """Take a layer's arrays, which have to be those that the layer needs."""
        needed = {parameter.name: parameter.shape for parameter in parameters}
        own = {f"{path}.{role}": array for role, array in spec.arrays.items()}
        for name, array in own.items():
            role = name[len(path) + 1 :]
            if name not in needed:
                raise ValueError(
                    f"{spec.source}; a projection that keeps the number of channels was not "
                    "expected"
                )
            if array.shape != needed[name]:
                raise ValueError(
                    f"{spec.source}, whose {role} has shape {array.shape}; for inputs of shape "
                    f"{shape} it must have shape {needed[name]}"
                )
        self.arrays.update(own)
        if missing := needed.keys() - self.arrays.keys():
            role = min(missing)[len(path) + 1 :]
            raise ValueError(f"{spec.source}; it has no {role}, which shapes that differ need")


def _with_activation(layer: Layer, name: str) -> Layer:
    config = layer.config() | {"activation": name}
    if isinstance(layer, L.Residual):
        return L.Residual(layer.layers, name)
    return L.from_config(config)


def _dense(spec: LayerSpec, shape: tuple[int, ...]) -> Layer:
    penalties = {key: spec.config.get(key, 0.0) for key in ("l1", "l2", "max_norm")}
    return L.Dense(spec.arrays["kernel"].shape[1], bias="bias" in spec.arrays, **penalties)


def _rbf(spec: LayerSpec, shape: tuple[int, ...]) -> Layer:
    return L.RBF(len(spec.arrays["centers"]), train_widths=spec.config["train_widths"])


def _pool(kind: str) -> Callable[[LayerSpec, tuple[int, ...]], Layer]:
    """Return the maker of a pool over all axes but the last."""

    def make(spec: LayerSpec, shape: tuple[int, ...]) -> Layer:
        layer: Layer = getattr(L, f"{kind}{min(max(len(shape) - 1, 1), 3)}D")()
        return layer

    return make


def _embedding(spec: LayerSpec, shape: tuple[int, ...]) -> Layer:
    return L.Embedding(*spec.arrays["embeddings"].shape, sparse=spec.config["sparse"])


# The maker of each kind of layer, of its specification and the shape of its inputs.
BUILDERS: dict[str, Callable[[LayerSpec, tuple[int, ...]], Layer]] = {
    "Dense": _dense,
    "Activation": lambda spec, shape: L.Activation(spec.config["name"]),
    "Dropout": lambda spec, shape: L.Dropout(spec.config["rate"]),
    "Flatten": lambda spec, shape: L.Flatten(),
    "Reshape": lambda spec, shape: L.Reshape(spec.config["shape"]),
    "BatchNorm": lambda spec, shape: L.BatchNorm(
        spec.config["momentum"], epsilon=spec.config["epsilon"]
    ),
    "LayerNorm": lambda spec, shape: L.LayerNorm(epsilon=spec.config["epsilon"]),
    "Embedding": _embedding,
    "PositionEmbedding": lambda spec, shape: L.PositionEmbedding(spec.config["kind"]),
    "GlobalAvgPool": _pool("GlobalAvgPool"),
    "GlobalMaxPool": _pool("GlobalMaxPool"),
    "RBF": _rbf,
}
