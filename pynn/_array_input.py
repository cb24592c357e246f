"""How arrays come in: as plain arrays of real numbers, or as an error that names the cure.

No package but NumPy is imported: tables, tensors and sparse matrices are known by what they can do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn._checks import is_table, variable
from pynn._sparse import is_sparse
from pynn._types import NUMBERS, Array, DTypeLike, Role


def array(x: Any, name: str, role: Role = "numbers") -> Array:
    """Return `x` as a plain array of real numbers.

    Parameters
    ----------
    x : array_like, DataFrame or Series
        Arrays of numbers are not copied, nor are tables of one NumPy type. A table of several types
        (float beside bool, nullable or pyarrow-backed columns) becomes one array of the type that
        holds them all, which costs one copy. Objects that are real numbers (int, float, Decimal,
        Fraction) become float64, or int64 if all are integers.
    name : str
        The argument's name, for the message.
    role : {"samples", "labels", "values", "numbers"}
        What the argument is for: it decides the cure that a message names.

    Returns
    -------
    ndarray
        Of a dtype of kind "b", "i", "u" or "f".

    Raises
    ------
    TypeError
        If `x` holds text, dates, complex numbers or other objects; is sparse; or is a tensor that
        NumPy cannot read.
    ValueError
        If a value is masked or missing, or the rows of a list differ in length.
    """
    if type(x) is np.ndarray and x.dtype.kind in NUMBERS:
        return x
    if is_sparse(x):
        raise TypeError(
            f"{name} is sparse (shape {x.shape}), expected a dense array: "
            f"{variable(name)}.toarray()"
        )
    x = unmasked(x, name)
    if isinstance(x, np.ndarray | list | tuple):
        try:
            values = np.asarray(x)
        except (TypeError, ValueError, RuntimeError):
            pass  # what is wrong is said below
        else:
            if values.dtype.kind in NUMBERS:
                return values
    from pynn import _table_input  # (only where it is needed: `import pynn` is quick)

    return _table_input.numbers_of(x, name, role)


def labels(x: Any) -> Sequence[Any] | None:
    """Return the labels of a table's columns.

    Parameters
    ----------
    x : array_like or DataFrame

    Returns
    -------
    sequence or None
        None for what is no table.
    """
    return x.columns if is_table(x) else None


def cast(values: Array, dtype: DTypeLike) -> Array:
    """Convert numbers as the core does: silently, those too large to infinity.

    Parameters
    ----------
    values : ndarray
    dtype : dtype_like

    Returns
    -------
    ndarray
        C-contiguous; `values` itself if it fits.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, dtype=dtype)


def is_masked(x: Any) -> bool:
    """Return True for a masked array, whether or not a value is masked.

    Parameters
    ----------
    x : object

    Returns
    -------
    bool
    """
    masked = sys.modules.get("numpy.ma")  # (NumPy imports it when it is first used.)
    return masked is not None and isinstance(x, masked.MaskedArray)


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
    if is_masked(x):
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


def item(name: str, place: str) -> str:
    """Name a part of the argument: ("X of mini-batch 3", "0") is "X[0] of mini-batch 3"."""
    first, of, rest = name.partition(" of ")
    return f"{first}[{place}]{of}{rest}"


def expression(x: Any, name: str) -> str:
    """Code for the argument as an array, for the cures."""
    if isinstance(x, np.ndarray):
        return variable(name)
    if hasattr(x, "to_numpy"):
        return f"{variable(name)}.to_numpy()"
    return f"np.asarray({variable(name)})"
