"""Networks from PyTorch modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import DTypeLike

from pynn.architecture import check_dtype
from pynn.convert._build import make_any
from pynn.formats.spec import optional
from pynn.formats.torch import OWN_MODULES, own_module, read_module
from pynn.mlp import MLP
from pynn.sequential import Sequential


def __getattr__(name: str) -> Any:
    # Pickle finds them here.
    if name in OWN_MODULES:
        return own_module(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def from_torch(
    module: Any,
    loss: Any = None,
    dtype: DTypeLike | None = None,
    seed: Any = None,
    *,
    input_shape: int | Sequence[int] | None = None,
) -> MLP | Sequential:
    """Make a network of a `torch.nn.Sequential` of Linear layers, activations and others.

    Parameters
    ----------
    module : torch.nn.Sequential
        A sequence of ``Linear`` layers, each with at most one activation after it: ``ReLU``,
        ``LeakyReLU`` (slope 0.01), ``ELU`` and ``Softplus`` (with their default parameters),
        ``GELU`` (exact), ``SiLU``, ``Sigmoid``, ``Tanh``, ``Identity``, and at the end ``Softmax``.
        ``Dropout`` becomes the network's dropout. ``Flatten`` at the start is left out, since an
        `MLP` takes rows. Nested Sequentials are read in order.

        Any other order of these, ``BatchNorm1d`` of vectors, ``LayerNorm`` of the last axis,
        ``Embedding``, ``Flatten``, ``Unflatten`` of vectors, and the modules that `to_torch` makes
        give a `Sequential`. A normalization without weight or bias gets ones or zeros.
    loss : str or loss object, optional
        The loss of later training. After a last ``Linear`` it also sets the output activation:
        "softmax_cross_entropy", "sigmoid_cross_entropy" and "poisson" take the module's outputs as
        logits, as torch's losses do, and the network's outputs are probabilities or rates. The
        default follows the last module: "softmax_cross_entropy" after ``Softmax``,
        "sigmoid_cross_entropy" after ``Sigmoid``, "poisson" after `Exp`, else "squared_error".
    dtype : {"float32", "float64"}, optional
        By default the module's, with float32 for float16 and bfloat16.
    seed : None, int, numpy.random.SeedSequence or numpy.random.Generator
        The seed of later training, as for `MLP`.
    input_shape : int or tuple of int, optional
        The shape of a sample, channels last; by default what the first layer with weights takes.
        ``Embedding``, images and sequences need it.

    Returns
    -------
    MLP or Sequential
        An `MLP` where it can express the module. The network has copies of the parameters. If only
        some layers of an `MLP` have a bias, the others get zeros.

    Raises
    ------
    TypeError
        If `module` is not a module.
    ValueError
        If pynn cannot express the module. The message names the part in the way and its place, and
        for a class that holds a Sequential, that Sequential.
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
    optional("torch", "from_torch", "torch")
    spec = read_module(module)
    if dtype is not None:
        spec = replace(spec, dtype=check_dtype(dtype))
    net: MLP | Sequential = make_any(spec, loss, seed=seed, input_shape=input_shape)
    return net
