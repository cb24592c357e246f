"""The parts of a file: the header's fields, and the arrays.

The arrays are ``weights_0``, ``biases_0``, ``weights_1``, ... of an `MLP`, and those of
``parameters`` of a `Sequential`; ``noise``, the key and the counter
of dropout's random numbers; ``m_weights_0`` and so on, the optimizer's moments; ``history_epoch``
and ``history_0``, ..., the metrics of the last fit.
"""

from __future__ import annotations

import os
from typing import Any

FORMAT = 1
HEADER = {"format", "written_by", "config", "generator", "optimizer", "history"}
# Fields that files of earlier versions lack.
LATER = {"targets_1d"}
OPTIMIZER = {"settings", "steps", "moments"}
MOMENTS = ("m", "v")
NPZ, TENSORS = ".npz", ".safetensors"


def moment_key(moment: str, parameter: str) -> str:
    """Return the name of an optimizer's moment of a parameter.

    Parameters
    ----------
    moment, parameter : str

    Returns
    -------
    str
        "m_weights_0" of the parameter "weights_0", "0.kernel.m" of "0.kernel".
    """
    return f"{parameter}.{moment}" if "." in parameter else f"{moment}_{parameter}"


def check_path(path: Any) -> Any:
    """Return `path` if it is one.

    Raises
    ------
    TypeError
        If `path` is neither a string nor path-like.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a path or a binary file object, got {path!r}")
    return path


def path_of(path: str | os.PathLike[str]) -> str:
    """Return the name of the file that `save` writes for `path`.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    str
        `path`, with ".npz" added unless it ends in ".npz" or ".safetensors".
    """
    name = os.fsdecode(path)
    return name if name.lower().endswith((NPZ, TENSORS)) else name + NPZ
