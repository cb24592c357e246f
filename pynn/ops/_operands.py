"""Operands as the kernels take them, and what is asked of `out`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _array_input, _checks
from pynn._sparse import is_sparse
from pynn._types import FLOATS, Array, ArrayLike


def plain(x: Array, dtype: np.dtype[Any]) -> Array:
    """`x` in `dtype` and native byte order, aligned, with strides in whole elements."""
    x = cast(x, dtype)
    if not x.flags.aligned or any(stride % dtype.itemsize for stride in x.strides):
        x = x.copy()
    return x


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """`x` as a plain ndarray of `dtype`, in silence: what is too large becomes infinite."""
    if x.dtype == dtype:
        return np.asarray(x, dtype=dtype)
    with np.errstate(all="ignore"):
        return np.asarray(x, dtype=dtype)


def store(out: Array, result: Array) -> None:
    """Write `result` to `out`, in silence."""
    with np.errstate(all="ignore"):
        np.copyto(out, result, casting="same_kind")


def dense(x: Any, name: str) -> Any:
    """`x` unless it is sparse or hides values; a mask that hides nothing is taken off."""
    if type(x) is np.ndarray:
        return x
    if is_sparse(x):
        raise TypeError(
            f"{name} is sparse (shape {x.shape}), expected a dense array: {name}.toarray()"
        )
    return _array_input.unmasked(x, name)


def is_masked(x: Any) -> bool:
    """Return True for a masked array, whether or not it hides a value."""
    return isinstance(x, np.ndarray) and type(x) is not np.ndarray and np.ma.isMaskedArray(x)


def masked(result: Any, *operands: Any) -> Any:
    """`result`, element by element, with the masks of those operands that have one.

    NumPy's functions of elements give the same.
    """
    mask: Any = np.ma.nomask
    fill = None
    values = np.asarray(result)
    for operand in operands:
        if not is_masked(operand):
            continue
        mask = np.ma.mask_or(mask, np.ma.getmask(operand), copy=True)
        if fill is None and operand.dtype == values.dtype and operand is not np.ma.masked:
            fill = operand.fill_value
    out: Any = np.ma.array(values, mask=mask, fill_value=fill)
    return out if out.ndim else out[()]


def float_array(x: ArrayLike, name: str) -> Array:
    """`x` as a plain array of float32 (from float16 and float32) or float64."""
    array = np.asarray(dense(x, name))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return plain(array, np.dtype(np.float32 if single else np.float64))


def common(**operands: ArrayLike) -> list[Array]:
    """The operands as plain arrays of one float type, NumPy's promotion of theirs."""
    arrays = [float_array(value, name) for name, value in operands.items()]
    dtype = np.result_type(*arrays)
    return [plain(array, dtype) for array in arrays]


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if is_masked(out):
        raise TypeError("out is a masked array, expected a plain one: out.data, or no out at all")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"cannot cast the result from {dtype} to out's dtype {out.dtype}")


def usable(out: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a kernel may write its contiguous result to `out`."""
    return bool(out.dtype.num == dtype.num and out.dtype.isnative and out.flags.carray)


def kernel_type(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """float32 or float64 in native byte order, if `dtype` is its equal but for the byte order.

    (Where long double is double, NumPy's two types are equal, but only one has kernels.)
    """
    native = dtype.newbyteorder("=")
    return FLOATS[FLOATS.index(native)] if native in FLOATS else None


def check_ndim(x: Array, name: str, ndim: int) -> None:
    if x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {x.shape}")


def check_approximate(approximate: Any) -> str:
    """Which form of gelu."""
    return _checks.choice(approximate, "approximate", ("none", "tanh"))


def check_alpha(alpha: Any) -> float:
    return _checks.number(alpha, "alpha", low=0.0, open_low=True)
