"""Where the mini-batches of a fit come from: arrays, or whatever the caller makes them of.

Arrays may be memory maps and sparse matrices, and are read mini-batch by mini-batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from operator import length_hint
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pynn import staging
from pynn._journal import Epochs
from pynn._types import Array, NDArray
from pynn.data import Data, DataSpec
from pynn.history import History, record_epochs

if TYPE_CHECKING:
    from pynn.engine import Engine, Trainable
    from pynn.optimizers import Binding
    from pynn.progress import Progress

# Limits in samples and in epochs of the orders drawn ahead for one call of the core. With more
# samples, the cost of a call for each epoch cannot be measured. After an interrupt the orders are
# drawn again, which must not take long.
DRAWN_AHEAD, EPOCHS_AHEAD = 2**16, 1000
# The length of a fit without `epochs`: more epochs of small data, for LEAST_STEPS mini-batches in
# all; fewer of large data, for DEFAULT_STEPS, but at least LEAST_EPOCHS.
DEFAULT_EPOCHS, DEFAULT_STEPS, LEAST_STEPS, LEAST_EPOCHS = 100, 20_000, 800, 10


def default_epochs(steps: int | None) -> int:
    """Return how many epochs a fit has that is not told.

    Parameters
    ----------
    steps : int or None
        Mini-batches in an epoch; None if that is not known.

    Returns
    -------
    int
        100. For fewer than 8 mini-batches an epoch as many as make 800 in all; for more than 200 as
        many as make 20 000, but at least 10. 10 where the length of an epoch is unknown.
    """
    if steps is None:
        return LEAST_EPOCHS
    enough = max(DEFAULT_EPOCHS, -(-LEAST_STEPS // steps))
    return max(LEAST_EPOCHS, min(enough, DEFAULT_STEPS // steps))


def epochs_ahead(samples: int) -> int:
    """Tell how many epochs of `samples` samples one call of the core may do; at least 1."""
    return max(1, min(EPOCHS_AHEAD, DRAWN_AHEAD // samples))


class StopTraining(Exception):  # no error: how a callback's answer leaves the loop
    """A callback has ended the fit before the end of an epoch."""


class Run(Protocol):
    """What a source sees of the fit that it feeds."""

    net: Trainable
    engine: Engine
    history: History
    binding: Binding
    bar: Progress
    epoch: int
    calls_user_code: bool

    @property
    def sees_batches(self) -> bool:
        """A callback is called after each mini-batch."""

    def train_steps(
        self,
        data: Data,
        order: Array | None,
        batch_size: int,
        count: int,
        epoch_stats: NDArray[np.float64],
    ) -> None:
        """Go through samples in an order, once for each row of `epoch_stats`, in `count` steps."""

    def train_step(self, data: Data, rows: Array | None, batch: int) -> float:
        """Do one step on one mini-batch, the epoch's `batch`-th; its mean loss."""

    def seen_batch(self, batch: int, loss: float) -> None:
        """Call the callbacks after a mini-batch; `StopTraining` if one of them ends the fit."""


class DataSource(ABC):
    """Where the mini-batches of an epoch come from."""

    samples: int | None  # in an epoch, if that is known
    steps: int | None  # mini-batches in an epoch, if that is known
    holds_out = False  # samples for validation

    @abstractmethod
    def epoch(self, run: Run) -> float:
        """Go through the mini-batches once; the mean loss."""

    def fused_epochs(self, run: Run, most: int) -> int:
        """Do some epochs with nothing of Python's between them, and record them; how many."""
        return 0

    def hold_out(self, rng: np.random.Generator) -> tuple[Data, Array] | None:
        """Set samples aside for validation, if that was wanted: all, and which."""
        return None

    @abstractmethod
    def training(self) -> tuple[Data, Array | None] | None:
        """All samples and the indices of those trained on (None: all), if they can be had."""


class ArraySource(DataSource):
    """Samples in arrays.

    Parameters
    ----------
    data : Data
    batch_size : int
    shuffle : bool
    replacement : bool
        Draw the samples of an epoch with replacement.
    split : float
        The part of the samples to hold out: the last ones without `shuffle`.
    rows : ndarray of int64, optional
        The samples that there are, by their indices; all of them by default.
    """

    def __init__(
        self,
        data: Data,
        batch_size: int,
        shuffle: bool,
        replacement: bool,
        split: float,
        rows: Array | None = None,
    ) -> None:
        # (An object of this fit's: it may get a copy of the samples.)
        self._data = Data(data.samples, data.targets, data.weights, data.names, data.columns)
        self._split, self._rows = split, rows
        self.holds_out = split > 0
        count = len(data) if rows is None else len(rows)
        self.samples: int = count - (held_out_count(split, count) if split else 0)
        self._batch_size = min(batch_size, self.samples)
        self.steps: int = -(-self.samples // self._batch_size)
        self._shuffle, self._replacement = shuffle, replacement

    def hold_out(self, rng: np.random.Generator) -> tuple[Data, Array] | None:
        """Draw the samples to hold out, from each class alike; without shuffling, the last."""
        if not self._split:
            return None
        before = rng.bit_generator.state
        try:
            return self._data, self._drawn(rng)
        except ValueError:
            rng.bit_generator.state = before
            raise

    def _drawn(self, rng: np.random.Generator) -> Array:
        """The samples to hold out, which are then no longer among those to train on."""
        targets, rows = self._data.targets, self._rows
        if not self._shuffle:
            there = np.arange(len(self._data)) if rows is None else rows
            kept, held_out = last_rows(self._split, len(there))
            kept, held_out = there[kept], there[held_out]
            return self._divided(kept, held_out)
        labels = targets.values if targets.labels and targets.values.ndim == 1 else None
        if rows is None:
            kept, held_out = stratified_split(rng, self._split, len(self._data), labels)
        else:
            labels = None if labels is None else labels[rows]
            kept, held_out = stratified_split(rng, self._split, len(rows), labels)
            kept, held_out = rows[kept], rows[held_out]
        return self._divided(kept, held_out)

    def _divided(self, kept: Array, held_out: Array) -> Array:
        """Train on the samples `kept`; raise where either part has no weight."""
        weights = self._data.weights
        for part, what in ((held_out, "holds out"), (kept, "trains on")):
            if weights is not None and not weights[part].any():
                raise ValueError(
                    f"validation_split={self._split:g} {what} {len(part)} samples whose weights "
                    "are all 0, by sample_weight or class_weight: pass another split, or "
                    "validation_data"
                )
        self._rows = kept
        return held_out

    def training(self) -> tuple[Data, Array | None]:
        """All samples, and which are trained on."""
        return self._data, self._rows

    def _order(self, rng: np.random.Generator) -> Array | None:
        if self._replacement:
            drawn = rng.integers(self.samples, size=self.samples)
        elif self._shuffle:
            drawn = rng.permutation(self.samples)
        else:
            return self._rows
        drawn = np.ascontiguousarray(drawn, dtype=np.int64)
        if type(rng) is not np.random.Generator:
            drawn = drawn.copy()  # (Another class may keep its array, and write into it.)
        return drawn if self._rows is None else self._rows[drawn]

    def _stage(self, run: Run) -> None:
        """Let the core read column-major samples from a row-major copy, if that is small."""
        data = self._data
        if not (self._shuffle or self._replacement):
            return  # (In their own order the core stages few rows at a time.)
        # (The user's functions may change X between two epochs.)
        is_needed = data.row_major is None or run.calls_user_code
        if is_needed and not run.engine.data_spec.tokens:
            data.row_major = staging.row_major(data.samples, run.engine.dtype, data.row_major)

    def epoch(self, run: Run) -> float:
        """In the core as a whole, unless a callback wants every mini-batch."""
        self._stage(run)
        size, engine = self._batch_size, run.engine
        journal = Epochs(run.net.__dict__["rng"], run.binding.counter(), self.steps, self._order)
        try:
            engine.journal = journal
            order = next(iter(journal.orders(1)), None)
            if not run.sees_batches:
                epoch_stats = np.empty((1, 3))
                run.train_steps(self._data, order, size, self.steps, epoch_stats)
                return float(epoch_stats[0, 0]) / self.samples
            if order is None:
                order = np.arange(self.samples)
            total = 0.0
            for number, first in enumerate(range(0, self.samples, size)):
                batch = order[first : first + size]
                loss = run.train_step(self._data, batch, number)
                if number == 0:  # (Callbacks may use the generator.)
                    engine.clear(journal)
                run.seen_batch(number, loss)
                total += len(batch) * loss
                run.bar.at(first + len(batch), loss=total / (first + len(batch)))
            return total / self.samples
        finally:
            engine.clear(journal)

    def fused_epochs(self, run: Run, most: int) -> int:
        """In one call of the core, their orders drawn ahead.

        Whatever ends it, the generator is then where it would be had each order been drawn when
        its epoch began.
        """
        count = min(most, epochs_ahead(self.samples))
        if count < 2:
            return 0
        self._stage(run)
        engine, size, history = run.engine, self._batch_size, run.history
        recorded, steps = len(history), self.steps
        rates = run.binding.rates(count * steps)[::steps].tolist()
        epoch_stats = np.full((count, 3), np.nan)

        def record(done: int) -> None:
            # (The counter is ahead of the metrics for a moment.)
            done = min(done, int(np.isfinite(epoch_stats[:, 0]).sum()))
            if done > 0:
                loss, _, seconds = epoch_stats[:done].T.tolist()
                loss = [total / self.samples for total in loss]
                record_epochs(
                    history, recorded, loss=loss, learning_rate=rates[:done], seconds=seconds
                )

        counter = run.binding.counter()
        journal = Epochs(run.net.__dict__["rng"], counter, steps, self._order, record)
        try:
            engine.journal = journal
            orders = journal.orders(count)
            order = np.concatenate(orders) if orders else None
            run.train_steps(self._data, order, size, count * steps, epoch_stats)
        finally:
            engine.clear(journal)
            done = len(history) - recorded
            if run.bar.shown:
                if done > 0:
                    run.bar.start(run.epoch + done - 1)
                    run.bar.end(loss=history.loss[-1])
                if done < count:
                    run.bar.start(run.epoch + done)
        return count


class BatchSource(DataSource):
    """Mini-batches that the caller makes.

    Parameters
    ----------
    spec : DataSpec
        Checks them.
    batches : iterable of tuple
        Of (X, y) or (X, y, sample_weight).
    epochs : int, optional
    steps_per_epoch : int, optional
        How many make an epoch; by default as many as there are.
    """

    def __init__(
        self, spec: DataSpec, batches: Any, epochs: int | None, steps_per_epoch: int | None
    ) -> None:
        self._spec, self._batches, self._steps = spec, batches, steps_per_epoch
        self.samples = None
        self._once = once = iter(batches) is batches
        self.steps = steps_per_epoch
        if steps_per_epoch is None and not once:
            self.steps = _length(batches) or None
        # An iterator is one epoch, unless `steps_per_epoch` divides it.
        self.epochs = 1 if once and steps_per_epoch is None else default_epochs(self.steps)
        if once and epochs is not None and epochs > 1 and steps_per_epoch is None:
            raise ValueError(
                f"epochs={epochs}, but X is an iterator that can be gone through only once; pass "
                "a list of mini-batches or another object that can be iterated again, or "
                "steps_per_epoch"
            )
        self._running: Iterator[Any] | None = batches if once else None

    def training(self) -> None:
        """None: they are not kept."""
        return None

    def epoch(self, run: Run) -> float:
        """As many mini-batches as there are, or `steps_per_epoch`."""
        iterator, opened = self._running, run.engine.core.opened
        if iterator is None:
            with opened():
                iterator = iter(self._batches)
            if self._steps is not None:
                self._running = iterator  # an epoch continues where the last one ended
        total, seen, done, begun = 0.0, 0, 0, 0
        while self._steps is None or done < self._steps:
            try:
                with opened():
                    batch = next(iterator)
            except StopIteration:
                if self._steps is None and done > 0:
                    break
                if self._steps is not None and not self._once and begun < done + 1:
                    # (At its end it begins again, unless it gave nothing since it last began.)
                    begun = done + 1
                    with opened():
                        self._running = iterator = iter(self._batches)
                    continue
                raise ValueError(
                    f"X gave only {done} mini-batches in epoch {run.epoch}"
                    + (f", expected {self._steps}" if self._steps else "")
                ) from None
            with opened():
                data = self._spec.batch(batch, f"mini-batch {done}")
            run.engine.targets_1d = data.targets.flat
            loss = run.train_step(data, None, done)
            run.seen_batch(done, loss)
            total += loss * len(data)
            seen += len(data)
            done += 1
            run.bar.at(seen, loss=total / seen)
        return total / seen


def is_batches(X: Any) -> bool:
    """Tell if `X`, without a `y`, gives mini-batches rather than samples."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(map(_is_batch, X))
    is_array = hasattr(X, "__array__") or hasattr(X, "dtype")
    return not is_array and hasattr(X, "__iter__") and not isinstance(X, str | bytes | dict)


def _is_batch(batch: Any) -> bool:
    """Tell if this is a pair (X, y) or (X, y, sample_weight), not a sample."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        return False
    first = batch[0]
    if hasattr(first, "ndim"):
        return bool(first.ndim >= 2)
    # (A list may be a sample of a deeper array.)
    rows = isinstance(batch, tuple) and isinstance(first, list | tuple) and len(first) > 0
    return rows and isinstance(first[0], list | tuple)


def _length(batches: Any) -> int:
    """How many there are, or 0 if that is not known."""
    try:
        return length_hint(batches, 0)
    except (NotImplementedError, OverflowError):  # its ``__len__`` cannot tell
        return 0


# ---------------------------------------------------------------------- held-out samples


def held_out_count(fraction: float, rows: int) -> int:
    """How many of `rows` samples a part of them is, rounded up.

    Raises
    ------
    ValueError
        If nothing would be left to train on.
    """
    count = math.ceil(fraction * rows)
    if count >= rows:
        raise ValueError(f"validation_split={fraction:g} of {rows} samples leaves none to train on")
    return count


def last_rows(fraction: float, rows: int) -> tuple[Array, Array]:
    """Indices of samples to train on, and of the last ones, which are held out.

    Parameters
    ----------
    fraction : float
        The part that is held out, rounded up.
    rows : int

    Returns
    -------
    training, held_out : ndarray of int64
    """
    kept = rows - held_out_count(fraction, rows)
    indices = np.arange(rows)
    return indices[:kept], indices[kept:]


def stratified_split(
    rng: np.random.Generator, fraction: float, rows: int, labels: Array | None
) -> tuple[Array, Array]:
    """Indices of samples to train on and of those held out, each in order.

    Parameters
    ----------
    rng : numpy.random.Generator
        ``rng.permutation(rows)`` is drawn from it.
    fraction : float
        The part that is held out, rounded up.
    rows : int
    labels : ndarray of int or None
        With labels, every class has its share in both parts, as nearly as whole samples allow.

    Returns
    -------
    training, held_out : ndarray of int64
    """
    order = rng.permutation(rows)
    count = held_out_count(fraction, rows)
    if labels is None:
        held_out = order[:count]
    else:
        # Every class's samples are spread evenly over [0, 1); the first `count` are taken.
        shuffled = labels[order]
        by_class = np.argsort(shuffled, kind="stable")
        counts = np.bincount(shuffled)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        within = np.arange(rows) - starts[shuffled[by_class]]
        place = np.empty(rows)
        place[by_class] = (within + 0.5) / counts[shuffled[by_class]]
        held_out = order[np.argsort(place, kind="stable")[:count]]
    mask = np.zeros(rows, bool)
    mask[held_out] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)
