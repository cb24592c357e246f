"""Samples as the core takes them, and an epoch over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn._sparse import CsrRows, csr_rows, is_sparse
from pynn._types import Array, TrainingResult
from pynn.sklearn._link import Link
from pynn.sklearn._optimizers import StochasticOptimizer
from pynn.staging import row_major


@dataclass(frozen=True)
class Samples:
    """Samples with their targets and weights, checked.

    Attributes
    ----------
    X : ndarray or CsrRows of shape (n, inputs)
    targets : ndarray
        int64 labels of shape (n,), or values of shape (n, outputs).
    labels : bool
        Which of the two.
    weights : ndarray of float64 or None
    """

    X: Array | CsrRows
    targets: Array
    labels: bool
    weights: Array | None

    @property
    def total_weight(self) -> float:
        """What scikit-learn divides the penalties by: the sum of the weights."""
        if self.weights is None:
            return float(self.X.shape[0])
        with np.errstate(all="ignore"):
            return float(self.weights.sum())

    def rows(self, index: Array) -> Any:
        """Some rows of `X` as scikit-learn's scorers take them."""
        X = self.X[index]
        if not isinstance(X, CsrRows):
            return X
        from scipy.sparse import csr_matrix

        return csr_matrix((X.data, X.indices, X.indptr), X.shape)


def checked(X: Any, targets: Array, labels: bool, weights: Any) -> Samples:
    """Bring arrays that scikit-learn has checked into a form that the core reads."""
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


class Epochs:
    """Goes through samples as scikit-learn does.

    Parameters
    ----------
    link : Link
    samples : Samples
    batch_size : int
    optimizer : StochasticOptimizer
    """

    def __init__(
        self, link: Link, samples: Samples, batch_size: int, optimizer: StochasticOptimizer
    ) -> None:
        X = row_major(samples.X, link.net.dtype)
        if X is not None:
            samples = Samples(X, samples.targets, samples.labels, samples.weights)
        self._link, self._samples = link, samples
        self._batch_size, self._optimizer = batch_size, optimizer
        self.report: Callable[[TrainingResult], None] | None = None  # called now and then
        # scikit-learn's squared error is a mean over the outputs, but its gradient that of the sum.
        outputs = link.net.layer_sizes[-1]
        self._divisor = outputs if link.net._loss.name == "squared_error" else 1

    def run(self, orders: Array, losses: Array) -> None:
        """Go through the samples in each of these orders.

        The mean losses of whole epochs go to `losses`; NaN from the epoch on that was not finite.
        """
        epoch_stats = np.full((len(orders), 3), np.nan)
        try:
            self._train(orders.ravel(), epoch_stats)
        finally:
            totals, penalties = epoch_stats[:, 0], epoch_stats[:, 1]
            losses[:] = ((totals - penalties) / self._divisor + penalties) / orders.shape[1]

    def _train(self, order: Array, epoch_stats: Array) -> None:
        link, samples = self._link, self._samples
        result = link.net._core.train(
            samples.X,
            samples.targets,
            samples.labels,
            samples.weights,
            order,
            self._batch_size,
            self._optimizer.bound(link.net),
            link.net._rng_position,
            True,
            epoch_stats,
            self.report,
        )
        if not result["finite"]:
            # scikit-learn goes on with what is no number any more; so do the coefficients here.
            for array in (*link.coefs, *link.intercepts):
                array[...] = np.nan


def penalties(link: Link) -> float:
    """The penalties, undivided."""
    total = 0.0
    for weight, l1, l2 in zip(link.coefs, link.settings["l1"], link.settings["l2"], strict=True):
        flat = weight.ravel()
        total += l1 * float(np.abs(flat).sum()) if l1 else 0.0
        total += 0.5 * l2 * float(flat @ flat) if l2 else 0.0
    return total
