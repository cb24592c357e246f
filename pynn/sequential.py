"""Networks of any layers, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pynn import _array_input, _checks, _core, architecture
from pynn._attributes import Fixed
from pynn._keywords import refuse, refuses_unknown
from pynn._names import suggestion
from pynn._types import Array, ArrayLike, DTypeLike
from pynn.data import DataSpec, core_shape
from pynn.engine import Engine
from pynn.layers import from_config
from pynn.layers._base import Graph, Layer, Parameter, check_shape, held_layers
from pynn.layers._keywords import NETWORK_PLACES
from pynn.losses import Loss, check_loss
from pynn.network import Network

if TYPE_CHECKING:
    from pynn.formats.spec import LayerSpec, NetworkSpec
    from pynn.summary import Summary


# What an `MLP` has in place of these.
_OF_MLP = {
    "weights": "net.parameters has the arrays by name",
    "biases": "net.parameters has the arrays by name",
    "get_weights": "net.state_dict() copies the parameters",
    "set_weights": "net.load_state_dict(state) takes what net.state_dict() gave",
    "layer_sizes": "net.layers, net.input_shape and net.output_shape describe it",
}


class Parameters(Mapping[str, Array]):
    """A network's parameters by name: live views, of which a value can be assigned.

    Parameters
    ----------
    arrays : dict of str to ndarray
    """

    __slots__ = ("_arrays",)

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> Array:
        try:
            return self._arrays[name]
        except (KeyError, TypeError):
            hint = suggestion(str(name), list(self._arrays))
            raise KeyError(f"there is no parameter {name!r}{hint}") from None

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self[name][...] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        lines = [f"  {name!r}: {array.shape}" for name, array in self._arrays.items()]
        return "\n".join(["Parameters", *lines])


class Sequential(Network):
    """A network of any layers, one after another, trained by backpropagation.

    Parameters
    ----------
    layers : sequence of Layer
        Of `pynn.layers`. The last one gives the outputs, without an activation for a cross-entropy:
        the loss has its own (a last softmax or sigmoid that is the loss's is taken as that).
    input_shape : tuple of int
        Of a sample: (features,), (time, features), (height, width, channels), or (time,) for
        tokens. The first size may be None for sequences of any length: those of one array have
        the same, and each call may have another.
    loss : str or Loss, default "softmax_cross_entropy"
        As for `MLP`. Of an output of several axes, such as (time, classes), each position has a
        target: `y` has shape (n, time) of labels.
    output_activation : str, optional
        As for `MLP`; by default the loss's own.
    dtype : {"float32", "float64"}, default "float32"
        The type of the parameters and of all arithmetic.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        As for `numpy.random.default_rng`: the generator draws the initial parameters in the order
        of `parameters`, with dropout one 64-bit key for its masks, and then the order of the
        mini-batches.

    Attributes
    ----------
    layers : tuple of Layer
    input_shape, output_shape : tuple of int
        Without the axis of samples.
    dtype : numpy.dtype
    loss : str or Loss
    output_activation : str
    parameters : Parameters
        Live views by name: the layer's name or index, nested ones dotted, and Keras' name of the
        parameter. Untrained ones (running statistics) are among them.
    rng, history, optimizer
        As for `MLP`.

    Raises
    ------
    ValueError, TypeError
        If a layer does not take what the one before gives, naming it; before anything is allocated.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn import layers as L
    >>> net = pynn.Sequential(
    ...     [L.Dense(16), L.BatchNorm(), L.Activation("relu"), L.Dropout(0.1), L.Dense(3)],
    ...     input_shape=4, seed=0,
    ... )
    >>> X = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    >>> history = net.fit(X, X[:, :3].argmax(axis=1), epochs=20)
    >>> net.predict(X).shape, net.parameters["0.kernel"].shape
    ((90,), (4, 16))
    """

    layers: Fixed[tuple[Layer, ...]] = Fixed()
    input_shape: Fixed[tuple[int, ...]] = Fixed()
    output_shape: Fixed[tuple[int, ...]] = Fixed()
    output_activation: Fixed[str] = Fixed()

    @refuses_unknown
    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: int | Sequence[int],
        loss: str | Loss = "softmax_cross_entropy",
        output_activation: str | None = None,
        dtype: DTypeLike = "float32",
        seed: Any = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(
            unknown, Sequential.__init__, "Sequential()", layers, input_shape, places=NETWORK_PLACES
        )
        held = held_layers(layers)
        graph = _graph(held, check_shape(input_shape, "input_shape", any_length=True))
        outputs = graph.shape[-1]
        checked_loss = check_loss(loss, outputs)
        checked_loss.check_outputs(outputs)
        last = _last_function(graph)
        given = output_activation
        if given is None and last != "identity":
            given = last
        name = checked_loss.name
        output = architecture.check_output_activation(given, name)
        architecture.check_softmax(output, name, outputs)
        fixed = {
            "layers": held,
            "input_shape": graph.input_shape,
            "output_shape": graph.shape,
            "output_activation": output,
            "dtype": architecture.check_dtype(dtype),
        }
        self._set_up(checked_loss, seed, **fixed)
        for parameter in graph.parameters:
            self._engine.arrays[parameter.name][...] = parameter.draw(self.rng, self.dtype)
        if graph.dropouts:
            self._draw_dropout_key()

    # ------------------------------------------------------------ construction

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """Make the network of a file, with all parameters 0.

        Parameters
        ----------
        config : dict
            What `save` writes.

        Returns
        -------
        Sequential

        Raises
        ------
        ValueError, TypeError
            If it describes none.
        """
        settings = {name: config[name] for name in config if name not in ("kind", "frozen")}
        layers = tuple(from_config(layer) for layer in settings.pop("layers"))
        graph = _graph(layers, check_shape(settings["input_shape"], "input_shape", any_length=True))
        loss = check_loss(settings["loss"], graph.shape[-1])
        trained = _trained(graph.parameters)
        frozen = frozenset(config["frozen"])
        if not frozen <= trained.keys():
            raise ValueError(f"frozen must name parameters, got {sorted(frozen)!r:.80}")
        fixed = {
            "layers": layers,
            "input_shape": graph.input_shape,
            "output_shape": graph.shape,
            "output_activation": architecture.check_output_activation(
                settings["output_activation"], loss.name
            ),
            "dtype": architecture.check_dtype(settings["dtype"]),
        }
        self = cls.__new__(cls)
        self.__dict__["_frozen"] = frozen
        self._set_up(loss, 0, **fixed)
        return self

    @staticmethod
    def shapes_of(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """Infer the parameters' shapes, without memory for them.

        Parameters
        ----------
        config : dict

        Returns
        -------
        dict of str to tuple of int
        """
        layers = [from_config(layer) for layer in config["layers"]]
        graph = _graph(layers, check_shape(config["input_shape"], "input_shape", any_length=True))
        return {p.name: p.shape for p in graph.parameters}

    def _config(self) -> dict[str, Any]:
        return {
            "kind": "Sequential",
            "layers": [layer.config() for layer in self.layers],
            "input_shape": list(self.input_shape),
            "loss": self._engine.loss.config(),
            "output_activation": self.output_activation,
            "dtype": "float32" if self.dtype == np.float32 else "float64",
            "frozen": sorted(self._frozen),
        }

    def _build(self, loss: Loss) -> Engine:
        graph = _graph(self.layers, self.input_shape)
        last = _last_function(graph)
        inner = self.output_activation in loss.info.inner
        if inner and last == self.output_activation:
            _without_last_function(graph)
        elif not inner and last != self.output_activation:
            graph.activation(self.output_activation)
        if not graph.nodes:
            raise ValueError("layers compute nothing: there must be one with parameters")
        core_loss = loss.core_settings(self.output_activation, graph.shape[-1])
        make = _core.NetworkF32 if self.dtype == np.float32 else _core.NetworkF64
        core = make(graph.nodes, core_shape(graph.input_shape), core_loss, len(graph.shape) > 1)
        places = {(node, role): start for node, role, _, start, _ in core.parameters()}
        layout = [(p.name, places[p.node, p.role], p.shape) for p in graph.parameters]
        spec = DataSpec(
            graph.input_shape,
            graph.shape,
            loss,
            tokens=graph.tokens,
            takes_sparse=_takes_sparse(graph),
        )
        outputs = list(graph.outputs.values())
        outputs.append((len(graph.nodes) - 1, graph.shape))
        last_bias = _last_bias(graph)
        self.__dict__.update(
            _paths=tuple(graph.outputs), _trained=_trained(graph.parameters),
            _frozen=self.__dict__.get("_frozen", frozenset()),
        )  # fmt: skip
        engine = Engine(core, layout, self.dtype, spec, core_loss, outputs, last_bias)
        for name in self._frozen:
            core.set_trainable(*self._trained[name], False)
        return engine

    def _grouped(self, block: Array) -> tuple[dict[str, Array]]:
        arrays = self._engine.named(block)
        return ({name: arrays[name] for name in self.trainable_parameters},)

    def _refuse_frozen(self) -> None:
        if not self.trainable_parameters:
            raise ValueError(
                "all parameters are frozen, so training would change nothing: "
                "net.set_trainable(name, True) for some of them"
            )

    def _ungrouped(self, gradients: tuple[Any, ...]) -> dict[str, Any]:
        if len(gradients) != 1 or not isinstance(gradients[0], Mapping):
            raise TypeError(
                "gradients must be a dict by the parameters' names: net.gradients(X, y)[1]"
            )
        expected = self.trainable_parameters
        given = dict(gradients[0])
        missing = [name for name in expected if name not in given]
        unknown = [name for name in given if name not in self._trained]
        if missing or unknown:
            problem = f"lacks {missing[0]!r}" if missing else f"has an unknown {unknown[0]!r}"
            raise ValueError(f"gradients {problem}: expected {', '.join(expected)}")
        return {name: given[name] for name in expected}

    def _hidden_layer(self, layer: Any) -> int:
        path = layer if isinstance(layer, str) else self._top_path(layer)
        if path not in self._paths:
            raise ValueError(
                f"layer must be an index or one of {', '.join(self._paths)}; got {layer!r}"
                f"{suggestion(path, list(self._paths))}"
            )
        return self._paths.index(path)

    def _top_path(self, index: Any) -> str:
        """The name of one of `layers` by its index, which may be negative."""
        count = len(self.layers)
        at = _checks.integer(index, "a layer's index", -count)
        if at >= count:
            raise ValueError(
                f"there is no layer {at}: expected an index from {-count} to {count - 1}, or a "
                f"name of a layer or a parameter: {', '.join(self._paths)}"
            )
        return self.layers[at].name or str(at % count)

    def __repr__(self) -> str:
        """The call that makes such a network, with other parameters."""
        layers = ", ".join(map(repr, self.layers))
        return (
            f"{type(self).__name__}([{layers}], input_shape={self.input_shape}, "
            f"loss={self.loss!r}, output_activation={self.output_activation!r}, "
            f"dtype={self.dtype.name!r})"
        )

    # -------------------------------------------------------------- parameters

    @property
    def parameters(self) -> Parameters:
        """Live views of the parameters by name."""
        return Parameters(self._engine.arrays)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters by name, untrained ones included.

        Returns
        -------
        dict of str to ndarray
        """
        with self._engine.core.reading():
            return {name: array.copy() for name, array in self._engine.arrays.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Copy parameters from arrays by name.

        Parameters
        ----------
        state : mapping of str to array_like
            An array for each parameter.

        Raises
        ------
        ValueError, TypeError
            If a name or a shape is wrong; then nothing has changed.
        """
        own = self._engine.arrays
        if not isinstance(state, Mapping):
            raise TypeError(
                f"state must be a mapping by the parameters' names, got an object of type "
                f"{type(state).__name__}"
            )
        missing = [name for name in own if name not in state]
        unknown = [name for name in state if name not in own]
        if missing or unknown:
            problem = f"has no {missing[0]!r}" if missing else f"has an unknown {unknown[0]!r}"
            raise ValueError(f"state {problem}: expected {', '.join(own)}")
        new = {}
        for name, array in own.items():
            given = _array_input.array(state[name], f"state[{name!r}]")
            if given.shape != array.shape:
                raise ValueError(f"state[{name!r}] has shape {given.shape}, expected {array.shape}")
            new[name] = _array_input.cast(given, self.dtype).copy()
        with self._engine.core.writing():
            for name, array in own.items():
                array[...] = new[name]

    def set_trainable(self, name: str | int, trainable: bool) -> None:
        """Freeze parameters, or let training change them again.

        Parameters
        ----------
        name : str or int
            A parameter's name, or a layer's (or its index, which may be negative): all its
            parameters, those of nested layers included.
        trainable : bool
            False: training leaves them alone, and `gradients` does not list them. A frozen
            `BatchNorm` uses its running statistics.

        Raises
        ------
        ValueError
            If there is no trained parameter of that name.
        """
        flag = _checks.flag(trainable, "trainable")
        path = self._top_path(name) if not isinstance(name, str) else name
        chosen = {n for n in self._trained if n == path or n.startswith(f"{path}.")}
        if not chosen:
            hint = suggestion(path, [*self._trained, *self._paths])
            raise ValueError(f"there is no trained parameter of {name!r}{hint}")
        with self._engine.core.writing():
            for each in chosen:
                self._engine.core.set_trainable(*self._trained[each], flag)
            self._engine.forget_lengths()
            new = self._frozen - chosen if flag else self._frozen | chosen
            self.__dict__["_frozen"] = frozenset(new)

    def summary(self) -> Summary:
        """Describe the layers: output shapes, parameters, memory.

        Returns
        -------
        Summary
            A string that prints as a table, in notebooks too.
        """
        from pynn.summary import summary

        return summary(self)

    @property
    def trainable_parameters(self) -> tuple[str, ...]:
        """The names of the parameters that training changes."""
        return tuple(n for n in self._trained if n not in self._frozen)

    def walk(self) -> Iterator[tuple[str, Layer, tuple[int, ...]]]:
        """Yield the layers, nested ones after the one that holds them.

        Yields
        ------
        path : str
            The layer's name or index, dotted.
        layer : Layer
        output_shape : tuple of int
        """
        shapes = dict(zip(self._paths, (s for _, s in self._engine.outputs), strict=False))

        def visit(layers: Sequence[Layer], prefix: str) -> Iterator[Any]:
            for i, layer in enumerate(layers):
                path = f"{prefix}{layer.name or i}"
                yield path, layer, shapes[path]
                yield from visit(getattr(layer, "layers", ()), f"{path}.")

        return visit(self.layers, "")

    def to_spec(self) -> NetworkSpec:
        """Describe the forward pass as plain data, which the conversions write.

        Returns
        -------
        NetworkSpec
            The layers in their order: each with its kind, its settings and copies of its arrays.
            A layer's activation is a further layer, and a residual holds layers.

        Examples
        --------
        >>> import pynn
        >>> from pynn import layers as L
        >>> net = pynn.Sequential([L.Dense(8, "relu"), L.BatchNorm(), L.Dense(3)], input_shape=4)
        >>> [layer.kind for layer in net.to_spec().layers]
        ['Dense', 'Activation', 'BatchNorm', 'Dense', 'Activation']
        """
        from pynn.formats.spec import LayerSpec, NetworkSpec

        shapes = {path: shape for path, _, shape in self.walk()}
        state = self.state_dict()

        def describe(layers: Sequence[Layer], prefix: str) -> Iterator[LayerSpec]:
            for i, layer in enumerate(layers):
                path = f"{prefix}{layer.name or i}"
                kind, shape = type(layer).__name__, shapes[path]
                config = layer.config()
                for name in ("layer", "layers", "name"):
                    config.pop(name, None)
                function = config.pop("function", None) or config.pop("activation", "identity")
                if kind != "Activation":
                    held = tuple(describe(getattr(layer, "layers", ()), f"{path}."))
                    names = _own_names(state, path, held)
                    arrays = {role: state[name] for role, name in names.items()}
                    yield LayerSpec(kind, shape, config, arrays, names, path=path, layers=held)
                if function != "identity":
                    yield LayerSpec("Activation", shape, {"name": function}, path=path)

        specs = list(describe(self.layers, ""))
        last = _last_function(_graph(self.layers, self.input_shape))
        if self.output_activation not in ("identity", last):
            name = {"name": self.output_activation}
            specs.append(LayerSpec("Activation", self.output_shape, name, path="output"))
        loss = self._engine.loss.name
        return NetworkSpec(tuple(specs), self.input_shape, self.dtype, loss)

    if not TYPE_CHECKING:  # type checkers would then accept any name

        def __getattr__(self, name: str) -> NoReturn:
            # Called for what is not found otherwise.
            cure = f": {_OF_MLP[name]}" if name in _OF_MLP else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{cure}")

    def _cure(self, name: str) -> str:
        return f": {_OF_MLP[name]}" if name in _OF_MLP else super()._cure(name)

    if TYPE_CHECKING:
        _paths: tuple[str, ...]
        _trained: dict[str, tuple[int, int]]
        _frozen: frozenset[str]


def _graph(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> Graph:
    graph = Graph(input_shape)
    graph.extend(layers)
    if sum(p.trained for p in graph.parameters) == 0:
        raise ValueError("layers have no parameters to train")
    return graph


def _takes_sparse(graph: Graph) -> bool:
    """Tell whether a dense layer reads the samples, dropout before it aside, and no other does."""
    first = int(graph.nodes[0]["kind"] == "dropout")
    readers = [node for node in graph.nodes if min(node["reads"]) < first]
    dense = graph.nodes[first]
    return (
        len(readers) == first + 1
        and dense["kind"] == "dense"
        and (dense["inputs"],) == graph.input_shape
    )


def _last_function(graph: Graph) -> str:
    """The activation that the last of the core's layers applies."""
    last = graph.nodes[-1]
    function: str = last.get("function", last.get("activation", "identity"))
    return function


def _without_last_function(graph: Graph) -> None:
    if graph.nodes[-1]["kind"] == "activation":
        graph.nodes.pop()
        count = len(graph.nodes)
        graph.outputs = {
            path: (min(node, count - 1), shape) for path, (node, shape) in graph.outputs.items()
        }
    else:
        graph.nodes[-1]["activation"] = "identity"


def _trained(parameters: Sequence[Parameter]) -> dict[str, tuple[int, int]]:
    """Each trained parameter's layer of the core, and its place among that one's."""
    counts: dict[int, int] = {}
    places = {}
    for p in parameters:
        if p.trained:
            places[p.name] = p.node, counts.get(p.node, 0)
            counts[p.node] = counts.get(p.node, 0) + 1
    return places


def _own_names(names: Iterable[str], path: str, held: Sequence[LayerSpec]) -> dict[str, str]:
    """The names of a layer's parameters by role, without those of the layers that it holds."""
    return {
        name[len(path) + 1 :]: name
        for name in names
        if name.startswith(f"{path}.")
        and not any(name.startswith(f"{layer.path}.") for layer in held)
    }


def _last_bias(graph: Graph) -> str | None:
    """The bias of the outputs, which may be infinite."""
    for parameter in reversed(graph.parameters):
        if parameter.trained:
            return parameter.name if parameter.role == "bias" else None
    return None
