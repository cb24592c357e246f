"""The reference: exact products and their error bounds, ULPs, and the scalar order of every sum,
from NumPy and the C library alone."""

import ctypes
import ctypes.util
import sys

import numpy as np

FLOATS = (np.float32, np.float64)

# csrc/kernels/kernel_table.h: a sum over k is cut at multiples of this.
KC = 512
# csrc/kernels/vec.h: the virtual lanes of the other sums.
LANES = 16

WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}


def has_wider(dtype):
    """True if this machine has a type that is exact enough to judge results in `dtype`."""
    return np.finfo(WIDER[np.dtype(dtype)]).eps < np.finfo(dtype).eps / 100


# ---------------------------------------------------------------- operands


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _records(x, fields):
    """`x` as the field "x" of an array of packed records."""
    out = np.zeros(x.shape, [(name, x.dtype if name == "x" else name) for name in fields])
    out["x"] = x
    return out["x"]


def _within(x, step):
    """`x` in an array of NaNs, its elements `step` apart along every axis."""
    out = np.full(tuple(abs(step) * n + 2 for n in x.shape), np.nan, x.dtype)
    out = out[tuple(slice(1, 1 + abs(step) * n, abs(step)) for n in x.shape)]
    out[...] = np.flip(x) if step < 0 else x
    return np.flip(out) if step < 0 else out


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


# The same values and shape, laid out in memory in another way.
LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "transposed": lambda x: np.asarray(x, order="F"),
    "inside": lambda x: _within(x, 1),
    "strided": lambda x: _within(x, 3),
    "negative": lambda x: _within(x, -2),
    "misaligned": lambda x: _records(x, ["u1", "x"]),
    "swapped": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "read-only": _read_only,
}


# ---------------------------------------------------------------- closeness


def exact_product(a, b):
    """``a @ b`` in a wider type, and the bound k eps |a| |b| of a product's forward error."""
    dtype = np.result_type(a, b)
    a, b = (np.asarray(x, dtype).astype(WIDER[dtype.newbyteorder("=")]) for x in (a, b))
    info = np.finfo(dtype)
    k = a.shape[-1]
    return np.matmul(a, b), k * (info.eps * np.matmul(abs(a), abs(b)) + info.smallest_subnormal)


def assert_within(actual, expected, bound):
    difference = np.abs(np.asarray(actual).astype(np.asarray(expected).dtype) - expected)
    assert np.shape(actual) == np.shape(expected)
    worst = np.max(difference - bound, initial=0)
    assert np.all(difference <= bound), f"off by up to {worst} more than the bound"


def ordered(x):
    """Numbers as integers in the same order: neighbors differ by one, and -0 equals +0."""
    x = np.atleast_1d(x)
    integers = x.view(f"i{x.dtype.itemsize}")
    return np.where(integers < 0, np.iinfo(integers.dtype).min - integers, integers)


def ulps(actual, exact):
    """How many numbers of its type `actual` lies from the correctly rounded `exact` values."""
    with np.errstate(under="ignore", over="ignore"):
        rounded = np.asarray(exact).astype(np.asarray(actual).dtype)
    a, b = ordered(actual), ordered(rounded)
    both_nan = np.isnan(actual) & np.isnan(rounded)
    # Unsigned, since the difference of two int64 may need 64 bits.
    return np.where(both_nan, 0, (np.maximum(a, b) - np.minimum(a, b)).view(f"u{a.itemsize}"))


def assert_same_bits(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    different = np.ascontiguousarray(actual).view("u1") != np.ascontiguousarray(expected).view("u1")
    assert not different.any(), (
        f"{np.count_nonzero(actual != expected)} of {actual.size} elements differ"
    )


def central_difference(f, x, step=1e-5):
    """The gradient of the scalar function `f` at `x`, a float64 array."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (f(up) - f(down)) / (up[i] - down[i])
    return gradient


# ---------------------------------------------------------------- the scalar order


def _c_fma(dtype):
    library = "ucrtbase" if sys.platform == "win32" else ctypes.util.find_library("m")
    single = np.dtype(dtype) == np.float32
    function = getattr(ctypes.CDLL(library), "fmaf" if single else "fma")
    function.restype = ctypes.c_float if single else ctypes.c_double
    function.argtypes = [function.restype] * 3
    return function


FMA = {np.dtype(dtype): _c_fma(dtype) for dtype in FLOATS}


def dot_chain(a, b):
    """The sum over k in the order that pynn promises, of two vectors of one type."""
    fma, scalar = FMA[a.dtype], a.dtype.type
    total = scalar(0)
    for start in range(0, len(a), KC):
        piece = 0.0
        for x, y in zip(
            a[start : start + KC].tolist(), b[start : start + KC].tolist(), strict=True
        ):
            piece = fma(x, y, piece)
        total = scalar(piece) if start == 0 else total + scalar(piece)
    return total


def matmul_chain(a, b):
    """The product of two matrices, each element by `dot_chain`."""
    columns = np.ascontiguousarray(b.T)
    return np.array([[dot_chain(row, column) for column in columns] for row in a], a.dtype)


def lane_sum(x):
    """The sum along the last axis: element i in lane i % 16, then a tree."""
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % LANES)])
    total = np.zeros((*x.shape[:-1], LANES), x.dtype)
    for start in range(0, x.shape[-1], LANES):
        total = total + x[..., start : start + LANES]
    while total.shape[-1] > 1:
        half = total.shape[-1] // 2
        total = total[..., :half] + total[..., half:]
    return total[..., 0]
