"""Gradients of the activations, from their outputs where the derivative allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._types import Array, ArrayLike
from pynn.ops._builtin import builtin
from pynn.ops._operands import (
    check_alpha,
    check_approximate,
    check_out,
    common,
    is_masked,
    masked,
    store,
)

__all__ = [
    "elu_backward",
    "gelu_backward",
    "leaky_relu_backward",
    "relu_backward",
    "sigmoid_backward",
    "silu_backward",
    "softplus_backward",
    "tanh_backward",
]


def _general(
    function: Callable[..., Any],
    dy: ArrayLike,
    y: ArrayLike,
    out: Array | None,
    name: str = "y",
    **keywords: Any,
) -> Any:
    """Answer any call on real numbers with the compiled `function`; `name` is that of `y`."""
    if out is None and (is_masked(dy) or is_masked(y)):
        bare_dy, bare_y = (np.asarray(x) if is_masked(x) else x for x in (dy, y))
        result = _general(function, bare_dy, bare_y, None, name, **keywords)
        return masked(result, dy, y)
    delta, values = common(dy=dy, **{name: y})
    if delta.shape != values.shape:
        raise ValueError(f"dy has shape {delta.shape}, but {name} has shape {values.shape}")
    if out is not None:
        check_out(out, delta.shape, delta.dtype)
    # ascontiguousarray gives a scalar an axis.
    result = function(np.ascontiguousarray(delta), np.ascontiguousarray(values), **keywords)
    result = result if delta.ndim else result[0]
    if out is None:
        return result
    store(out, result)
    return out


@builtin
def relu_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `relu`, from its output: ``dy * (y > 0)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = relu(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`; the derivative at 0 is 0.
    """
    return _general(relu_backward, dy, y, out)


@builtin
def sigmoid_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `sigmoid`, from its output: ``dy * y * (1 - y)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = sigmoid(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general(sigmoid_backward, dy, y, out)


@builtin
def tanh_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `tanh`, from its output: ``dy * (1 - y**2)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = tanh(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general(tanh_backward, dy, y, out)


@builtin
def leaky_relu_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, alpha: float = 0.01
) -> Any:
    """Gradient of `leaky_relu`, from its output: ``dy * (1 if y > 0 else alpha)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = leaky_relu(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.
    alpha : float, default 0.01
        As for `leaky_relu`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general(leaky_relu_backward, dy, y, out, alpha=check_alpha(alpha))


@builtin
def elu_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, alpha: float = 1.0
) -> Any:
    """Gradient of `elu`, from its output: ``dy * (1 if y > 0 else y + alpha)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = elu(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.
    alpha : float, default 1.0
        As for `elu`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general(elu_backward, dy, y, out, alpha=check_alpha(alpha))


@builtin
def softplus_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `softplus`, from its output: ``dy * (1 - exp(-y))``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = softplus(x)``, and `y`.
    out : ndarray, optional
        Receives the result; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general(softplus_backward, dy, y, out)


@builtin
def silu_backward(dy: ArrayLike, x: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `silu`, from its input: ``dy * s * (1 + x * (1 - s))``.

    Parameters
    ----------
    dy, x : array_like of one shape
        The loss's gradient with respect to ``y = silu(x)``, and `x`. (``s`` is ``sigmoid(x)``.)
    out : ndarray, optional
        Receives the result; may be `dy` or `x`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return _general(silu_backward, dy, x, out, "x")


@builtin
def gelu_backward(
    dy: ArrayLike, x: ArrayLike, /, out: Array | None = None, *, approximate: str = "none"
) -> Any:
    """Gradient of `gelu`, from its input: ``dy * (Phi(x) + x * phi(x))``.

    Parameters
    ----------
    dy, x : array_like of one shape
        The loss's gradient with respect to ``y = gelu(x)``, and `x`. (``phi`` is the normal
        distribution's density.)
    out : ndarray, optional
        Receives the result; may be `dy` or `x`.
    approximate : {"none", "tanh"}, default "none"
        As for `gelu`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    keywords = {"approximate": check_approximate(approximate)}
    return _general(gelu_backward, dy, x, out, "x", **keywords)
