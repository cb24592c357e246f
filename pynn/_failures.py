"""What is not finite, and where: the errors of a training or an evaluation that has met it.

Only an error imports this module, so that `import pynn` stays quick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import _array_input
from pynn._sparse import CsrRows
from pynn._types import Array, TrainingResult
from pynn.data import Data
from pynn.engine import Engine, Trainable, engine_of
from pynn.optimizers import Optimizer, state_of


def not_finite(
    net: Trainable,
    result: TrainingResult,
    data: Data,
    order: Array | None = None,
    batch_size: int = 0,
    epoch: int | None = None,
    first_batch: int = 0,
    optimizer: Optimizer | None = None,
) -> FloatingPointError:
    """Explain why the core has stopped.

    Parameters
    ----------
    net : Network
    result : dict
        What the core says.
    data : Data
    order : ndarray of int64, optional
        Of the samples of the epoch.
    batch_size : int, default 0
        0: all samples are one mini-batch.
    epoch : int, optional
        Its number; None outside a fit.
    first_batch : int, default 0
        The number of the first mini-batch of this call of the core.
    optimizer : Optimizer, optional
        By default the network's.

    Returns
    -------
    FloatingPointError
        To be raised.
    """
    engine = engine_of(net)
    done, size = result["batches"], batch_size or len(data)
    place = "" if epoch is None else f" in epoch {epoch}, mini-batch {first_batch + done}"
    targets = "" if engine.loss.info.classes else " and the targets"
    cure = f"try a smaller learning rate, or scale the inputs{targets}"
    failure = result["failure"]
    if failure == "update":
        return _lost(net, optimizer or net.optimizer, place, cure)
    piece = slice(done * size, (done + 1) * size)
    rows = np.arange(len(data))[piece] if order is None else order[piece]
    X, y = data.names
    dtype = engine.dtype
    spec = engine.data_spec
    bad = _bad_value(data.samples[rows], dtype, rows, X, spec.input_shape, data.columns)
    if bad is None:
        bad = _bad_value(data.targets.values[rows], dtype, rows, y, spec.output_shape)
        bad = bad or _bad_weight(data, rows)
    if bad is not None:
        reason = bad
    elif not _can_be_trained(engine):
        reason = "the weights have values that are not finite: set others, or load a checkpoint"
    else:
        reason = f"training diverges: {cure}"
    what = {
        "loss": f"the loss is {result['bad_loss']}",
        "parameters": "the weights are not finite",
        "rate": f"the learning rate or the decay overflows {dtype}",
    }.get(failure, "the gradient is not finite")
    return FloatingPointError(
        f"{what}{place}; {reason}. The weights are those before this mini-batch."
    )


def _lost(net: Trainable, optimizer: Optimizer | None, place: str, cure: str) -> FloatingPointError:
    """What to raise after an update that has left values that are not finite."""
    state = None if optimizer is None else state_of(optimizer, net)
    lost, update = [], ""
    if not _are_finite(engine_of(net)):
        lost.append("the weights")
    if state is not None:
        update = f", update {state.steps[0] - 1} of the optimizer (from 0)"
        state.may_be_lost = True
        if not state.is_finite():
            lost.append("the optimizer's moments")
    what = " and ".join(lost)
    if lost == ["the optimizer's moments"]:
        after = "the weights are those after it. Pass a new optimizer"
    else:
        after = "those before it are lost. Load a checkpoint, or set new weights"
        if len(lost) == 2:
            after += " and pass a new optimizer"
    return FloatingPointError(
        f"{what} overflowed in the update{place}{update}; {after}, and {cure}."
    )


def nan_output(engine: Engine, X: Any, outputs: Array) -> FloatingPointError:
    """Explain an output that is NaN: it belongs to no class.

    Parameters
    ----------
    engine : Engine
    X : array_like
        The samples as they came.
    outputs : ndarray of shape (n, ...) or of a single sample

    Returns
    -------
    FloatingPointError
        To be raised.
    """
    of_sample = outputs.reshape(-1, math.prod(engine.data_spec.output_shape))
    row = int(np.flatnonzero(np.isnan(of_sample).any(axis=1))[0])
    samples, _ = engine.data_spec.rows(X)
    reason = _reason(engine, samples[row : row + 1], "X", row, _array_input.labels(X))
    return FloatingPointError(f"the output is nan; {reason}")


def nan_in_evaluation(
    engine: Engine, data: Data, block: Any, outputs: Array, target: Array, place: str
) -> FloatingPointError:
    """Explain an output or a target that is NaN.

    Parameters
    ----------
    engine : Engine
    data : Data
    block : slice or ndarray of int64
        The samples that `outputs` and `target` are of.
    outputs, target : ndarray
        A row for each target: several a sample where each position has one.
    place : str
        " in epoch 2", or nothing.

    Returns
    -------
    FloatingPointError
        To be raised.
    """
    rows = np.arange(len(data))[block]
    X, y = data.names
    bad = np.isnan(outputs).reshape(len(rows), -1).any(axis=1)
    if bad.any():
        row = int(rows[bad][0])
        reason = _reason(engine, data.samples[row : row + 1], X, row, data.columns)
        return FloatingPointError(f"the output is nan{place}; {reason}")
    of_sample = target.reshape(len(rows), -1)
    bad = np.isnan(of_sample).any(axis=1)
    shape = engine.data_spec.output_shape
    found = _bad_value(of_sample[bad], engine.dtype, rows[bad], y, shape)
    return FloatingPointError(f"the loss is nan{place}; {found}")


def _reason(
    engine: Engine, sample: Array | CsrRows, name: str, row: int, columns: Sequence[Any] | None
) -> str:
    """Why the output for a sample, a matrix of one row, is not finite."""
    shape = engine.data_spec.input_shape
    bad = _bad_value(sample, engine.dtype, np.array([row]), name, shape, columns)
    if bad is not None:
        return bad
    if _are_finite(engine):
        return f"it overflows for row {row} of {name}: scale the inputs"
    return f"the weights have values that are not finite (seen in row {row} of {name})"


def _bad_value(
    array: Array | CsrRows,
    dtype: np.dtype[Any],
    rows: Array,
    name: str,
    shape: tuple[int, ...],
    columns: Sequence[Any] | None = None,
) -> str | None:
    """Where some rows of samples or targets have a value that is not finite, if they do.

    `shape` is that of a row before it was made a vector.
    """
    found = _first_not_finite(array, dtype)
    if found is None:
        return None
    i, j, value = found
    what = f"too large for {dtype}" if np.isfinite(value) else "not finite"
    place = f"row {rows[i]}"
    if columns is not None:
        place += f", column {list(columns)[j]!r}"
    elif len(shape) > 1:
        place += f", at {[int(k) for k in np.unravel_index(j, shape)]}"
    elif array.ndim == 2 and array.shape[1] > 1:
        place += f", column {j}"
    return f"{name} has a value that is {what} in {place}"


def _are_finite(engine: Engine) -> bool:
    return all(np.isfinite(array).all() for array in engine.arrays.values())


def _can_be_trained(engine: Engine) -> bool:
    """As the core sees it: an output's bias may be infinite, which switches a class off."""
    for name, array in engine.arrays.items():
        finite = ~np.isnan(array) if name == engine.output_bias else np.isfinite(array)
        if not finite.all():
            return False
    return True


def _first_not_finite(array: Array | CsrRows, dtype: np.dtype[Any]) -> tuple[int, int, Any] | None:
    """Row, column and value of the first one that is not finite in `dtype`."""
    if isinstance(array, CsrRows):
        first = int(array.indptr[0])
        values = array.data[first : array.indptr[-1]]
    else:
        values = array.reshape(len(array), -1)
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(values.astype(dtype, copy=False))
    if not bad.any():
        return None
    at = np.argwhere(bad)[0]
    if isinstance(array, CsrRows):
        position = first + int(at[0])
        row = int(np.searchsorted(array.indptr, position, "right")) - 1
        return row, int(array.indices[position]), array.data[position]
    return int(at[0]), int(at[1]), values[tuple(at)]


def _bad_weight(data: Data, rows: Array) -> str | None:
    """Where some rows have a weight that was changed to none, if they do."""
    if data.weights is None:
        return None
    weights = data.weights[rows]
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if not bad.any():
        return None
    at = tuple(np.argwhere(bad)[0])
    return (
        f"sample_weight is {weights[at]} in row {rows[at[0]]}, expected a finite one of at least 0"
    )
