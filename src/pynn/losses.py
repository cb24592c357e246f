"""What the Python layer knows of each loss: targets, predictions, accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn._types import Array
from pynn.ops import ACTIVATIONS


@dataclass(frozen=True)
class LossInfo:
    """A loss's facts.

    Attributes
    ----------
    output : str
        The output activation that comes with the loss.
    outputs : tuple of str
        The output activations it can be combined with.
    classes : bool
        Whether targets may be class labels, and predictions are.
    """

    output: str
    outputs: tuple[str, ...]
    classes: bool


LOSSES = {
    "softmax_cross_entropy": LossInfo("softmax", ("softmax",), True),
    "sigmoid_cross_entropy": LossInfo("sigmoid", ("sigmoid",), True),
    "squared_error": LossInfo("identity", ACTIVATIONS, False),
    "mse": LossInfo("identity", ACTIVATIONS, False),
}


@dataclass(frozen=True)
class Targets:
    """Targets as the core takes them: a vector of int64 labels, or a matrix of values."""

    values: Array
    labels: bool

    def rows(self, start: int, stop: int) -> Array:
        """A contiguous piece."""
        return self.values[start:stop]


def check_targets(y: Any, loss: str, rows: int, outputs: int, name: str) -> Targets:
    """Check `y` against the loss, the number of rows and the number of outputs.

    Parameters
    ----------
    y : array_like
    loss : str
    rows, outputs : int
    name : str
        The argument's name, for the message.

    Returns
    -------
    Targets

    Raises
    ------
    ValueError, TypeError
        If `y` does not fit, naming its shape and dtype and what was expected.
    """
    array = np.asarray(y)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have 1 or 2 dimensions, got shape {array.shape}")
    if len(array) != rows:
        raise ValueError(f"{name} has {len(array)} rows (shape {array.shape}), expected {rows}")
    classes = LOSSES[loss].classes
    if array.ndim == 1:
        one_column = outputs == 1 and loss != "softmax_cross_entropy"
        if not one_column:
            return Targets(_labels(array, loss, outputs, name), labels=True)
        array = array[:, np.newaxis]
    if array.shape[1] != outputs:
        hint = ""
        if classes and array.shape[1] == 1 and array.dtype.kind in "iu":
            hint = f"; for class labels pass a vector, {name}.ravel()"
        raise ValueError(
            f"{name} has shape {array.shape}, expected ({rows},{outputs}) or, for "
            f"{'class labels' if classes else 'one output'}, ({rows},){hint}"
        )
    if classes and array.size and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"{name} holds values from {array.min()} to {array.max()}, expected probabilities "
            f"between 0 and 1 for loss={loss!r}"
        )
    return Targets(_readable(array), labels=False)


def _labels(array: Array, loss: str, outputs: int, name: str) -> Array:
    if not LOSSES[loss].classes:
        raise ValueError(
            f"{name} has shape {array.shape}, expected ({len(array)},{outputs}) for a network "
            f"with {outputs} outputs"
        )
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{name} is a vector of dtype {array.dtype}; for loss={loss!r} it must hold integer "
            f"class labels, or be a matrix of shape ({len(array)},{outputs}) of probabilities"
        )
    if array.size and (array.min() < 0 or array.max() >= outputs):
        raise ValueError(
            f"{name} holds labels from {array.min()} to {array.max()}, expected 0 to "
            f"{outputs - 1} for a network with {outputs} outputs"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def _readable(array: Array) -> Array:
    """`array` in a type and layout that the core reads mini-batch by mini-batch."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()


def check_samples(x: Any, columns: int, name: str) -> Array:
    """Check that `x` is a matrix of numbers with `columns` columns and at least one row.

    Parameters
    ----------
    x : array_like
    columns : int
    name : str
        The argument's name, for the message.

    Returns
    -------
    ndarray
        `x` itself wherever the core can read it.

    Raises
    ------
    ValueError, TypeError
        If `x` does not fit, naming its shape and dtype and what was expected.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} has shape {array.shape}, expected (n, {columns})")
    return _readable(array)


def predictions(loss: str, outputs: Array) -> Array:
    """Labels for the cross-entropies, the outputs themselves otherwise."""
    if loss == "softmax_cross_entropy":
        best: Array = np.argmax(outputs, axis=-1)
        return best
    if loss == "sigmoid_cross_entropy":
        positive = (outputs > 0.5).astype(np.int64)
        first: Array = positive[..., 0]
        return first if outputs.shape[-1] == 1 else positive
    return outputs


def correct(loss: str, outputs: Array, target: Array, labels: bool) -> int:
    """How many rows of (raw or final) outputs are classified as their targets say."""
    threshold = 0.0 if loss == "sigmoid_cross_entropy" else None
    if threshold is not None and not labels:
        return int(np.all((outputs > threshold) == (target > 0.5), axis=1).sum())
    wanted = target if labels else np.argmax(target, axis=1)
    return int((np.argmax(outputs, axis=1) == wanted).sum())
