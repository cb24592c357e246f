"""Networks as Keras models, and Keras models as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

import numpy as np

from pynn import _checks
from pynn._keywords import refuse, refuses_unknown
from pynn._types import LEAKY_SLOPE, Array
from pynn.formats.sklearn import spec_of_model
from pynn.formats.spec import (
    PROJECTION,
    LayerSpec,
    NetworkSpec,
    describe_other,
    look_up,
    optional,
)

# The oldest version with the interface used here.
NEEDS = "keras>=3.3"


@refuses_unknown
def to_keras(net: Any, *excess: NoReturn, logits: bool = False, **unknown: NoReturn) -> Any:
    """Make a Keras model that computes what the network computes.

    Parameters
    ----------
    net : MLP, Sequential, MLPClassifier or MLPRegressor
        A network, or a fitted estimator of pynn.sklearn or scikit-learn.
    logits : bool, default False
        Leave the output activation out, for Keras' losses with ``from_logits=True``.

    Returns
    -------
    keras.Sequential or keras.Model
        Built, of the network's dtype, with copies of the parameters; a functional model if the
        network has a `Residual`. Penalties and max-norms of layers become regularizers and
        constraints. The model is not compiled.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If Keras cannot express a layer, naming it.
    ImportError
        If Keras 3 is not installed.

    Notes
    -----
    Keras computes with the backend that ``KERAS_BACKEND`` names: torch, jax, tensorflow. Parameters
    in float64 stay so, but only with tensorflow does Keras compute in float64. It has no
    layers for positions and radial basis functions: ``PositionEmbedding`` and ``RBF`` of
    `pynn.convert.keras` are registered for Keras' files. ``keras.models.load_model`` finds them
    after ``import pynn.convert.keras`` and one use.

    Examples
    --------
    >>> import pynn
    >>> from pynn import layers as L
    >>> net = pynn.Sequential([L.Dense(8, "relu"), L.BatchNorm(), L.Dense(3)], input_shape=4)
    >>> model = pynn.convert.to_keras(net)  # doctest: +SKIP
    >>> [type(layer).__name__ for layer in model.layers]  # doctest: +SKIP
    ['Dense', 'Activation', 'BatchNormalization', 'Dense', 'Activation']
    """
    refuse(unknown, to_keras, "to_keras()", net, excess=excess)
    spec = spec_of_model(net)
    logits = _checks.flag(logits, "logits")
    import_keras("to_keras")
    return make_model(spec, logits)


def import_keras(function: str) -> Any:
    """Import Keras 3.

    Raises
    ------
    ImportError
        If it is missing or older, naming the cure.
    """
    keras = optional("keras", function, NEEDS)
    if int(keras.__version__.partition(".")[0]) < 3:
        raise ImportError(f"{function} needs Keras 3, got {keras.__version__}: pip install {NEEDS}")
    return keras


def make_model(spec: NetworkSpec, logits: bool = False) -> Any:
    """Make the model of a network in plain data."""
    import keras

    layers = spec.layers
    if logits and layers[-1].kind == "Activation":
        layers = layers[:-1]
    dtype = spec.dtype.name
    filled: list[tuple[Any, list[Array]]] = []
    inputs = keras.Input(spec.input_shape, dtype="int32" if spec.tokens else dtype)
    if any(layer.kind == "Residual" for layer in layers):
        model = keras.Model(inputs, _connect(inputs, layers, dtype, filled))
    else:
        parts = [look_up(WRITERS, layer, "Keras")(layer, dtype) for layer in layers]
        filled += [(p, list(s.arrays.values())) for p, s in zip(parts, layers, strict=True)]
        model = keras.Sequential([inputs, *parts])
    for part, arrays in filled:
        part.set_weights(arrays)
    return model


def _connect(
    x: Any, layers: Sequence[LayerSpec], dtype: str, filled: list[tuple[Any, list[Array]]]
) -> Any:
    """Call layers one after the other, and note their arrays in `filled`."""
    import keras

    for layer in layers:
        arrays = list(layer.arrays.values())
        if layer.kind == "Residual":
            y = _connect(x, layer.layers, dtype, filled)
            if arrays:
                projection = keras.layers.Dense(arrays[0].shape[1], dtype=dtype)
                x = projection(x)
                filled.append((projection, arrays))
            x = keras.layers.Add(dtype=dtype)([x, y])
        else:
            part = look_up(WRITERS, layer, "Keras")(layer, dtype)
            x = part(x)
            filled.append((part, arrays))
    return x


# -------------------------------------------------------------------- writers

# Keras' names of the activations that its layers Activation and Dense take.
ACTIVATIONS = {
    "identity": "linear",
    "relu": "relu",
    "elu": "elu",
    "gelu": "gelu",
    "silu": "silu",
    "softplus": "softplus",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "exp": "exponential",
    "softmax": "softmax",
}


def _write_activation(layer: LayerSpec, dtype: str) -> Any:
    from keras import layers

    name = layer.config["name"]
    if name == "leaky_relu":
        return layers.LeakyReLU(LEAKY_SLOPE, dtype=dtype)
    return layers.Activation(ACTIVATIONS[name], dtype=dtype)


def _write_dense(layer: LayerSpec, dtype: str) -> Any:
    from keras import constraints, layers, regularizers

    l1, l2, max_norm = (layer.config.get(name, 0.0) for name in ("l1", "l2", "max_norm"))
    return layers.Dense(
        layer.arrays["kernel"].shape[1],
        use_bias="bias" in layer.arrays,
        kernel_regularizer=regularizers.L1L2(l1, l2 / 2) if l1 or l2 else None,
        kernel_constraint=constraints.MaxNorm(max_norm, axis=0) if max_norm else None,
        dtype=dtype,
    )


def _write_batch_norm(layer: LayerSpec, dtype: str) -> Any:
    from keras import layers

    momentum, epsilon = layer.config["momentum"], layer.config["epsilon"]
    return layers.BatchNormalization(momentum=momentum, epsilon=epsilon, dtype=dtype)


def _write_embedding(layer: LayerSpec, dtype: str) -> Any:
    from keras import layers

    return layers.Embedding(*layer.arrays["embeddings"].shape, dtype=dtype)


def _write_simple(
    name: str, settings: Callable[[LayerSpec], dict[str, Any]] = lambda layer: {}
) -> Callable[[LayerSpec, str], Any]:
    """Return the writer of a layer of Keras with some settings."""

    def write(layer: LayerSpec, dtype: str) -> Any:
        from keras import layers

        return getattr(layers, name)(**settings(layer), dtype=dtype)

    return write


def _channels_last(layer: LayerSpec) -> dict[str, Any]:
    return {"data_format": "channels_last"}


def _write_own(name: str, *settings: str) -> Callable[[LayerSpec, str], Any]:
    def write(layer: LayerSpec, dtype: str) -> Any:
        values = {key: layer.config[key] for key in settings}
        if name == "RBF":
            values["units"] = len(layer.arrays["centers"])
        return own_layer(name)(**values, dtype=dtype)

    return write


# The writer of each kind of layer, of its specification and the dtype's name; `make_model` connects
# a residual.
WRITERS: dict[str, Callable[[LayerSpec, str], Any]] = {
    "Activation": _write_activation,
    "Dense": _write_dense,
    "Dropout": _write_simple("Dropout", lambda layer: {"rate": layer.config["rate"]}),
    "Flatten": _write_simple("Flatten", _channels_last),
    "Reshape": _write_simple("Reshape", lambda layer: {"target_shape": layer.output_shape}),
    "BatchNorm": _write_batch_norm,
    "LayerNorm": _write_simple(
        "LayerNormalization", lambda layer: {"epsilon": layer.config["epsilon"]}
    ),
    "Embedding": _write_embedding,
    "PositionEmbedding": _write_own("PositionEmbedding", "kind"),
    **{f"GlobalAvgPool{n}D": _write_simple(f"GlobalAveragePooling{n}D", _channels_last)
       for n in (1, 2, 3)},
    **{f"GlobalMaxPool{n}D": _write_simple(f"GlobalMaxPooling{n}D", _channels_last)
       for n in (1, 2, 3)},
    "RBF": _write_own("RBF", "train_widths"),
}  # fmt: skip


# ----------------------------------------------------------------- own layers

OWN_LAYERS = ("PositionEmbedding", "RBF")


def own_layer(name: str) -> Any:
    """Return one of the classes whose definition needs Keras."""
    return _own_layers()[name]


@cache
def _own_layers() -> dict[str, Any]:
    import keras
    from keras import ops

    class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]
        """A vector for each position of a sequence, added to it; trained if it is learned."""

        def __init__(self, kind: str = "learned", **options: Any) -> None:
            super().__init__(**options)
            self.kind = kind

        def build(self, shape: Any) -> None:
            self.embeddings = self.add_weight(
                shape=tuple(shape[1:]),
                initializer="uniform",
                trainable=self.kind == "learned",
                name="embeddings",
            )

        def call(self, x: Any) -> Any:
            return x + self.embeddings

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "kind": self.kind}

    class RBF(keras.layers.Layer):  # type: ignore[misc]
        """Gaussian units over the last axis."""

        def __init__(self, units: int, train_widths: bool = True, **options: Any) -> None:
            super().__init__(**options)
            self.units, self.train_widths = units, train_widths

        def build(self, shape: Any) -> None:
            self.centers = self.add_weight(
                shape=(self.units, shape[-1]), initializer="normal", name="centers"
            )
            self.widths = self.add_weight(
                shape=(self.units,),
                initializer="ones",
                trainable=self.train_widths,
                name="widths",
            )

        def call(self, x: Any) -> Any:
            c = self.centers
            lengths = ops.sum(ops.square(x), axis=-1, keepdims=True) + ops.sum(ops.square(c), 1)
            squares = ops.relu(lengths - 2 * ops.matmul(x, ops.transpose(c)))
            return ops.exp(-0.5 * squares / ops.square(self.widths))

        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape[:-1], self.units)

        def get_config(self) -> dict[str, Any]:
            settings = {"units": self.units, "train_widths": self.train_widths}
            return {**super().get_config(), **settings}

    for made in (PositionEmbedding, RBF):
        # Pickle finds it there.
        made.__module__, made.__qualname__ = "pynn.convert.keras", made.__name__
        keras.saving.register_keras_serializable("pynn")(made)
    return {made.__name__: made for made in (PositionEmbedding, RBF)}


# -------------------------------------------------------------------- readers


def read_model(model: Any) -> NetworkSpec:
    """Return a Keras model as plain data.

    Parameters
    ----------
    model : keras.Sequential or functional keras.Model

    Returns
    -------
    NetworkSpec
        The arrays are copies in float64. Sizes of the inputs that the model leaves open are -1.

    Raises
    ------
    TypeError
        If `model` is no model.
    ValueError
        If pynn has no such layer. The message names the layer and its place.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Sequential, got {_describe_other(model)}")
    layers = tuple(_read_model(model, "model"))
    if not model.built:
        raise ValueError("model has no weights yet; call model.build((None, *input_shape))")
    shape = model.input_shape
    sizes = tuple(-1 if n is None else int(n) for n in shape[1:])
    double = any(str(weight.dtype) == "float64" for weight in model.weights)
    return NetworkSpec(layers, sizes, np.dtype(np.float64 if double else np.float32))


def _describe_other(given: Any) -> str:
    kind = type(given).__name__
    if any(base.__module__.startswith("keras.") for base in type(given).__mro__):
        return f"the layer {kind}; pass keras.Sequential([keras.Input(shape), layer])"
    return describe_other(given)


def _read_model(model: Any, place: str) -> Iterator[LayerSpec]:
    """Yield the layers of a model."""
    import keras

    if type(model) is keras.Sequential:
        for i, layer in enumerate(model.layers):
            yield from _read(layer, f"{place}.layers[{i}]")
    elif type(model).__name__ == "Functional" and type(model).__module__.startswith("keras."):
        yield from _Functional(model, place).read()
    else:
        raise ValueError(
            f"{place} is {type(model).__name__}, whose call cannot be read; pass a "
            "keras.Sequential of what it calls, in that order"
        )


class _Functional:
    """A functional model as a graph: a chain of layers, some of which are sums of two branches."""

    def __init__(self, model: Any, place: str) -> None:
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ValueError(
                f"{place} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of "
                "each was expected"
            )
        config = model.get_config()
        self.place = place
        self.layers = {layer["name"]: model.get_layer(layer["name"]) for layer in config["layers"]}
        self.reads: dict[str, list[str]] = {}
        for layer in config["layers"]:
            name, calls = layer["name"], layer["inbound_nodes"]
            if len(calls) > 1:
                raise ValueError(f"{self.source(name)}; it is called {len(calls)} times")
            self.reads[name] = list(_tensors(calls))
            if len(self.reads[name]) > 1 and type(self.layers[name]).__name__ != "Add":
                raise ValueError(f"{self.source(name)}, which has several inputs; Add was expected")
        output = config["output_layers"]
        self.output = output[0] if isinstance(output[0], str) else output[0][0]

    def source(self, name: str) -> str:
        """Return the place of a layer and what it is."""
        return f"{self.place}.get_layer({name!r}) is {type(self.layers[name]).__name__}"

    def read(self) -> Iterator[LayerSpec]:
        """Yield the layers."""
        return self._chain(self._path(self.output))

    def _path(self, name: str) -> list[str]:
        """List the layers from one back to the input; a sum leads to where it forked."""
        path = [name]
        while reads := self.reads[path[-1]]:
            path.append(reads[0] if len(reads) == 1 else self._fork(path[-1]))
        return path

    def _fork(self, name: str) -> str:
        """Return the layer whose output both terms of a sum come from."""
        first, *others = (self._path(read) for read in self.reads[name])
        return next(each for each in first if all(each in other for other in others))

    def _chain(self, path: Sequence[str]) -> Iterator[LayerSpec]:
        """Yield the layers of a path, which is given backward."""
        for name in reversed(path):
            if len(self.reads[name]) > 1:
                yield self._residual(name)
            else:
                yield from _read(self.layers[name], f"{self.place}.get_layer({name!r})")

    def _residual(self, name: str) -> LayerSpec:
        fork, branches = self._fork(name), []
        for read in self.reads[name]:
            path = self._path(read)
            branches.append(tuple(self._chain(path[: path.index(fork)])))
        branches.sort(key=len, reverse=True)
        longest, *others = branches
        shortest = others[0] if len(others) == 1 else ()
        kinds = [layer.kind for layer in shortest]
        if len(others) != 1 or kinds not in ([], ["Dense"]) or not (longest or shortest):
            raise ValueError(
                f"{self.source(name)}; the sum of layers and their input was expected, or of a "
                "Dense of it without activation"
            )
        arrays = {}
        if shortest:
            kernel = shortest[0].arrays["kernel"]
            bias = shortest[0].arrays.get("bias", np.zeros(kernel.shape[1]))
            arrays = dict(zip(PROJECTION, (kernel, bias), strict=True))
        names = dict.fromkeys(arrays, f"{self.place}.get_layer({name!r})")
        return LayerSpec("Residual", (), {}, arrays, names, self.source(name), layers=longest)


def _tensors(value: Any) -> Iterator[str]:
    """Yield the names of the layers whose outputs a call in a model's configuration reads."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"][0]
        else:
            for part in value.values():
                yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _read(part: Any, place: str) -> Iterator[LayerSpec]:
    """Yield what a layer is in plain data: itself and its activation, or a model's layers."""
    import keras

    if isinstance(part, keras.Model):
        yield from _read_model(part, place)
        return
    source = f"{place} is {type(part).__name__}"
    reader = _readers().get(type(part))
    if reader is None:
        raise ValueError(f"{source}; expected {', '.join(READERS)}")
    kind, settings, roles = reader(part, source)
    if not part.built:
        raise ValueError(f"{source} without weights yet; build the model")
    arrays = {role: _array(getattr(part, name)) for role, name in roles.items()}
    if kind in ("BatchNorm", "LayerNorm"):
        arrays = _norm_arrays(part, arrays)
    names = {role: f"{place}.{name}" for role, name in roles.items()}
    if kind not in ("", "Activation"):
        yield LayerSpec(kind, (), settings, arrays, names, source)
    function = settings.get("name", "identity")
    if function != "identity":
        yield LayerSpec("Activation", (), {"name": function}, source=source)


def _array(weight: Any) -> Array:
    import keras

    return np.array(keras.ops.convert_to_numpy(weight), np.float64)


def _norm_arrays(part: Any, arrays: dict[str, Array]) -> dict[str, Array]:
    """Add gamma and beta where a normalization has none: 1 and 0."""
    channels = next((array.shape for array in arrays.values()), None)
    if channels is None:
        channels = tuple(part.input.shape[-1:])
    return {"gamma": np.ones(channels), "beta": np.zeros(channels), **arrays}


def _expect(source: str, part: Any, **expected: Any) -> None:
    """Check settings that pynn has one value of."""
    for name, value in expected.items():
        given = getattr(part, name)
        if given != value:
            raise ValueError(f"{source} with {name}={given!r}; {name}={value!r} was expected")


def _function(function: Any, source: str) -> str:
    """Return pynn's name of an activation."""
    from keras import activations

    name = activations.serialize(function)
    for own, theirs in ACTIVATIONS.items():
        if name == theirs:
            return own
    cure = f"; pass keras.layers.LeakyReLU({LEAKY_SLOPE})" if name == "leaky_relu" else ""
    raise ValueError(
        f"{source} with activation {name!r:.60}{cure}; expected {', '.join(ACTIVATIONS.values())}"
    )


# What a reader returns: the kind, its settings, and the layer's attributes by role.
_Read = tuple[str, dict[str, Any], dict[str, str]]


def _read_dense(part: Any, source: str) -> _Read:
    from keras import constraints, regularizers

    _expect(source, part, bias_regularizer=None, activity_regularizer=None, bias_constraint=None)
    settings: dict[str, Any] = {"name": _function(part.activation, source)}
    penalty = part.kernel_regularizer
    if type(penalty) not in (type(None), regularizers.L1, regularizers.L2, regularizers.L1L2):
        raise ValueError(f"{source} with a regularizer {penalty}; L1, L2 or L1L2 was expected")
    settings["l1"] = float(getattr(penalty, "l1", 0.0))
    settings["l2"] = 2 * float(getattr(penalty, "l2", 0.0))
    norm = part.kernel_constraint
    if norm is not None and (type(norm) is not constraints.MaxNorm or norm.axis != 0):
        raise ValueError(f"{source} with a constraint {norm}; MaxNorm(axis=0) was expected")
    settings["max_norm"] = 0.0 if norm is None else float(norm.max_value)
    roles = {"kernel": "kernel", "bias": "bias"} if part.use_bias else {"kernel": "kernel"}
    return "Dense", settings, roles


def _read_activation(part: Any, source: str) -> _Read:
    return "Activation", {"name": _function(part.activation, source)}, {}


def _read_function(name: str, **expected: Any) -> Callable[[Any, str], _Read]:
    """Return the reader of a layer that is an activation, if it has some settings."""

    def read(part: Any, source: str) -> _Read:
        _expect(source, part, **expected)
        return "Activation", {"name": name}, {}

    return read


def _read_plain(
    kind: str, settings: Mapping[str, str] | None = None, **expected: Any
) -> Callable[[Any, str], _Read]:
    """Return the reader of a layer without weights: settings by their names in Keras."""

    def read(part: Any, source: str) -> _Read:
        _expect(source, part, **expected)
        return kind, {own: getattr(part, name) for own, name in (settings or {}).items()}, {}

    return read


def _read_norm(kind: str, *statistics: str) -> Callable[[Any, str], _Read]:
    def read(part: Any, source: str) -> _Read:
        axis = part.axis if isinstance(part.axis, int) else tuple(part.axis)
        last = len(part.input.shape) - 1
        if axis not in (-1, last, (-1,), (last,)):
            raise ValueError(f"{source} with axis={part.axis}; the last axis was expected")
        _expect(source, part, **dict.fromkeys(REGULARIZED, None))
        if getattr(part, "rms_scaling", False):
            raise ValueError(f"{source} with rms_scaling=True; False was expected")
        settings = {"epsilon": part.epsilon}
        if statistics:
            settings["momentum"] = part.momentum
        scaled = {"gamma": "gamma"} if part.scale else {}
        shifted = {"beta": "beta"} if part.center else {}
        return kind, settings, {**scaled, **shifted, **{name: name for name in statistics}}

    return read


REGULARIZED = ("gamma_regularizer", "beta_regularizer", "gamma_constraint", "beta_constraint")


def _read_embedding(part: Any, source: str) -> _Read:
    _expect(
        source,
        part,
        mask_zero=False,
        embeddings_regularizer=None,
        embeddings_constraint=None,
        activity_regularizer=None,
    )
    return "Embedding", {"sparse": False}, {"embeddings": "embeddings"}


def _read_position_embedding(part: Any, source: str) -> _Read:
    return "PositionEmbedding", {"kind": part.kind}, {"embeddings": "embeddings"}


def _read_rbf(part: Any, source: str) -> _Read:
    return "RBF", {"train_widths": part.train_widths}, {"centers": "centers", "widths": "widths"}


LAST: dict[str, Any] = {"data_format": "channels_last"}
POOL: dict[str, Any] = {**LAST, "keepdims": False}
# The reader of each of Keras' layers.
READERS: dict[str, Callable[[Any, str], _Read]] = {
    "InputLayer": _read_plain(""),
    "Identity": _read_plain(""),
    "Dense": _read_dense,
    "Activation": _read_activation,
    "ReLU": _read_function("relu", max_value=None, negative_slope=0, threshold=0),
    "LeakyReLU": _read_function("leaky_relu", negative_slope=LEAKY_SLOPE),
    "ELU": _read_function("elu", alpha=1),
    "Softmax": _read_function("softmax", axis=-1),
    "Dropout": _read_plain("Dropout", {"rate": "rate"}, noise_shape=None),
    "Flatten": _read_plain("Flatten", **LAST),
    "Reshape": _read_plain("Reshape", {"shape": "target_shape"}),
    "BatchNormalization": _read_norm("BatchNorm", "moving_mean", "moving_variance"),
    "LayerNormalization": _read_norm("LayerNorm"),
    "Embedding": _read_embedding,
    "PositionEmbedding": _read_position_embedding,
    **{f"GlobalAveragePooling{n}D": _read_plain("GlobalAvgPool", **POOL) for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _read_plain("GlobalMaxPool", **POOL) for n in (1, 2, 3)},
    "RBF": _read_rbf,
}


@cache
def _readers() -> dict[Any, Callable[[Any, str], _Read]]:
    """Return the reader of each class of layers; none of their subclasses."""
    from keras import layers

    return {
        own_layer(name) if name in OWN_LAYERS else getattr(layers, name): read
        for name, read in READERS.items()
    }
