"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

# torch's softplus is the identity above its threshold. Above 20, that is the float32 softplus.
SOFTPLUS_THRESHOLD = 20
# For float64: exp(-40) is below half an ULP of 40.
SOFTPLUS_THRESHOLD_F64 = 40


@refuses_unknown
def to_torch(net: Any, *excess: NoReturn, logits: bool = False, **unknown: NoReturn) -> Any:
    """Make a `torch.nn.Sequential` that computes what the network computes.

    Parameters
    ----------
    net : MLP, Sequential, MLPClassifier or MLPRegressor
        A network, or a fitted estimator of pynn.sklearn or scikit-learn.
    logits : bool, default False
        Leave the output activation out. torch's ``CrossEntropyLoss``, ``BCEWithLogitsLoss`` and
        ``PoissonNLLLoss`` apply softmax, sigmoid and exp themselves.

    Returns
    -------
    torch.nn.Sequential
        On the CPU, of the network's dtype, in evaluation mode. A network with dropout has
        ``Dropout`` modules, which ``module.train()`` turns on. The parameters are copies. Inputs
        and outputs have the network's shapes, channels last.

    Raises
    ------
    TypeError
        If an argument is of another type.
    NotFittedError
        If an estimator is not fitted.
    ValueError
        If torch cannot express a layer, naming it.
    ImportError
        If torch is not installed.

    Notes
    -----
    torch keeps the weights of a layer in shape (outputs, inputs). It has no module for exp, the
    output of the Poisson loss: `pynn.convert.torch.Exp` is one. That module also has ``Residual``,
    ``RBF``, ``PositionEmbedding``, ``GlobalAvgPool``, ``GlobalMaxPool``, and ``BatchNorm`` for
    sequences and images, channels last. The call draws no random number of torch's.

    The moving variance of torch's batch normalization follows the variance over n - 1, that of
    pynn the one over n: further training differs by that.

    Examples
    --------
    >>> import pynn
    >>> pynn.convert.to_torch(pynn.MLP([4, 16, 3]))
    Sequential(
      (0): Linear(in_features=4, out_features=16, bias=True)
      (1): ReLU()
      (2): Linear(in_features=16, out_features=3, bias=True)
      (3): Softmax(dim=-1)
    )
    """
    refuse(unknown, to_torch, "to_torch()", net, excess=excess)
    spec = spec_of_model(net)
    logits = _checks.flag(logits, "logits")
    optional("torch", "to_torch", "torch")
    return make_module(spec, logits)


def make_module(spec: NetworkSpec, logits: bool = False) -> Any:
    """Make the module of a network in plain data."""
    layers = spec.layers
    if logits and layers[-1].kind == "Activation":
        layers = layers[:-1]
    return _sequence(layers, spec.input_shape, spec.dtype).eval()


def _sequence(layers: Sequence[LayerSpec], shape: Shape, dtype: np.dtype[Any]) -> Any:
    """Make the Sequential of layers, of which the first has inputs of a shape."""
    from torch import nn

    modules = []
    for layer in layers:
        modules.append(look_up(KINDS, layer, "torch").write(layer, dtype, shape))
        shape = layer.output_shape
    return nn.Sequential(*modules)


def read_module(module: Any) -> NetworkSpec:
    """Return the layers of a `torch.nn.Sequential` as plain data.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    NetworkSpec
        The arrays are copies in float64, which holds any of torch's real types; the dtype is
        float64 if a parameter has it, else float32.

    Raises
    ------
    TypeError
        If `module` is not a module.
    ValueError
        If pynn has no such layer. The message names the module and its place.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Sequential, got {_describe_other(module)}")
    layers = _read_all(module, "module")
    dense = [layer.arrays["kernel"] for layer in layers if layer.kind == "Dense"]
    inputs = dense[0].shape[:1] if dense else ()
    layers = [
        layer if layer.output_shape else replace(layer, output_shape=inputs) for layer in layers
    ]
    double = any(p.dtype == torch.float64 for p in module.parameters())
    return NetworkSpec(tuple(layers), inputs, np.dtype(np.float64 if double else np.float32))


def _read_all(module: Any, place: str) -> list[LayerSpec]:
    """Read a module that is a layer, or a Sequential of layers."""
    layers: list[LayerSpec] = []
    shape: Shape = ()  # of vectors; unknown before the first Linear
    for where, part in _flatten(module, place):
        layer = _read(part, where, shape)
        if layer is not None:
            layers.append(layer)
            shape = layer.output_shape
    return layers


# ----------------------------------------------------------------- activations


@dataclass(frozen=True)
class _Activation:
    """An activation in torch.

    Attributes
    ----------
    module : str
        The name of its class in `torch.nn`.
    settings : callable
        The constructor's arguments for a dtype.
    fits : callable
        True for a module that computes pynn's activation.
    expected : str
        The settings that fit, for a message.
    """

    module: str
    settings: Callable[[np.dtype[Any]], dict[str, Any]] = lambda dtype: {}
    fits: Callable[[Any], bool] = lambda module: True
    expected: str = ""

    def type(self) -> Any:
        """Return the class."""
        return _module_class(self.module)


def _softplus_settings(dtype: np.dtype[Any]) -> dict[str, Any]:
    return {"threshold": SOFTPLUS_THRESHOLD_F64 if dtype == np.float64 else SOFTPLUS_THRESHOLD}


ACTIVATIONS = {
    "identity": _Activation("Identity"),
    "relu": _Activation("ReLU"),
    "leaky_relu": _Activation(
        "LeakyReLU",
        lambda dtype: {"negative_slope": LEAKY_SLOPE},
        lambda module: bool(module.negative_slope == LEAKY_SLOPE),
        f"negative_slope={LEAKY_SLOPE}",
    ),
    "elu": _Activation("ELU", fits=lambda module: bool(module.alpha == 1), expected="alpha=1"),
    "gelu": _Activation(
        "GELU",
        fits=lambda module: bool(module.approximate == "none"),
        expected="approximate='none'",
    ),
    "silu": _Activation("SiLU"),
    "softplus": _Activation(
        "Softplus",
        _softplus_settings,
        lambda module: bool(module.beta == 1 and module.threshold >= SOFTPLUS_THRESHOLD),
        f"beta=1 and threshold={SOFTPLUS_THRESHOLD} or more",
    ),
    "sigmoid": _Activation("Sigmoid"),
    "tanh": _Activation("Tanh"),
    "softmax": _Activation(
        "Softmax",
        lambda dtype: {"dim": -1},
        lambda module: module.dim in (-1, 1),
        "dim=-1 or dim=1",
    ),
    "exp": _Activation("Exp"),
}


def make_activation(name: str, dtype: np.dtype[Any]) -> Any:
    """Make the module of an activation."""
    entry = ACTIVATIONS[name]
    return entry.type()(**entry.settings(dtype))


# ------------------------------------------------------------- kinds of layers


def _write_activation(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    return make_activation(layer.config["name"], dtype)


def _read_activation(part: Any, place: str, shape: Shape) -> LayerSpec | None:
    name = next(name for name, entry in ACTIVATIONS.items() if type(part) is entry.type())
    entry = ACTIVATIONS[name]
    if not entry.fits(part):
        raise ValueError(f"{_source(part, place)}; {entry.expected} was expected")
    if name == "identity":
        return None
    # (The axis of vectors is the last one. Who knows the shapes checks it.)
    axis = {"axis": 1} if name == "softmax" and part.dim == 1 else {}
    return LayerSpec("Activation", shape, {"name": name, **axis}, source=_source(part, place))


def _write_dense(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    return _linear(layer.arrays["kernel"], layer.arrays.get("bias"), dtype)


def _linear(kernel: Array, bias: Array | None, dtype: np.dtype[Any]) -> Any:
    """Make a Linear."""
    import torch
    from torch import nn

    linear = nn.utils.skip_init(
        nn.Linear,
        *kernel.shape,
        bias=bias is not None,
        device="cpu",
        dtype=getattr(torch, dtype.name),
    )
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(kernel).T)
        if bias is not None:
            linear.bias.copy_(torch.from_numpy(bias))
    return linear


def _read_dense(part: Any, place: str, shape: Shape) -> LayerSpec:
    names = {"kernel": f"{place}.weight", "bias": f"{place}.bias"}
    arrays = {"kernel": _array(part.weight, names["kernel"]).T}
    if part.bias is not None:
        arrays["bias"] = _array(part.bias, names["bias"])
    return LayerSpec("Dense", (part.out_features,), {}, arrays, names, _source(part, place))


def _array(tensor: Any, name: str) -> Array:
    import torch

    if tensor.is_meta or not torch.is_floating_point(tensor):
        raise ValueError(f"{name} has no real values: dtype {tensor.dtype}, device {tensor.device}")
    result: Array = tensor.detach().to("cpu", torch.float64, copy=True).numpy()
    return result


def _write_dropout(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    from torch import nn

    return nn.Dropout(layer.config["rate"])


def _read_dropout(part: Any, place: str, shape: Shape) -> LayerSpec:
    if part.p >= 1:
        raise ValueError(f"{_source(part, place)}; a rate below 1 was expected")
    return LayerSpec("Dropout", shape, {"rate": part.p}, source=_source(part, place))


def _write_flatten(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    from torch import nn

    return nn.Flatten()


def _read_flatten(part: Any, place: str, shape: Shape) -> LayerSpec:
    if (part.start_dim, part.end_dim) != (1, -1):
        raise ValueError(
            f"{_source(part, place)}; Flatten is possible with its default parameters only"
        )
    return LayerSpec("Flatten", shape, source=_source(part, place))


def _write_reshape(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    from torch import nn

    if len(layer.output_shape) == 1:
        return nn.Flatten()
    unflatten = nn.Unflatten(1, layer.output_shape)
    return unflatten if len(shape) == 1 else nn.Sequential(nn.Flatten(), unflatten)


def _read_reshape(part: Any, place: str, shape: Shape) -> LayerSpec:
    sizes = part.unflattened_size
    if part.dim != 1 or not all(isinstance(n, int) for n in sizes):
        raise ValueError(f"{_source(part, place)}; dim=1 and integers were expected")
    # (Of vectors, as it is after Flatten.)
    config = {"shape": tuple(sizes), "axis": 1}
    return LayerSpec("Reshape", (), config, source=_source(part, place))


def _write_residual(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    layers = _sequence(layer.layers, shape, dtype)
    projection = None
    if layer.arrays:
        kernel, bias = (layer.arrays[role] for role in PROJECTION)
        projection = _linear(kernel, bias, dtype)
    return own_module("Residual")(layers, projection)


def _read_residual(part: Any, place: str, shape: Shape) -> LayerSpec:
    layers = tuple(_read_all(part.layers, f"{place}.layers"))
    arrays, names = {}, {}
    if part.projection is not None:
        read = _read(part.projection, f"{place}.projection", shape)
        if read is None or read.kind != "Dense":
            raise ValueError(f"{place}.projection is {part.projection}; a Linear was expected")
        kernel = read.arrays["kernel"]
        bias = read.arrays.get("bias", np.zeros(kernel.shape[1]))
        arrays = dict(zip(PROJECTION, (kernel, bias), strict=True))
        names = dict(
            zip(PROJECTION, (read.names[role] for role in ("kernel", "bias")), strict=True)
        )
    return LayerSpec("Residual", (), {}, arrays, names, _source(part, place), layers=layers)


def _write_batch_norm(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    from torch import nn

    make = nn.BatchNorm1d if len(shape) == 1 else own_module("BatchNorm")
    config = layer.config
    module = make(shape[-1], config["epsilon"], 1 - config["momentum"], **_where(dtype))
    return _filled(module, layer, BATCH_NORM)


def _read_batch_norm(part: Any, place: str, shape: Shape) -> LayerSpec:
    from torch import nn

    if part.running_mean is None or part.momentum is None:
        expected = "track_running_stats=True and a momentum were expected"
        raise ValueError(f"{_source(part, place)}; {expected}")
    config: dict[str, Any] = {"momentum": 1 - part.momentum, "epsilon": part.eps}
    if type(part) is nn.BatchNorm1d:
        config["axis"] = 1
    return _read_norm("BatchNorm", part, place, BATCH_NORM, config)


def _write_layer_norm(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    from torch import nn

    module = nn.LayerNorm(shape[-1:], layer.config["epsilon"], **_where(dtype))
    return _filled(module, layer, LAYER_NORM)


def _read_layer_norm(part: Any, place: str, shape: Shape) -> LayerSpec:
    if len(part.normalized_shape) != 1:
        raise ValueError(f"{_source(part, place)}; one axis was expected, the last")
    return _read_norm("LayerNorm", part, place, LAYER_NORM, {"epsilon": part.eps})


# torch's names of the parameters by pynn's.
LAYER_NORM = {"gamma": "weight", "beta": "bias"}
BATCH_NORM = {**LAYER_NORM, "moving_mean": "running_mean", "moving_variance": "running_var"}


def _read_norm(
    kind: str, part: Any, place: str, roles: Mapping[str, str], config: dict[str, Any]
) -> LayerSpec:
    """Read a normalization; without gamma or beta these are 1 and 0."""
    channels = part.num_features if kind == "BatchNorm" else part.normalized_shape[0]
    arrays = {"gamma": np.ones(channels), "beta": np.zeros(channels)}
    names = {role: f"{place}.{name}" for role, name in roles.items()}
    for role, name in roles.items():
        if getattr(part, name) is not None:
            arrays[role] = _array(getattr(part, name), names[role])
    shape = (channels,)
    return LayerSpec(kind, shape, config, arrays, names, _source(part, place))


def _where(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the arguments that place a module's parameters."""
    import torch

    return {"device": "cpu", "dtype": getattr(torch, dtype.name)}


def _filled(module: Any, layer: LayerSpec, roles: Mapping[str, str]) -> Any:
    """Copy a layer's arrays into a module's parameters of other names."""
    import torch

    with torch.no_grad():
        for role, name in roles.items():
            getattr(module, name).copy_(torch.from_numpy(layer.arrays[role]))
    return module


def _write_embedding(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    from torch import nn

    vocabulary, units = layer.arrays["embeddings"].shape
    sparse = layer.config["sparse"]
    module = nn.utils.skip_init(nn.Embedding, vocabulary, units, sparse=sparse, **_where(dtype))
    return _filled(module, layer, {"embeddings": "weight"})


def _read_embedding(part: Any, place: str, shape: Shape) -> LayerSpec:
    if part.padding_idx is not None or part.max_norm is not None or part.scale_grad_by_freq:
        raise ValueError(
            f"{_source(part, place)}; neither padding_idx, max_norm nor scale_grad_by_freq was "
            "expected"
        )
    config = {"vocabulary": part.num_embeddings, "units": part.embedding_dim, "sparse": part.sparse}
    names = {"embeddings": f"{place}.weight"}
    arrays = {"embeddings": _array(part.weight, names["embeddings"])}
    return LayerSpec("Embedding", (), config, arrays, names, _source(part, place))


def _write_position_embedding(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    learned = layer.config["kind"] == "learned"
    return own_module("PositionEmbedding")(_tensor(layer.arrays["embeddings"]), learned)


def _read_position_embedding(part: Any, place: str, shape: Shape) -> LayerSpec:
    names = {"embeddings": f"{place}.embeddings"}
    arrays = {"embeddings": _array(part.embeddings, names["embeddings"])}
    config = {"kind": "learned" if part.learned else "sinusoidal"}
    return LayerSpec("PositionEmbedding", (), config, arrays, names, _source(part, place))


def _write_rbf(layer: LayerSpec, dtype: np.dtype[Any], shape: Shape) -> Any:
    centers, widths = (_tensor(layer.arrays[role]) for role in ("centers", "widths"))
    return own_module("RBF")(centers, widths, layer.config["train_widths"])


def _read_rbf(part: Any, place: str, shape: Shape) -> LayerSpec:
    names = {role: f"{place}.{role}" for role in ("centers", "widths")}
    arrays = {role: _array(getattr(part, role), names[role]) for role in names}
    config = {"train_widths": part.train_widths}
    return LayerSpec("RBF", (), config, arrays, names, _source(part, place))


def _tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(array.copy())


def _pool(name: str) -> _Writer:
    return lambda layer, dtype, shape: own_module(name)()


def _read_pool(part: Any, place: str, shape: Shape) -> LayerSpec:
    # (The name lacks the number of axes, which follows from the shape of the inputs.)
    return LayerSpec(type(part).__name__, (), source=_source(part, place))


Shape = tuple[int, ...]
_Writer = Callable[[LayerSpec, "np.dtype[Any]", Shape], Any]
_Reader = Callable[[Any, str, Shape], "LayerSpec | None"]


@dataclass(frozen=True)
class _Kind:
    """How torch expresses a kind of layer.

    Attributes
    ----------
    modules : tuple of str
        The classes in `torch.nn` or `own_module` that `read` takes; none of their subclasses, which
        may compute something else.
    write : callable (layer, dtype, input shape)
        Makes the module.
    read : callable (module, place, input shape)
        Makes the layer, or None for a module that does nothing. Only of vectors is the shape known.
    """

    modules: tuple[str, ...]
    write: _Writer
    read: _Reader


KINDS = {
    "Dense": _Kind(("Linear",), _write_dense, _read_dense),
    "Dropout": _Kind(("Dropout",), _write_dropout, _read_dropout),
    "Flatten": _Kind(("Flatten",), _write_flatten, _read_flatten),
    "Reshape": _Kind(("Unflatten",), _write_reshape, _read_reshape),
    "Residual": _Kind(("Residual",), _write_residual, _read_residual),
    "BatchNorm": _Kind(("BatchNorm1d", "BatchNorm"), _write_batch_norm, _read_batch_norm),
    "LayerNorm": _Kind(("LayerNorm",), _write_layer_norm, _read_layer_norm),
    "Embedding": _Kind(("Embedding",), _write_embedding, _read_embedding),
    "PositionEmbedding": _Kind(
        ("PositionEmbedding",), _write_position_embedding, _read_position_embedding
    ),
    **{
        f"{pool}{n}D": _Kind((pool,) * (n == 1), _pool(pool), _read_pool)
        for pool in ("GlobalAvgPool", "GlobalMaxPool")
        for n in (1, 2, 3)
    },
    "RBF": _Kind(("RBF",), _write_rbf, _read_rbf),
    "Activation": _Kind(
        tuple(entry.module for entry in ACTIVATIONS.values()), _write_activation, _read_activation
    ),
}


def _module_class(name: str) -> Any:
    """Return a class of `torch.nn`, or one of `own_module`."""
    from torch import nn

    return own_module(name) if name in OWN_MODULES else getattr(nn, name)


@cache
def _readers() -> dict[Any, _Reader]:
    """Return the reader of each class of modules."""
    return {_module_class(name): kind.read for kind in KINDS.values() for name in kind.modules}


def _read(part: Any, place: str, shape: Shape) -> LayerSpec | None:
    """Read one module, whose inputs have a shape."""
    read = _readers().get(type(part))
    if read is not None:
        return read(part, place, shape)
    if cure := _cure(part, place):
        raise ValueError(f"{place} is {type(part).__name__}{cure}")
    *kinds, activations = (", ".join(kind.modules) for kind in KINDS.values() if kind.modules)
    raise ValueError(
        f"{_source(part, place)}; expected {', '.join(kinds)} or an activation: {activations}"
    )


def _source(part: Any, place: str) -> str:
    return f"{place} is {part}"


def _flatten(module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the modules that a Sequential calls one after the other, each with its place."""
    from torch import nn

    if module._forward_pre_hooks or module._forward_hooks:
        raise ValueError(
            f"{place} is {module} with hooks (weight normalization, pruning?); remove them first, "
            "so that the module is what its parameters say"
        )
    # A subclass with another forward computes something else.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for i, part in enumerate(module):
            yield from _flatten(part, f"{place}[{i}]")
    else:
        yield place, module


# ----------------------------------------------------------------- own modules

# What torch has no module for, or one whose channels come first.
OWN_MODULES = (
    "Exp",
    "Residual",
    "BatchNorm",
    "PositionEmbedding",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "RBF",
)


def own_module(name: str) -> Any:
    """Return one of the classes whose definition needs torch."""
    return _own_modules()[name]


@cache
def _own_modules() -> dict[str, Any]:
    from torch import Tensor, nn

    class Exp(nn.Module):  # type: ignore[misc]
        """exp, elementwise."""

        def forward(self, x: Tensor) -> Tensor:
            return x.exp()

    class Residual(nn.Module):  # type: ignore[misc]
        """The input, or a projection of it, plus what `layers` make of it."""

        def __init__(self, layers: Any, projection: Any = None) -> None:
            super().__init__()
            self.layers, self.projection = layers, projection

        def forward(self, x: Tensor) -> Tensor:
            return (x if self.projection is None else self.projection(x)) + self.layers(x)

    class BatchNorm(nn.BatchNorm1d):  # type: ignore[misc]
        """Batch normalization of the last axis, over all others."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)

    class PositionEmbedding(nn.Module):  # type: ignore[misc]
        """A vector for each position, added to it; a parameter if `learned`, else a buffer."""

        def __init__(self, embeddings: Tensor, learned: bool = True) -> None:
            super().__init__()
            self.learned = learned
            _keep(self, "embeddings", embeddings, learned)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.embeddings

    class GlobalAvgPool(nn.Module):  # type: ignore[misc]
        """The mean of each channel, the last axis, over all positions."""

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1, -2).mean(1)

    class GlobalMaxPool(nn.Module):  # type: ignore[misc]
        """The maximum of each channel, the last axis, over all positions."""

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1, -2).max(1).values

    class RBF(nn.Module):  # type: ignore[misc]
        """Gaussian units over the last axis."""

        def __init__(self, centers: Tensor, widths: Tensor, train_widths: bool = True) -> None:
            super().__init__()
            self.train_widths = train_widths
            _keep(self, "centers", centers, True)
            _keep(self, "widths", widths, train_widths)

        def forward(self, x: Tensor) -> Tensor:
            c = self.centers
            lengths = x.square().sum(-1, keepdim=True) + c.square().sum(1)
            squares = (lengths - 2 * x @ c.T).clamp(min=0)
            return (-0.5 * squares / self.widths.square()).exp()

    def _keep(module: Any, name: str, tensor: Tensor, trained: bool) -> None:
        if trained:
            module.register_parameter(name, nn.Parameter(tensor))
        else:
            module.register_buffer(name, tensor)

    own = (Exp, Residual, BatchNorm, PositionEmbedding, GlobalAvgPool, GlobalMaxPool, RBF)
    for made in own:
        # Pickle finds it there.
        made.__module__, made.__qualname__ = "pynn.convert.torch", made.__name__
    return {made.__name__: made for made in own}


# -------------------------------------------------------------------- messages


def _describe_other(given: Any) -> str:
    """Describe, for a message, an object that is no module, and name the cure."""
    from torch import nn

    kind = type(given).__name__
    if isinstance(given, type) and issubclass(given, nn.Module):
        return f"the class {given.__name__}; pass an instance"
    if isinstance(given, Mapping):
        return f"{kind}; a state dict has no activations: load it into its module and pass that"
    if isinstance(given, list | tuple) and all(isinstance(part, nn.Module) for part in given):
        return f"{kind}; pass nn.Sequential(*modules)"
    return describe_other(given)


def _cure(part: Any, place: str) -> str:
    """Return what to pass instead of a module that cannot be read, or how to change it."""
    from torch import nn

    if isinstance(part, nn.ModuleList | nn.ModuleDict):
        values = ".values()" if isinstance(part, nn.ModuleDict) else ""
        return (
            "; it does not say in which order its modules are called: pass "
            f"nn.Sequential(*{place}{values})"
        )
    if isinstance(part, nn.LogSoftmax):
        return "; leave it out and pass loss='softmax_cross_entropy'"
    if isinstance(part, nn.LogSigmoid):
        return "; leave it out and pass loss='sigmoid_cross_entropy'"
    children = dict(part.named_children())
    # DataParallel, DistributedDataParallel, AveragedModel; torch.compile's OptimizedModule.
    for name in ("module", "_orig_mod"):
        if list(children) == [name]:
            return f", a wrapper; pass {place}.{name}"
    if not children or nn.utils.parametrize.is_parametrized(part):
        return ""
    what = ", whose forward cannot be read"
    sequences = _sequences(part, place)
    if sequences:
        return f"{what}; if it only calls the Sequential in it, pass {' or '.join(sequences)}"
    names = ", ".join(f"{place}.{name}" for name in children)
    return f"{what}; pass an nn.Sequential of what it calls, in that order, made of {names}"


def _sequences(part: Any, place: str) -> list[str]:
    """Return the places of the outermost Sequentials in a module."""
    from torch import nn

    if isinstance(part, nn.Sequential) and type(part).forward is nn.Sequential.forward:
        return [place]
    return [
        found
        for name, child in part.named_children()
        for found in _sequences(child, f"{place}.{name}")
    ]
