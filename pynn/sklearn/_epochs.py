"""Epochs of mini-batches in the core."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pynn._changes import changed_error
from pynn._types import Array, TrainingResult
from pynn.sklearn._link import Link
from pynn.sklearn._optimizers import StochasticOptimizer
from pynn.sklearn._samples import Samples
from pynn.staging import row_major


class Epochs:
    """Trains on samples in scikit-learn's order of mini-batches.

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
        # Called at intervals, with the progress so far.
        self.report: Callable[[TrainingResult], None] | None = None

    def run(self, orders: Array, losses: Array) -> None:
        """Do one epoch for each of these orders.

        Parameters
        ----------
        orders : ndarray of int64, shape (epochs, n)
        losses : ndarray of float64, shape (epochs,)
            Receives the mean loss of each whole epoch. After a loss that is not finite: NaN.
        """
        epoch_stats = np.full((len(orders), 3), np.nan)
        try:
            self._train(orders.ravel(), epoch_stats)
        finally:
            totals, penalties = epoch_stats[:, 0], epoch_stats[:, 1]
            divisor = self._link.loss_divisor
            losses[:] = ((totals - penalties) / divisor + penalties) / orders.shape[1]

    def _train(self, order: Array, epoch_stats: Array) -> None:
        link, samples = self._link, self._samples
        engine = link.engine
        result = engine.core.train(
            samples.X,
            samples.targets,
            samples.labels,
            samples.weights,
            order,
            self._batch_size,
            self._optimizer.bound(engine.parameters),
            engine.rng_position,
            True,
            epoch_stats,
            self.report,
        )
        if result["changed_row"] >= 0 or result["sparse_fault"]:
            raise changed_error(result, ("X", "y"), engine.data_spec.outputs)
        if not result["finite"]:
            # scikit-learn continues with NaN; so do the coefficients here.
            for array in (*link.coefs, *link.intercepts):
                array[...] = np.nan
