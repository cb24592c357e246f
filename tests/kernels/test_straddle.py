"""Products, functions and losses at the edges of every block of the code (tests/blocks.py)."""

import numpy as np
import pytest
import reference
from blocks import block_sizes, straddling
from numpy_mlp import ACTIVATIONS, LOSSES, NumpyMLP, make_samples
from scipy import special
from toolchain import needs_sources

import pynn

pytestmark = needs_sources

TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)
LAYOUTS = {"contiguous": np.ascontiguousarray, "transposed": np.asfortranarray}


class Product:
    """a b in float64, and the bound of a sum in any order: for slices of a's rows, b's columns."""

    def __init__(self, m, k, n, dtype):
        self.a, self.b = reference.random((m, k), dtype, m + k), reference.random((k, n), dtype, n)
        self.bias = reference.random(n, dtype, 3)
        wide, other = self.a.astype(np.float64), self.b.astype(np.float64)
        self.expected = wide @ other
        eps = np.finfo(dtype).eps + np.finfo(np.float64).eps
        self.bound = (k + 1) * eps * (abs(wide) @ abs(other))

    def check(self, m=None, n=None):
        """In every layout; and through `linear`, which adds a bias in the epilogue."""
        a, b, bias = self.a[:m], self.b[:, :n], self.bias[:n]
        expected, bound = self.expected[:m, :n], self.bound[:m, :n]
        for lay_out in LAYOUTS.values():
            reference.assert_within(pynn.matmul(a, lay_out(b)), expected, bound)
            reference.assert_within(pynn.matmul(np.asfortranarray(a), lay_out(b)), expected, bound)
            # (The bias is added in one more rounding.)
            total = expected + bias
            bound_of_total = bound + 2 * np.finfo(a.dtype).eps * abs(total)
            reference.assert_within(pynn.linear(a, lay_out(b), bias), total, bound_of_total)


@TYPES
@pytest.mark.parametrize(("m", "n"), [(1, 70), (70, 1), (3, 45), (30, 33), (130, 17)])
def test_terms(m, n, dtype):
    for k in straddling("terms", dtype):
        Product(m, k, n, dtype).check()


@TYPES
@pytest.mark.parametrize(("k", "n"), [(1, 5), (9, 1), (40, 17), (67, 35)])
def test_rows(k, n, dtype):
    sizes = straddling("rows", dtype)
    if n == 1:  # (a matrix times a vector, which goes by pieces of values)
        sizes = sorted({*sizes, *straddling("values", dtype, high=7000)})
    product = Product(sizes[-1], k, n, dtype)
    for m in sizes:
        product.check(m=m)


@TYPES
@pytest.mark.parametrize(("m", "k"), [(1, 1), (1, 61), (5, 33), (60, 20), (2, 600)])
def test_columns(m, k, dtype):
    sizes = straddling("columns", dtype)
    if m == 1:
        sizes = sorted({*sizes, *straddling("values", dtype, high=7000)})
    product = Product(m, k, sizes[-1], dtype)
    for n in sizes:
        product.check(n=n)


@TYPES
@pytest.mark.parametrize("m", [1, 2, 7, 30, 130])
def test_values(m, dtype):
    """Right operands about as large as a part of a cache."""
    for size in block_sizes("values", dtype):
        if size < 10_000:
            continue
        n = 512
        # (The last one has sums of several pieces.)
        for k, columns in ((size // n - 1, n), (size // n + 1, n + 5), (size // 256 + 1, 261)):
            Product(m, k, columns, dtype).check()


def test_a_long_sum_of_a_large_product():
    """A workspace that is too large to be kept."""
    k = block_sizes("terms")[-1] + 3
    n = 600
    m = max(block_sizes("bytes", "float32")[:2]) // (4 * n) + 100
    a, b = reference.random((m, k), np.float32), reference.random((k, n), np.float32, 1)
    c = reference.random((m, n), np.float32, 2)
    expected, size = a.astype(float) @ b + c, abs(a).astype(float) @ abs(b) + abs(c)
    result = pynn.gemm(a, b, beta=1.0, out=c)
    reference.assert_within(result, expected, (k + 1) * 6e-8 * size)


# ---------------------------------------------------------------- functions


@TYPES
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [*ACTIVATIONS])
def test_functions_of_elements(name, threads, dtype):
    function, slope = ACTIVATIONS[name]
    if not hasattr(pynn, name):
        return
    most = 300_000 if name in ("gelu", "relu", "tanh") else 30_000
    x = reference.random(most, dtype)
    dy = reference.random(most, dtype, 1)
    wide = x.astype(np.float64)
    expected, backward = function(wide), dy * slope(wide)
    rtol = 1e-13 if dtype == np.float64 else 2e-6
    y = expected.astype(dtype)
    gradient = getattr(pynn, f"{name}_backward")
    # (Some take what the function gave, others its operand.)
    takes_y = name in ("elu", "sigmoid", "softplus", "tanh")
    with pynn.threads(threads):
        for n in straddling("values", dtype, high=most):
            np.testing.assert_allclose(
                getattr(pynn, name)(x[:n]), expected[:n], rtol=rtol, atol=rtol
            )
            np.testing.assert_allclose(
                gradient(dy[:n], (y if takes_y else x)[:n]), backward[:n], rtol=rtol, atol=4 * rtol
            )


@TYPES
@pytest.mark.parametrize("rows", [1, *straddling("rows", high=18)])
def test_softmaxes(rows, dtype):
    rtol = 1e-12 if dtype == np.float64 else 2e-5
    long = straddling("values", dtype, high=70_000) if rows == 1 else []
    for n in sorted({*straddling("columns", dtype), *long}):
        x, dy = reference.random((rows, n), dtype, n), reference.random((rows, n), dtype, 1)
        wide = x.astype(np.float64)
        p, log_p = special.softmax(wide, axis=1), special.log_softmax(wide, axis=1)
        y, log_y = pynn.softmax(x), pynn.log_softmax(x)
        np.testing.assert_allclose(y, p, rtol=rtol)
        np.testing.assert_allclose(log_y, log_p, rtol=rtol, atol=rtol)
        expected = p * (dy - np.sum(p * dy, axis=1, keepdims=True))
        np.testing.assert_allclose(
            pynn.softmax_backward(dy, y), expected, rtol=10 * rtol, atol=rtol * abs(p).max()
        )
        expected = dy - p * np.sum(dy, axis=1, keepdims=True, dtype=np.float64)
        np.testing.assert_allclose(
            pynn.log_softmax_backward(dy, log_y), expected, rtol=10 * rtol, atol=10 * rtol
        )


@TYPES
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "mse"])
def test_losses(loss, dtype):
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert loss in LOSSES
    shapes = [(rows, 3) for rows in straddling("rows", dtype)]
    # (A softmax of one column is always 1.)
    shapes += [(7, columns) for columns in straddling("columns", dtype) if columns > 1]
    for rows, columns in shapes:
        net = NumpyMLP(pynn.MLP([1, columns], loss=loss, dtype=dtype, seed=0))
        z = reference.random((rows, columns), dtype)
        _, target = make_samples(loss, rows, 1, columns)
        target = target.astype(dtype)
        losses, slopes = net.row_losses(z.astype(np.float64), net.targets(target))
        value, gradient = getattr(pynn, loss)(z, target)
        assert value == pytest.approx(losses.mean(), rel=rtol)
        np.testing.assert_allclose(gradient, slopes / rows, rtol=10 * rtol, atol=rtol / rows)
