"""Rows of column-major samples (a DataFrame's values, a transposed array), where they are faster.

A value of such a row shares its cache line with other rows. In a shuffled order, row by row, a line
is fetched for each value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _core
from pynn._sparse import CsrRows
from pynn._types import Array

LINE = 64  # bytes

# Of a copy that lasts as long as the fit. (The core's stage, for larger samples, takes fewer.)
COPIED_BYTES = 2**28


def is_column_major(samples: Array) -> bool:
    """Return True where rows lie on cache lines that they share with other rows.

    Parameters
    ----------
    samples : ndarray of shape (n, inputs)

    Returns
    -------
    bool
    """
    if samples.ndim > 2:  # several axes that do not lie at one stride
        return False
    row, column = (abs(stride) for stride in samples.strides)
    return bool(samples.shape[1] > 1 and column >= LINE and 0 < row < column)


def staged_dtype(samples: Array, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of a copy: the samples' own where that is smaller than the network's.

    Parameters
    ----------
    samples : ndarray
    dtype : dtype
        The network's.

    Returns
    -------
    dtype
    """
    return samples.dtype if samples.dtype.itemsize < dtype.itemsize else dtype


def row_major(
    samples: Array | CsrRows, dtype: np.dtype[Any], into: Array | None = None
) -> Array | None:
    """Copy column-major samples to rows, unless the copy is larger than ``COPIED_BYTES``.

    The network reads the same values from it. (Larger samples are staged in the core, a run of
    mini-batches at a time.)

    Parameters
    ----------
    samples : ndarray or CsrRows of shape (n, inputs)
    dtype : dtype
        The network's.
    into : ndarray, optional
        An earlier result for the same samples, which is written again.

    Returns
    -------
    ndarray or None
        None where the samples are read as they are.
    """
    if isinstance(samples, CsrRows):
        return None
    kept = staged_dtype(samples, dtype)
    if samples.size * kept.itemsize > COPIED_BYTES or not is_column_major(samples):
        return None
    out = np.empty(samples.shape, kept) if into is None else into
    _core.gather_rows(samples, None, out)
    return out


def rows_of(samples: Array | CsrRows, index: Any, dtype: np.dtype[Any]) -> Array | CsrRows:
    """Return some rows, for a network of type `dtype`.

    Parameters
    ----------
    samples : ndarray or CsrRows of shape (n, inputs)
    index : slice or ndarray of int64
    dtype : dtype

    Returns
    -------
    ndarray or CsrRows
        A view for a slice, a copy for indices.
    """
    if isinstance(samples, CsrRows):
        return samples[index]
    if isinstance(index, slice) or not is_column_major(samples):
        rows: Array = samples[index]
        return rows
    out = np.empty((len(index), samples.shape[1]), staged_dtype(samples, dtype))
    _core.gather_rows(samples, np.ascontiguousarray(index, np.int64), out)
    return out
