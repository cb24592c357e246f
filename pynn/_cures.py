"""What errors about samples and targets advise: the ends of their messages.

Only a message imports this module, so that `import pynn` stays quick.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn._array_input import expression
from pynn._checks import variable
from pynn._types import Array


def are_whole(array: Array) -> bool:
    """Tell if all values are integers that int64 holds."""
    with np.errstate(invalid="ignore"):
        return bool((np.isfinite(array) & (np.abs(array) < 2.0**62)).all()) and bool(
            (np.floor(array) == array).all()
        )


def as_vector(y: Any, name: str) -> str:
    """How a `y` of one column becomes a vector."""
    own = variable(name)
    if hasattr(y, "columns"):
        return f"{own}.to_numpy().ravel() or {own}[{next(iter(y.columns))!r}]"
    return f"{expression(y, name)}.ravel()"


def of_columns(array: Array, y: Any, classes: bool, outputs: int, name: str) -> str:
    """What to do about a number of columns that is not the network's number of outputs."""
    columns = array.shape[1]
    own = expression(y, name)
    if columns == 1 and classes:
        if array.dtype.kind in "biu":
            return f"; for class labels pass a vector, {as_vector(y, name)}"
        if are_whole(array):
            return f"; for class labels pass a vector of integers, {own}.ravel().astype(int)"
        return "; is it a regression? Then make the network with one output and loss='mse'"
    if columns == 1:
        return f"; for the same target at each output: np.repeat({own}, {outputs}, axis=1)"
    if outputs == 1 and _is_one_hot(array):
        return f"; is {name} one-hot? Make the network with {columns} outputs"
    return f"; make the network with {columns} outputs, or choose {outputs} of {name}'s columns"


def _is_one_hot(array: Array) -> bool:
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def of_vector(array: Array, loss: str, outputs: int, own: str) -> str:
    """What to do about a vector of values where there are several outputs."""
    repeat = f"np.repeat({own}.reshape(-1, 1), {outputs}, axis=1)"
    if loss == "pinball":
        return f"; each quantile has an output, with the same target: {repeat}"
    labels = array.dtype.kind in "biu" and array.size and array.min() >= 0
    if labels and array.max() < outputs:
        return (
            "; are they class labels? Then make the network with loss='softmax_cross_entropy'; for "
            f"one target, with one output; for the same target at each: {repeat}"
        )
    return f"; for one target make it with one output; for the same target at each: {repeat}"


def of_labels(array: Array, outputs: int, own: str) -> str:
    """What to do about labels that are not 0 to outputs - 1."""
    low, high = int(array.min()), int(array.max())
    distinct = np.unique(array)
    if low == -1 and high == 1 and len(distinct) == 2:
        return f"for labels -1 and +1: ({own} > 0).astype(int)"
    if low > 0 and high - low < outputs:
        return f"for labels that start at {low}: {own} - {low}"
    number = f"classes, labels = np.unique({own}, return_inverse=True)"
    if low < 0 or len(distinct) <= outputs:
        return f"for other labels: {number}"
    return f"make the network with {len(distinct)} outputs, and labels from 0: {number}"


def of_range(array: Array, y: Any, outputs: int, name: str) -> str:
    """What to do about values that are no probabilities."""
    own = expression(y, name)
    is_nan = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    if is_nan.any():
        row, column = np.argwhere(is_nan)[0]
        return f"; NaN in row {row}, column {column}"
    distinct = np.unique(array)
    if distinct.tolist() == [-1, 1]:
        return f"; for labels -1 and +1: ({own} > 0).astype(int)"
    if len(distinct) == 2 and outputs == 1:
        return f"; for labels {distinct[0]} and {distinct[1]}: {own} == {distinct[1]}"
    if outputs == 1 and are_whole(distinct) and len(distinct) < 20 and distinct[0] >= 0:
        return (
            f"; for {len(distinct)} classes make the network with {int(distinct[-1]) + 1} outputs "
            "and loss='softmax_cross_entropy'; for a regression, with loss='mse'"
        )
    return "; is it a regression? Then make the network with loss='mse'"


def of_samples(array: Array, x: Any, columns: int, name: str, targets: Any) -> str:
    """What to do about samples of another shape."""
    own = expression(x, name)
    are_targets = array.ndim == 1 or (array.ndim == 2 and _is_one_hot(array))
    if are_targets and _shape(targets) == (len(array), columns):
        return "; are the samples and the targets swapped?"
    if array.size == 0:
        return "; there are no samples"
    if array.ndim == 1 and columns == 1:
        return f"; for samples of one input: {own}.reshape(-1, 1)"
    if array.size == columns and array.ndim != 0:
        return f"; for one sample: {own}.reshape(1, -1)"
    if array.ndim > 2 and array[0].size == columns:
        return f"; for a sample a row: {own}.reshape(len({variable(name)}), -1)"
    if array.ndim == 2:
        if array.shape[0] == columns:
            return f"; for a sample a row: {own}.T"
        if array.shape[1] == columns + 1:
            return "; is the target, or a number of the row, among the columns?"
    return ""


def _shape(x: Any) -> tuple[int, ...]:
    try:
        return np.shape(x)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths, a tensor elsewhere
        return ()
