"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _core
from pynn._types import Array, ArrayLike
from pynn.ops._builtin import builtin
from pynn.ops._operands import (
    cast,
    check_ndim,
    check_out,
    common,
    dense,
    is_masked,
    kernel_type,
    plain,
    store,
    usable,
)

__all__ = ["gemm", "matmul"]


@builtin
def matmul(x1: ArrayLike, x2: ArrayLike, /, out: Array | None = None) -> Any:
    """Matrix product of two arrays, with the semantics of `numpy.matmul`.

    Parameters
    ----------
    x1, x2 : array_like
        A vector is a row (`x1`) or a column (`x2`) that leaves no axis in the result. Leading axes
        are broadcast. The kernels read float32 and float64 operands of any strides in place,
        transposed views included. Other types give the result of `numpy.matmul`.
    out : ndarray, optional
        Receives the result; it may overlap the operands.

    Returns
    -------
    ndarray or scalar
        The product, with NumPy's promotion of types.

    Raises
    ------
    ValueError, TypeError
        If the shapes do not fit, in NumPy's words; if an operand is sparse or hides values.

    Notes
    -----
    Each element is a chain of fused multiply-adds over k in increasing order, cut every 512. Its
    bits depend neither on the number of threads, nor on the strides, nor on the other elements.
    """
    return _general(x1, x2, out)


def _general(x1: Any, x2: Any, out: Any) -> Any:
    """Answer any call of `numpy.matmul`: by the kernels, or by NumPy."""
    x1, x2 = dense(x1, "x1"), dense(x2, "x2")
    a, b = np.asanyarray(x1), np.asanyarray(x2)
    target = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    if is_masked(target):
        raise TypeError("out is a masked array, expected a plain one: out.data, or no out at all")
    dtype = kernel_type(np.result_type(a, b)) if _real(a) and _real(b) else None
    if (
        dtype is None
        or type(a) is not np.ndarray
        or type(b) is not np.ndarray
        or _overrides(x1, x2)
        or not (target is None or type(target) is np.ndarray)
        or a.ndim == 0
        or b.ndim == 0
        or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]
    ):
        return np.matmul(x1, x2, out=out)  # NumPy's result, or NumPy's error
    a, b = plain(a, dtype), plain(b, dtype)
    try:
        leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        return np.matmul(x1, x2, out=out)
    if target is None:
        return matmul(a, b)
    shape = (*leading, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))
    if not (
        target.shape == shape
        and target.flags.writeable
        and np.can_cast(dtype, target.dtype, "same_kind")
    ):
        return np.matmul(x1, x2, out=out)
    if usable(target, dtype) and not any(np.may_share_memory(target, x) for x in (a, b)):
        return matmul(a, b, out=target)
    store(target, matmul(a, b))
    return target


def _real(x: Array) -> bool:
    return x.dtype.kind in "biuf"


def _overrides(*operands: Any) -> bool:
    """Return True if an operand overrides NumPy's functions, or refuses them."""
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
        The operands are real. The result is float32 if both of them are, else float64.
    alpha, beta : float
        Factors. With ``beta=0``, `out` is not read.
    out : ndarray of shape (m, n), optional
        Receives the result; it may overlap the operands. Required if `beta` is not 0.

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
    left, right = common(a=a, b=b)
    check_ndim(left, "a", 2)
    check_ndim(right, "b", 2)
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
        check_out(out, shape, dtype)
    aside = not usable(out, dtype) or any(np.may_share_memory(out, x) for x in (left, right))
    result = out
    if aside:
        result = cast(out, dtype).copy(order="C") if beta != 0.0 else np.empty(shape, dtype)
    if result.size:
        _core.gemm_into(left, right, result, alpha, beta)
    if aside:
        store(out, result)
    return out
