"""Activations, element by element.

`relu`, `sigmoid` and `tanh` are compiled functions; what they do not handle themselves (other
types, other layouts, scalars) comes to the general functions of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn import _core
from pynn._core import relu, sigmoid, tanh
from pynn._types import Array
from pynn.ops._operands import FLOATS, check_alpha, check_out, plain, usable

__all__ = ["elu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]


def _sigmoid_by_numpy(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, e, x.dtype.type(1)) / (1 + e)
    return result


# For types that have no kernels (longdouble).
_BY_NUMPY: dict[str, Callable[[Array, float], Any]] = {
    "sigmoid": lambda x, alpha: _sigmoid_by_numpy(x),
    "tanh": lambda x, alpha: np.tanh(x),
    "softplus": lambda x, alpha: np.logaddexp(x, 0),
    "silu": lambda x, alpha: x * _sigmoid_by_numpy(x),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
}


def _activation(name: str, x: Any, out: Any, alpha: float = 0.0) -> Any:
    array = np.asanyarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: x must hold real numbers, got dtype {array.dtype}")
    target = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    # What a ufunc gives: maximum keeps the type, one of floating-point loops promotes integers.
    dtype = array.dtype if name == "relu" else np.tanh(np.empty(0, array.dtype)).dtype
    if target is not None:
        check_out(target, array.shape, dtype)
    native = dtype.newbyteorder("=")
    if native in FLOATS:
        source = np.ascontiguousarray(plain(array, native))
        direct = target is not None and usable(target, native)
        exact = direct and (
            not np.may_share_memory(target, source)
            or target.__array_interface__["data"] == source.__array_interface__["data"]
        )
        result = target if exact else np.empty(array.shape, native)
        _core.activation_into(name, alpha, source, result)
    elif name == "relu":
        result = np.maximum(array, array.dtype.type(0))
    elif native == np.float16:
        result = np.asarray(_activation(name, array.astype(np.float32), None, alpha)).astype(native)
    else:
        result = np.asarray(_BY_NUMPY[name](np.asarray(array, native), alpha))
    if target is None:
        return result if result.ndim else result[()]
    if result is not target:
        np.copyto(target, result, casting="same_kind")
    return target


def _relu_general(x: Any, /, out: Any = None) -> Any:
    return _activation("relu", x, out)


def _sigmoid_general(x: Any, /, out: Any = None) -> Any:
    return _activation("sigmoid", x, out)


def _tanh_general(x: Any, /, out: Any = None) -> Any:
    return _activation("tanh", x, out)


# Python's own errors about arguments show their names.
_relu_general.__name__ = _relu_general.__qualname__ = "relu"
_core.set_general("relu", _relu_general)
_sigmoid_general.__name__ = _sigmoid_general.__qualname__ = "sigmoid"
_core.set_general("sigmoid", _sigmoid_general)
_tanh_general.__name__ = _tanh_general.__qualname__ = "tanh"
_core.set_general("tanh", _tanh_general)


def leaky_relu(x: ArrayLike, /, out: Array | None = None, *, alpha: float = 0.01) -> Any:
    """Leaky rectified linear unit: ``x`` for x >= 0, ``alpha * x`` otherwise.

    Parameters
    ----------
    x : array_like
        Real; integers are computed in the type that `numpy.tanh` would give.
    out : ndarray, optional
        Where the result goes; may be `x`.
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
    return _activation("leaky_relu", x, out, check_alpha(alpha))


def elu(x: ArrayLike, /, out: Array | None = None, *, alpha: float = 1.0) -> Any:
    """Exponential linear unit: ``x`` for x > 0, ``alpha * (exp(x) - 1)`` otherwise.

    Parameters
    ----------
    x : array_like
        Real; integers are computed in the type that `numpy.tanh` would give.
    out : ndarray, optional
        Where the result goes; may be `x`.
    alpha : float, default 1.0
        The limit at -infinity is ``-alpha``; greater than 0.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    References
    ----------
    D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", ICLR 2016.
    """
    return _activation("elu", x, out, check_alpha(alpha))


def silu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Sigmoid linear unit, ``x * sigmoid(x)``, also called swish.

    Parameters
    ----------
    x : array_like
        Real; integers are computed in the type that `numpy.tanh` would give.
    out : ndarray, optional
        Where the result goes; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", Neural Networks 107, 2018.
    """
    return _activation("silu", x, out)


def softplus(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Softplus, ``log(1 + exp(x))``, without overflow.

    Parameters
    ----------
    x : array_like
        Real; integers are computed in the type that `numpy.tanh` would give.
    out : ndarray, optional
        Where the result goes; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of `x`'s shape.
    """
    return _activation("softplus", x, out)
