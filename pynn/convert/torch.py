"""Networks from and for PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from pynn import _checks
from pynn._keywords import refuse, refuses_unknown
from pynn._types import Array
from pynn.convert._layers import (
    LEAKY_SLOPE,
    OUTPUT_ONLY,
    Layers,
    check_chain,
    kind_of,
    make_network,
    optional,
)
from pynn.convert.sklearn import layers_of_model
from pynn.mlp import MLP

# torch's softplus is the identity above its threshold. Above 20, that is the float32 softplus.
SOFTPLUS_THRESHOLD = 20
# For float64: exp(-40) is below half an ULP of 40.
SOFTPLUS_THRESHOLD_F64 = 40
# f(c x) = c f(x) for c >= 0: dropout before them is dropout after them.
HOMOGENEOUS = ("identity", "relu", "leaky_relu")
# The losses that an output activation stands for, where none is given.
LOSS_OF_OUTPUT = {
    "softmax": "softmax_cross_entropy",
    "sigmoid": "sigmoid_cross_entropy",
    "exp": "poisson",
}


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
        On the CPU, of the network's dtype, in evaluation mode: where the network has dropout there
        are ``Dropout`` modules, which ``module.train()`` turns on. The parameters are copies.

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
    output of the Poisson loss: `pynn.convert.torch.Exp` is one. No random number of torch's is
    drawn.

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
    layers = layers_of_model(net)
    logits = _checks.flag(logits, "logits")
    optional("torch", "to_torch", "torch")
    return make_module(layers, logits)


def make_module(layers: Layers, logits: bool) -> Any:
    """Make the module of a network in plain data."""
    import torch
    from torch import nn

    activations = module_makers()
    last = len(layers.weights) - 1
    modules = []
    for i, (weight, name, rate) in enumerate(
        zip(layers.weights, layers.activations, layers.dropout, strict=True)
    ):
        if rate:
            modules.append(nn.Dropout(rate))
        linear = nn.utils.skip_init(
            nn.Linear,
            *weight.shape,
            bias=bool(layers.biases),
            device="cpu",
            dtype=getattr(torch, layers.dtype.name),
        )
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight).T)
            if layers.biases:
                linear.bias.copy_(torch.from_numpy(layers.biases[i]))
        modules.append(linear)
        if name != "identity" and not (logits and i == last):
            modules.append(activations[name](layers.dtype))
    return nn.Sequential(*modules).eval()


def module_makers() -> dict[str, Callable[[np.dtype[Any]], Any]]:
    """For each activation, what makes its module for a dtype."""
    from torch import nn

    def softplus(dtype: np.dtype[Any]) -> Any:
        double = dtype == np.float64
        return nn.Softplus(threshold=SOFTPLUS_THRESHOLD_F64 if double else SOFTPLUS_THRESHOLD)

    return {
        "identity": lambda _: nn.Identity(),
        "relu": lambda _: nn.ReLU(),
        "leaky_relu": lambda _: nn.LeakyReLU(LEAKY_SLOPE),
        "elu": lambda _: nn.ELU(),
        "gelu": lambda _: nn.GELU(),
        "silu": lambda _: nn.SiLU(),
        "softplus": softplus,
        "sigmoid": lambda _: nn.Sigmoid(),
        "tanh": lambda _: nn.Tanh(),
        "softmax": lambda _: nn.Softmax(dim=-1),
        "exp": lambda _: exp_module()(),
    }


@cache
def exp_module() -> Any:
    """Make the class `Exp`, which cannot be defined before torch is imported."""
    from torch import nn

    class Exp(nn.Module):  # type: ignore[misc]
        """exp, elementwise."""

        def forward(self, x: Any) -> Any:
            return x.exp()

    Exp.__module__, Exp.__qualname__ = __name__, "Exp"
    return Exp


def __getattr__(name: str) -> Any:
    # Pickle finds Exp here.
    if name == "Exp":
        return exp_module()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def from_torch(
    module: Any, loss: Any = None, dtype: DTypeLike | None = None, seed: Any = None
) -> MLP:
    """Make the network that a `torch.nn.Sequential` of Linear and activations is.

    Parameters
    ----------
    module : torch.nn.Sequential
        A sequence of ``Linear`` layers, each with at most one activation after it: ``ReLU``,
        ``LeakyReLU`` (slope 0.01), ``ELU`` and ``Softplus`` (with their default parameters),
        ``GELU`` (exact), ``SiLU``, ``Sigmoid``, ``Tanh``, ``Identity``, and at the end ``Softmax``.
        ``Dropout`` becomes the network's dropout; ``Flatten`` at the start is left out, since a
        network takes rows; Sequentials within are opened.
    loss : str or loss object, optional
        What the network is trained with and, after a last ``Linear``, the output activation that
        comes with it: "softmax_cross_entropy", "sigmoid_cross_entropy" and "poisson" take the
        module's outputs as logits, as torch's losses do, and the network's outputs are
        probabilities or rates. By default what the end stands for: ``Softmax`` for
        "softmax_cross_entropy", ``Sigmoid`` for "sigmoid_cross_entropy", `Exp` for "poisson", and
        any other for "squared_error", where the outputs are the module's.
    dtype : {"float32", "float64"}, optional
        By default the module's; float32 for float16 and bfloat16.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        As for `MLP`: for later training.

    Returns
    -------
    MLP
        With copies of the parameters. Where only some layers have a bias, the others get zeros.

    Raises
    ------
    TypeError
        If `module` is not a module.
    ValueError
        If the network cannot be expressed. The message names the module in the way and where it is;
        for a module that holds a Sequential, such as a class of your own, that Sequential.
    ImportError
        If torch is not installed.

    Examples
    --------
    >>> import pynn
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> pynn.convert.from_torch(module, loss="softmax_cross_entropy")
    MLP([4, 16, 3], activation='relu', loss='softmax_cross_entropy', dtype='float32')
    """
    torch = optional("torch", "from_torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Sequential, got {_no_module(module)}")
    linears = _read(module)
    weights, biases = _parameters(linears)
    output = linears[-1].activation
    if loss is None:
        loss = LOSS_OF_OUTPUT.get(output or "identity", "squared_error")
    try:
        return make_network(
            weights,
            biases,
            hidden=[linear.activation or "identity" for linear in linears[:-1]],
            loss=loss,
            output=output,
            dropout=[linear.dropout for linear in linears],
            dtype=_common_dtype(linears) if dtype is None else dtype,
            seed=seed,
        )
    except ValueError as error:
        if output is not None and str(error).startswith("output_activation"):
            raise ValueError(f"module ends in {output}, which loss does not fit: {error}") from None
        raise


@dataclass
class _Linear:
    """A layer as it is read: the module, its place, and what stands around it."""

    module: Any
    place: str
    dropout: float
    activation: str | None = None


def _flatten(module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The modules that a Sequential calls one after the other, each with its place."""
    from torch import nn

    if module._forward_pre_hooks or module._forward_hooks:
        raise ValueError(
            f"{place} is {module} with hooks (weight normalization, pruning?); remove them first, "
            "so that the module is what its parameters say"
        )
    # A subclass with a forward of its own does something else.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for i, part in enumerate(module):
            yield from _flatten(part, f"{place}[{i}]")
    else:
        yield place, module


def _read(module: Any) -> list[_Linear]:
    """The module's layers, or a ValueError naming what cannot be expressed."""
    from torch import nn

    linears: list[_Linear] = []
    rate, rate_place = 0.0, ""  # of the dropout since the last Linear
    for place, part in _flatten(module, "module"):
        kind = type(part)
        here = f"{place} is {part}"
        if kind is nn.Identity:
            continue
        if kind is nn.Flatten:
            if linears or (part.start_dim, part.end_dim) != (1, -1):
                raise ValueError(
                    f"{here}; Flatten is possible before the first Linear only, with its default "
                    "parameters"
                )
        elif kind is nn.Dropout:
            if part.p >= 1:
                raise ValueError(f"{here}; a rate below 1 was expected")
            # What two in a row leave is what one with this rate leaves.
            rate += part.p - rate * part.p
            rate_place = here
        elif kind is nn.Linear:
            if linears and linears[-1].activation in OUTPUT_ONLY:
                raise ValueError(
                    f"{here}, after {linears[-1].activation}, which is possible at the end only"
                )
            linears.append(_Linear(part, place, rate))
            rate = 0.0
        else:
            name = _activation(part, place)
            if not linears:
                raise ValueError(f"{here}, before any Linear; a layer's activation comes after it")
            if linears[-1].activation is not None:
                raise ValueError(
                    f"{here}, after {linears[-1].activation}; a Linear has at most one activation"
                )
            if rate and name not in HOMOGENEOUS:
                raise ValueError(
                    f"{rate_place}, between a Linear and its activation {name}; dropout is "
                    "possible after the activation"
                )
            if name == "softmax" and linears[-1].module.out_features == 1:
                raise ValueError(
                    f"{here}, over one output, which is always 1; end in Sigmoid, or in two outputs"
                )
            linears[-1].activation = name
    if not linears:
        raise ValueError(f"module has no Linear layer: {module}")
    if rate:
        raise ValueError(f"{rate_place}, after the last Linear; dropout is of a layer's input")
    check_chain(
        [(linear.module.in_features, linear.module.out_features) for linear in linears],
        [f"{linear.place}, {linear.module}," for linear in linears],
    )
    return linears


def _activation(part: Any, place: str) -> str:
    """The name of an activation module, whose parameters must be those of pynn's activation."""
    from torch import nn

    kind = type(part)
    here = f"{place} is {part}"
    plain = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
    if kind in plain:
        return plain[kind]
    if kind is exp_module():
        return "exp"
    # The activation, whether its parameters fit, and which would.
    conditions: dict[Any, Callable[[], tuple[str, bool, str]]] = {
        nn.LeakyReLU: lambda: (
            "leaky_relu",
            part.negative_slope == LEAKY_SLOPE,
            f"negative_slope={LEAKY_SLOPE}",
        ),
        nn.ELU: lambda: ("elu", part.alpha == 1, "alpha=1"),
        nn.GELU: lambda: ("gelu", part.approximate == "none", "approximate='none'"),
        nn.Softplus: lambda: (
            "softplus",
            part.beta == 1 and part.threshold >= SOFTPLUS_THRESHOLD,
            f"beta=1 and threshold={SOFTPLUS_THRESHOLD} or more",
        ),
        nn.Softmax: lambda: ("softmax", part.dim in (-1, 1), "dim=-1 or dim=1"),
    }
    if kind not in conditions:
        if cure := _cure(part, place):
            raise ValueError(f"{place} is {kind.__name__}{cure}")
        raise ValueError(
            f"{here}; expected Linear, Dropout, Flatten (at the start), Identity or an activation: "
            "ReLU, LeakyReLU, ELU, GELU, SiLU, Softplus, Sigmoid, Tanh, Softmax (at the end)"
        )
    name, fits, expected = conditions[kind]()
    if not fits:
        raise ValueError(f"{here}; {expected} was expected")
    return name


def _no_module(given: Any) -> str:
    """What is no module, for a message, and the cure where there is one."""
    from torch import nn

    kind = type(given).__name__
    if isinstance(given, type) and issubclass(given, nn.Module):
        return f"the class {given.__name__}; pass an instance"
    if isinstance(given, Mapping):
        return f"{kind}; a state dict has no activations: load it into its module and pass that"
    if isinstance(given, list | tuple) and all(isinstance(part, nn.Module) for part in given):
        return f"{kind}; pass nn.Sequential(*modules)"
    return kind_of(given)


def _cure(part: Any, place: str) -> str:
    """What to pass in place of a module that cannot be read, or to change in it; or nothing."""
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
    """Where the outermost Sequentials in a module are."""
    from torch import nn

    if isinstance(part, nn.Sequential) and type(part).forward is nn.Sequential.forward:
        return [place]
    return [
        found
        for name, child in part.named_children()
        for found in _sequences(child, f"{place}.{name}")
    ]


def _parameters(linears: list[_Linear]) -> tuple[list[Array], list[Array]]:
    """Weights in pynn's layout, and biases, in float64, which holds any of torch's types."""
    import torch

    def array(tensor: Any) -> Array:
        result: Array = tensor.detach().to("cpu", torch.float64).numpy()
        return result

    for linear in linears:
        for name, tensor in linear.module.named_parameters():
            if tensor.is_meta or not torch.is_floating_point(tensor):
                raise ValueError(
                    f"{linear.place}.{name} has no real values: dtype {tensor.dtype}, device "
                    f"{tensor.device}"
                )
    modules = [linear.module for linear in linears]
    weights = [array(m.weight).T for m in modules]
    if all(m.bias is None for m in modules):
        return weights, []
    return weights, [np.zeros(m.out_features) if m.bias is None else array(m.bias) for m in modules]


def _common_dtype(linears: list[_Linear]) -> str:
    import torch

    parameters = (p for linear in linears for p in linear.module.parameters())
    return "float64" if any(p.dtype == torch.float64 for p in parameters) else "float32"
