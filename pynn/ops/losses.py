"""Losses of outputs and targets, with their gradients with respect to the outputs."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pynn import _checks, _core
from pynn._keywords import refuse, refuses_unknown
from pynn._types import Array, ArrayLike
from pynn.losses import check_sums
from pynn.ops._operands import dense, float_array, plain

__all__ = [
    "huber",
    "mae",
    "mse",
    "pinball",
    "poisson",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
]


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


def _loss(
    name: str, argument: str, outputs: ArrayLike, target: ArrayLike, **settings: Any
) -> tuple[float, Array]:
    z: Array = float_array(outputs, argument)
    if z.ndim not in (1, 2) or z.size == 0:
        raise ValueError(f"{argument} has shape {z.shape}, expected (m, n) with at least one row")
    t = np.asarray(dense(target, "target"))
    labels = name.endswith("cross_entropy") and t.dtype.kind in "biu" and t.ndim == z.ndim - 1
    # A vector is a row of logits for the softmax, and a column for the other losses.
    as_row = z.ndim == 1 and (labels or name == "softmax_cross_entropy")
    rows = np.ascontiguousarray(z.reshape(1, -1) if as_row else z.reshape(len(z), -1))
    if labels:
        classes = rows.shape[1] if name == "softmax_cross_entropy" else max(rows.shape[1], 2)
        t = as_labels(np.atleast_1d(t), len(rows), classes, "target")
    else:
        if t.shape != z.shape:
            raise ValueError(f"target has shape {t.shape}, expected {z.shape}, that of {argument}")
        t = np.ascontiguousarray(plain(float_array(t, "target"), z.dtype)).reshape(rows.shape)
        if name == "softmax_cross_entropy":
            check_sums(t, target, "target")
    loss = {"name": name, **settings}
    gradient = np.empty(rows.shape, rows.dtype)
    total = _core.loss_into(loss, rows, t, None, gradient)
    return total / len(rows), gradient.reshape(z.shape)


def softmax_cross_entropy(logits: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Softmax cross-entropy, ``-sum(target * log(softmax(logits)))``, averaged over the rows.

    Parameters
    ----------
    logits : array_like of shape (m, n)
        A vector of shape (n,) is a single row.
    target : array_like
        m integer labels in [0, n), or probabilities of shape (m, n), each row with a sum of 1.

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
        Probabilities in [0, 1] of the logits' shape, or m integer labels. For n > 1 a label is the
        index of the output that is 1; for n = 1 it is 0 or 1.

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


def mae(y: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Mean absolute error over rows and outputs.

    Parameters
    ----------
    y, target : array_like of shape (m, n) or (m,)

    Returns
    -------
    loss : float
    dy : ndarray of `y`'s shape
        The gradient, ``sign(y - target) / (m * n)``, 0 where both are equal.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.mae(np.array([1.0, 5.0]), np.array([2.0, 2.0]))
    (2.0, array([-0.5,  0.5]))
    """
    return _loss("mae", "y", y, target)


@refuses_unknown
def huber(
    y: ArrayLike, target: ArrayLike, *excess: NoReturn, delta: float = 1.0, **unknown: NoReturn
) -> tuple[float, Array]:
    """Huber's loss, the mean over rows and outputs.

    Parameters
    ----------
    y, target : array_like of shape (m, n) or (m,)
    delta : float, default 1.0
        Greater than 0: ``d**2 / 2`` for errors d up to it, ``delta * (abs(d) - delta / 2)`` beyond.

    Returns
    -------
    loss : float
    dy : ndarray of `y`'s shape
        The gradient, ``clip(y - target, -delta, delta) / (m * n)``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.huber(np.array([1.0, 5.0]), np.array([2.0, 2.0]))
    (1.5, array([-0.5,  0.5]))
    """
    refuse(unknown, huber, "huber()", y, target, excess=excess)
    delta = _checks.number(delta, "delta", low=0.0, open_low=True)
    return _loss("huber", "y", y, target, delta=delta)


@refuses_unknown
def pinball(
    y: ArrayLike,
    target: ArrayLike,
    *excess: NoReturn,
    quantile: ArrayLike = 0.5,
    **unknown: NoReturn,
) -> tuple[float, Array]:
    """Pinball loss of quantiles, the mean over rows and outputs.

    Parameters
    ----------
    y, target : array_like of shape (m, n) or (m,)
    quantile : float or array_like of shape (n,), default 0.5
        In (0, 1): one for all outputs or one for each.

    Returns
    -------
    loss : float
        With ``d = target - y``: the mean of ``q * d`` where d > 0 and ``(q - 1) * d`` elsewhere.
    dy : ndarray of `y`'s shape
        The gradient; 0 where both are equal.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.pinball(np.array([1.0, 5.0]), np.array([2.0, 2.0]), quantile=0.75)
    (0.75, array([-0.375,  0.125]))
    """
    refuse(unknown, pinball, "pinball()", y, target, excess=excess)
    y, quantile = dense(y, "y"), dense(quantile, "quantile")
    shape = np.shape(y)
    outputs = shape[1] if len(shape) == 2 else 1
    q = np.asarray(quantile)
    if q.dtype.kind not in "biuf":
        raise TypeError(f"quantile must hold numbers, got {quantile!r}")
    if q.shape not in ((), (outputs,)):
        raise ValueError(f"quantile has shape {q.shape}, expected () or ({outputs},)")
    if not np.all((q > 0) & (q < 1)):
        raise ValueError(f"quantile must be in (0, 1), got {quantile!r}")
    quantiles = np.broadcast_to(q.astype(float), outputs).tolist()
    return _loss("pinball", "y", y, target, quantiles=quantiles)


def poisson(log_mean: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Half the deviance of Poisson's distribution, summed over the outputs, averaged over the rows.

    Parameters
    ----------
    log_mean : array_like of shape (m, n) or (m,)
        z, the logarithm of the expected count.
    target : array_like of the same shape
        t, counts of at least 0.

    Returns
    -------
    loss : float
        The mean of ``sum(exp(z) - t * z + t * log(t) - t)``: 0 where ``exp(z)`` is t.
    dlog_mean : ndarray of the shape of `log_mean`
        The gradient, ``(exp(z) - t) / m``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> loss, gradient = pynn.poisson(np.zeros(2), np.array([0.0, 1.0]))
    >>> loss, gradient
    (0.5, array([0.5, 0. ]))
    """
    t = np.asarray(dense(target, "target"))
    if t.dtype.kind in "biuf" and t.size and t.min() < 0:
        raise ValueError(f"target holds values down to {t.min()}, expected at least 0")
    return _loss("poisson", "log_mean", log_mean, target)
