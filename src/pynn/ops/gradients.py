"""Gradients of the activations, from their outputs where the derivative allows it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn import _core
from pynn._types import Array
from pynn.ops._operands import check_alpha, check_out, common

__all__ = [
    "elu_backward",
    "leaky_relu_backward",
    "relu_backward",
    "sigmoid_backward",
    "silu_backward",
    "softplus_backward",
    "tanh_backward",
]


def backward(name: str, dy: ArrayLike, y: ArrayLike, out: Array | None, alpha: float = 0.0) -> Any:
    delta, values = common(dy=dy, **{"x" if name == "silu" else "y": y})
    if delta.shape != values.shape:
        other = "x" if name == "silu" else "y"
        raise ValueError(f"dy has shape {delta.shape}, but {other} has shape {values.shape}")
    if out is not None:
        check_out(out, delta.shape, delta.dtype)
    result: Array = np.empty(delta.shape, delta.dtype)
    delta, values = np.ascontiguousarray(delta), np.ascontiguousarray(values)
    if name in ("softmax", "log_softmax"):
        if result.size:
            shape = (-1, result.shape[-1])
            _core.softmax_backward_into(
                delta.reshape(shape),
                values.reshape(shape),
                name == "log_softmax",
                result.reshape(shape),
            )
    else:
        _core.activation_backward_into(name, alpha, delta, values, result)
    if out is None:
        return result if result.ndim else result[()]
    np.copyto(out, result, casting="same_kind")
    return out


def relu_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `relu`, from its output: ``dy * (y > 0)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = relu(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`; the derivative at 0 is 0.
    """
    return backward("relu", dy, y, out)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `sigmoid`, from its output: ``dy * y * (1 - y)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = sigmoid(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return backward("sigmoid", dy, y, out)


def tanh_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `tanh`, from its output: ``dy * (1 - y**2)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = tanh(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return backward("tanh", dy, y, out)


def leaky_relu_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, alpha: float = 0.01
) -> Any:
    """Gradient of `leaky_relu`, from its output: ``dy * (1 if y > 0 else alpha)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = leaky_relu(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.
    alpha : float, default 0.01
        As for `leaky_relu`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return backward("leaky_relu", dy, y, out, check_alpha(alpha))


def elu_backward(
    dy: ArrayLike, y: ArrayLike, /, out: Array | None = None, *, alpha: float = 1.0
) -> Any:
    """Gradient of `elu`, from its output: ``dy * (1 if y > 0 else y + alpha)``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = elu(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.
    alpha : float, default 1.0
        As for `elu`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return backward("elu", dy, y, out, check_alpha(alpha))


def softplus_backward(dy: ArrayLike, y: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `softplus`, from its output: ``dy * (1 - exp(-y))``.

    Parameters
    ----------
    dy, y : array_like of one shape
        The loss's gradient with respect to ``y = softplus(x)``, and `y`.
    out : ndarray, optional
        Where the result goes; may be `dy` or `y`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return backward("softplus", dy, y, out)


def silu_backward(dy: ArrayLike, x: ArrayLike, /, out: Array | None = None) -> Any:
    """Gradient of `silu`, from its input: ``dy * s * (1 + x * (1 - s))``.

    Parameters
    ----------
    dy, x : array_like of one shape
        The loss's gradient with respect to ``y = silu(x)``, and `x`. (``s`` is ``sigmoid(x)``.)
    out : ndarray, optional
        Where the result goes; may be `dy` or `x`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`.
    """
    return backward("silu", dy, x, out)
