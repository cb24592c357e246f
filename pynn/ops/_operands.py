"""Operands as the kernels take them, and checks of `out`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _array_input, _checks
from pynn._sparse import is_sparse
from pynn._types import FLOATS, Array, ArrayLike


def plain(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return `x` in `dtype` and native byte order, aligned, with strides in whole elements."""
    x = cast(x, dtype)
    if not x.flags.aligned or any(stride % dtype.itemsize for stride in x.strides):
        x = x.copy()
    return x


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return `x` as an ndarray of `dtype` without a warning; too large values become infinite."""
    if x.dtype == dtype:
        return np.asarray(x, dtype=dtype)
    with np.errstate(all="ignore"):
        return np.asarray(x, dtype=dtype)


def store(out: Array, result: Array) -> None:
    """Write `result` to `out` without a warning."""
    with np.errstate(all="ignore"):
        np.copyto(out, result, casting="same_kind")


def dense(x: Any, name: str) -> Any:
    """Return `x` without a mask that hides nothing; refuse sparse arrays and hidden values."""
    if type(x) is np.ndarray:
        return x
    if is_sparse(x):
        raise TypeError(
            f"{name} is sparse (shape {x.shape}), expected a dense array: {name}.toarray()"
        )
    return _array_input.unmasked(x, name)


def is_masked(x: Any) -> bool:
    """Return True for a masked array, even if it hides no value."""
    return isinstance(x, np.ndarray) and type(x) is not np.ndarray and np.ma.isMaskedArray(x)


def masked(result: Any, *operands: Any) -> Any:
    """Return the elementwise `result` with the masks of its operands, as NumPy's ufuncs do."""
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
    """Return `x` as a plain array: float16 and float32 as float32, other types as float64."""
    array = np.asarray(dense(x, name))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return plain(array, np.dtype(np.float32 if single else np.float64))


def common(**operands: ArrayLike) -> list[Array]:
    """Return the operands as plain arrays of one float type, by NumPy's promotion."""
    arrays = [float_array(value, name) for name, value in operands.items()]
    dtype = np.result_type(*arrays)
    return [plain(array, dtype) for array in arrays]


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check that `out` can take a result."""
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
    """Return True if a kernel can write its contiguous result to `out`."""
    return bool(out.dtype.num == dtype.num and out.dtype.isnative and out.flags.carray)


def kernel_type(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the native float32 or float64 that equals `dtype` in any byte order, or None.

    Where long double is double, NumPy's two types are equal, but only one has kernels.
    """
    native = dtype.newbyteorder("=")
    return FLOATS[FLOATS.index(native)] if native in FLOATS else None


def check_ndim(x: Array, name: str, ndim: int) -> None:
    """Check the number of dimensions."""
    if x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {x.shape}")


def check_approximate(approximate: Any) -> str:
    """Return the form of gelu: "none" or "tanh"."""
    return _checks.choice(approximate, "approximate", ("none", "tanh"))


def check_alpha(alpha: Any) -> float:
    """Return a slope or limit greater than 0."""
    return _checks.number(alpha, "alpha", low=0.0, open_low=True)
