"""What layers have in common: descriptions without arrays, and the graph that a list becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn import _checks, initializers
from pynn._frozen import Frozen
from pynn._names import ACTIVATIONS as ALIASES
from pynn._names import canonical
from pynn._types import Array
from pynn.architecture import MOST_PARAMETERS
from pynn.data import core_shape

# Of integers; the first may be None: any length.
Shape = tuple[Any, ...]
Draw = Callable[["np.random.Generator", "np.dtype[Any]"], Array]

# Whose derivatives are functions of their outputs: a layer applies them with its product.
FUSED = ("identity", "relu", "leaky_relu", "elu", "softplus", "exp", "sigmoid", "tanh")
FUNCTIONS = (*FUSED, "silu", "gelu", "softmax")


class Layer(Frozen):
    """Base class of the layers.

    A layer is a small immutable description; the arrays belong to the network. Layers are equal if
    their settings are.

    Attributes
    ----------
    name : str or None
        What the network calls it; by default its index.
    """

    name: str | None

    def _set(self, name: Any, **settings: Any) -> None:
        for key, value in settings.items():
            setattr(self, key, value)
        if name is not None and (not isinstance(name, str) or not name or "." in name):
            raise ValueError(f"name must be a string without a dot, got {name!r}")
        if name is not None and name.isdigit():
            raise ValueError(f"name must not be a number, which is a layer's index, got {name!r}")
        self.name = name

    def output_shape(self, input_shape: Sequence[int]) -> Shape:
        """Infer the shape of the output of a sample.

        Parameters
        ----------
        input_shape : sequence of int
            Without the axis of samples.

        Returns
        -------
        tuple of int

        Raises
        ------
        ValueError
            If the layer does not take such inputs.
        """
        graph = Graph(check_shape(input_shape, "input_shape", any_length=True))
        graph.append(self, "0")
        return graph.shape

    def _assemble(self, graph: Graph, path: str) -> None:
        """Append the layer's nodes to the graph."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """The call that makes such a layer, without what is the default."""
        from inspect import signature

        texts = []
        for name, argument in signature(type(self)).parameters.items():
            value = getattr(self, name)
            if value == argument.default or (argument.default is None and not value):
                continue
            if name == "activation" and value == "identity":
                continue
            required = argument.default is argument.empty
            texts.append(repr(value) if required else f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(texts)})"

    def config(self) -> dict[str, Any]:
        """Give the settings as JSON has them, and the class's name as "layer".

        Returns
        -------
        dict
        """
        return {"layer": type(self).__name__, **self._settings()}


def check_shape(shape: Any, name: str, *, any_length: bool = False) -> Shape:
    """Return the shape of a sample as a tuple of 1 to 4 positive integers.

    With `any_length` the first may be None.
    """
    if isinstance(shape, int | np.integer) and not isinstance(shape, bool):
        shape = (shape,)
    try:
        sizes = tuple(shape)
    except TypeError:
        raise TypeError(f"{name} must be a tuple of integers, got {shape!r}") from None
    if None in sizes[any_length:]:
        only = "only its first size may be None" if any_length else "give a length instead of None"
        raise ValueError(f"{name} is {sizes}: {only}")
    if not 1 <= len(sizes) <= 4:
        raise ValueError(f"{name} must have 1 to 4 dimensions, got {sizes}")
    checked = tuple(
        n if n is None else _checks.integer(n, f"{name}[{i}]", 1) for i, n in enumerate(sizes)
    )
    if math.prod(n for n in checked if n is not None) > MOST_PARAMETERS:
        raise ValueError(f"{name} is too large, got {checked}")
    return checked


def not_negative(value: Any, name: str) -> float:
    """Return a number that is finite and at least 0."""
    return _checks.number(value, name, low=0.0, open_low=False)


def check_function(function: Any, name: str) -> str:
    """Return pynn's name of an activation; None is the identity."""
    if function is None:
        return "identity"
    if callable(function) and not isinstance(function, str):
        function = getattr(function, "__name__", function)
    return str(canonical(function, name, FUNCTIONS, ALIASES))


def check_init(init: Any) -> Any:
    """Return the name of an initialization, or a callable."""
    if callable(init) and not isinstance(init, type):
        return init
    return initializers.check_name(init)


class Parameter:
    """A parameter of a network under construction.

    Attributes
    ----------
    name : str
        As the network's `parameters` has it: ``"0.kernel"``.
    node : int
        The index of the core's layer.
    role : str
        The core's name.
    shape : tuple of int
    draw : callable
        ``draw(rng, dtype)`` gives the initial values.
    trained : bool
    """

    __slots__ = ("draw", "name", "node", "role", "shape", "trained")

    def __init__(
        self, name: str, node: int, role: str, shape: Shape, draw: Draw, trained: bool
    ) -> None:
        self.name, self.node, self.role = name, node, role
        self.shape, self.draw, self.trained = shape, draw, trained


class Graph:
    """The core's layers in topological order, as the layers of a network append them.

    Parameters
    ----------
    input_shape : tuple of int

    Attributes
    ----------
    shape : tuple of int
        Of the last output.
    nodes : list of dict
    last : int
        The node whose output the next one reads; -1 is the network's input.
    parameters : list of Parameter
    outputs : dict of str to tuple
        By the path of a layer: its node, and the shape of its output.
    functions : dict of int to str
        Activations by node, the last of a chain that a layer applies.
    """

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = self.shape = input_shape
        self.nodes: list[dict[str, Any]] = []
        self.last = -1
        self.reshaped = False  # `shape` is another than the node's own
        self.parameters: list[Parameter] = []
        self.outputs: dict[str, tuple[int, Shape]] = {}
        self.tokens = False
        self.dropouts = 0

    def append(self, layer: Layer, path: str) -> None:
        """Append a layer; an error names it.

        Parameters
        ----------
        layer : Layer
        path : str
            Its index or name, nested ones dotted.
        """
        before = self.shape
        try:
            layer._assemble(self, path)
            if size_of(tuple(n or 1 for n in self.shape)) > MOST_PARAMETERS:
                raise ValueError(f"its output would have the shape {self.shape}")
        except ValueError as error:
            if getattr(error, "placed", False):
                raise
            kind = type(layer).__name__
            raised = ValueError(f"layer {path} ({kind}): {error}; its input has shape {before}")
            raised.placed = True  # type: ignore[attr-defined]
            raise raised from None
        self.outputs[path] = (self.last, self.shape)

    def extend(self, layers: Sequence[Layer], prefix: str = "") -> None:
        """Append layers.

        Parameters
        ----------
        layers : sequence of Layer
        prefix : str
            The path of the layer that holds them, with a dot.
        """
        names = [getattr(layer, "name", None) for layer in layers]
        for i, layer in enumerate(layers):
            name = names[i]
            if name is not None and name in names[:i]:
                first, second = (f"{prefix}{k}" for k in (names.index(name), i))
                raise ValueError(f"layers {first} and {second} have the same name {name!r}")
            self.append(layer, f"{prefix}{name or i}")

    def node(self, kind: str, shape: Shape, **settings: Any) -> int:
        """Append a node of the core that reads the last output, and return its index.

        Parameters
        ----------
        kind : str
            The core's name of the kind.
        shape : tuple of int
            Of its output.
        **settings
            The core's settings; ``reads``: the nodes it reads.
        """
        described = {"kind": kind, "reads": [self.last], **settings}
        if self.reshaped:
            described["reshape"] = core_shape(self.shape)
        self.nodes.append(described)
        self.last, self.shape, self.reshaped = len(self.nodes) - 1, shape, False
        return self.last

    def reshape(self, shape: Shape) -> None:
        """Give the last output another shape of the same size."""
        self.shape, self.reshaped = shape, True

    def fork(self) -> tuple[int, Shape, bool]:
        """Return the place of the last output, where another branch may begin."""
        return self.last, self.shape, self.reshaped

    def go_to(self, place: tuple[int, Shape, bool]) -> None:
        """Append from here on to what a place was when `fork` returned it."""
        self.last, self.shape, self.reshaped = place

    def join(self, place: tuple[int, Shape, bool]) -> None:
        """Append the sum of a place's output and the last one, which have the same shape."""
        last, shape = self.last, self.shape
        self.go_to(place)
        self.node("add", shape, reads=[place[0], last])

    def parameter(
        self,
        path: str,
        role: str,
        shape: Shape,
        draw: Draw,
        *,
        trained: bool = True,
        before_function: bool = False,
    ) -> None:
        """Name a parameter of the last node, or of the one before its activation."""
        if size_of(shape) > MOST_PARAMETERS:
            raise ValueError(f"its {role} would have the shape {shape}")
        name, node = f"{path}.{role}", self.last
        if before_function and self.nodes[node]["kind"] == "activation":
            node -= 1
        self.parameters.append(Parameter(name, node, role, shape, draw, trained))

    def apply(self, kind: str, shape: Shape, function: str, **settings: Any) -> None:
        """Append a node and its activation, in one where the core can."""
        fused = function if function in FUSED else "identity"
        self.node(kind, shape, activation=fused, **settings)
        if function != fused:
            self.activation(function)

    def activation(self, function: str) -> None:
        """Append a function, unless it is the identity."""
        if function != "identity":
            self.node("activation", self.shape, function=function)

    def dense(
        self,
        path: str,
        units: int,
        function: str = "identity",
        *,
        bias: bool = True,
        init: Any = initializers.DEFAULT,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float = 0.0,
    ) -> None:
        """Append a dense layer over the last axis, and its activation."""
        *positions, channels = self.shape
        if channels is None:
            raise ValueError("it needs a fixed number of features")
        self.node(
            "dense",
            (*positions, units),
            inputs=channels,
            units=units,
            bias=bias,
            activation=function if function in FUSED else "identity",
            l1=l1,
            l2=l2,
            max_norm=max_norm,
        )
        self.parameter(path, "kernel", (channels, units), drawn(init, (channels, units)))
        if bias:
            self.parameter(path, "bias", (units,), constant((units,), 0))
        if function not in FUSED:
            self.activation(function)


def held_layers(layers: Any) -> tuple[Layer, ...]:
    """Return the layers of a sequence that holds at least one.

    Parameters
    ----------
    layers : sequence of Layer

    Returns
    -------
    tuple of Layer

    Raises
    ------
    ValueError, TypeError
        If there is none, or something else.
    """
    if isinstance(layers, Layer):
        raise TypeError(f"layers must be a sequence of layers, got {layers!r}: put it in a list")
    try:
        held = tuple(layers)
    except TypeError:
        raise TypeError(f"layers must be a sequence of layers, got {layers!r}") from None
    if not held:
        raise ValueError("layers must hold at least one layer")
    for i, layer in enumerate(held):
        if not isinstance(layer, Layer):
            raise TypeError(
                f"layers[{i}] must be a layer of pynn.layers, got {layer!r}{_cure_of(layer)}"
            )
    return held


def _cure_of(layer: Any) -> str:
    if isinstance(layer, type) and issubclass(layer, Layer):
        return f": call it, {layer.__name__}(...)"
    if callable(layer) or isinstance(layer, str):
        return "; for a function: pynn.layers.Activation"
    return ""


def size_of(shape: Shape) -> int:
    """Return the number of values of a sample."""
    if None in shape:
        raise ValueError("it needs a fixed length")
    return math.prod(shape)


def constant(shape: Shape, value: float) -> Draw:
    """Give initial values that are all the same."""
    return lambda rng, dtype: np.full(shape, value, dtype)


def given(array: Array) -> Draw:
    """Give an array as the initial values."""
    return lambda rng, dtype: array.astype(dtype)


def drawn_like(init: Any, shape: Shape) -> Draw:
    """Give the initial kernel of a convolution: a matrix whose fans are the window's."""
    if callable(init):
        return drawn(init, shape)
    positions = math.prod(shape[:-2])
    fans = (positions * shape[-2], positions * shape[-1])

    def draw(rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        return initializers.draw_with_fans(init, rng, shape, fans, dtype)

    return draw


def drawn(init: Any, shape: Shape) -> Draw:
    """Give initial weights of a matrix, by a name or a callable ``(rng, shape, dtype)``."""

    def draw(rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        if not callable(init):
            return initializers.draw(init, rng, (shape[0], shape[1]), dtype)
        array = np.asarray(init(rng, shape, dtype))
        if array.shape != shape:
            raise ValueError(f"init returned an array of shape {array.shape}, expected {shape}")
        return array.astype(dtype)

    return draw
