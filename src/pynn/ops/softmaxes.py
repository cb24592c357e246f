"""Softmax and its logarithm along an axis, with their gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pynn._types import Array, ArrayLike
from pynn.ops._builtin import builtin
from pynn.ops._operands import check_out, common, float_array

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def _to_last(x: Array, axis: int, name: str) -> Array:
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} is out of bounds for {name} of shape {x.shape}")
    return np.ascontiguousarray(np.moveaxis(x, axis, -1))


def _from_last(result: Array, axis: int, out: Array | None) -> Array:
    result = np.moveaxis(result, -1, axis)
    if out is None:
        return result
    np.copyto(out, result, casting="same_kind")
    return out


def _general(function: Callable[..., Array], x: ArrayLike, out: Array | None, axis: int) -> Array:
    """Anything real along any axis, from what the compiled `function` takes."""
    array = float_array(x, "x")
    moved = _to_last(array, axis, "x")
    if out is not None:
        check_out(out, array.shape, array.dtype)
    return _from_last(function(moved), axis, out)


def _general_backward(
    function: Callable[..., Array], dy: ArrayLike, y: ArrayLike, out: Array | None, axis: int
) -> Array:
    delta, values = common(dy=dy, y=y)
    if delta.shape != values.shape:
        raise ValueError(f"dy has shape {delta.shape}, but y has shape {values.shape}")
    if out is not None:
        check_out(out, delta.shape, delta.dtype)
    result = function(_to_last(delta, axis, "dy"), _to_last(values, axis, "y"))
    return _from_last(result, axis, out)


@builtin
def softmax(x: ArrayLike, /, out: Array | None = None, *, axis: int = -1) -> Array:
    """Softmax along an axis: ``exp(x - max) / sum(exp(x - max))``.

    Parameters
    ----------
    x : array_like
        Real; float16 and float32 are computed in float32, anything else in float64.
    out : ndarray of `x`'s shape, optional
        Where the result goes; may be `x`.
    axis : int, default -1
        The axis along which the results sum to 1.

    Returns
    -------
    ndarray of `x`'s shape

    Raises
    ------
    ValueError, TypeError
        If `axis` or `out` does not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    return _general(softmax, x, out, axis)


@builtin
def log_softmax(x: ArrayLike, /, out: Array | None = None, *, axis: int = -1) -> Array:
    """Logarithm of the softmax along an axis, without the softmax's underflow.

    Parameters
    ----------
    x : array_like
        Real; float16 and float32 are computed in float32, anything else in float64.
    out : ndarray of `x`'s shape, optional
        Where the result goes; may be `x`.
    axis : int, default -1
        The axis along which the exponentials of the results sum to 1.

    Returns
    -------
    ndarray of `x`'s shape

    Raises
    ------
    ValueError, TypeError
        If `axis` or `out` does not fit.

    Examples
    --------
    >>> import pynn
    >>> pynn.log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    return _general(log_softmax, x, out, axis)


@builtin
def softmax_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, axis: int = -1
) -> Array:
    """Gradient of `softmax`, from its output: ``y * (dy - sum(dy * y))``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = softmax(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.
    axis : int, default -1
        The axis of the softmax.

    Returns
    -------
    ndarray
        The gradient with respect to `x`.
    """
    return _general_backward(softmax_backward, dy, y, out, axis)


@builtin
def log_softmax_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, axis: int = -1
) -> Array:
    """Gradient of `log_softmax`, from its output: ``dy - exp(y) * sum(dy)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = log_softmax(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.
    axis : int, default -1
        The axis of the softmax.

    Returns
    -------
    ndarray
        The gradient with respect to `x`.
    """
    return _general_backward(log_softmax_backward, dy, y, out, axis)
