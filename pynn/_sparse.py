"""Sparse samples, as SciPy has them, in the form that the core reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _core
from pynn._types import Array


def is_sparse(x: Any) -> bool:
    """Tell if `x` is a sparse matrix or array, of any of SciPy's formats, or a `CsrRows`."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


class CsrRows(_core.CsrMatrix):
    """A matrix in compressed sparse rows, without copies of its values.

    Parameters
    ----------
    indptr : ndarray of shape (n + 1,)
    indices, data : ndarray of shape (stored,)
        Row i has its values at ``indptr[i]`` to ``indptr[i + 1]``, of increasing columns.
    width : int
        The number of columns.
    """

    ndim = 2

    def __init__(self, indptr: Array, indices: Array, data: Array, width: int) -> None:
        super().__init__(indptr, indices, data, width)
        self.indptr, self.indices, self.data = indptr, indices, data
        self.shape = (len(indptr) - 1, width)
        self.dtype = data.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> Any:
        return CsrRows, (self.indptr, self.indices, self.data, self.shape[1])

    def __getitem__(self, rows: Any) -> CsrRows:
        """Those of a slice or of an array of indices."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            indptr = self.indptr[start : max(start, stop) + 1]
            return CsrRows(indptr, self.indices, self.data, self.shape[1])
        index = np.arange(len(self))[rows]
        starts = self.indptr[index]
        counts = self.indptr[index + 1] - starts
        indptr = np.zeros(len(index) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        positions = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        return CsrRows(indptr, self.indices[positions], self.data[positions], self.shape[1])

    @property
    def nnz(self) -> int:
        """How many values are stored."""
        return int(self.indptr[-1] - self.indptr[0])

    def tocsr(self) -> CsrRows:
        """The matrix itself, as SciPy's have it."""
        return self


def csr_rows(x: Any, name: str) -> CsrRows:
    """Convert a sparse matrix to rows that the core reads.

    Parameters
    ----------
    x : sparse matrix or array of shape (n, columns) or (columns,)
        A vector is a single row. In the format CSR, without duplicates and with sorted indices,
        nothing is copied.
    name : str
        The argument's name, for the message.

    Raises
    ------
    TypeError
        If it does not hold real numbers.
    """
    if isinstance(x, CsrRows):
        return x
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {x.dtype}")
    csr = x.tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy() if csr is x else csr
        csr.sum_duplicates()
    data = np.asarray(csr.data)
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    data = np.ascontiguousarray(data, data.dtype.newbyteorder("="))
    indptr, indices = (
        np.ascontiguousarray(a, a.dtype if a.dtype in (np.int32, np.int64) else np.int64)
        for a in (csr.indptr, csr.indices)
    )
    return CsrRows(indptr, indices, data, int(csr.shape[-1]))
