"""What a network takes along when it is copied or pickled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from pynn._types import Array
from pynn.engine import Trainable, engine_of

if TYPE_CHECKING:
    from pynn.optimizers import Optimizer

N = TypeVar("N", bound=Trainable)

# What training changes. A shallow copy shares the other attributes.
TRAINED = ("rng", "history", "optimizer", "_rng_position")
# What nothing changes, and the parameters, which a network copies when it takes up a state.
SHARED = (
    *("layer_sizes", "activations", "dtype", "dropout", "l1", "l2", "max_norm", "loss"),
    *("_loss", "_bias", "_penalty_by_weight", "_parameters", "_targets_1d"),
)


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


def optimizer_of(net: Trainable) -> Optimizer | None:
    """The network's optimizer as one that has trained no other network.

    An optimizer may have trained several; they must not go along with this one.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    Optimizer or None
        A shallow copy, with the state of `net` itself.
    """
    return None if net.optimizer is None else twin_of(net.optimizer, net)


def twin_of(optimizer: Optimizer, net: Trainable) -> Optimizer:
    """An optimizer with the same settings, and the state of one network only.

    Parameters
    ----------
    optimizer : Optimizer
    net : MLP
        The network whose state is shared with `optimizer`, if there is one.

    Returns
    -------
    Optimizer
        A shallow copy.
    """
    import copy  # (`import pynn` is quick without it)

    twin = copy.copy(optimizer)
    state = optimizer._states.get(net)
    twin._states = WeakKeyDictionary() if state is None else WeakKeyDictionary({net: state})
    return twin


def optimizer_for(optimizer: Optimizer, net: Trainable, like: Trainable | None = None) -> Optimizer:
    """An optimizer of `net`'s own that shares nothing with `optimizer` that a fit changes.

    Parameters
    ----------
    optimizer : Optimizer
    net : MLP
    like : MLP, optional
        The network that `net` is a copy of: it starts with that one's state.

    Returns
    -------
    Optimizer
        With the state that `optimizer` has for `net` (the very same arrays), and for no other.
    """
    import copy

    twin = twin_of(optimizer, net)
    twin.learning_rate = copy.deepcopy(twin.learning_rate)  # some schedules see a fit's metrics
    state = None if like is None else optimizer._states.get(like)
    if state is not None:
        twin._states[net] = copy.deepcopy(state)
    return twin


def present_state(net: Trainable) -> dict[str, Any]:
    """What a copy or a pickle of a network is made from; the caller reads the network.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    dict
        The network's own arrays and objects, which a fit changes.
    """
    engine = engine_of(net)
    engine.settle()
    state = net.__dict__.copy()
    del state["_engine"]
    return state | {
        "optimizer": optimizer_of(net),
        "_loss": engine.loss,
        "_parameters": engine.parameters,
        "_penalty_by_weight": engine.penalty_by_weight,
        "_rng_position": engine.rng_position,
        "_targets_1d": engine.targets_1d,
    }


def snapshot(state: dict[str, Any]) -> dict[str, Any]:
    """A state with copies of what a fit changes, for who uses it after other threads may train.

    Parameters
    ----------
    state : dict
        Of `present_state`.

    Returns
    -------
    dict
    """
    import copy  # (`import pynn` is quick without it)

    memo: dict[int, Any] = {}
    optimizer = state["optimizer"]
    if optimizer is not None:
        memo |= {id(net): net for net in optimizer._states}  # the state stays this network's
    copies = {name: copy.deepcopy(state[name], memo) for name in (*TRAINED, "_parameters")}
    return state | copies


def shallow_copy(net: N) -> N:
    """A network of its own that shares the attributes of subclasses.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    MLP
        With its own parameters, generator, optimizer and history: training one does not change the
        other.
    """
    with engine_of(net).core.reading(copies=True):
        return _twin(net, _state_of(net), TRAINED, {})


def deep_copy(net: N, memo: dict[int, Any]) -> N:
    """A network that shares nothing that could change.

    Parameters
    ----------
    net : MLP
    memo : dict
        That of `copy.deepcopy`.

    Returns
    -------
    MLP
    """
    with engine_of(net).core.reading(copies=True):
        state = _state_of(net)
        return _twin(net, state, [name for name in state if name not in SHARED], memo)


def _state_of(net: Trainable) -> dict[str, Any]:
    """The state to copy: a user's subclass may have a `__getstate__` that says what that is."""
    get_state = type(net).__getstate__
    if getattr(get_state, "__module__", "").partition(".")[0] == "pynn":
        return present_state(net)
    state: dict[str, Any] = get_state(net)
    return state


def _twin(net: N, state: dict[str, Any], copied: Iterable[str], memo: dict[int, Any]) -> N:
    import copy

    twin = type(net).__new__(type(net))
    memo[id(net)] = twin  # so that the optimizer's state is the copy's
    for name in copied:
        state[name] = copy.deepcopy(state[name], memo)
    twin.__setstate__(state)
    return twin
