"""Writing a network to a file."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from pynn import optimizers
from pynn._types import Array
from pynn._version import __version__
from pynn.engine import Trainable, config_of, engine_of
from pynn.files import npz, tensors
from pynn.files.atomic import replacing
from pynn.files.container import MOST_HEADER_BYTES
from pynn.files.generators import generator_state
from pynn.files.layout import FORMAT, MOMENTS, TENSORS, check_path, moment_key, path_of
from pynn.history import History


def save(net: Trainable, path: Any) -> None:
    """Write a network to a file, for `MLP.save`.

    Parameters
    ----------
    net : Trainable
    path : str, os.PathLike or binary file object
    """
    if hasattr(path, "write"):
        if isinstance(path, io.TextIOBase):
            raise TypeError(f"path must be opened for binary writing, got {path!r}")
        npz.write(path, *describe(net))
        return
    name = path_of(check_path(path))
    header, arrays = describe(net)
    write = tensors.write if name.lower().endswith(TENSORS) else npz.write
    with replacing(name) as file:
        write(file, header, arrays)


def describe(net: Trainable) -> tuple[str, dict[str, Array]]:
    """Return the contents of a network's file.

    Parameters
    ----------
    net : Trainable

    Returns
    -------
    header : str
        JSON.
    arrays : dict of str to ndarray
        Little-endian copies: the network may continue training while they are written.

    Raises
    ------
    ValueError
        If no file can hold the network's random generator or its optimizer.
    """
    engine = engine_of(net)
    with engine.core.reading():
        engine.settle()
        return _describe(net)


def _describe(net: Trainable) -> tuple[str, dict[str, Array]]:
    engine = engine_of(net)
    arrays = {**engine.arrays, "noise": engine.rng_position}
    header = {
        "format": FORMAT,
        "written_by": f"pynn {__version__}",
        "config": config_of(net),
        "generator": generator_state(net.rng),
        "optimizer": _describe_optimizer(net, arrays),
        "history": _describe_history(net.history, arrays),
        "targets_1d": engine.targets_1d,
    }
    # Strict JSON has no infinities, but an observed metric may be one, and must not be lost.
    text = json.dumps(header)
    if len(text) > MOST_HEADER_BYTES:
        raise ValueError(
            f"the network's description has {len(text)} characters, more than a file's"
        )
    return text, {k: v.astype(v.dtype.newbyteorder("<")) for k, v in arrays.items()}


def _describe_optimizer(net: Trainable, arrays: dict[str, Array]) -> dict[str, Any] | None:
    optimizer = net.optimizer
    if optimizer is None:
        return None
    kind = type(optimizer)
    if getattr(optimizers, kind.__name__, None) is not kind:
        raise ValueError(
            f"a file holds pynn's own optimizers, but net.optimizer is a {kind.__name__}: set "
            "net.optimizer = None to save without it"
        )
    state = optimizers.state_of(optimizer, net)
    moments = [] if state is None else [n for n in MOMENTS if getattr(state, n) is not None]
    for name in moments:
        for part, array in engine_of(net).named(getattr(state, name)).items():
            arrays[moment_key(name, part)] = array
    return {
        "settings": optimizers.settings_of(optimizer),
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
