"""What a fit will do: its options, checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pynn import _checks
from pynn._types import Array
from pynn.callbacks import check_callbacks
from pynn.data import Data
from pynn.engine import Trainable, engine_of
from pynn.evaluation import resolve_metrics
from pynn.optimizers import Optimizer, bind, choose_optimizer
from pynn.sources import ArraySource, BatchSource, DataSource, default_epochs, is_batches

if TYPE_CHECKING:
    from pynn.metrics import Metric

# The options of a fit, which `Network.fit` and `fit_many` share, and their defaults.
FIT_DEFAULTS: dict[str, Any] = {
    "epochs": None,
    "batch_size": None,
    "optimizer": None,
    "learning_rate": None,
    "validation_data": None,
    "validation_split": 0.0,
    "sample_weight": None,
    "class_weight": None,
    "metrics": (),
    "shuffle": True,
    "sampling": None,
    "callbacks": (),
    "steps_per_epoch": None,
    "progress": None,
}
# Samples in a mini-batch, where nothing is said.
DEFAULT_BATCH_SIZE = 32
# Options that need samples in arrays, and that the default of each stands for none.
OF_ARRAYS = ("sample_weight", "class_weight", "validation_split", "sampling", "batch_size")


class FitPlan:
    """What a fit is to do, checked.

    Parameters
    ----------
    epochs : int
    optimizer : Optimizer
    validation : tuple (Data, rows), optional
        Samples that are evaluated after each epoch, and which of them (None: all).
    metrics : dict of str to Metric, optional
    callbacks : list, optional
    progress : bool, optional
    poll : callable, optional
        Raises what is to end the fit from outside.
    """

    def __init__(
        self,
        epochs: int,
        optimizer: Optimizer,
        validation: tuple[Data, Array | None] | None = None,
        metrics: dict[str, Metric] | None = None,
        callbacks: list[Any] | None = None,
        progress: bool | None = None,
        poll: Callable[[], None] | None = None,
    ) -> None:
        self.epochs, self.optimizer = epochs, optimizer
        self.validation = validation
        self.metrics = metrics or {}
        self.callbacks = callbacks or []
        self.progress, self.poll = progress, poll


def plan_fit(
    net: Trainable, X: Any, y: Any, options: Mapping[str, Any], rows: Array | None = None
) -> tuple[DataSource, FitPlan]:
    """Check the arguments of a fit, and say what is to be done.

    Parameters
    ----------
    net : Network
        It stays as it is.
    X, y
        As for `Network.fit`.
    options : dict
        With all keys of `FIT_DEFAULTS`.
    rows : ndarray of int64, optional
        The samples to train on, by their indices; all of them by default.

    Returns
    -------
    DataSource, FitPlan

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.
    """
    given = dict(options)
    epochs = _count(given, "epochs")
    batch_size = _count(given, "batch_size")
    plan = FitPlan(1, choose_optimizer(given["optimizer"], given["learning_rate"], net.optimizer))
    shuffle = _checks.flag(given["shuffle"], "shuffle")
    replacement = _check_sampling(given["sampling"])
    if replacement and not shuffle:
        raise ValueError(
            "shuffle=False keeps the samples' order, but sampling='replacement' draws them"
        )
    split = given["validation_split"] = _checks.number(
        given["validation_split"], "validation_split", low=0.0, high=1.0, open_low=False
    )
    engine = engine_of(net)
    plan.metrics = resolve_metrics(engine, given["metrics"])
    plan.callbacks = check_callbacks(given["callbacks"])
    progress = given["progress"]
    plan.progress = None if progress is None else _checks.flag(progress, "progress")
    steps_per_epoch = _count(given, "steps_per_epoch")
    if given["validation_data"] is not None:
        plan.validation = engine.data_spec.validation(given["validation_data"]), None
        if split:
            raise ValueError("give validation_data or validation_split, not both")

    source: DataSource
    if y is None and is_batches(X):
        for name in OF_ARRAYS:
            if given[name] is not None and (name != "validation_split" or split):
                raise ValueError(f"{name} needs arrays, but X gives mini-batches")
        source = batches = BatchSource(engine.data_spec, X, epochs, steps_per_epoch)
        plan.epochs = batches.epochs if epochs is None else epochs
    else:
        if y is None:
            raise TypeError(
                "y is missing: pass fit(X, y); without y, X must give mini-batches, "
                "pairs (X, y) or triples (X, y, sample_weight) of arrays"
            )
        if steps_per_epoch is not None:
            raise ValueError("steps_per_epoch needs an X that gives mini-batches")
        weights = given["sample_weight"], given["class_weight"]
        data = engine.data_spec.data(X, y, *weights, rows=rows)
        size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        source = ArraySource(data, size, shuffle, replacement, split, rows)
        plan.epochs = default_epochs(source.steps) if epochs is None else epochs
    bind(plan.optimizer, net)  # its settings are checked before anything changes
    return source, plan


def _count(given: dict[str, Any], name: str) -> int | None:
    value = given[name]
    return None if value is None else _checks.integer(value, name, 1)


def _check_sampling(sampling: Any) -> bool:
    """Tell if mini-batches are drawn with replacement."""
    if sampling is None:
        return False
    return _checks.choice(sampling, "sampling", ("replacement",)) == "replacement"
