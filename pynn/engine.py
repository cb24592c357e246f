"""What moves a network: its compiled core, its parameters, and its place in the random numbers.

A network has one `Engine`, which `engine_of` gives. Training, files, copies and estimators work
with it, and need to know nothing of the kind of network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from pynn import _array_input
from pynn._attributes import Checked, Closed, Fixed
from pynn._types import Array, NDArray
from pynn.data import DataSpec, core_shape

if TYPE_CHECKING:
    from pynn._journal import Journal

V = TypeVar("V")
A = TypeVar("A", bound="Settled[Any]")

# Which thread could change a network now, as the core tells: another one; none but this; none.
OTHER, HERE, NONE = 0, 1, 2
# Parameters begin on a cache line, bytes.
LINE = 64

# Networks of as many lengths keep their memory.
KEPT_LENGTHS = 16

# A parameter's name, its first place in the block of parameters, and its shape.
Layout = Sequence[tuple[str, int, tuple[int, ...]]]


class Engine:
    """A compiled network with its parameters.

    Parameters
    ----------
    core : object
        Of `pynn._core`.
    layout : sequence of tuple (name, start, shape)
        Where each parameter is in the block of parameters, which begins as zeros.
    dtype : dtype
        Of the parameters, and of all arithmetic.
    data_spec : DataSpec
        The samples and targets that the network takes.
    core_loss : dict
        The loss as the core takes it.
    outputs : sequence of tuple (index, shape)
        Of each layer: the core's layer that gives its output, and the shape of a sample's.
    output_bias : str, optional
        The name of the parameter that may hold infinities, which switch classes off.

    Attributes
    ----------
    loss : Loss
    outputs : tuple of tuple (index, shape)
    last_layer : int
    parameters : ndarray
        All parameters in one block.
    arrays : dict of str to ndarray
        Views of it, in the order of `layout`.
    rng_position : ndarray of uint64, shape (2,)
        Dropout's key and the number of steps so far, which decide what is dropped.
    penalty_by_weight : bool
        Count penalties once a mini-batch's sum of weights, as scikit-learn does, not once its mean.
    targets_1d : bool
        The targets last trained on were a vector of values: predictions are one, too.
    journal : Journal or None
        What a training call has done that is not yet in the network's attributes.
    plain_forward : callable
        ``plain_forward(X, out)`` computes the outputs of plain arrays; None for any others.
    """

    __slots__ = (
        "_by_length", "arrays", "core", "core_loss", "data_spec", "dtype", "journal", "last_layer",
        "layout", "loss", "output_bias", "outputs", "parameters", "penalty_by_weight",
        "plain_forward", "rng_position", "targets_1d",
    )  # fmt: skip

    def __init__(
        self,
        core: Any,
        layout: Layout,
        dtype: np.dtype[Any],
        data_spec: DataSpec,
        core_loss: dict[str, Any],
        outputs: Sequence[tuple[int, tuple[int, ...]]],
        output_bias: str | None = None,
    ) -> None:
        self.core: Any = core
        self._by_length: dict[int, Any] = {}
        self.layout = layout
        self.dtype = dtype
        self.data_spec, self.loss = data_spec, data_spec.loss
        self.core_loss = core_loss
        self.outputs: tuple[tuple[int, tuple[int, ...]], ...] = tuple(outputs)
        self.last_layer = len(outputs) - 1
        self.output_bias = output_bias
        self.parameters: Array = _aligned_zeros(core.block_size, dtype)
        core.set_parameters(self.parameters)
        self.arrays: dict[str, Array] = self.named(self.parameters)
        plain = not data_spec.tokens and len(data_spec.input_shape) == 1
        plain = plain and len(data_spec.output_shape) == 1
        self.plain_forward = core.forward_call() if plain else _no_plain_forward
        self.rng_position: NDArray[np.uint64] = np.zeros(2, np.uint64)
        self.penalty_by_weight = False
        self.targets_1d = False
        self.journal: Journal | None = None

    def named(self, block: Array) -> dict[str, Array]:
        """Give each parameter's part of an array that is laid out as the parameters are.

        Parameters
        ----------
        block : ndarray
            The parameters, a gradient, or an optimizer's moment.

        Returns
        -------
        dict of str to ndarray
            Views.
        """
        arrays = {}
        for name, start, shape in self.layout:
            arrays[name] = block[start : start + math.prod(shape)].reshape(shape)
        return arrays

    def share(self, other: Engine) -> None:
        """Work on the parameters and the random numbers of another engine of the same layout.

        Parameters
        ----------
        other : Engine
        """
        self.parameters, self.arrays = other.parameters, other.arrays
        self.rng_position = other.rng_position
        self.core.set_parameters(self.parameters)
        self.forget_lengths()

    def core_for(self, samples: Any) -> Any:
        """Give the core for samples of their length.

        Parameters
        ----------
        samples : ndarray or CsrRows of shape (n, values)

        Returns
        -------
        object
            ``core`` itself where the network has a fixed input shape. Otherwise a network of the
            same parameters, kept for further calls: of the lengths last used.
        """
        spec = self.data_spec
        if spec.is_fixed:
            return self.core
        length = math.prod(samples.shape[1:]) // spec.inputs
        # (Several threads may predict: each change is one call, and a copy is gone through.)
        made = self._by_length.pop(length, None)
        if made is None:
            made = self.core.reshaped(core_shape((length, *spec.input_shape[1:])))
            for oldest in [*self._by_length][: 1 - KEPT_LENGTHS]:
                self._by_length.pop(oldest, None)
        self._by_length[length] = made
        return made

    def forget_lengths(self) -> None:
        """Make the networks of each length again, since something else than weights has changed."""
        self._by_length.clear()

    def settle(self) -> None:
        """Bring generator, history and optimizer to where the step counter is.

        Nothing is done while another thread trains, unless this one holds the network as a reader.
        """
        journal = self.journal
        if journal is None:
            return
        user = self.core.user_here()
        if user != OTHER:
            journal.settle()
        if user == NONE:  # what an exception has left
            self.journal = None

    def clear(self, journal: Journal | None = None) -> None:
        """Settle a journal, by default any, and end it; for the thread that trains.

        Parameters
        ----------
        journal : Journal, optional
        """
        present = self.journal
        if present is not None and (journal is None or present is journal):
            present.settle()
            self.journal = None


def _no_plain_forward(X: Any, out: Any) -> None:
    """Leave all calls to the general way: of networks of tokens, and of several axes."""


class Settled(Checked[V]):
    """An attribute that a training call changes, and that may be behind the step counter."""

    @overload
    def __get__(self: A, owner: None, kind: type) -> A: ...
    @overload
    def __get__(self, owner: object, kind: type) -> V: ...
    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is not None:
            _settle(owner)
        return super().__get__(owner, kind)

    def __set__(self, owner: Any, value: V) -> None:
        value = self.check(value)
        _settle(owner)
        owner.__dict__[self._name] = value


def _settle(owner: Any) -> None:
    engine: Engine | None = owner.__dict__.get("_engine")  # (None in a half-made copy)
    if engine is not None and engine.journal is not None:
        engine.settle()


class Trainable(Closed):
    """Base class of what an engine moves: the networks."""

    _engine: Engine
    # How another network gets the parameters of this one, for messages.
    dtype: Fixed[np.dtype[Any]] = Fixed()

    if TYPE_CHECKING:  # what a training call changes, `Settled` in the networks
        rng: Any
        history: Any
        optimizer: Any

        def _config(self) -> dict[str, Any]: ...
        def _ungrouped(self, gradients: tuple[Any, ...]) -> dict[str, Any]: ...
        def __getstate__(self) -> dict[str, Any]: ...
        def __setstate__(self, state: dict[str, Any]) -> None: ...


def engine_of(net: Trainable) -> Engine:
    """Give a network's engine.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Engine
    """
    return net._engine


def config_of(net: Trainable) -> dict[str, Any]:
    """Give the arguments that make such a network, with other weights.

    Parameters
    ----------
    net : Network

    Returns
    -------
    dict of str to Any
        As JSON has them, without the initial weights and the seed.
    """
    return net._config()


def gradient_block(net: Trainable, gradients: tuple[Any, ...]) -> Array:
    """Lay gradients out as the network's parameters are.

    Parameters
    ----------
    net : Network
    gradients : tuple
        What ``net.gradients`` returns after the loss.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError
        If a gradient is missing, or has another shape than its parameter.
    """
    engine = net._engine
    block = np.zeros_like(engine.parameters)
    places = engine.named(block)
    for name, value in net._ungrouped(gradients).items():
        array = _array_input.array(value, f"the gradient of {name}")
        if array.shape != places[name].shape:
            raise ValueError(
                f"the gradient of {name} has shape {array.shape}, expected {places[name].shape}"
            )
        places[name][...] = _array_input.cast(array, engine.dtype)
    return block


def own_array(array: Array) -> Array:
    """Return an array that pickle has made as one that training can write to.

    Parameters
    ----------
    array : ndarray
        Its memory may be a file's (joblib's ``mmap_mode``), a read-only buffer, or another copy's
        (pickle's buffers out of band, as Ray and Dask use them).

    Returns
    -------
    ndarray
        The array itself if it owns its memory.
    """
    if array.flags.owndata and array.flags.carray:
        return array
    return np.array(array, order="C")


def _aligned_zeros(n: int, dtype: np.dtype[Any]) -> Array:
    """N zeros that start on a cache line."""
    room = np.zeros(n * dtype.itemsize + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + n * dtype.itemsize].view(dtype)
