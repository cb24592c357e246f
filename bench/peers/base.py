"""What a library has to provide to take part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from nets import Net

Array = NDArray[Any]
LEARNING_RATE = 0.01


@dataclass
class Model:
    """Weights (n_in, n_out) and biases of an MLP: ReLU, at the end softmax. Not to be written."""

    weights: list[Array]
    biases: list[Array]

    @property
    def sizes(self) -> list[int]:
        """Layer sizes, input first."""
        return [len(self.weights[0]), *(len(b) for b in self.biases)]


@dataclass
class LayeredModel:
    """A network of layers and its parameters, by pynn's names. Not to be written."""

    net: Net
    parameters: dict[str, Array]


@dataclass
class Data:
    """Mini-batches one after the other: `x` (n, ...), labels `y` (n,) or values (n, ...)."""

    x: Array
    y: Array
    batch: int

    def __len__(self) -> int:
        """Give the number of mini-batches."""
        return len(self.x) // self.batch

    def part(self, start: int, steps: int) -> tuple[Array, Array]:
        """Rows of the mini-batches start, ..., start + steps - 1, in place."""
        rows = slice(start * self.batch, (start + steps) * self.batch)
        return self.x[rows], self.y[rows]


class Trainer:
    """A network in training: plain SGD with `LEARNING_RATE`, mean cross-entropy of a mini-batch."""

    def __init__(self, model: Model, data: Data) -> None:
        self.model, self.data = model, data

    def train(self, start: int, steps: int) -> None:
        """Train on `steps` mini-batches from number `start` on, in order, and wait for the end."""
        raise NotImplementedError

    def weights(self) -> list[Array]:
        """The weights now, to check that all do the same."""
        raise NotImplementedError


class LayersTrainer:
    """A network of layers in training, with its own loss and optimizer."""

    def __init__(self, model: LayeredModel, data: Data) -> None:
        self.net, self.data = model.net, data

    def train(self, start: int, steps: int) -> None:
        """Train on `steps` mini-batches from number `start` on, in order, and wait for the end."""
        raise NotImplementedError

    def losses(self, steps: int) -> list[float]:
        """Train on the first mini-batches; give the loss of each, before its step."""
        raise NotImplementedError


class Peer:
    """A library; it takes part in what it overrides."""

    name: str
    trainer: type[Trainer] | None = None

    def layers_trainer(self, model: LayeredModel, data: Data) -> LayersTrainer | None:
        """Give a network of layers in training.

        Raises
        ------
        NotImplementedError
            Where the library has no such layer or optimizer, naming it.
        """
        return None

    def layers_predictor(self, model: LayeredModel, x: Array) -> Callable[[], Any] | None:
        """Give a function that computes the outputs of a network of layers for `x`."""
        return None

    def info(self) -> dict[str, Any]:
        """Facts for the report, beyond the version."""
        return {}

    def predictor(self, model: Model, x: Array) -> Callable[[], Any] | None:
        """Give a function that computes the class probabilities of `x`."""
        return None

    def product(self, a: Array, b: Array) -> Callable[[], Any] | None:
        """Give a function that multiplies; `a` and `b` are C-ordered or transposed views."""
        return None

    def activation(self, function: str, x: Array) -> Callable[[], Any] | None:
        """Give a program for a function of `cases.ELEMENTWISE` or `cases.BY_ROWS`.

        The result goes to an array made beforehand, where the library can do that.
        """
        return None
