"""Losses: a number for outputs and targets, and its gradient with respect to the outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pynn import _core
from pynn._types import Array
from pynn.ops._operands import float_array, plain

__all__ = ["mse", "sigmoid_cross_entropy", "softmax_cross_entropy", "squared_error"]


def as_labels(target: ArrayLike, rows: int, classes: int, name: str) -> Array:
    """Check class labels and return them as a contiguous vector of int64."""
    labels = np.asarray(target)
    if labels.shape != (rows,):
        raise ValueError(f"{name} has shape {labels.shape}, expected ({rows},) for labels")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"{name} holds labels from {labels.min()} to {labels.max()}, expected 0 to "
            f"{classes - 1}"
        )
    return np.ascontiguousarray(labels, dtype=np.int64)


def _loss(name: str, argument: str, outputs: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    z: Array = float_array(outputs, argument)
    if z.ndim not in (1, 2) or z.size == 0:
        raise ValueError(f"{argument} has shape {z.shape}, expected (m, n) with at least one row")
    t = np.asarray(target)
    labels = name.endswith("cross_entropy") and t.dtype.kind in "biu" and t.ndim == z.ndim - 1
    # One axis is a row of logits for the softmax, and a column for the others.
    as_row = z.ndim == 1 and (labels or name == "softmax_cross_entropy")
    rows = np.ascontiguousarray(z.reshape(1, -1) if as_row else z.reshape(len(z), -1))
    if labels:
        classes = rows.shape[1] if name == "softmax_cross_entropy" else max(rows.shape[1], 2)
        t = as_labels(np.atleast_1d(t), len(rows), classes, "target")
    else:
        if t.shape != z.shape:
            raise ValueError(f"target has shape {t.shape}, expected {z.shape}, that of {argument}")
        t = np.ascontiguousarray(plain(float_array(t, "target"), z.dtype)).reshape(rows.shape)
    gradient = np.empty(rows.shape, rows.dtype)
    value = _core.loss_into(name, rows, t, gradient)
    return value, gradient.reshape(z.shape)


def softmax_cross_entropy(logits: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Softmax cross-entropy, ``-sum(target * log(softmax(logits)))``, averaged over the rows.

    Parameters
    ----------
    logits : array_like of shape (m, n)
        Or of shape (n,), a single row.
    target : array_like
        m integer labels in [0, n), or rows of probabilities of shape (m, n).

    Returns
    -------
    loss : float
        Natural logarithm (nats).
    dlogits : ndarray of the logits' shape
        The gradient, ``(softmax(logits) - target) / m``.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.
    """
    return _loss("softmax_cross_entropy", "logits", logits, target)


def sigmoid_cross_entropy(logits: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Sigmoid cross-entropy, summed over the outputs and averaged over the rows.

    Parameters
    ----------
    logits : array_like of shape (m, n) or (m,)
    target : array_like
        Probabilities in the logits' shape (0 and 1 included), or m integer labels: of the output
        that is 1 (n > 1), or 0 and 1 themselves (n = 1).

    Returns
    -------
    loss : float
        In nats.
    dlogits : ndarray of the logits' shape
        The gradient, ``(sigmoid(logits) - target) / m``.
    """
    return _loss("sigmoid_cross_entropy", "logits", logits, target)


def squared_error(y: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Half the squared error, ``0.5 * sum((y - target)**2)``, averaged over the rows.

    Parameters
    ----------
    y, target : array_like of shape (m, n) or (m,)

    Returns
    -------
    loss : float
    dy : ndarray of `y`'s shape
        The gradient, ``(y - target) / m``.
    """
    return _loss("squared_error", "y", y, target)


def mse(y: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Mean squared error over rows and outputs.

    Parameters
    ----------
    y, target : array_like of shape (m, n) or (m,)

    Returns
    -------
    loss : float
    dy : ndarray of `y`'s shape
        The gradient, ``2 * (y - target) / (m * n)``.
    """
    return _loss("mse", "y", y, target)
