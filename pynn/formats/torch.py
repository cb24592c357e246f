"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NoReturn

import numpy as np

from pynn import _checks
from pynn._keywords import refuse, refuses_unknown
from pynn._types import LEAKY_SLOPE, Array
from pynn.formats.sklearn import spec_of_model
from pynn.formats.spec import LayerSpec, NetworkSpec, describe_other, look_up, optional

# torch's softplus is the identity above its threshold. Above 20, that is the float32 softplus.
SOFTPLUS_THRESHOLD = 20
# For float64: exp(-40) is below half an ULP of 40.
SOFTPLUS_THRESHOLD_F64 = 40


@refuses_unknown
def to_torch(net: Any, *excess: NoReturn, logits: bool = False, **unknown: NoReturn) -> Any:
    """Make a `torch.nn.Sequential` that computes what the network computes.

    Parameters
    ----------
    net : MLP, MLPClassifier or MLPRegressor
        A network, or a fitted estimator of pynn.sklearn or scikit-learn.
    logits : bool, default False
        Leave the output activation out. torch's ``CrossEntropyLoss``, ``BCEWithLogitsLoss`` and
        ``PoissonNLLLoss`` apply softmax, sigmoid and exp themselves.

    Returns
    -------
    torch.nn.Sequential
        On the CPU, of the network's dtype, in evaluation mode. A network with dropout has
        ``Dropout`` modules, which ``module.train()`` turns on. The parameters are copies.

    Raises
    ------
    TypeError
        If an argument is of another type.
    NotFittedError
        If an estimator is not fitted.
    ImportError
        If torch is not installed.

    Notes
    -----
    torch keeps the weights of a layer in shape (outputs, inputs). It has no module for exp, the
    output of the Poisson loss: `pynn.convert.torch.Exp` is one. The call draws no random number
    of torch's.

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
    from torch import nn

    layers = spec.layers
    if logits and layers[-1].kind == "Activation":
        layers = layers[:-1]
    modules = [look_up(KINDS, layer, "torch").write(layer, spec.dtype) for layer in layers]
    return nn.Sequential(*modules).eval()


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
    layers: list[LayerSpec] = []
    shape: tuple[int, ...] = ()  # unknown before the first Linear
    for place, part in _flatten(module, "module"):
        layer = _read(part, place, shape)
        if layer is not None:
            layers.append(layer)
            shape = layer.output_shape
    dense = [layer.arrays["kernel"] for layer in layers if layer.kind == "Dense"]
    inputs = dense[0].shape[:1] if dense else ()
    layers = [
        layer if layer.output_shape else replace(layer, output_shape=inputs) for layer in layers
    ]
    double = any(p.dtype == torch.float64 for p in module.parameters())
    return NetworkSpec(tuple(layers), inputs, np.dtype(np.float64 if double else np.float32))


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
        from torch import nn

        return exp_module() if self.module == "Exp" else getattr(nn, self.module)


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


@cache
def exp_module() -> Any:
    """Make the class `Exp`, whose definition needs torch."""
    from torch import nn

    class Exp(nn.Module):  # type: ignore[misc]
        """exp, elementwise."""

        def forward(self, x: Any) -> Any:
            return x.exp()

    # Pickle finds it there.
    Exp.__module__, Exp.__qualname__ = "pynn.convert.torch", "Exp"
    return Exp


# ------------------------------------------------------------- kinds of layers


def _write_activation(layer: LayerSpec, dtype: np.dtype[Any]) -> Any:
    return make_activation(layer.config["name"], dtype)


def _read_activation(part: Any, place: str, shape: tuple[int, ...]) -> LayerSpec | None:
    name = next(name for name, entry in ACTIVATIONS.items() if type(part) is entry.type())
    entry = ACTIVATIONS[name]
    if not entry.fits(part):
        raise ValueError(f"{_source(part, place)}; {entry.expected} was expected")
    if name == "identity":
        return None
    return LayerSpec("Activation", shape, {"name": name}, source=_source(part, place))


def _write_dense(layer: LayerSpec, dtype: np.dtype[Any]) -> Any:
    import torch
    from torch import nn

    kernel, bias = layer.arrays["kernel"], layer.arrays.get("bias")
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


def _read_dense(part: Any, place: str, shape: tuple[int, ...]) -> LayerSpec:
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


def _write_dropout(layer: LayerSpec, dtype: np.dtype[Any]) -> Any:
    from torch import nn

    return nn.Dropout(layer.config["rate"])


def _read_dropout(part: Any, place: str, shape: tuple[int, ...]) -> LayerSpec:
    if part.p >= 1:
        raise ValueError(f"{_source(part, place)}; a rate below 1 was expected")
    return LayerSpec("Dropout", shape, {"rate": part.p}, source=_source(part, place))


def _write_flatten(layer: LayerSpec, dtype: np.dtype[Any]) -> Any:
    from torch import nn

    return nn.Flatten()


def _read_flatten(part: Any, place: str, shape: tuple[int, ...]) -> LayerSpec:
    if shape or (part.start_dim, part.end_dim) != (1, -1):
        raise ValueError(
            f"{_source(part, place)}; Flatten is possible before the first Linear only, with its "
            "default parameters"
        )
    return LayerSpec("Flatten", shape, source=_source(part, place))


@dataclass(frozen=True)
class _Kind:
    """How torch expresses a kind of layer.

    Attributes
    ----------
    modules : tuple of str
        The classes in `torch.nn` that `read` takes; none of their subclasses, which may compute
        something else.
    write : callable (layer, dtype)
        Makes the module.
    read : callable (module, place, input shape)
        Makes the layer, or None for a module that does nothing.
    """

    modules: tuple[str, ...]
    write: Callable[[LayerSpec, np.dtype[Any]], Any]
    read: Callable[[Any, str, tuple[int, ...]], LayerSpec | None]


KINDS = {
    "Dense": _Kind(("Linear",), _write_dense, _read_dense),
    "Dropout": _Kind(("Dropout",), _write_dropout, _read_dropout),
    "Flatten": _Kind(("Flatten",), _write_flatten, _read_flatten),
    "Activation": _Kind(
        tuple(entry.module for entry in ACTIVATIONS.values()), _write_activation, _read_activation
    ),
}


@cache
def _readers() -> dict[Any, Callable[[Any, str, tuple[int, ...]], LayerSpec | None]]:
    """Return the reader of each class of modules."""
    from torch import nn

    return {
        exp_module() if name == "Exp" else getattr(nn, name): kind.read
        for kind in KINDS.values()
        for name in kind.modules
    }


def _read(part: Any, place: str, shape: tuple[int, ...]) -> LayerSpec | None:
    """Read one module, whose inputs have a shape."""
    read = _readers().get(type(part))
    if read is not None:
        return read(part, place, shape)
    if cure := _cure(part, place):
        raise ValueError(f"{place} is {type(part).__name__}{cure}")
    *kinds, activations = (", ".join(kind.modules) for kind in KINDS.values())
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
