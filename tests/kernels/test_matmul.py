"""pynn.matmul is numpy.matmul: shapes, types, layouts, `out` and errors, and the error bound of a
product in float32 and float64."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from hypothesis import given, settings

import pynn

sizes = st.one_of(st.integers(0, 20), st.sampled_from([1, 10, 31, 33, 45, 46, 64, 70]))
leading_axes = st.sampled_from([((), ()), ((2,), ()), ((3, 1), (2,)), ((1,), (4,)), ((0,), (1,))])
layouts = st.sampled_from([*reference.LAYOUTS, "zero stride"])
float_types = st.sampled_from(reference.FLOATS)


def laid_out(x, layout):
    if layout == "zero stride":
        return np.broadcast_to(x[..., :1], x.shape)
    return reference.LAYOUTS[layout](x)


def check_product(a, b, result, dtype=None):
    with np.errstate(all="ignore"):
        expected = np.matmul(a, b)
    assert type(result) is type(expected)
    assert result.dtype == (dtype or expected.dtype.newbyteorder("="))
    reference.assert_within(result, *reference.exact_product(a, b))


@settings(deadline=None, max_examples=300)
@given(
    st.tuples(sizes, sizes, sizes),
    leading_axes,
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(layouts, layouts),
    st.tuples(float_types, float_types),
    st.integers(0, 100),
)
def test_any_operands(shape, leading, vectors, layout, types, seed):
    m, k, n = shape
    shapes = (
        (k,) if vectors[0] else (*leading[0], m, k),
        (k,) if vectors[1] else (*leading[1], k, n),
    )
    a, b = (
        laid_out(reference.random(shapes[i], types[i], seed + i), layout[i] if k else "contiguous")
        for i in range(2)
    )
    check_product(a, b, pynn.matmul(a, b))


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize("layout", [("contiguous", "contiguous"), ("transposed", "transposed")])
@pytest.mark.parametrize("size", [*range(1, 71), 100])
def test_edges(size, layout, dtype):
    for other in (1, 2, 13, 30):
        for m, n in ((size, other), (other, size)):
            for k in (1, 6, size):
                a = reference.LAYOUTS[layout[0]](reference.random((m, k), dtype, m))
                b = reference.LAYOUTS[layout[1]](reference.random((k, n), dtype, n))
                reference.assert_within(pynn.matmul(a, b), *reference.exact_product(a, b))


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize("layout", reference.LAYOUTS)
@pytest.mark.parametrize("k", [511, 512, 513, 1023, 1024, 1025, 2100])
def test_long_sums(k, layout, dtype):
    a = reference.LAYOUTS[layout](reference.random((33, k), dtype))
    b = reference.LAYOUTS[layout](reference.random((k, 45), dtype, 1))
    check_product(a, b, pynn.matmul(a, b))


@pytest.mark.parametrize(
    "shape", [(300, 70, 1100), (200, 1030, 90), (29, 600, 2100), (257, 1, 300)]
)
@pytest.mark.parametrize("dtype", reference.FLOATS)
def test_several_blocks(shape, dtype):
    """Shapes beyond the blocks for which the operands are packed; float64 suffices as reference."""
    m, k, n = shape
    a, b = reference.random((m, k), dtype), reference.random((k, n), dtype, 1)
    for x, y in ((a, b), (np.asfortranarray(a), np.asfortranarray(b))):
        expected = np.matmul(x.astype(np.float64), y.astype(np.float64))
        bound = k * np.finfo(dtype).eps * np.matmul(abs(x), abs(y)).astype(np.float64)
        reference.assert_within(pynn.matmul(x, y), expected, bound)


@pytest.mark.parametrize("dtype", reference.FLOATS)
def test_nothing_beyond_the_result_is_written(dtype):
    for m, n in ((1, 1), (3, 5), (14, 17), (31, 45)):
        space = np.full(m * n + 64, 7, dtype)
        out = space[32 : 32 + m * n].reshape(m, n)
        a, b = reference.random((m, 9), dtype), reference.random((9, n), dtype, 1)
        assert pynn.matmul(a, b, out=out) is out
        reference.assert_within(out, *reference.exact_product(a, b))
        assert (space[:32] == 7).all()
        assert (space[32 + m * n :] == 7).all()


@pytest.mark.parametrize("n", [1, 5, 16, 33])
@pytest.mark.parametrize("dtype", reference.FLOATS)
def test_special_values(n, dtype):
    a, b = reference.random((7, 6), dtype), reference.random((6, n), dtype, 1)
    a[0, 1], a[1, 2], a[2, 3], a[3] = np.nan, np.inf, -np.inf, 0
    b[4, 0], b[5, n - 1] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        expected = np.matmul(a, b)
    np.testing.assert_allclose(pynn.matmul(a, b), expected, rtol=1e-4)


@pytest.mark.parametrize("layout", [*reference.LAYOUTS][:-1])
@pytest.mark.parametrize(
    "shapes", [((5, 7), (7, 3)), ((7,), (7, 3)), ((5, 7), (7,)), ((2, 5, 7), (7, 3))]
)
def test_out(layout, shapes):
    a, b = reference.random(shapes[0]), reference.random(shapes[1], seed=1)
    expected, bound = reference.exact_product(a, b)
    out = reference.LAYOUTS[layout](np.full(expected.shape, np.nan))
    assert pynn.matmul(a, b, out=out) is out
    reference.assert_within(out, expected, bound)
    assert pynn.matmul(a, b, out) is out
    assert pynn.matmul(a, b, out=(out,)) is out


def test_out_of_a_scalar():
    out = np.zeros(())
    assert pynn.matmul([1.0, 2.0], [3.0, 4.0], out=out) is out
    assert out == 11


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize("which", ["first", "second", "both", "part"])
def test_out_overlaps_the_operands(which, dtype):
    space = reference.random((12, 9), dtype)
    a, b = space[:9], reference.random((9, 9), dtype, 1)
    out = {"first": a, "second": b, "both": a, "part": space[2:11]}[which]
    b = a.T if which == "both" else b
    expected, bound = reference.exact_product(a.copy(), b.copy())
    assert pynn.matmul(a, b, out=out) is out
    reference.assert_within(out, expected, bound)


@pytest.mark.parametrize("out", [np.float16, np.float32, np.float64, np.longdouble, complex, ">f4"])
@pytest.mark.parametrize("operand", reference.FLOATS)
def test_out_of_another_type(operand, out):
    a, b = reference.random((4, 6), operand), reference.random((6, 5), operand, 1)
    ours, numpys = np.zeros((4, 5), out), np.zeros((4, 5), out)
    assert pynn.matmul(a, b, out=ours) is ours
    np.matmul(a, b, out=numpys)
    np.testing.assert_allclose(ours, numpys, rtol=1e-2 if out is np.float16 else 1e-4)


TYPES = ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "g", "F", "D", "O", ">f4", ">i2"]


@pytest.mark.parametrize("right", TYPES)
@pytest.mark.parametrize("left", TYPES)
def test_promotion(left, right):
    """Small whole numbers: exact in every type, so equal whatever computes them."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 4, shape) for shape in ((5, 6), (6, 4)))
    a, b = a.astype(left), b.astype(right)
    for x, y in ((a, b), (a[0], b), (a, b[:, 0]), (a[0], b[:, 0])):
        ours, numpys = pynn.matmul(x, y), np.matmul(x, y)
        assert type(ours) is type(numpys)
        assert np.asarray(ours).dtype == np.asarray(numpys).dtype
        np.testing.assert_array_equal(ours, numpys)


@pytest.mark.parametrize(
    ("x1", "x2"),
    [
        ([[1, 2], [3, 4]], [1, 1]),
        ([[1.5, 2], [3, 4]], np.eye(2, dtype=np.float32)),
        ((1.0, 2.0), (3.0, 4.0)),
        (np.zeros((3, 0)), np.zeros((0, 2))),
        (np.zeros(0, np.float32), np.zeros(0, np.float32)),
        (np.zeros((2, 0, 3)), np.zeros((3, 4))),
    ],
)
def test_lists_and_empty_operands(x1, x2):
    ours, numpys = pynn.matmul(x1, x2), np.matmul(x1, x2)
    assert type(ours) is type(numpys)
    assert ours.dtype == numpys.dtype
    np.testing.assert_array_equal(ours, numpys)


class Labeled(np.ndarray):
    """A subclass that adds nothing."""


class Counter:
    """Answers to NumPy's functions itself."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return ufunc.__name__, method, len(inputs), sorted(kwargs)


class NoArray:
    """Is no operand of NumPy's functions."""

    __array_ufunc__ = None


def matrix(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.asmatrix(x)


@pytest.mark.parametrize(
    "make",
    [matrix, lambda x: x.view(Labeled)],
    ids=["matrix", "subclass"],
)
def test_subclasses_get_numpys_answer(make):
    a, b = reference.random((4, 4)), reference.random((4, 4), seed=1)
    for x, y in ((make(a), b), (a, make(b)), (make(a), make(b))):
        ours, numpys = pynn.matmul(x, y), np.matmul(x, y)
        assert type(ours) is type(numpys)
        np.testing.assert_array_equal(ours, numpys)


def test_foreign_operands_get_numpys_answer():
    a = np.eye(2)
    assert pynn.matmul(a, Counter()) == np.matmul(a, Counter())
    assert pynn.matmul(Counter(), a, out=a) == np.matmul(Counter(), a, out=a)
    with pytest.raises(TypeError, match="NoArray"):
        pynn.matmul(a, NoArray())


def read_only(shape):
    return reference.LAYOUTS["read-only"](np.zeros(shape))


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize(
    ("shape1", "shape2", "keywords"),
    [
        ((2, 3), (2, 3), {}),
        ((3,), (2,), {}),
        ((2, 3), (2,), {}),
        ((3,), (2, 2), {}),
        ((), (3,), {}),
        ((3,), (), {}),
        ((2, 2, 3), (3, 3, 2), {}),
        ((2, 3), (3, 2), {"out": np.zeros((3, 2))}),
        ((2, 3), (3, 2), {"out": np.zeros(4)}),
        ((2, 3), (3, 2), {"out": np.zeros((2, 2), int)}),
        ((2, 3), (3, 2), {"out": [[0, 0], [0, 0]]}),
        ((2, 3), (3, 2), {"out": (np.zeros((2, 2)), np.zeros((2, 2)))}),
        ((2, 3), (3, 2), {"out": read_only((2, 2))}),
    ],
)
def test_errors_are_numpys(shape1, shape2, keywords, dtype):
    a, b = np.ones(shape1, dtype), np.ones(shape2, dtype)
    with pytest.raises((ValueError, TypeError)) as numpys:
        np.matmul(a, b, **keywords)
    with pytest.raises(numpys.type) as ours:
        pynn.matmul(a, b, **keywords)
    assert str(ours.value) == str(numpys.value)


@pytest.mark.parametrize("arguments", [(), (np.eye(2),), ("ab", np.eye(2)), (None, np.eye(2))])
def test_wrong_arguments(arguments):
    with pytest.raises((TypeError, ValueError)) as numpys:
        np.matmul(*arguments)
    with pytest.raises(numpys.type):
        pynn.matmul(*arguments)
    with pytest.raises(TypeError):
        pynn.matmul(np.eye(2), np.eye(2), other=1)
