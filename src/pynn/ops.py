"""The kernels as NumPy functions.

`matmul`, `relu`, `sigmoid` and `tanh` are compiled functions; what they do not handle themselves
(other types, stacks of matrices, `out`, scalars) comes to the ``_general`` functions of this file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn import _checks, _core
from pynn._core import matmul, relu, sigmoid, tanh
from pynn._types import Array

__all__ = [
    "elu",
    "elu_backward",
    "gemm",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "matmul",
    "mse",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "sigmoid_cross_entropy",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softplus",
    "softplus_backward",
    "squared_error",
    "tanh",
    "tanh_backward",
]


FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")


# ------------------------------------------------------------------- operands


def _plain(x: Array, dtype: np.dtype[Any]) -> Array:
    """`x` in `dtype` and native byte order, aligned, with strides in whole elements."""
    x = np.asarray(x, dtype=dtype)
    if not x.flags.aligned or any(stride % dtype.itemsize for stride in x.strides):
        x = x.copy()
    return x


def _float_array(x: ArrayLike, name: str) -> Array:
    """`x` as a plain array of float32 (from float16 and float32) or float64."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return _plain(array, np.dtype(np.float32 if single else np.float64))


def _common(**operands: ArrayLike) -> list[Array]:
    """The operands as plain arrays of one float type, NumPy's promotion of theirs."""
    arrays = [_float_array(value, name) for name, value in operands.items()]
    dtype = np.result_type(*arrays)
    return [_plain(array, dtype) for array in arrays]


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"cannot cast the result from {dtype} to out's dtype {out.dtype}")


def _usable(out: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a kernel may write its contiguous result to `out`."""
    return bool(out.dtype == dtype and out.dtype.isnative and out.flags.carray)


# --------------------------------------------------------------------- matmul


def _matmul_general(x1: Any, x2: Any, /, out: Any = None) -> Any:
    a, b = np.asanyarray(x1), np.asanyarray(x2)
    target = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    dtype = np.result_type(a, b).newbyteorder("=") if _real(a) and _real(b) else None
    if (
        dtype is None  # (which NumPy takes to equal float64)
        or dtype not in FLOATS
        or type(a) is not np.ndarray
        or type(b) is not np.ndarray
        or _overrides(x1, x2)
        or not (target is None or type(target) is np.ndarray)
        or a.ndim == 0
        or b.ndim == 0
        or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]
    ):
        return np.matmul(x1, x2, out=out)  # its own answer, or its own error
    rows, columns = a.ndim > 1, b.ndim > 1
    a, b = _plain(a, dtype), _plain(b, dtype)
    a = a if rows else a[np.newaxis, :]
    b = b if columns else b[:, np.newaxis]
    try:
        leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        return np.matmul(x1, x2, out=out)
    shape = (*leading, a.shape[-2], b.shape[-1])
    result_shape = (*leading, *shape[-2:-1][: int(rows)], *shape[-1:][: int(columns)])
    if target is not None and not (
        target.shape == result_shape
        and target.flags.writeable
        and np.can_cast(dtype, target.dtype, "same_kind")
    ):
        return np.matmul(x1, x2, out=out)
    if (
        target is not None
        and _usable(target, dtype)
        and not (np.may_share_memory(target, a) or np.may_share_memory(target, b))
    ):
        result = target
    else:
        result = np.empty(result_shape, dtype)
    a = np.broadcast_to(a, leading + a.shape[-2:])
    b = np.broadcast_to(b, leading + b.shape[-2:])
    if result.size:
        _core.gemm_into(a, b, result.reshape(shape), 1.0, 0.0)
    if target is None:
        return result if result.ndim else result[()]
    if result is not target:
        np.copyto(target, result, casting="same_kind")
    return target


def _real(x: Array) -> bool:
    return x.dtype.kind in "biuf"


def _overrides(*operands: Any) -> bool:
    """Whether an operand has its own answer to NumPy's functions (or none at all)."""
    return any(
        hasattr(type(x), "__array_ufunc__") and not isinstance(x, np.ndarray | np.generic)
        for x in operands
    )


def gemm(
    a: ArrayLike,
    b: ArrayLike,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    out: Array | None = None,
) -> Array:
    """General matrix product, ``alpha * a @ b + beta * out``.

    Parameters
    ----------
    a : array_like of shape (m, k)
    b : array_like of shape (k, n)
        Real; float32 if both are, float64 otherwise.
    alpha, beta : float
        Factors. With ``beta=0``, `out` is not read.
    out : ndarray of shape (m, n), optional
        Where the result goes; it may overlap the operands. Needed if `beta` is not 0.

    Returns
    -------
    ndarray of shape (m, n)
        `out` if it was given.

    Raises
    ------
    ValueError, TypeError
        If shapes or types do not fit, before anything is written.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> c = np.ones((2, 2))
    >>> pynn.gemm(np.eye(2), np.eye(2), alpha=2.0, beta=0.5, out=c)
    array([[2.5, 0.5],
           [0.5, 2.5]])
    """
    left, right = _common(a=a, b=b)
    _check_ndim(left, "a", 2)
    _check_ndim(right, "b", 2)
    if left.shape[1] != right.shape[0]:
        raise ValueError(
            f"a has shape {left.shape} and b has shape {right.shape}: "
            f"the columns of a ({left.shape[1]}) and the rows of b ({right.shape[0]}) differ"
        )
    alpha, beta = float(alpha), float(beta)
    shape, dtype = (left.shape[0], right.shape[1]), left.dtype
    if out is None:
        if beta != 0.0:
            raise ValueError(f"beta is {beta}, but there is no out to multiply it with")
        out = np.empty(shape, dtype)
    else:
        _check_out(out, shape, dtype)
    aside = not _usable(out, dtype) or any(np.may_share_memory(out, x) for x in (left, right))
    result = out
    if aside:
        result = np.array(out, dtype, order="C") if beta != 0.0 else np.empty(shape, dtype)
    if result.size:
        _core.gemm_into(left, right, result, alpha, beta)
    if aside:
        np.copyto(out, result, casting="same_kind")
    return out


# --------------------------------------------------------------------- layers


def _check_ndim(x: Array, name: str, ndim: int) -> None:
    if x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {x.shape}")


def _as_rows(x: Array) -> Array:
    """`x` with its leading axes as one."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


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
        Real; float32 if all are, float64 otherwise.
    activation : {"identity", "relu", "sigmoid", "tanh"}
    out : ndarray of shape (..., n_out), optional
        Where the result goes; it may overlap the operands.

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
    operands = _common(x=x, w=w) if b is None else _common(x=x, w=w, b=b)
    left, weights = operands[:2]
    bias = None if b is None else operands[2]
    _check_ndim(weights, "w", 2)
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
        _check_out(out, shape, dtype)
    in_place = (
        out is not None
        and _usable(out, dtype)
        and not any(np.may_share_memory(out, operand) for operand in operands)
    )
    result = out if out is not None and in_place else np.empty(shape, dtype)
    if result.size:
        _core.linear_into(
            _as_rows(left),
            np.ascontiguousarray(weights),
            None if bias is None else np.ascontiguousarray(bias),
            activation,
            _as_rows(result),
        )
    if out is None:
        return result
    if result is not out:
        np.copyto(out, result, casting="same_kind")
    return out


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
    delta, left, weights = _common(dy=dy, x=x, w=w)
    _check_ndim(weights, "w", 2)
    n_in, n_out = weights.shape
    if left.ndim == 0 or left.shape[-1] != n_in:
        raise ValueError(f"x has shape {left.shape}, expected (..., {n_in}) for w {weights.shape}")
    if delta.shape != (*left.shape[:-1], n_out):
        raise ValueError(
            f"dy has shape {delta.shape}, expected {(*left.shape[:-1], n_out)} for x of shape "
            f"{left.shape} and w of shape {weights.shape}"
        )
    delta, rows = _as_rows(np.ascontiguousarray(delta)), _as_rows(left)
    db = np.zeros(n_out, delta.dtype)
    if delta.size:
        _core.column_sums_into(delta, db)
    dx = matmul(delta, weights.T).reshape(left.shape)
    return dx, matmul(rows.T, delta), db


# ---------------------------------------------------------------- activations


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
        _check_out(target, array.shape, dtype)
    native = dtype.newbyteorder("=")
    if native in FLOATS:
        source = np.ascontiguousarray(_plain(array, native))
        direct = target is not None and _usable(target, native)
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


# Their names are what Python's own errors about arguments show.
_matmul_general.__name__ = _matmul_general.__qualname__ = "matmul"
_core.set_general("matmul", _matmul_general)
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
    return _activation("leaky_relu", x, out, _check_alpha(alpha))


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
    return _activation("elu", x, out, _check_alpha(alpha))


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


def _check_alpha(alpha: Any) -> float:
    return _checks.number(alpha, "alpha", low=0.0, open_low=True)


def _backward(name: str, dy: ArrayLike, y: ArrayLike, out: Array | None, alpha: float = 0.0) -> Any:
    delta, values = _common(dy=dy, **{"x" if name == "silu" else "y": y})
    if delta.shape != values.shape:
        other = "x" if name == "silu" else "y"
        raise ValueError(f"dy has shape {delta.shape}, but {other} has shape {values.shape}")
    if out is not None:
        _check_out(out, delta.shape, delta.dtype)
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
    return _backward("relu", dy, y, out)


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
    return _backward("sigmoid", dy, y, out)


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
    return _backward("tanh", dy, y, out)


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
    return _backward("leaky_relu", dy, y, out, _check_alpha(alpha))


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
    return _backward("elu", dy, y, out, _check_alpha(alpha))


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
    return _backward("softplus", dy, y, out)


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
    return _backward("silu", dy, x, out)


def _to_last(x: Array, axis: int, name: str) -> Array:
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} is out of bounds for {name} of shape {x.shape}")
    return np.moveaxis(x, axis, -1)


def _softmax(x: ArrayLike, out: Array | None, axis: int, log: bool) -> Array:
    array = _float_array(x, "x")
    moved = np.ascontiguousarray(_to_last(array, axis, "x"))
    if out is not None:
        _check_out(out, array.shape, array.dtype)
    result = np.empty(moved.shape, moved.dtype)
    if result.size:
        shape = (-1, moved.shape[-1])
        _core.softmax_into(moved.reshape(shape), log, result.reshape(shape))
    result = np.moveaxis(result, -1, axis)
    if out is None:
        return result
    np.copyto(out, result, casting="same_kind")
    return out


def _softmax_backward(
    name: str, dy: ArrayLike, y: ArrayLike, out: Array | None, axis: int
) -> Array:
    delta, values = _common(dy=dy, y=y)
    if delta.shape != values.shape:
        raise ValueError(f"dy has shape {delta.shape}, but y has shape {values.shape}")
    if out is not None:
        _check_out(out, delta.shape, delta.dtype)
    result: Array = np.moveaxis(
        _backward(name, _to_last(delta, axis, "dy"), _to_last(values, axis, "y"), None), -1, axis
    )
    if out is None:
        return result
    np.copyto(out, result, casting="same_kind")
    return out


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
    return _softmax(x, out, axis, log=False)


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
    return _softmax(x, out, axis, log=True)


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
    return _softmax_backward("softmax", dy, y, out, axis)


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
    return _softmax_backward("log_softmax", dy, y, out, axis)


# --------------------------------------------------------------------- losses


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
    z: Array = _float_array(outputs, argument)
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
        t = np.ascontiguousarray(_plain(_float_array(t, "target"), z.dtype)).reshape(rows.shape)
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
