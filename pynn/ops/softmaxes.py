"""Softmax and its logarithm along axes, with their gradients."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._types import Array, ArrayLike
from pynn.ops._builtin import builtin
from pynn.ops._operands import check_out, common, float_array, store

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


Axis = int | tuple[int, ...] | None

# NumPy 1.25 moved it.
_AxisError: type[ValueError] = getattr(np, "exceptions", np).AxisError


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return `axis` as a tuple of axes, counted from 0. None: all axes."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    axes = []
    for one in map(operator.index, given):
        # NumPy's reductions give a scalar one axis.
        if not -ndim <= one < ndim and not (ndim == 0 and one in (-1, 0)):
            raise _AxisError(f"axis {one} is out of bounds for array of dimension {ndim}")
        axes.append(one % ndim if ndim else 0)
    if len({*axes}) < len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(axes) if ndim else ()


def _along(function: Callable[..., Array], operands: list[Array], axis: Axis, out: Any) -> Any:
    """Apply the compiled `function`, which works along the last axis, along any axes."""
    shape = operands[0].shape
    axes = _axes(axis, len(shape))
    if out is not None:
        check_out(out, shape, operands[0].dtype)
    last = range(-len(axes), 0)
    moved = [np.moveaxis(x, axes, last) for x in operands]
    length = math.prod(shape[i] for i in axes)
    rows = [np.ascontiguousarray(x).reshape(-1, length) if x.size else x for x in moved]
    result = function(*rows) if rows[0].size else np.empty(moved[0].shape, rows[0].dtype)
    result = np.moveaxis(result.reshape(moved[0].shape), last, axes)
    if out is None:
        return result if result.ndim else result[()]
    store(out, result)
    return out


def _general(function: Callable[..., Array], x: ArrayLike, out: Array | None, axis: Axis) -> Any:
    """Answer a call on any real numbers and axes with the compiled `function`."""
    return _along(function, [float_array(x, "x")], axis, out)


def _general_backward(
    function: Callable[..., Array], dy: ArrayLike, y: ArrayLike, out: Array | None, axis: Axis
) -> Any:
    operands = common(dy=dy, y=y)
    if operands[0].shape != operands[1].shape:
        raise ValueError(f"dy has shape {operands[0].shape}, but y has shape {operands[1].shape}")
    return _along(function, operands, axis, out)


@builtin
def softmax(x: ArrayLike, /, out: Array | None = None, *, axis: Axis = -1) -> Any:
    """Softmax along axes: ``exp(x - max) / sum(exp(x - max))``.

    Parameters
    ----------
    x : array_like
        Real numbers. float16 and float32 are computed in float32, other types in float64.
    out : ndarray of `x`'s shape, optional
        Receives the result; may be `x`.
    axis : int, tuple of int or None, default -1
        The axes along which the results sum to 1; None: all of them.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    Raises
    ------
    ValueError, TypeError
        If `axis` or `out` does not fit; if `x` is sparse or hides values.

    Examples
    --------
    >>> import pynn
    >>> pynn.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    return _general(softmax, x, out, axis)


@builtin
def log_softmax(x: ArrayLike, /, out: Array | None = None, *, axis: Axis = -1) -> Any:
    """Logarithm of the softmax along axes, without the softmax's underflow.

    Parameters
    ----------
    x : array_like
        Real numbers. float16 and float32 are computed in float32, other types in float64.
    out : ndarray of `x`'s shape, optional
        Receives the result; may be `x`.
    axis : int, tuple of int or None, default -1
        The axes along which the exponentials of the results sum to 1; None: all of them.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    Raises
    ------
    ValueError, TypeError
        If `axis` or `out` does not fit; if `x` is sparse or hides values.

    Examples
    --------
    >>> import pynn
    >>> pynn.log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    return _general(log_softmax, x, out, axis)


@builtin
def softmax_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, axis: Axis = -1
) -> Any:
    """Gradient of `softmax`, from its output: ``y * (dy - sum(dy * y))``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = softmax(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.
    axis : int, tuple of int or None, default -1
        The axes of the softmax.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general_backward(softmax_backward, dy, y, out, axis)


@builtin
def log_softmax_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, axis: Axis = -1
) -> Any:
    """Gradient of `log_softmax`, from its output: ``dy - exp(y) * sum(dy)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = log_softmax(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.
    axis : int, tuple of int or None, default -1
        The axes of the softmax.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general_backward(log_softmax_backward, dy, y, out, axis)
