"""The loss and metrics over samples, a block of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import _array_input, _core, staging
from pynn._types import Array
from pynn.data import Data, near_one
from pynn.engine import Engine
from pynn.metrics import Metric, resolve, total_weight

# Rows that `evaluate` takes at a time.
EVALUATION_ROWS = 4096


def resolve_metrics(engine: Engine, metrics: Any) -> dict[str, Metric]:
    """Make a network's metrics.

    Parameters
    ----------
    engine : Engine
    metrics : str, callable, or iterable or dict of these
        As for `Network.fit`.

    Returns
    -------
    dict of str to Metric
    """
    return resolve(metrics, engine.loss.name, engine.data_spec.outputs)


def default_metrics(engine: Engine) -> dict[str, Metric]:
    """Make the metrics of an evaluation that names none: the accuracy of a classifier.

    Parameters
    ----------
    engine : Engine

    Returns
    -------
    dict of str to Metric
    """
    return resolve_metrics(engine, ("accuracy",) if engine.loss.info.classes else ())


def evaluate(
    engine: Engine,
    data: Data,
    rows: Array | None,
    metrics: dict[str, Metric],
    *,
    loss: bool = True,
    poll: Callable[[], None] | None = None,
    place: str = "",
) -> dict[str, float]:
    """Compute metrics over samples, or over some rows of them.

    Parameters
    ----------
    engine : Engine
        Whose core is held as a reader, or by the fit.
    data : Data
    rows : ndarray of int64, optional
        By default all.
    metrics : dict of str to Metric
    loss : bool, default True
        Compute the loss too.
    poll : callable, optional
        Called before each block of rows; it raises what ends the evaluation.
    place : str, optional
        " in epoch 2", for messages.

    Returns
    -------
    dict of str to float

    Raises
    ------
    FloatingPointError
        If an output or a target is NaN, naming the first row.
    """
    count = len(data) if rows is None else len(rows)
    dtype, spec = engine.dtype, engine.data_spec
    width = spec.outputs
    weights_of_all = data.weights
    if weights_of_all is not None:
        weights_of_all = near_one(weights_of_all if rows is None else weights_of_all[rows])
    total, weight_total = 0.0, 0.0
    pinned = data.pinned()
    for metric in metrics.values():
        metric.start()
    for start in range(0, count, EVALUATION_ROWS):
        if poll is not None:
            poll()
        block: Any = slice(start, min(start + EVALUATION_ROWS, count))
        weights = None if weights_of_all is None else weights_of_all[block]
        if rows is not None:
            block = rows[block]
        if spec.tokens:
            samples: Any = data.samples[block]
        else:
            samples = staging.rows_of(data.samples, block, dtype)
        size = math.prod(spec.shape_of(samples, spec.output_shape))
        outputs = np.empty((len(samples), size), dtype)
        engine.core_for(samples).forward(samples, engine.outputs[-1][0], False, outputs)
        target = data.targets.rows(block, width, data.names[1], place)
        if len(spec.output_shape) > 1:  # each position is a row
            outputs = outputs.reshape(-1, width)
            target = target.reshape(-1) if data.targets.labels else target.reshape(-1, width)
            if weights is not None:
                weights = np.repeat(weights, outputs.shape[0] // weights.size).reshape(-1)
        if not data.targets.labels:
            target = _array_input.cast(target, dtype)
        if np.isnan(outputs).any() or (not data.targets.labels and np.isnan(target).any()):
            raise _nan(engine, data, block, outputs, target, place)
        if loss:
            room = np.empty_like(outputs)
            total += _core.loss_into(engine.core_loss, outputs, target, weights, room)
            weight_total += total_weight(outputs, weights)
        if metrics:
            _core.predict_into(engine.core_loss, outputs)
            if np.isnan(outputs).any():  # (a softmax over infinities)
                raise _nan(engine, data, block, outputs, target, place)
            for metric in metrics.values():
                metric.update(outputs, target, data.targets.labels, weights)
    del pinned
    results = {"loss": total / weight_total if weight_total else np.nan} if loss else {}
    return results | {name: metric.result() for name, metric in metrics.items()}


def _nan(
    engine: Engine, data: Data, block: Any, outputs: Array, target: Array, place: str
) -> FloatingPointError:
    from pynn import _failures

    return _failures.nan_in_evaluation(engine, data, block, outputs, target, place)
