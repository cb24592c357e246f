"""The fully connected layer, forward and backward."""

from __future__ import annotations

import math

import numpy as np

from pynn._types import ACTIVATIONS, Array, ArrayLike
from pynn.ops._builtin import builtin
from pynn.ops._operands import check_ndim, check_out, common, store, usable

__all__ = ["linear", "linear_backward"]


def _as_rows(x: Array) -> Array:
    """Return `x` with its leading axes joined to one."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


@builtin
def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    activation: str = "identity",
    out: Array | None = None,
) -> Array:
    """Fully connected layer, ``activation(x @ w + b)`` in one pass.

    Parameters
    ----------
    x : array_like of shape (..., n_in)
    w : array_like of shape (n_in, n_out)
    b : array_like of shape (n_out,), optional
        The operands are real. The result is float32 if all of them are, else float64.
    activation : {"identity", "relu", "sigmoid", "tanh"}
    out : ndarray of shape (..., n_out), optional
        Receives the result; it may overlap the operands.

    Returns
    -------
    ndarray of shape (..., n_out)

    Raises
    ------
    ValueError, TypeError
        If an operand does not fit, before anything is written.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.linear(np.ones((1, 2)), np.eye(2), np.array([1.0, -3.0]), activation="relu")
    array([[2., 0.]])
    """
    operands = common(x=x, w=w) if b is None else common(x=x, w=w, b=b)
    left, weights = operands[:2]
    bias = None if b is None else operands[2]
    check_ndim(weights, "w", 2)
    if left.ndim == 0 or left.shape[-1] != weights.shape[0]:
        raise ValueError(
            f"x has shape {left.shape}, expected (..., {weights.shape[0]}) for w of shape "
            f"{weights.shape}"
        )
    if bias is not None and bias.shape != (weights.shape[1],):
        raise ValueError(f"b has shape {bias.shape}, expected ({weights.shape[1]},)")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {ACTIVATIONS}, got {activation!r}")
    shape, dtype = (*left.shape[:-1], weights.shape[1]), left.dtype
    if out is not None:
        check_out(out, shape, dtype)
    in_place = (
        out is not None
        and usable(out, dtype)
        and not any(np.may_share_memory(out, operand) for operand in operands)
    )
    result = out if out is not None and in_place else np.empty(shape, dtype)
    linear(
        _as_rows(left),
        np.ascontiguousarray(weights),
        None if bias is None else np.ascontiguousarray(bias),
        activation=activation,
        out=_as_rows(np.asarray(result)),
    )
    if out is None:
        return result
    if result is not out:
        store(out, result)
    return out


@builtin
def linear_backward(dy: ArrayLike, x: ArrayLike, w: ArrayLike) -> tuple[Array, Array, Array]:
    """Gradients of ``y = x @ w + b``.

    Parameters
    ----------
    dy : array_like of shape (..., n_out)
        The loss's gradient with respect to `y`.
    x : array_like of shape (..., n_in)
    w : array_like of shape (n_in, n_out)

    Returns
    -------
    dx : ndarray of shape (..., n_in)
    dw : ndarray of shape (n_in, n_out)
        Summed over all rows of `x`.
    db : ndarray of shape (n_out,)

    Raises
    ------
    ValueError, TypeError
        If an operand does not fit.
    """
    delta, left, weights = common(dy=dy, x=x, w=w)
    check_ndim(weights, "w", 2)
    n_in, n_out = weights.shape
    if left.ndim == 0 or left.shape[-1] != n_in:
        raise ValueError(f"x has shape {left.shape}, expected (..., {n_in}) for w {weights.shape}")
    if delta.shape != (*left.shape[:-1], n_out):
        raise ValueError(
            f"dy has shape {delta.shape}, expected {(*left.shape[:-1], n_out)} for x of shape "
            f"{left.shape} and w of shape {weights.shape}"
        )
    rows = np.ascontiguousarray(_as_rows(delta))
    dx, dw, db = linear_backward(rows, _as_rows(left), weights)
    return dx.reshape(left.shape), dw, db
