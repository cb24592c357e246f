"""Activations, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._types import Array, ArrayLike
from pynn.ops._builtin import builtin
from pynn.ops._operands import (
    cast,
    check_alpha,
    check_approximate,
    check_out,
    dense,
    is_masked,
    kernel_type,
    masked,
    plain,
    store,
    usable,
)

__all__ = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]


def _sigmoid_by_numpy(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, e, x.dtype.type(1)) / (1 + e)
    return result


# For types without kernels (longdouble).
_BY_NUMPY: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid_by_numpy,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, 0),
    # -infinity becomes the lowest number, whose product with 0 is the limit, -0.
    "silu": lambda x: np.maximum(x, np.finfo(x.dtype).min) * _sigmoid_by_numpy(x),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
}


def _general(function: Callable[..., Any], x: Any, out: Any, **keywords: Any) -> Any:
    """Answer any call that NumPy's functions take, with the compiled `function`."""
    name = function.__name__
    if is_masked(x) and out is None:
        return masked(_general(function, x.data, None, **keywords), x)
    array = np.asanyarray(dense(x, "x"))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: x must hold real numbers, got dtype {array.dtype}")
    target = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    # The result type of a ufunc: maximum keeps the type, a floating-point loop promotes integers.
    dtype = array.dtype if name == "relu" else np.tanh(np.empty(0, array.dtype)).dtype
    if target is not None:
        check_out(target, array.shape, dtype)
    kernels = kernel_type(dtype)
    if kernels is not None:
        source = np.ascontiguousarray(plain(array, kernels))  # a scalar gets an axis
        direct = target is not None and usable(target, kernels)
        exact = direct and (
            not np.may_share_memory(target, source)
            or target.__array_interface__["data"] == source.__array_interface__["data"]
        )
        result = function(source, np.ascontiguousarray(target) if exact else None, **keywords)
        result = target if exact else result if array.ndim else result[0]
    elif name == "relu":
        with np.errstate(all="ignore"):
            result = np.maximum(np.asarray(array), array.dtype.type(0))
    elif dtype.type is np.float16:
        single = cast(array, np.dtype(np.float32))
        result = cast(np.asarray(function(single, **keywords)), dtype)
    elif name not in _BY_NUMPY:
        double = cast(array, np.dtype(np.float64))
        result = cast(np.asarray(function(double, **keywords)), dtype)
    else:
        native = np.asarray(array, dtype.newbyteorder("="))
        with np.errstate(all="ignore"):  # the kernels raise no flag either
            result = np.asarray(_BY_NUMPY[name](native, **keywords))
    if target is None:
        return result if result.ndim else result[()]
    if result is not target:
        store(target, result)
    return target


@builtin
def relu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Rectified linear unit, ``max(x, 0)`` element by element.

    Parameters
    ----------
    x : array_like
        Input. Other types than float32 and float64 give the result of ``numpy.maximum(x, 0)``.
    out : ndarray, optional
        Receives the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape. NaN stays NaN. As with every activation, a masked array gives a masked
        array; together with `out`, hidden values are an error.
    """
    return _general(relu, x, out)


@builtin
def leaky_relu(x: ArrayLike, /, out: Array | None = None, *, alpha: float = 0.01) -> Any:
    """Leaky rectified linear unit: ``x`` for x >= 0, ``alpha * x`` otherwise.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`.
    out : ndarray, optional
        Receives the result; may be `x`.
    alpha : float, default 0.01
        The slope below 0, greater than 0.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    References
    ----------
    A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models",
    ICML 2013.
    """
    return _general(leaky_relu, x, out, alpha=check_alpha(alpha))


@builtin
def elu(x: ArrayLike, /, out: Array | None = None, *, alpha: float = 1.0) -> Any:
    """Exponential linear unit: ``x`` for x > 0, ``alpha * (exp(x) - 1)`` otherwise.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`.
    out : ndarray, optional
        Receives the result; may be `x`.
    alpha : float, default 1.0
        Greater than 0. The limit at -infinity is ``-alpha``.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    References
    ----------
    D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", ICLR 2016.
    """
    return _general(elu, x, out, alpha=check_alpha(alpha))


@builtin
def silu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Sigmoid linear unit, ``x * sigmoid(x)``, also called swish.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`.
    out : ndarray, optional
        Receives the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", Neural Networks 107, 2018.
    """
    return _general(silu, x, out)


@builtin
def gelu(x: ArrayLike, /, out: Array | None = None, *, approximate: str = "none") -> Any:
    """Gaussian error linear unit, ``x * Phi(x)``, `Phi` the normal distribution function.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`, longdouble in
        float64.
    out : ndarray, optional
        Receives the result; may be `x`.
    approximate : {"none", "tanh"}, default "none"
        "tanh" computes ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``, which differs
        by up to 0.0005.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.

    References
    ----------
    D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415, 2016.

    Examples
    --------
    >>> import pynn
    >>> pynn.gelu([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    return _general(gelu, x, out, approximate=check_approximate(approximate))


@builtin
def softplus(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Softplus, ``log(1 + exp(x))``, without overflow.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`.
    out : ndarray, optional
        Receives the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.
    """
    return _general(softplus, x, out)


@builtin
def sigmoid(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Logistic function, ``1 / (1 + exp(-x))`` element by element.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`.
    out : ndarray, optional
        Receives the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape, in [0, 1], without a warning for any input. NaN stays NaN.
    """
    return _general(sigmoid, x, out)


@builtin
def tanh(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Hyperbolic tangent, element by element.

    Parameters
    ----------
    x : array_like
        Real numbers. Integers are computed in the result type of `numpy.tanh`.
    out : ndarray, optional
        Receives the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape, in [-1, 1]. The sign of zero is kept; NaN stays NaN.
    """
    return _general(tanh, x, out)
