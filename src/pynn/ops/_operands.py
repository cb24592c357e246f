"""Operands as the kernels take them, and what is asked of `out`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _checks
from pynn._types import Array, ArrayLike

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
ACTIVATIONS = (
    "identity",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "sigmoid",
    "tanh",
)


def plain(x: Array, dtype: np.dtype[Any]) -> Array:
    """`x` in `dtype` and native byte order, aligned, with strides in whole elements."""
    x = np.asarray(x, dtype=dtype)
    if not x.flags.aligned or any(stride % dtype.itemsize for stride in x.strides):
        x = x.copy()
    return x


def float_array(x: ArrayLike, name: str) -> Array:
    """`x` as a plain array of float32 (from float16 and float32) or float64."""
    array = np.asarray(x)
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
