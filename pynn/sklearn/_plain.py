"""A check of a few microseconds for samples that scikit-learn would leave unchanged."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pynn._types import Array

# Native bool, integers, float32 and float64: scikit-learn converts none of them.
KEPT = "?bBhHiIlLqQfd"
# The number of values in one step of `is_finite`: their flags stay in the cache.
STEP = 2**15


def is_finite(X: Array) -> bool:
    """Return True if a matrix holds neither NaN nor infinity.

    This sets no floating-point flag, unlike a sum, which may overflow.
    """
    size = X.size
    if size <= STEP:
        return bool(np.count_nonzero(np.isfinite(X)) == size)
    if len(X) == 1 or X.flags.f_contiguous:
        X = X.T
    rows = max(1, STEP // X.shape[1])
    return all(is_finite(X[i : i + rows]) for i in range(0, len(X), rows))


def needs_no_check(X: Array, columns: int | None) -> bool:
    """Return True if scikit-learn would take an array for prediction as it is."""
    return (
        X.ndim == 2
        and X.dtype.char in KEPT
        and X.dtype.isnative
        and X.shape[0] > 0
        and X.shape[1] == columns
        and (X.dtype.kind != "f" or is_finite(X))
    )


class FrameReader:
    """Reads data frames whose columns have the names of the fitted ones.

    Parameters
    ----------
    names : ndarray of str
        ``feature_names_in_``.
    """

    def __init__(self, names: Array) -> None:
        self.names = names
        # The last pandas.Index with these names. Slices of one frame share it.
        self._columns: Any = None

    def read(self, frame: Any) -> Array | None:
        """Return the values of a frame that scikit-learn would accept, or None for all else."""
        pandas = sys.modules.get("pandas")
        if pandas is None or type(frame) is not pandas.DataFrame:
            return None
        columns = frame.columns
        if not columns.equals(pandas.Index(self.names) if self._columns is None else self._columns):
            return None
        self._columns = columns
        array: Array = frame.to_numpy()
        # pandas copies all but a single block of one type.
        if not np.may_share_memory(array, frame.to_numpy()):
            dtypes = set(frame.dtypes.tolist())
            # pandas' own types, such as sparse ones, are left to scikit-learn.
            if not all(isinstance(dtype, np.dtype) for dtype in dtypes):
                return None
            common = np.result_type(*dtypes)
            if array.dtype != common:  # bool beside numbers makes pandas choose object
                array = frame.to_numpy(common)
        return array
