"""The solvers "sgd" and "adam": a fit in epochs, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pynn._interrupts import warn
from pynn._types import Array, TrainingResult
from pynn.progress import Progress
from pynn.sklearn._epochs import Epochs
from pynn.sklearn._link import Link
from pynn.sklearn._optimizers import StochasticOptimizer
from pynn.sklearn._samples import Samples
from pynn.sources import epochs_ahead

# scikit-learn's mini-batches, for batch_size="auto".
AUTO_BATCH = 200


@dataclass(frozen=True)
class HeldOut:
    """Samples that are scored after each epoch.

    Attributes
    ----------
    X : ndarray or sparse matrix
    y : Any
        The targets as the estimator's score takes them.
    weights : ndarray or None
    """

    X: Any
    y: Any
    weights: Array | None


def hold_out(
    samples: Samples, y: Array, fraction: float, random_state: Any, stratify: bool
) -> tuple[Array, Array]:
    """Divide samples as `sklearn.model_selection.train_test_split` does.

    Parameters
    ----------
    samples : Samples
    y : ndarray of shape (n, outputs)
    fraction : float
        The part to hold out.
    random_state : RandomState
    stratify : bool
        Hold out the same part of each class.

    Returns
    -------
    training, held_out : ndarray
        The samples' indices.
    """
    training, held_out = train_test_split(
        np.arange(len(y)),
        random_state=random_state,
        test_size=fraction,
        stratify=y if stratify else None,
    )
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    for part, rows in (("validation", held_out), ("training", training)):
        if samples.weights is not None and not samples.weights[rows].any():
            raise ValueError(f"sample_weight is 0 for all {part} samples of early stopping")
    return training, held_out


class StochasticFit:
    """A fit of an estimator, one epoch after another.

    Parameters
    ----------
    estimator : BaseMLP
        Its public parameters are read, and its public attributes are written.
    link : Link
    samples : Samples
    optimizer : StochasticOptimizer
    random_state : RandomState
        Shuffles the samples.
    rows : ndarray, optional
        The samples to train on; by default all.
    score : callable, optional
        Gives the score after each epoch.
    stale_epochs : int
        The number of successive epochs without improvement so far.
    keep_initial : bool
        Count the parameters before the first epoch as the best ones.
    one_epoch : bool
        Do one epoch only (`partial_fit`).

    Attributes
    ----------
    stale_epochs : int
    """

    def __init__(
        self,
        estimator: Any,
        link: Link,
        samples: Samples,
        optimizer: StochasticOptimizer,
        random_state: Any,
        *,
        rows: Array | None,
        score: Callable[[], float] | None,
        stale_epochs: int,
        keep_initial: bool,
        one_epoch: bool,
    ) -> None:
        self._estimator, self._link = estimator, link
        self._optimizer, self._random_state = optimizer, random_state
        self._rows, self._score, self._one_epoch = rows, score, one_epoch
        self.stale_epochs = stale_epochs
        self._judged = bool(estimator.early_stopping)
        self._count = samples.X.shape[0] if rows is None else len(rows)
        self._epochs = Epochs(link, samples, self._batch_size(), optimizer)
        self._order = np.arange(self._count)
        # The best parameters so far; None: the present ones.
        self._best: Array | None = None
        if self._judged and keep_initial:
            self._best = link.engine.parameters.copy()

    def _batch_size(self) -> int:
        wanted, rows = self._estimator.batch_size, self._count
        if isinstance(wanted, str):
            return int(min(AUTO_BATCH, rows))
        if wanted > rows:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
        return int(min(wanted, rows))

    def run(self) -> None:
        """Do the epochs. An interrupt ends the fit with a warning."""
        estimator = self._estimator
        bar = Progress(estimator.progress, estimator.max_iter, self._count)

        def report(so_far: TrainingResult) -> None:
            bar.start(estimator.n_iter_ + 1 + so_far["epochs"])
            bar.at(so_far["samples"])

        self._epochs.report = report if bar.shown else None
        try:
            estimator.n_iter_ = 0
            while estimator.n_iter_ < estimator.max_iter:
                bar.start(estimator.n_iter_ + 1)
                if self._epochs_end_it(bar) or self._one_epoch:
                    break
                if estimator.n_iter_ == estimator.max_iter:
                    warn(
                        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached "
                        "and the optimization hasn't converged yet.",
                        ConvergenceWarning,
                    )
        except KeyboardInterrupt:
            bar.close()  # so that the warning has its own line
            warn("Training interrupted by user.")
        finally:
            bar.close()
        if self._best is not None:
            self._link.engine.parameters[...] = self._best

    def _at_once(self) -> int:
        """Return the number of epochs that the core may do in one call."""
        estimator = self._estimator
        watched = estimator.verbose or self._score is not None
        if self._one_epoch or watched or self._optimizer.changes_every_epoch:
            return 1
        # After this many epochs without improvement, the fit ends or the rate falls.
        patience = estimator.n_iter_no_change + 1 - self.stale_epochs
        left = estimator.max_iter - estimator.n_iter_
        # A warm start with less patience may leave none.
        return max(1, int(min(patience, left, epochs_ahead(self._count))))

    def _epochs_end_it(self, bar: Progress) -> bool:
        """Do one epoch or several, and return True if the fit ends."""
        estimator = self._estimator
        count = self._at_once()
        losses = np.full(count, np.nan)
        before = self._random_state.get_state() if estimator.shuffle else None
        first = estimator.n_iter_
        try:
            self._epochs.run(self._orders(count), losses)
            return any(self._after_epoch(loss, bar) for loss in losses.tolist())
        except BaseException:
            losses = losses[np.isfinite(losses)]
            if before is not None and len(losses) < count:
                # Only the epochs that began have drawn an order.
                self._random_state.set_state(before)
                for _ in range(len(losses) + 1):
                    self._random_state.permutation(self._count)
            if count > 1:  # a single epoch may have raised while it was scored
                for loss in losses[estimator.n_iter_ - first :].tolist():
                    self._after_epoch(loss, bar)
            bar.start(estimator.n_iter_ + 1)
            raise

    def _orders(self, count: int) -> Array:
        """Return the orders of the next epochs. Each shuffles the order before it."""
        orders = np.empty((count, self._count), np.int64)
        for i in range(count):
            if self._estimator.shuffle:
                self._random_state.shuffle(self._order)
            orders[i] = self._order if self._rows is None else self._rows[self._order]
        return orders

    def _after_epoch(self, loss: float, bar: Progress) -> bool:
        """Record an epoch, and return True if the fit ends."""
        estimator = self._estimator
        # Few statements: an exception from outside may come between two of them.
        estimator.loss_curve_.append(loss)
        estimator.__dict__.update(
            n_iter_=estimator.n_iter_ + 1, loss_=loss, t_=estimator.t_ + self._count
        )
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        metrics = {"loss": loss}
        if self._score is not None:
            metrics["score"] = self._judge()
        self._compare()
        if bar.shown:
            bar.start(estimator.n_iter_)
            bar.end(**metrics)
        self._optimizer.epoch_ends(estimator.t_)
        patience = estimator.n_iter_no_change
        if self.stale_epochs <= patience:
            return False
        what = "Validation score" if self._judged else "Training loss"
        if self._optimizer.stops(
            f"{what} did not improve more than tol={estimator.tol:f} for {patience:d} consecutive "
            "epochs.",
            estimator.verbose,
        ):
            return True
        self.stale_epochs = 0
        return False

    def _judge(self) -> float:
        """Compute and record the score of the held-out samples."""
        estimator = self._estimator
        assert self._score is not None
        score = self._score()
        if estimator.validation_scores_ is None:
            estimator.validation_scores_ = []
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        return float(score)

    def _compare(self) -> None:
        """Count the epochs without improvement, and keep the best."""
        estimator = self._estimator
        if self._judged:
            score = estimator.validation_scores_[-1]
            worse = score < estimator.best_validation_score_ + estimator.tol
            if score > estimator.best_validation_score_:
                estimator.best_validation_score_ = score
                self._best = self._link.engine.parameters.copy()
        else:
            loss = estimator.loss_curve_[-1]
            worse = loss > estimator.best_loss_ - estimator.tol
            estimator.best_loss_ = min(estimator.best_loss_, loss)  # NaN is never the best
        self.stale_epochs = self.stale_epochs + 1 if worse else 0
