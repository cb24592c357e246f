"""Networks from PyTorch modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import DTypeLike

from pynn.architecture import check_dtype
from pynn.convert._build import make_network
from pynn.formats.spec import optional
from pynn.formats.torch import exp_module, read_module
from pynn.mlp import MLP


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
    optional("torch", "from_torch", "torch")
    spec = read_module(module)
    if dtype is not None:
        spec = replace(spec, dtype=check_dtype(dtype))
    return make_network(spec, loss, seed=seed)
