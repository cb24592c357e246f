"""Samples as the core takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn._sparse import CsrRows, csr_rows, is_sparse
from pynn._types import Array


@dataclass(frozen=True)
class Samples:
    """Samples with their targets and weights, checked.

    Attributes
    ----------
    X : ndarray or CsrRows of shape (n, inputs)
    targets : ndarray
        int64 labels of shape (n,), or values of shape (n, outputs).
    labels : bool
        True for labels.
    weights : ndarray of float64 or None
    """

    X: Array | CsrRows
    targets: Array
    labels: bool
    weights: Array | None

    @property
    def total_weight(self) -> float:
        """The sum of the weights, by which scikit-learn divides the penalties."""
        if self.weights is None:
            return float(self.X.shape[0])
        with np.errstate(all="ignore"):
            return float(self.weights.sum())

    def rows(self, index: Array) -> Any:
        """Return some rows of `X` as scikit-learn's scorers take them."""
        X = self.X[index]
        if not isinstance(X, CsrRows):
            return X
        from scipy.sparse import csr_matrix

        return csr_matrix((X.data, X.indices, X.indptr), X.shape)


def checked(X: Any, targets: Array, labels: bool, weights: Any) -> Samples:
    """Bring arrays that scikit-learn has checked into a form that the core reads.

    Parameters
    ----------
    X : ndarray or sparse matrix
    targets : ndarray
    labels : bool
    weights : ndarray or None

    Returns
    -------
    Samples
    """
    if is_sparse(X):
        X = csr_rows(X, "X")
    elif not (X.flags.aligned and X.dtype.isnative):
        X = X.astype(X.dtype.newbyteorder("="))
    if not labels:
        if targets.dtype.kind not in "biuf" or targets.dtype.itemsize > 8:
            targets = targets.astype(np.float64)
        if not targets.dtype.isnative:
            targets = targets.astype(targets.dtype.newbyteorder("="))
        if not targets.flags.aligned:
            targets = targets.copy()
    if weights is not None:
        weights = np.ascontiguousarray(weights, dtype=np.float64)
    return Samples(X, targets, labels, weights)
