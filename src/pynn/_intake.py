"""How arrays come in: as plain arrays of real numbers, or as an error that names the cure."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def is_sparse(x: Any) -> bool:
    """Return True for a sparse matrix or array of SciPy's.

    Parameters
    ----------
    x : object

    Returns
    -------
    bool
    """
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(x))


def unmasked(x: Any, name: str) -> Any:
    """Return `x` without its mask, if the mask hides nothing.

    Parameters
    ----------
    x : object
        Masked arrays are found in lists and tuples, too. Other objects are returned as they are.
    name : str
        The argument's name, for the message.

    Returns
    -------
    object
        The data of a masked array, and otherwise `x`.

    Raises
    ------
    ValueError
        If a value is masked.
    """
    masked = sys.modules.get("numpy.ma")
    if masked is None or type(x) is np.ndarray:
        return x
    if isinstance(x, masked.MaskedArray):
        _refuse_masked(x, name)
        return x.data
    if isinstance(x, list | tuple):
        _search_masked(x, name, masked.MaskedArray)
    return x


def _search_masked(x: list[Any] | tuple[Any, ...], name: str, kind: type) -> None:
    for each in {*map(type, x)}:
        if issubclass(each, kind):
            for i, part in enumerate(x):
                if isinstance(part, kind):
                    _refuse_masked(part, item(name, str(i)))
        elif issubclass(each, list | tuple):
            for i, part in enumerate(x):
                if isinstance(part, list | tuple):
                    _search_masked(part, item(name, str(i)), kind)


def _refuse_masked(x: Any, name: str) -> None:
    mask = np.ma.getmaskarray(x)
    count = int(np.count_nonzero(mask))
    if count == 0:
        return
    it = variable(name)
    values = f"{count} masked value{'s' if count > 1 else ''}"
    drop = ""
    if mask.ndim == 1:
        drop = f", or leave them out, {it}.compressed()"
    elif mask.ndim == 2:
        drop = f", or leave their rows out, {it}.data[~{it}.mask.any(axis=1)]"
    raise ValueError(f"{name} has {values}: replace them, {it}.filled(value){drop}")


def variable(name: str) -> str:
    """The argument as an expression: "X of mini-batch 3" is X."""
    return name.partition(" of ")[0]


def item(name: str, place: str) -> str:
    """Name a part of the argument: ("X of mini-batch 3", "0") is "X[0] of mini-batch 3"."""
    first, of, rest = name.partition(" of ")
    return f"{first}[{place}]{of}{rest}"
