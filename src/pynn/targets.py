"""Samples, targets and weights: checked, and in a form that the core reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn import _checks
from pynn._sparse import CsrRows, csr_rows, is_sparse
from pynn._types import Array
from pynn.losses import LOSSES


@dataclass(frozen=True)
class Targets:
    """Targets as the core takes them: a vector of int64 labels, or a matrix of values."""

    values: Array
    labels: bool

    def rows(self, index: Any) -> Array:
        """Those of some samples, contiguous."""
        return np.ascontiguousarray(self.values[index])


@dataclass(frozen=True)
class Data:
    """Samples with their targets and, if there are any, their weights (float64)."""

    samples: Array | CsrRows
    targets: Targets
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.samples)


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
    if loss == "poisson" and array.size and array.min() < 0:
        raise ValueError(
            f"{name} holds values down to {array.min()}, expected at least 0 for loss='poisson'"
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


def check_samples(x: Any, columns: int, name: str) -> Array | CsrRows:
    """Check that `x` is a matrix of numbers with `columns` columns.

    Parameters
    ----------
    x : array_like or sparse matrix
    columns : int
    name : str
        The argument's name, for the message.

    Returns
    -------
    ndarray or CsrRows
        `x` itself, or its arrays, wherever the core can read it.

    Raises
    ------
    ValueError, TypeError
        If `x` does not fit, naming its shape and dtype and what was expected.
    """
    if is_sparse(x):
        if len(x.shape) != 2 or x.shape[1] != columns:
            raise ValueError(f"{name} has shape {x.shape}, expected (n, {columns})")
        return csr_rows(x, name)
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} has shape {array.shape}, expected (n, {columns})")
    return _readable(array)


def check_weights(weights: Any, rows: int, name: str) -> Array | None:
    """Check weights of samples: not negative, finite, and not all 0.

    Parameters
    ----------
    weights : array_like of shape (rows,) or None
    rows : int
    name : str
        The argument's name, for the message.

    Returns
    -------
    ndarray of float64 or None

    Raises
    ------
    ValueError, TypeError
        If they do not fit.
    """
    if weights is None:
        return None
    array = np.asarray(weights)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.shape != (rows,):
        raise ValueError(f"{name} has shape {array.shape}, expected ({rows},)")
    result = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(result).all() or result.min(initial=0.0) < 0:
        raise ValueError(f"{name} must hold finite values of at least 0")
    if not result.any():
        raise ValueError(f"{name} is 0 everywhere")
    return result


def class_weights(spec: Any, targets: Targets, loss: str, rows: Array | None = None) -> Array:
    """Weights of samples by their classes.

    Parameters
    ----------
    spec : "balanced" or dict of int to float
        "balanced": n / (classes * samples of the class), over the classes that occur. Classes that
        a dict leaves out have weight 1.
    targets : Targets
        Rows of probabilities count as their most probable class, a single output as 0 or 1.
    loss : str
    rows : ndarray of int64, optional
        The samples that "balanced" counts, by their indices; all of them by default.

    Returns
    -------
    ndarray of float64
        One for each sample, counted or not.

    Raises
    ------
    ValueError, TypeError
        If the targets are not classes or `spec` is neither.
    """
    if not LOSSES[loss].classes:
        raise ValueError(f"class_weight needs classes, but loss={loss!r} has values as targets")
    if targets.labels:
        labels = targets.values
    elif targets.values.shape[1] == 1:
        labels = (targets.values[:, 0] > 0.5).astype(np.int64)
    elif loss == "softmax_cross_entropy":
        labels = targets.values.argmax(axis=1)
    else:
        raise ValueError(
            "class_weight needs one class a sample, but each row of y holds several yes-or-no "
            "targets; use sample_weight"
        )
    if isinstance(spec, str):
        _checks.choice(spec, "class_weight", ("balanced",))
        counted = labels if rows is None else labels[rows]
        counts = np.bincount(counted, minlength=int(labels.max(initial=0)) + 1)
        present = np.count_nonzero(counts)
        by_class = len(counted) / (present * np.maximum(counts, 1))
        return np.asarray(by_class[labels], np.float64)
    if not isinstance(spec, dict):
        raise TypeError(f"class_weight must be 'balanced' or a dict, got {spec!r}")
    weights = np.ones(int(labels.max(initial=0)) + 1)
    for label, value in spec.items():
        key = _checks.integer(label, "class_weight's key", 0)
        weight = _checks.number(value, f"class_weight[{key}]", low=0.0, open_low=False)
        if key < len(weights):
            weights[key] = weight
    return weights[labels]


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
