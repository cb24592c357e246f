"""A fit under way: its epochs, and what happens between them; and the core's training loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._journal import Begin, Scratch, Step
from pynn._types import Array, NDArray, TrainingResult
from pynn.callbacks import ends, handlers
from pynn.data import Data
from pynn.engine import Trainable, engine_of
from pynn.evaluation import default_metrics, evaluate
from pynn.history import History, record_epoch
from pynn.optimizers import Binding, Optimizer, bind, is_steady, state_of
from pynn.plan import FitPlan
from pynn.progress import Progress
from pynn.sources import DataSource, StopTraining

# Callbacks of these moments take every epoch through Python.
EPOCH_EVENTS = ("on_epoch_begin", "on_batch_end", "on_epoch_end")


def train(
    net: Trainable,
    data: Data,
    order: Array | None,
    batch_size: int,
    update: Any,
    epoch_stats: NDArray[np.float64],
    report: Callable[[TrainingResult], None] | None = None,
    epoch: int | None = None,
    batch: int = 0,
    optimizer: Optimizer | None = None,
) -> TrainingResult:
    """Go through the samples, once for each row of `epoch_stats`.

    Parameters
    ----------
    net : Network
    data : Data
    order : ndarray of int64, optional
        The samples in one epoch after another; by default all in their order.
    batch_size : int
    update : object
        The compiled form of `optimizer`.
    epoch_stats : ndarray of shape (epochs, 3)
        It gets the loss's sum, the penalties' part of it and the seconds of each whole epoch; rows
        of others stay as they were.
    report : callable, optional
        Called now and then with what is done so far.
    epoch : int, optional
        The number of the first epoch.
    batch : int, default 0
        The number of its first mini-batch.
    optimizer : Optimizer, optional
        By default the network's.

    Returns
    -------
    dict

    Raises
    ------
    FloatingPointError
        If something is not finite, saying what and where.
    ValueError
        If an array has changed since it was checked, so that it does not fit.
    """
    engine = engine_of(net)
    targets = data.targets
    result: TrainingResult = engine.core_for(data.samples).train(
        data.samples if data.row_major is None else data.row_major,
        targets.values,
        targets.labels,
        data.weights,
        order,
        batch_size,
        update,
        engine.rng_position,
        engine.penalty_by_weight,
        epoch_stats,
        report,
    )
    if result["changed_row"] >= 0 or result["sparse_fault"]:
        from pynn import _changes

        count = len(data) if order is None else len(order) // len(epoch_stats)
        done = result["steps"] - result["changed_applied"]
        epochs, batches = divmod(done, -(-count // batch_size))
        place = ""
        if epoch is not None and not (result["sparse_fault"] and (epoch, batch) == (1, 0)):
            place = f" in epoch {epoch + epochs}, mini-batch {batch + batches}"
        raise _changes.changed_error(result, data.names, engine.data_spec.outputs, place)
    if not result["finite"]:
        from pynn import _failures

        done = result["epochs"]
        if order is not None:
            order = order.reshape(len(epoch_stats), -1)[done]
        if epoch is not None:
            epoch += done
        raise _failures.not_finite(net, result, data, order, batch_size, epoch, batch, optimizer)
    return result


def train_on_batch(net: Trainable, data: Data, optimizer: Optimizer) -> float:
    """Do one step on one mini-batch.

    Parameters
    ----------
    net : Network
    data : Data
    optimizer : Optimizer

    Returns
    -------
    float
        The mean loss before the update.
    """
    engine = engine_of(net)
    epoch_stats = np.empty((1, 3))
    with engine.core.writing():
        engine.clear()
        update = bind(optimizer, net)
        state = state_of(optimizer, net)
        assert state is not None  # the binding has made it
        attributes = {"optimizer": optimizer}
        step = Step(net, engine, attributes, data.targets.flat, state.steps)
        try:
            engine.journal = step
            train(net, data, None, len(data), update, epoch_stats, optimizer=optimizer)
        finally:
            engine.clear(step)
    return float(epoch_stats[0, 0]) / len(data)


class FitRun:
    """A fit under way.

    Parameters
    ----------
    net : Network
    source : DataSource
    plan : FitPlan
    """

    def __init__(self, net: Trainable, source: DataSource, plan: FitPlan) -> None:
        self.net, self._source, self._plan = net, source, plan
        self.engine = engine_of(net)
        self._batch_callbacks = handlers(plan.callbacks, "on_batch_end")
        # (Before their module is imported there are none.)
        stopping = sys.modules.get("pynn.stopping")
        kinds = () if stopping is None else stopping.StopOnSignal
        self._stops = [each for each in plan.callbacks if isinstance(each, kinds)]
        self.calls_user_code = _calls_user_code(plan)
        self.binding = Binding(plan.optimizer, net)
        self.epoch = 0
        self.history = History()
        self.bar = Progress(plan.progress, plan.epochs, source.samples)

    @property
    def sees_batches(self) -> bool:
        """A callback is called after each mini-batch."""
        return bool(self._batch_callbacks)

    def poll(self) -> None:
        """Raise what is to end this fit from outside, or `StopTraining` if a signal has come."""
        if self._plan.poll is not None:
            self._plan.poll()
        if any(stop.signal is not None for stop in self._stops):
            raise StopTraining

    def train_steps(
        self,
        data: Data,
        order: Array | None,
        batch_size: int,
        count: int,
        epoch_stats: NDArray[np.float64],
    ) -> None:
        """Go through samples in an order, once for each row of `epoch_stats`, in `count` steps."""

        def report(so_far: TrainingResult) -> None:
            self.poll()
            if self.bar.shown and so_far["samples"]:
                self.bar.start(self.epoch + so_far["epochs"])
                self.bar.at(so_far["samples"], loss=so_far["loss"] / so_far["samples"])

        train(
            self.net,
            data,
            order,
            batch_size,
            self.binding.updates(count),
            epoch_stats,
            report if self.bar.shown or self._plan.poll or self._stops else None,
            self.epoch,
        )

    def train_step(self, data: Data, rows: Array | None, batch: int) -> float:
        """Do one step on one mini-batch, the epoch's `batch`-th; its mean loss."""
        self.poll()
        size = len(data) if rows is None else len(rows)
        epoch_stats = np.empty((1, 3))
        train(
            self.net,
            data,
            rows,
            size,
            self.binding.updates(1),
            epoch_stats,
            epoch=self.epoch,
            batch=batch,
        )
        return float(epoch_stats[0, 0]) / size

    def seen_batch(self, batch: int, loss: float) -> None:
        """Call the callbacks after a mini-batch; `StopTraining` if one of them ends the fit."""
        if not self._batch_callbacks:
            return
        with self.engine.core.opened():
            answers = [
                on_batch_end(self.net, batch, loss) for on_batch_end in self._batch_callbacks
            ]
        if any(map(ends, answers)):
            raise StopTraining

    def run(self) -> History:
        """Do it; the history, which is also the network's while it grows."""
        plan, history = self._plan, self.history
        pinned: list[Any] = []
        try:
            for stop in self._stops:
                stop.__enter__()
            self._begin()
            held = (self._source.training(), plan.validation)
            pinned = [each[0].pinned() for each in held if each is not None]
            ended = self._call("on_train_begin")
            if ended:
                self.bar.stop()
            fuses_epochs = self._can_fuse_epochs()
            self.epoch = 1
            while self.epoch <= plan.epochs and not ended:
                left = plan.epochs + 1 - self.epoch
                try:
                    self.poll()
                    done = self._source.fused_epochs(self, left) if fuses_epochs else 0
                except StopTraining:
                    break
                if not done:
                    done = 1
                    if not self._one_epoch():
                        self.bar.stop()
                        break
                self.epoch += done
            self._call("on_train_end")
        finally:
            del pinned
            try:
                self.bar.close()
            finally:
                for stop in self._stops:
                    stop.__exit__()
        return history

    def _begin(self) -> None:
        """Let the network have this fit's history and optimizer, all at once."""
        net, engine, plan = self.net, self.engine, self._plan
        engine.clear()
        attributes = {"history": self.history, "optimizer": plan.optimizer}
        rng, drawn = net.__dict__["rng"], None
        if self._source.holds_out:
            with Scratch(rng, rng.bit_generator.state) as scratch:
                plan.validation = self._source.hold_out(scratch)
                drawn = scratch.bit_generator.state
        data = self._source.training()
        flat = engine.targets_1d if data is None else data[0].targets.flat
        engine.journal = Begin(net, engine, attributes, flat, drawn)
        engine.clear()

    def _can_fuse_epochs(self) -> bool:
        """Tell if Python has nothing to do between the epochs."""
        plan, steady = self._plan, is_steady(self._plan.optimizer.learning_rate)
        called = any(handlers(plan.callbacks, event) for event in EPOCH_EVENTS)
        return steady and not (called or plan.metrics or plan.validation)

    def _call(self, event: str) -> bool:
        """Call the callbacks, each of them whatever another answered; whether one ends the fit."""
        found = handlers(self._plan.callbacks, event)
        if not found:
            return False
        with self.engine.core.opened():
            answers = [handler(self.net, self.history) for handler in found]
        return any(map(ends, answers))

    def _one_epoch(self) -> bool:
        """Do an epoch; False where a callback or a signal ends the fit."""
        engine, plan, history = self.engine, self._plan, self.history
        if self._call("on_epoch_begin"):
            return False
        start = time.perf_counter()
        if self.bar.shown:
            self.bar.start(self.epoch)
        rate = self.binding.rate()
        try:
            metrics = {"loss": self._source.epoch(self)}
        except StopTraining:
            return False
        training, place = self._source.training(), f" in epoch {self.epoch}"
        if plan.metrics or plan.validation is not None:
            with engine.core.opened():
                if plan.metrics and training is not None:
                    measured = evaluate(
                        engine, *training, plan.metrics, loss=False, poll=plan.poll, place=place
                    )
                    metrics.update(measured)
                if plan.validation is not None:
                    chosen = default_metrics(engine) | plan.metrics
                    measured = evaluate(
                        engine, *plan.validation, chosen, poll=plan.poll, place=place
                    )
                    for name, value in measured.items():
                        metrics[f"val_{name}"] = value
        seconds = time.perf_counter() - start
        record_epoch(history, **metrics, learning_rate=rate, seconds=seconds)
        if self.bar.shown:
            self.bar.end(**metrics)
        plan.optimizer.observe(history)
        return not self._call("on_epoch_end")


def _calls_user_code(plan: FitPlan) -> bool:
    """Tell if a function of the user's is called between two epochs."""
    rate = plan.optimizer.learning_rate
    called = [*plan.callbacks, plan.optimizer, getattr(rate, "schedule", rate)]
    called += [getattr(callback, "monitor", "") for callback in plan.callbacks]
    return any(metric.is_user_defined for metric in plan.metrics.values()) or any(
        not (isinstance(each, float | str) or type(each).__module__.startswith("pynn."))
        for each in called
    )
