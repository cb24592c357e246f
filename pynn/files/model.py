"""A network as a header and named arrays, and back.

The arrays are ``weights_0``, ``biases_0``, ``weights_1``, ...; ``noise``, the key and the counter
of dropout's random numbers; ``m_weights_0`` and so on, the optimizer's moments; ``history_epoch``
and ``history_0``, ..., the metrics of the last fit.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np

from pynn import optimizers
from pynn._interrupts import pass_on
from pynn._types import Array
from pynn._version import __version__
from pynn.files.container import MOST_HEADER_BYTES, ArrayInfo, Container, parse_json
from pynn.files.generators import generator_from_state, generator_state
from pynn.history import History
from pynn.mlp import MLP
from pynn.optimizers import Optimizer, State, optimizer_from_settings

FORMAT = 1
DTYPES = {"float32": "<f4", "float64": "<f8"}
HEADER = {"format", "written_by", "config", "generator", "optimizer", "history"}
# What files of earlier versions lack.
LATER = {"targets_1d"}
OPTIMIZER = {"settings", "steps", "moments"}
MOMENTS = ("m", "v")
# Beyond this, an epoch more could overflow.
MOST_STEPS = 2**53

Expected = dict[str, tuple[str, tuple[int, ...] | None]]


# -------------------------------------------------------------------- writing


def describe(net: MLP) -> tuple[str, dict[str, Array]]:
    """What a file holds of a network.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    header : str
        JSON.
    arrays : dict of str to ndarray
        Little-endian copies: the network may go on while they are written.

    Raises
    ------
    ValueError
        If it holds something that no file can: a random generator or an optimizer of the user's.
    """
    with net._core.reading():
        net._settle()
        return _describe(net)


def _describe(net: MLP) -> tuple[str, dict[str, Array]]:
    arrays = _named(net, net._parameters)
    arrays["noise"] = net._rng_position
    header = {
        "format": FORMAT,
        "written_by": f"pynn {__version__}",
        "config": net._config(),
        "generator": generator_state(net.rng),
        "optimizer": _describe_optimizer(net, arrays),
        "history": _describe_history(net.history, arrays),
        "targets_1d": net._targets_1d,
    }
    # (Infinities are no JSON, strictly. What has been observed may be one; it must not be lost.)
    text = json.dumps(header)
    if len(text) > MOST_HEADER_BYTES:
        raise ValueError(
            f"the network's description has {len(text)} characters, more than a file's"
        )
    return text, {k: v.astype(v.dtype.newbyteorder("<")) for k, v in arrays.items()}


def _named(net: MLP, parameters: Array, prefix: str = "") -> dict[str, Array]:
    """Views of each layer's part of an array that is laid out as the parameters are."""
    weights, biases = net._views(parameters)
    return {
        **{f"{prefix}weights_{i}": array for i, array in enumerate(weights)},
        **{f"{prefix}biases_{i}": array for i, array in enumerate(biases)},
    }


def _describe_optimizer(net: MLP, arrays: dict[str, Array]) -> dict[str, Any] | None:
    optimizer = net.optimizer
    if optimizer is None:
        return None
    kind = type(optimizer)
    if getattr(optimizers, kind.__name__, None) is not kind:
        raise ValueError(
            f"a file holds pynn's own optimizers, but net.optimizer is a {kind.__name__}: set "
            "net.optimizer = None to save without it"
        )
    state = optimizer._states.get(net)
    moments = [] if state is None else [n for n in MOMENTS if getattr(state, n) is not None]
    for name in moments:
        arrays.update(_named(net, getattr(state, name), f"{name}_"))
    return {
        "settings": optimizer._settings(),
        "steps": None if state is None else int(state.steps[0]),
        "moments": moments,
    }


def _describe_history(history: History | None, arrays: dict[str, Array]) -> list[str] | None:
    if history is None:
        return None
    arrays["history_epoch"] = np.array(history.epoch, np.int64)
    for i, values in enumerate(history.history.values()):
        arrays[f"history_{i}"] = np.array(values, np.float64)
    return list(history.history)


# -------------------------------------------------------------------- reading


def rebuild(container: Container) -> MLP:
    """The network that `describe` was given.

    Parameters
    ----------
    container : Container
        Nothing in it is trusted. Memory is taken for arrays only when all of them are there with
        the shapes that the configuration makes, so never more than the file's size.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        If anything is not as `describe` makes it.
    """
    header = _object(parse_json(container.header, "the header"), "the header")
    version = header.get("format")
    if type(version) is not int or version != FORMAT:
        raise ValueError(
            f"it has version {version!r:.40} of the format, but pynn {__version__} reads version "
            f"{FORMAT}"
        )
    _has({k: v for k, v in header.items() if k not in LATER}, "the header", HEADER)
    flat = header.get("targets_1d", False)
    if not isinstance(flat, bool):
        raise ValueError(f"targets_1d must be true or false, got {flat!r:.40}")
    config = _object(header["config"], "config")
    expected = _expected(config, header)
    _compare(container.arrays, expected)
    rng = generator_from_state(header["generator"])
    net = _network(config)
    if net.dtype.name != config["dtype"] or net.layer_sizes != tuple(config["layer_sizes"]):
        raise ValueError("the configuration makes another network than it says")
    for name, array in _named(net, net._parameters).items():
        container.read(name, array)
    container.read("noise", net._rng_position)
    net.rng = rng
    net.optimizer = _optimizer(net, header["optimizer"], container)
    net.history = _history(header["history"], container)
    net._targets_1d = flat
    return net


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, got {value!r:.40}")
    return value


def _has(value: dict[str, Any], name: str, keys: set[str]) -> None:
    if value.keys() != keys:
        raise ValueError(f"{name} must have {', '.join(sorted(keys))}, got {list(value)!r:.80}")


def _expected(config: dict[str, Any], header: dict[str, Any]) -> Expected:
    """The arrays that there must be: their dtypes, and their shapes where these are known."""
    sizes = config.get("layer_sizes")
    if (
        not isinstance(sizes, list)
        or len(sizes) < 2
        or not all(type(n) is int and n >= 1 for n in sizes)
    ):
        raise ValueError(f"layer_sizes must be a list of positive integers, got {sizes!r:.80}")
    dtype_name, bias = config.get("dtype"), config.get("bias")
    if not isinstance(dtype_name, str) or dtype_name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype_name!r:.40}")
    if not isinstance(bias, bool):
        raise ValueError(f"bias must be true or false, got {bias!r:.40}")
    dtype = DTYPES[dtype_name]
    result: Expected = {"noise": ("<u8", (2,))}
    for prefix in ("", *(f"{name}_" for name in _moments(header))):
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            result[f"{prefix}weights_{i}"] = (dtype, (n_in, n_out))
            if bias:
                result[f"{prefix}biases_{i}"] = (dtype, (n_out,))
    metrics = header["history"]
    if metrics is not None:
        if (
            not isinstance(metrics, list)
            or not all(isinstance(name, str) for name in metrics)
            or len(set(metrics)) != len(metrics)
        ):
            raise ValueError(f"history must be a list of names or null, got {metrics!r:.80}")
        result["history_epoch"] = ("<i8", None)
        result.update({f"history_{i}": ("<f8", None) for i in range(len(metrics))})
    return result


def _moments(header: dict[str, Any]) -> list[str]:
    if header["optimizer"] is None:
        return []
    optimizer = _object(header["optimizer"], "optimizer")
    _has(optimizer, "optimizer", OPTIMIZER)
    moments, steps = optimizer["moments"], optimizer["steps"]
    if moments not in ([], ["m"], ["v"], ["m", "v"]):
        raise ValueError(f"optimizer: moments must be a list of m and v, got {moments!r:.40}")
    if steps is None and moments == []:
        return []
    if type(steps) is not int or not 0 <= steps <= MOST_STEPS:
        raise ValueError(f"optimizer: steps must be an integer from 0, got {steps!r:.40}")
    return list(moments)


def _compare(arrays: dict[str, ArrayInfo], expected: Expected) -> None:
    missing = [name for name in expected if name not in arrays]
    if missing:
        raise ValueError(f"there is no array {missing[0]!r}")
    extra = [name for name in arrays if name not in expected]
    if extra:
        raise ValueError(f"there is an unexpected array {extra[0]!r:.80}")
    for name, (dtype, shape) in expected.items():
        got = arrays[name]
        if got.dtype != dtype:
            raise ValueError(f"array {name!r} has dtype {got.dtype!r}, expected {dtype!r}")
        if shape is None and len(got.shape) != 1:
            raise ValueError(f"array {name!r} has shape {got.shape}, expected one dimension")
        if shape is not None and got.shape != shape:
            raise ValueError(f"array {name!r} has shape {got.shape}, expected {shape}")


def _network(config: dict[str, Any]) -> MLP:
    """The network of a configuration whose arrays are known to be there."""

    def nothing_drawn(_: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
        return np.broadcast_to(dtype.type(0), shape)

    try:
        return MLP(**config, init=nothing_drawn, seed=0)
    except MemoryError:
        raise
    except Exception as error:  # the configuration may hold anything
        pass_on(error)
        raise ValueError(f"config: {error}") from error


def _optimizer(
    net: MLP, described: dict[str, Any] | None, container: Container
) -> Optimizer | None:
    if described is None:
        return None
    settings = _object(described["settings"], "optimizer: settings")
    lost = unknown_rate if settings.get("learning_rate", 0) is None else None
    try:
        optimizer = optimizer_from_settings(settings, learning_rate=lost)
    except Exception as error:  # the settings may be anything
        pass_on(error)
        raise ValueError(f"optimizer: {error}") from error
    if described["steps"] is None:
        return optimizer
    state = State(np.array([described["steps"]], np.int64))
    for name in described["moments"]:
        moment = np.zeros_like(net._parameters)
        for part, array in _named(net, moment, f"{name}_").items():
            container.read(part, array)
        setattr(state, name, moment)
    optimizer._states[net] = state
    return optimizer


def unknown_rate(step: int) -> float:
    """Stand for a learning rate that was a function, and therefore not in the file.

    Parameters
    ----------
    step : int

    Raises
    ------
    ValueError
        Always, so that `fit` ends before it changes anything.
    """
    raise ValueError(
        "the learning rate of the saved optimizer was a function, which no file holds: pass an "
        "optimizer, or set net.optimizer.learning_rate and go on with this one"
    )


def _history(metrics: list[str] | None, container: Container) -> History | None:
    if metrics is None:
        return None

    def read(name: str) -> list[Any]:
        info = container.arrays[name]
        values = np.empty(info.shape, np.dtype(info.dtype).newbyteorder("="))
        container.read(name, values)
        return list(values.tolist())

    history = History()
    history.epoch = read("history_epoch")
    history.history = {metric: read(f"history_{i}") for i, metric in enumerate(metrics)}
    for metric, values in history.history.items():
        if len(values) > len(history.epoch):
            raise ValueError(f"history: {metric!r:.40} has more values than there are epochs")
    return history
