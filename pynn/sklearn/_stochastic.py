"""The solvers "sgd" and "adam": epochs, and when they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pynn._interrupts import warn
from pynn._types import Array, TrainingResult
from pynn.progress import Progress
from pynn.sklearn._link import Link
from pynn.sklearn._optimizers import make_optimizer
from pynn.sklearn._samples import Epochs, Samples
from pynn.sources import epochs_ahead

# scikit-learn's mini-batches, for batch_size="auto".
AUTO_BATCH = 200


@dataclass(frozen=True)
class HeldOut:
    """Samples that a fit is judged by after each epoch; `y` is as the estimator's score has it."""

    X: Any
    y: Any
    weights: Array | None


class StochasticFit:
    """A fit of an estimator, one epoch after another.

    Parameters
    ----------
    estimator : BaseMLP
    link : Link
    samples : Samples
    y : ndarray of shape (n, outputs)
        As scikit-learn splits it.
    incremental : bool
        One epoch only (`partial_fit`).
    validation : HeldOut, optional
        Samples of the caller's.
    """

    def __init__(
        self,
        estimator: Any,
        link: Link,
        samples: Samples,
        y: Array,
        incremental: bool,
        validation: HeldOut | None,
    ) -> None:
        self._estimator, self._link, self._incremental = estimator, link, incremental
        if not incremental or not hasattr(estimator, "_optimizer"):
            estimator._optimizer = make_optimizer(estimator)
        if estimator.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._judged = bool(estimator.early_stopping)
        self._held_out = validation
        self._rows: Array | None = None  # of the samples, those trained on; None: all
        self._count = samples.X.shape[0]
        if self._judged and validation is None:
            self._rows, self._held_out = self._split(samples, y)
            self._count = len(self._rows)
        self._epochs = Epochs(link, samples, self._batch_size(), estimator._optimizer)
        self._order = np.arange(self._count)
        # The best parameters so far; None: those that the network has.
        self._best: Array | None = None

    def _split(self, samples: Samples, y: Array) -> tuple[Array, HeldOut]:
        """Set samples aside as `sklearn.model_selection.train_test_split` does."""
        estimator = self._estimator
        training, held_out = train_test_split(
            np.arange(len(y)),
            random_state=estimator._random_state,
            test_size=estimator.validation_fraction,
            stratify=y if estimator._stratifies() else None,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        weights = None if samples.weights is None else samples.weights[held_out]
        for part, rows in (("validation", held_out), ("training", training)):
            if samples.weights is not None and not samples.weights[rows].any():
                raise ValueError(f"sample_weight is 0 for all {part} samples of early stopping")
        judged = HeldOut(samples.rows(held_out), estimator._judged_targets(y[held_out]), weights)
        return training, judged

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
        """Do it; an interrupt ends it with a warning."""
        estimator = self._estimator
        block = self._link.net._parameters
        if self._judged and not estimator._fitted_before:
            self._best = block.copy()
        bar = Progress(estimator.progress, estimator.max_iter, self._count)

        def report(so_far: TrainingResult) -> None:
            bar.start(estimator.n_iter_ + 1 + so_far["epochs"])
            bar.at(so_far["samples"])

        self._epochs.report = report if bar.shown else None
        try:
            estimator.n_iter_ = 0
            while estimator.n_iter_ < estimator.max_iter:
                bar.start(estimator.n_iter_ + 1)
                if self._epochs_end_it(bar) or self._incremental:
                    break
                if estimator.n_iter_ == estimator.max_iter:
                    warn(
                        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached "
                        "and the optimization hasn't converged yet.",
                        ConvergenceWarning,
                    )
        except KeyboardInterrupt:
            bar.close()  # the warning has a line to itself
            warn("Training interrupted by user.")
        finally:
            bar.close()
        if self._best is not None:
            block[...] = self._best

    def _at_once(self) -> int:
        """How many epochs the core may do before anything has to be looked at."""
        estimator = self._estimator
        watched = estimator.verbose or self._held_out is not None
        if self._incremental or watched or estimator._optimizer.changes_every_epoch:
            return 1
        # So many can be without improvement before that ends the fit or lowers the rate.
        patience = estimator.n_iter_no_change + 1 - estimator._no_improvement_count
        left = estimator.max_iter - estimator.n_iter_
        # (After a warm start with less patience there may be none left.)
        return max(1, int(min(patience, left, epochs_ahead(self._count))))

    def _epochs_end_it(self, bar: Progress) -> bool:
        """Do one epoch or several; whether the fit ends."""
        estimator = self._estimator
        count = self._at_once()
        losses = np.full(count, np.nan)
        before = estimator._random_state.get_state() if estimator.shuffle else None
        first = estimator.n_iter_
        try:
            self._epochs.run(self._orders(count), losses)
            return any(self._after_epoch(loss, bar) for loss in losses.tolist())
        except BaseException:
            losses = losses[np.isfinite(losses)]
            if before is not None and len(losses) < count:
                # The orders drawn are those of the epochs begun.
                estimator._random_state.set_state(before)
                for _ in range(len(losses) + 1):
                    estimator._random_state.permutation(self._count)
            if count > 1:  # (One epoch's exception may be that of its own score.)
                for loss in losses[estimator.n_iter_ - first :].tolist():
                    self._after_epoch(loss, bar)
            bar.start(estimator.n_iter_ + 1)
            raise

    def _orders(self, count: int) -> Array:
        """The orders of the next epochs, each of which shuffles that of the one before."""
        orders = np.empty((count, self._count), np.int64)
        for i in range(count):
            if self._estimator.shuffle:
                self._estimator._random_state.shuffle(self._order)
            orders[i] = self._order if self._rows is None else self._rows[self._order]
        return orders

    def _after_epoch(self, loss: float, bar: Progress) -> bool:
        """Record an epoch; whether the fit ends."""
        estimator = self._estimator
        # (Few statements, between which an exception from outside may come.)
        estimator.loss_curve_.append(loss)
        estimator.__dict__.update(
            n_iter_=estimator.n_iter_ + 1, loss_=loss, t_=estimator.t_ + self._count
        )
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        metrics = {"loss": loss}
        if self._held_out is not None:
            metrics["score"] = self._judge()
        self._compare()
        if bar.shown:
            bar.start(estimator.n_iter_)
            bar.end(**metrics)
        estimator._optimizer.epoch_ends(estimator.t_)
        patience = estimator.n_iter_no_change
        if estimator._no_improvement_count <= patience:
            return False
        what = "Validation score" if self._judged else "Training loss"
        if estimator._optimizer.stops(
            f"{what} did not improve more than tol={estimator.tol:f} for {patience:d} consecutive "
            "epochs.",
            estimator.verbose,
        ):
            return True
        estimator._no_improvement_count = 0
        return False

    def _judge(self) -> float:
        """The score of the held-out samples, recorded."""
        estimator, held_out = self._estimator, self._held_out
        assert held_out is not None
        score = estimator._score_of(held_out)
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
                self._best = self._link.net._parameters.copy()
        else:
            loss = estimator.loss_curve_[-1]
            worse = loss > estimator.best_loss_ - estimator.tol
            estimator.best_loss_ = min(estimator.best_loss_, loss)  # (in this order NaN is not)
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0
