"""Networks of layers that are timed, and the operations of their steps.

A network is a row of `NETS`; its layers are those of `pynn.layers`. Another kind of layer takes a
row of `COUNTS`, and a translation in each of the ``*_layers.py`` modules of the peers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from peers.base import Array, Data, LayeredModel

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by its name and settings, which mean the same to every library.

    Attributes
    ----------
    name : {"sgd", "adam", "adamw"}
    learning_rate : float
    decay : float
        Of ``adamw``, decoupled.
    """

    name: str
    learning_rate: float
    decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7


SGD, ADAM = Optimizer("sgd", 0.01), Optimizer("adam", 1e-3)


@dataclass(frozen=True)
class Net:
    """A network of layers with its mini-batch, loss and optimizer.

    Attributes
    ----------
    name : str
        Of the tables and of ``--nets``.
    layers : callable
        ``layers(L)`` gives the layers, where `L` is the module `pynn.layers`. (Importing pynn waits
        for the environment of the measuring process.)
    input_shape : tuple of int
        Of a sample.
    batch : int
    loss : {"softmax_cross_entropy", "mse"}
    vocabulary : int
        Inputs are tokens below it; 0: real numbers.
    step : str
        What a step is: "supervised", or the name of a step that the libraries write out.
    predicts : bool
        Time predictions, too. (Networks that differ in training only do it once.)
    """

    name: str
    layers: Callable[[Any], list[Any]]
    input_shape: Shape
    batch: int
    loss: str = "softmax_cross_entropy"
    optimizer: Optimizer = SGD
    vocabulary: int = 0
    step: str = "supervised"
    predicts: bool = True
    source: str = field(default="", compare=False)

    def made(self) -> list[Any]:
        """Give the layers."""
        from pynn import layers

        return self.layers(layers)


def _normalized(kind: str) -> Callable[[Any], list[Any]]:
    def layers(L: Any) -> list[Any]:
        hidden = [(L.Dense(128), getattr(L, kind)(), L.Activation("relu")) for _ in range(2)]
        return [*hidden[0], *hidden[1], L.Dense(10)]

    return layers


def _residual(L: Any) -> list[Any]:
    def block() -> Any:
        return L.Residual([L.Dense(256, "relu"), L.Dense(256)], activation="relu")

    return [L.Dense(256, "relu"), *(block() for _ in range(4)), L.Dense(10)]


def _text(L: Any, sparse: bool = False) -> list[Any]:
    embedding = L.Embedding(20_000, 64, sparse=sparse)
    return [embedding, L.GlobalAvgPool1D(), L.Dense(16, "relu"), L.Dense(2)]


TEXT: dict[str, Any] = {"input_shape": (200,), "batch": 32, "vocabulary": 20_000}
NETS = (
    Net(
        "rbf",
        lambda L: [L.RBF(100), L.Dense(1)],
        (8,),
        32,
        loss="mse",
        optimizer=ADAM,
        source="8-100-1 Gaussian units; 8 inputs as California housing",
    ),
    Net(
        "dqn_cartpole",
        lambda L: [L.Dense(128, "relu"), L.Dense(128, "relu"), L.Dense(2)],
        (4,),
        128,
        loss="mse",
        optimizer=Optimizer("adamw", 3e-4, decay=0.01),
        step="dqn",
        source="pytorch/tutorials intermediate_source/reinforcement_q_learning.py",
    ),
    Net("mlp_batch_norm", _normalized("BatchNorm"), (64,), 128, source="64-128-128-10"),
    Net("mlp_layer_norm", _normalized("LayerNorm"), (64,), 128, source="64-128-128-10"),
    Net("residual_mlp", _residual, (784,), 128, source="784-256-[256-256]x4-10"),
    Net("text_sgd", _text, **TEXT, source="20000x64, mean over 200 tokens, 16-2"),
    Net("text_adam", _text, **TEXT, optimizer=ADAM, predicts=False),
    Net(
        "text_sparse_adam",
        lambda L: _text(L, sparse=True),
        **TEXT,
        optimizer=ADAM,
        predicts=False,
        source="moments of the tokens that occur only: torch's SparseAdam",
    ),
)

# Multiply-adds of a sample's matrix products, forward, by the class of a layer.
COUNTS: dict[str, Callable[[Any, Shape], int]] = {
    "Dense": lambda layer, shape: math.prod(shape) * layer.units,
    "RBF": lambda layer, shape: math.prod(shape) * layer.units,
}


def multiply_adds(
    layers: Sequence[Any], shape: Shape, trained_below: bool = False
) -> tuple[int, int]:
    """Count the multiply-adds of a sample, forward and backward.

    Backward takes the weight gradient, and the input gradient where parameters are below.

    Parameters
    ----------
    layers : sequence of Layer
    shape : tuple of int
        Of the input.
    trained_below : bool
        Something that reads the network's input first has parameters.
    """
    forward = backward = 0
    for layer in layers:
        kind = type(layer).__name__
        out = layer.output_shape(shape)
        if kind == "Residual":
            inner, its_backward = multiply_adds(layer.layers, shape, trained_below)
            if out != shape:
                projection = math.prod(shape) * out[-1]
                inner, its_backward = inner + projection, its_backward + projection
                its_backward += projection * trained_below
            forward, backward = forward + inner, backward + its_backward
        elif kind in COUNTS:
            count = COUNTS[kind](layer, shape)
            forward, backward = forward + count, backward + count * (1 + trained_below)
        trained_below = trained_below or kind in COUNTS or kind in {"Embedding", "Residual"}
        shape = out
    return forward, backward


def operations(net: Net) -> int:
    """Operations of the matrix products of a training step."""
    forward, backward = multiply_adds(net.made(), net.input_shape)
    passes = 2 if net.step == "dqn" else 1  # of the network and of its target
    return 2 * net.batch * (passes * forward + backward)


def inputs(net: Net, n: int, rng: np.random.Generator) -> Array:
    """Give n random samples."""
    shape = (n, *net.input_shape)
    if net.vocabulary:
        tokens: Array = rng.integers(net.vocabulary, size=shape)
        return tokens
    return rng.standard_normal(shape, dtype=np.float32)


def mini_batches(net: Net, count: int, rng: np.random.Generator) -> Data:
    """Give random mini-batches: samples and labels or values.

    A row of a DQN's targets is the action, the reward and the state that follows.
    """
    n = count * net.batch
    x = inputs(net, n, rng)
    outputs = output_shape(net)[-1]
    y: Any
    if net.step == "dqn":
        action, reward = rng.integers(outputs, size=(n, 1)), rng.standard_normal((n, 1))
        y = np.hstack([action, reward, inputs(net, n, rng)]).astype(np.float32)
    elif net.loss == "softmax_cross_entropy":
        y = rng.integers(outputs, size=n)
    else:
        y = rng.standard_normal((n, outputs), dtype=np.float32)
    return Data(x, y, net.batch)


def output_shape(net: Net) -> Shape:
    """Shape of a sample's output."""
    shape = net.input_shape
    for layer in net.made():
        shape = layer.output_shape(shape)
    return shape


def model(net: Net) -> LayeredModel:
    """Give the network with pynn's initial parameters."""
    import pynn

    drawn = pynn.Sequential(net.made(), net.input_shape, net.loss, seed=0).state_dict()
    return LayeredModel(net, drawn)
