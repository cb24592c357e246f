"""Reading a network from a file."""

from __future__ import annotations

import io
import os
from itertools import pairwise
from typing import Any, BinaryIO, NoReturn

import numpy as np

from pynn._interrupts import pass_on
from pynn._keywords import refuse, refuses_unknown
from pynn._types import Array
from pynn._version import __version__
from pynn.engine import engine_of
from pynn.files.container import ArrayInfo, Container, parse_json
from pynn.files.generators import generator_from_state
from pynn.files.layout import FORMAT, HEADER, LATER, OPTIMIZER, check_path, moment_key, path_of
from pynn.files.npz import MAGIC, NpzContainer
from pynn.files.tensors import TensorsContainer
from pynn.history import History
from pynn.mlp import MLP
from pynn.optimizers import Optimizer, State, optimizer_from_settings, set_state

DTYPES = {"float32": "<f4", "float64": "<f8"}
SEQUENTIAL = {
    *("kind", "layers", "input_shape", "loss", "output_activation", "dtype", "frozen"),
}
# Beyond this, an epoch more could overflow.
MOST_STEPS = 2**53
# Of a message's reason, which may quote the file.
MOST_CHARACTERS = 400

Expected = dict[str, tuple[str, tuple[int, ...] | None]]


@refuses_unknown
def load(path: Any, **unknown: NoReturn) -> Any:
    """Read a network that `MLP.save` has written.

    Parameters
    ----------
    path : str, os.PathLike or binary file object
        A path is completed as by `MLP.save`: ``pynn.load(path)`` reads the file that
        ``net.save(path)`` wrote. If no such file exists, `path` is used as it is. The content tells
        the kind of file, not the name.

    Returns
    -------
    MLP or Sequential
        With the weights, the generator's state, the history, and as ``net.optimizer`` the
        optimizer with its state for this network. A further `fit` without an optimizer gives the
        bits of an uninterrupted one.

    Raises
    ------
    ValueError
        If the file is damaged, or not one of pynn's, or of another version of the format. The
        message names the file and the fault.
    OSError
        If the file cannot be read: ``FileNotFoundError``, ``PermissionError``.
    ImportError
        If it is a .safetensors file, and safetensors is not installed.
    MemoryError
        If the network does not fit into memory. It needs no more than its file.

    Notes
    -----
    Reading runs no code from the file: it holds no pickle, and arrays are plain numbers. Sizes are
    checked against the file's before any memory is allocated. A learning rate that is a function of
    the step is not in the file; `fit` then raises an error that names the cure: an optimizer.

    Examples
    --------
    >>> import io, numpy as np, pynn
    >>> net, file = pynn.MLP([4, 3], seed=0), io.BytesIO()
    >>> net.save(file)
    >>> bool(np.all(pynn.load(io.BytesIO(file.getvalue())).weights[0] == net.weights[0]))
    True
    """
    refuse(unknown, load, "load()", path)
    if hasattr(path, "read"):
        data = path.read()
        if not isinstance(data, bytes):
            raise TypeError(f"path must be opened for binary reading, got {path!r}")
        return _load(io.BytesIO(data), getattr(path, "name", None) or "the file object")
    name = path_of(check_path(path))
    if not os.path.exists(name) and os.path.exists(path):
        name = os.fsdecode(path)
    with open(name, "rb") as file:
        return _load(file if file.seekable() else io.BytesIO(file.read()), name)


def _load(file: BinaryIO, name: Any) -> Any:
    try:
        return rebuild(_container(file))
    except ValueError as error:
        pass_on(error)
    # zipfile may have lost an exception from outside and reported damage instead. Real damage shows
    # again.
    try:
        file.seek(0)
        return rebuild(_container(file))
    except ValueError as error:
        pass_on(error)
        reason = str(error)
        if len(reason) > MOST_CHARACTERS:  # The reason quotes the file.
            reason = reason[:MOST_CHARACTERS] + "..."
        raise ValueError(f"{name} cannot be read as a network: {reason}") from error


def _container(file: BinaryIO) -> Container:
    begin = file.read(9)
    if begin.startswith(MAGIC):
        return NpzContainer(file)
    if begin[8:] == b"{":
        return TensorsContainer(file)
    what = "is empty" if not begin else "is neither an .npz nor a .safetensors file"
    raise ValueError(f"it {what}")


# ------------------------------------------------------------------ the contents


def rebuild(container: Container) -> Any:
    """Make the network that a file describes.

    Parameters
    ----------
    container : Container
        Not trusted. Arrays are allocated only after the file proved to hold all of them in the
        shapes of the configuration, so they never take more memory than the file's size.

    Returns
    -------
    MLP or Sequential

    Raises
    ------
    ValueError
        If anything differs from what `save` writes.
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
    is_mlp = isinstance(net, MLP)
    if net.dtype.name != config["dtype"] or (
        is_mlp and net.layer_sizes != tuple(config["layer_sizes"])
    ):
        raise ValueError("the configuration makes another network than it says")
    engine = engine_of(net)
    for name, array in engine.arrays.items():
        container.read(name, array)
    container.read("noise", engine.rng_position)
    net.rng = rng
    net.optimizer = _optimizer(net, header["optimizer"], container)
    net.history = _history(header["history"], container)
    engine.targets_1d = flat
    return net


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, got {value!r:.40}")
    return value


def _has(value: dict[str, Any], name: str, keys: set[str]) -> None:
    if value.keys() != keys:
        raise ValueError(f"{name} must have {', '.join(sorted(keys))}, got {list(value)!r:.80}")


def _expected(config: dict[str, Any], header: dict[str, Any]) -> Expected:
    """Return the required arrays: their dtypes, and their shapes where the header tells them."""
    if config.get("kind") == "Sequential":
        return _expected_arrays(_shapes_of_layers(config), config, header)
    sizes = config.get("layer_sizes")
    if (
        not isinstance(sizes, list)
        or len(sizes) < 2
        or not all(type(n) is int and n >= 1 for n in sizes)
    ):
        raise ValueError(f"layer_sizes must be a list of positive integers, got {sizes!r:.80}")
    bias = config.get("bias")
    if not isinstance(bias, bool):
        raise ValueError(f"bias must be true or false, got {bias!r:.40}")
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        shapes[f"weights_{i}"] = (n_in, n_out)
        if bias:
            shapes[f"biases_{i}"] = (n_out,)
    return _expected_arrays(shapes, config, header)


def _shapes_of_layers(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    _has(config, "config", SEQUENTIAL)
    from pynn.sequential import Sequential

    try:
        return Sequential.shapes_of(config)
    except Exception as error:  # the configuration may hold anything
        pass_on(error)
        raise ValueError(f"config: {error}") from error


def _expected_arrays(
    shapes: dict[str, tuple[int, ...]], config: dict[str, Any], header: dict[str, Any]
) -> Expected:
    dtype_name = config.get("dtype")
    if not isinstance(dtype_name, str) or dtype_name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype_name!r:.40}")
    dtype = DTYPES[dtype_name]
    result: Expected = {"noise": ("<u8", (2,))}
    for name, shape in shapes.items():
        result[name] = (dtype, shape)
        for moment in _moments(header):
            result[moment_key(moment, name)] = (dtype, shape)
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


def _network(config: dict[str, Any]) -> Any:
    """Make the network of a configuration whose arrays the file holds."""

    def nothing_drawn(_: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
        return np.broadcast_to(dtype.type(0), shape)

    try:
        if config.get("kind") == "Sequential":
            from pynn.sequential import Sequential

            return Sequential.from_config(config)
        return MLP(**config, init=nothing_drawn, seed=0)
    except MemoryError:
        raise
    except Exception as error:  # the configuration may hold anything
        pass_on(error)
        raise ValueError(f"config: {error}") from error


def _optimizer(
    net: Any, described: dict[str, Any] | None, container: Container
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
        moment = np.zeros_like(engine_of(net).parameters)
        for part, array in engine_of(net).named(moment).items():
            container.read(moment_key(name, part), array)
        setattr(state, name, moment)
    set_state(optimizer, net, state)
    return optimizer


def unknown_rate(step: int) -> float:
    """Raise the error for a learning rate that was a function, which no file holds.

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
