"""What a network takes along when it is copied or pickled."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

from pynn.engine import Trainable, engine_of
from pynn.optimizers import Optimizer, trained_networks, twin_of

N = TypeVar("N", bound=Trainable)

# What training changes. A shallow copy shares the other attributes.
TRAINED = ("rng", "history", "optimizer", "_rng_position")
# What nothing changes, and the parameters, which a network copies when it takes up a state.
SHARED = (
    *("layer_sizes", "activations", "dtype", "dropout", "l1", "l2", "max_norm", "loss"),
    *("layers", "input_shape", "output_shape", "output_activation", "_paths", "_trained"),
    *("_loss", "_bias", "_penalty_by_weight", "_parameters", "_targets_1d"),
)


def optimizer_of(net: Trainable) -> Optimizer | None:
    """The network's optimizer as one that has trained no other network.

    An optimizer may have trained several; they must not go along with this one.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Optimizer or None
        A shallow copy, with the state of `net` itself.
    """
    return None if net.optimizer is None else twin_of(net.optimizer, net)


def present_state(net: Trainable) -> dict[str, Any]:
    """What a copy or a pickle of a network is made from; the caller reads the network.

    Parameters
    ----------
    net : Network

    Returns
    -------
    dict
        The network's own arrays and objects, which a fit changes.
    """
    engine = engine_of(net)
    engine.settle()
    state = net.__dict__.copy()
    del state["_engine"], state["_plain_forward"]
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
    memo: dict[int, Any] = {}
    optimizer = state["optimizer"]
    if optimizer is not None:
        memo |= {
            id(net): net for net in trained_networks(optimizer)
        }  # the state stays this network's
    copies = {name: copy.deepcopy(state[name], memo) for name in (*TRAINED, "_parameters")}
    return state | copies


def shallow_copy(net: N) -> N:
    """Copy a network; the copy shares the attributes of subclasses.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Network
        With its own parameters, generator, optimizer and history: training one does not change the
        other.
    """
    with engine_of(net).core.reading(copies=True):
        return _twin(net, _state_of(net), TRAINED, {})


def deep_copy(net: N, memo: dict[int, Any]) -> N:
    """A network that shares nothing that could change.

    Parameters
    ----------
    net : Network
    memo : dict
        That of `copy.deepcopy`.

    Returns
    -------
    Network
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
    twin = type(net).__new__(type(net))
    memo[id(net)] = twin  # so that the optimizer's state is the copy's
    for name in copied:
        state[name] = copy.deepcopy(state[name], memo)
    twin.__setstate__(state)
    return twin
