"""What a training call has done that is not yet in the network's attributes.

The core counts its steps where they happen, and calls Python between two mini-batches. The
generator, the history and the optimizer follow later, by several statements of Python, between
which a signal's handler may run and raise an exception, or save the network. Meanwhile the engine
has a journal. A reader of these attributes settles it first: it brings them to where the step
counter is. Settling twice, or once more after an interrupted attempt, does no harm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._types import Array


class Journal(ABC):
    """Brings a network's attributes to where its step counter is."""

    @abstractmethod
    def settle(self) -> None:
        """Do it. Each of its changes is one call in C, which no signal divides."""


class Begin(Journal):
    """What changes when a fit begins, or with a single step.

    Parameters
    ----------
    net : Network
    engine : Engine
        That of `net`.
    attributes : dict
        What the network's attributes become.
    targets_1d : bool
        What the engine's becomes.
    drawn : dict, optional
        The state of the network's generator after draws ahead of the first step.
    """

    def __init__(
        self,
        net: Any,
        engine: Any,
        attributes: dict[str, Any],
        targets_1d: bool,
        drawn: Any = None,
    ) -> None:
        self._net, self._engine, self._attributes = net, engine, attributes
        self._targets_1d, self._drawn = targets_1d, drawn

    def settle(self) -> None:
        """Change them."""
        if self._drawn is not None:
            self._net.__dict__["rng"].bit_generator.state = self._drawn
        self._engine.targets_1d = self._targets_1d
        self._net.__dict__.update(self._attributes)


class Step(Begin):
    """A single step, with which attributes change.

    Parameters
    ----------
    net, engine, attributes, targets_1d
        As for `Begin`.
    counter : ndarray of int64, shape (1,)
        The optimizer's steps.
    """

    def __init__(
        self,
        net: Any,
        engine: Any,
        attributes: dict[str, Any],
        targets_1d: bool,
        counter: Array,
    ) -> None:
        Begin.__init__(self, net, engine, attributes, targets_1d)
        self._counter, self._first = counter, int(counter[0])

    def settle(self) -> None:
        """Change them if the step is done."""
        if int(self._counter[0]) != self._first:
            super().settle()


class Epochs(Journal):
    """Epochs whose orders have been drawn ahead, from a copy of the generator.

    Parameters
    ----------
    rng : numpy.random.Generator
    counter : ndarray of int64, shape (1,)
        The optimizer's steps.
    steps : int
        Mini-batches in an epoch.
    draw : callable
        Draws an epoch's order from a generator.
    record : callable, optional
        Writes the first epochs, as many as it is given, into the history.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        counter: Array,
        steps: int,
        draw: Callable[[np.random.Generator], Array | None],
        record: Callable[[int], None] | None = None,
    ) -> None:
        self._rng, self._counter, self._steps = rng, counter, steps
        self._draw, self._record = draw, record
        self._first = int(counter[0])
        self._before = rng.bit_generator.state
        self._after: tuple[int, Any] | None = None

    def orders(self, count: int) -> list[Array]:
        """Draw the orders of `count` epochs; an empty list where samples keep their order."""
        with Scratch(self._rng, self._before) as scratch:
            orders = [order for _ in range(count) if (order := self._draw(scratch)) is not None]
            self._after = count, scratch.bit_generator.state
        return orders

    def settle(self) -> None:
        """Let the generator stand after the epochs begun; record those that are done."""
        steps = int(self._counter[0]) - self._first
        begun = -(-steps // self._steps)
        if begun:
            self._rng.bit_generator.state = self._state(begun)
        if self._record is not None:
            self._record(steps // self._steps)

    def _state(self, begun: int) -> Any:
        if self._after is not None and self._after[0] == begun:
            return self._after[1]
        with Scratch(self._rng, self._before) as scratch:
            for _ in range(begun):
                self._draw(scratch)
            return scratch.bit_generator.state


def _twin(rng: np.random.Generator) -> np.random.Generator:
    """Copy a generator; a subclass loses its kind in NumPy's own copies."""
    import copy  # (`import pynn` is quick without it)

    twin = copy.deepcopy(rng)
    if type(twin) is type(rng):
        return twin
    try:
        return type(rng)(twin.bit_generator)
    except TypeError:  # its constructor takes something else
        return twin


class Scratch:
    """A generator that draws as another one would from a state, in a ``with`` statement."""

    # Making a generator takes longer than small epochs: one of each kind is kept.
    _kept: dict[type, np.random.Generator] = {}  # noqa: RUF012

    def __init__(self, rng: np.random.Generator, state: Any) -> None:
        self._source, self._state = rng, state
        self._kind = type(rng.bit_generator)
        self._is_numpys = type(rng) is np.random.Generator and self._kind.__module__.startswith(
            "numpy.random"
        )

    def __enter__(self) -> np.random.Generator:
        rng = self._kept.pop(self._kind, None) if self._is_numpys else _twin(self._source)
        if rng is None:
            rng = np.random.Generator(self._kind(0))
        rng.bit_generator.state = self._state
        self._rng = rng
        return rng

    def __exit__(self, *_: object) -> None:
        if self._is_numpys:
            self._kept[self._kind] = self._rng
