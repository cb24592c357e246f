"""Products as layers use them: several pieces under one epilogue, an operand read through a table
of rows or columns, sums that one product begins and another ends. A scalar chain predicts each bit.
"""

import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from blocks import straddling
from hypothesis import given, settings
from reference import KC, assert_same_bits
from toolchain import needs_sources

import pynn
from pynn import _core

TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)
FUSED = pytest.mark.skipif(
    not pynn.show_config("dict")["fused_multiply_add"], reason="this set has no fused multiply-add"
)

# ---------------------------------------------------------------- operands

# How a piece's a lies: as rows, as columns, or behind a table of either.
KINDS = ("rows", "columns", "row table", "column table")
EPILOGUES = ("store", "bias", "scale", "add", "combine", "relu_backward", "sgd")


def make_piece(m, k, n, dtype, kind, transposed_b, rng):
    """The operands of one piece as the product takes them, and a as a matrix."""
    b = rng.standard_normal((k, n)).astype(dtype)
    b = np.asfortranarray(b) if transposed_b else b
    if kind in ("rows", "columns"):
        a = rng.standard_normal((m, k)).astype(dtype)
        return (np.asfortranarray(a) if kind == "columns" else a, b, None, None), a
    # Patches of an image: they overlap, they are some way apart, and some lie outside of it.
    count, length = (m, k) if kind == "row table" else (k, m)
    step = int(rng.integers(1, 5))
    values = rng.standard_normal(step * count + length).astype(dtype)
    table = (step * np.arange(count)).astype(np.int32)
    if rng.random() < 0.5:
        rng.shuffle(table)
    padded = rng.random(count) < 0.2
    table[padded] = -1 - rng.integers(0, 9, padded.sum())
    a = values[np.maximum(table, 0)[:, np.newaxis] + np.arange(length)]
    a[padded] = 0
    if kind == "row table":
        return (values, b, table, None), a
    return (values, b, None, table), np.ascontiguousarray(a.T)


def make_pieces(m, ks, n, dtype, kinds, transposed_b, seed, one_b=False):
    """Pieces, and the whole product's operands."""
    rng = np.random.default_rng(seed)
    made = [
        make_piece(m, k, n, dtype, kind, turned, rng)
        for k, kind, turned in zip(ks, kinds, transposed_b, strict=True)
    ]
    pieces = [piece for piece, _ in made]
    b = np.concatenate([piece[1] for piece in pieces])
    if one_b:  # as a convolution's kernel: the pieces' b are rows of one matrix
        ends = np.cumsum(ks)
        pieces = [
            (piece[0], b[end - k : end], *piece[2:])
            for piece, end, k in zip(pieces, ends, ks, strict=True)
        ]
    return pieces, np.concatenate([a for _, a in made], axis=1), b


def chosen_elements(m, n, seed):
    """Corners, where tiles are cut, and a few elements anywhere."""
    rng = np.random.default_rng(seed)
    rows = np.r_[0, m - 1, 0, m - 1, rng.integers(0, m, 4)]
    columns = np.r_[0, n - 1, n - 1, 0, rng.integers(0, n, 4)]
    return rows, columns


def chains(a, b, chosen):
    """The elements by the scalar chain."""
    sums = [reference.dot_chain(a[i], b[:, j]) for i, j in zip(*chosen, strict=True)]
    return np.array(sums, a.dtype)


def multiply(pieces, epilogue, old, rng):
    """The product, and what the epilogue makes of a sum at (i, j)."""
    m, n = old.shape
    dtype = old.dtype
    fma, scalar = reference.FMA[dtype], dtype.type
    c = old.copy()
    if epilogue == "bias":
        bias = rng.standard_normal((1, n)).astype(dtype)
        _core.product_pieces(pieces, c, "bias", bias, factor=0.0)
        return c, lambda v, i, j: max(scalar(0), v + bias[0, j])
    if epilogue == "relu_backward":
        y = rng.standard_normal((m, n)).astype(dtype)
        _core.product_pieces(pieces, c, "relu_backward", y)
        return c, lambda v, i, j: v if y[i, j] > 0 else scalar(0)
    if epilogue == "sgd":
        rate, decay = scalar(0.3), scalar(0.9)
        _core.product_pieces(pieces, c, "sgd", factor=rate, beta=decay)
        return c, lambda v, i, j: scalar(fma(-rate, v, decay * old[i, j]))
    if epilogue == "store":
        _core.product_pieces(pieces, c)
        return c, lambda v, i, j: v
    alpha, beta = {"scale": (0.7, 0), "add": (1, 1), "combine": (-0.7, 0.3)}[epilogue]
    alpha, beta = scalar(alpha), scalar(beta)
    _core.product_pieces(pieces, c, "scale", factor=alpha, beta=beta)
    if epilogue == "scale":
        return c, lambda v, i, j: alpha * v
    if epilogue == "add":  # a gradient's pieces: the whole sum, then one addition
        return c, lambda v, i, j: old[i, j] + v
    return c, lambda v, i, j: scalar(fma(alpha, v, beta * old[i, j]))


def check(pieces, a, b, epilogue, threads=1, seed=0):
    rng = np.random.default_rng(seed)
    m, n = len(a), b.shape[1]
    old = rng.standard_normal((m, n)).astype(a.dtype)
    with pynn.threads(threads):
        c, finish = multiply(pieces, epilogue, old, rng)
    chosen = chosen_elements(m, n, seed)
    expected = [finish(v, i, j) for v, i, j in zip(chains(a, b, chosen), *chosen, strict=True)]
    assert_same_bits(c[chosen], np.array(expected, a.dtype))
    if epilogue == "store":
        # All of them, in float64.
        wide, other = a.astype(np.float64), b.astype(np.float64)
        bound = (a.shape[1] + 1) * 2 * np.finfo(a.dtype).eps * (abs(wide) @ abs(other))
        reference.assert_within(c, wide @ other, bound)


# ---------------------------------------------------------------- pieces and tables

LENGTHS = st.one_of(
    st.sampled_from([1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 16, 17, 29, 31, 32, 33, 64, 100, 113, 129]),
    st.integers(1, 150),
)
TERMS = st.one_of(
    st.sampled_from([0, 1, 3, 9, 31, 32, 64, 511, 512, 513, 1024, 1100]), st.integers(1, 200)
)


@st.composite
def products(draw):
    count = draw(st.sampled_from([1, 1, 2, 2, 2, 3, 3, 7]))
    same = draw(st.booleans())  # one kind for all, or any mixture
    kind = draw(st.sampled_from(KINDS))
    one = draw(st.booleans())
    transposed = draw(st.booleans()) and not one
    return {
        "m": draw(LENGTHS),
        "n": draw(LENGTHS),
        "ks": [draw(TERMS if count < 7 else st.integers(0, 40)) for _ in range(count)],
        "kinds": [kind if same else draw(st.sampled_from(KINDS)) for _ in range(count)],
        "transposed_b": [transposed] * count,
        "one_b": one,
        "dtype": draw(st.sampled_from(reference.FLOATS)),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@FUSED
@given(products(), st.sampled_from(EPILOGUES), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_a_chain_predicts_pieces(p, epilogue, threads):
    check(*make_pieces(**p), epilogue, threads, p["seed"])


@FUSED
@TYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_epilogues_and_kinds(epilogue, kind, dtype):
    for m, n, ks in ((45, 70, [40, 9, 300]), (13, 33, [500, 30]), (150, 16, [1030])):
        count = len(ks)
        check(*make_pieces(m, ks, n, dtype, [kind] * count, [False] * count, 1), epilogue, 2)


@FUSED
@TYPES
@pytest.mark.parametrize("kind", KINDS)
def test_large_pieces(kind, dtype):
    """Several blocks of columns, many tiles of rows, b beyond the caches."""
    for m, n, ks in ((230, 1100, [300, 290]), (20, 900, [600, 9]), (1100, 40, [33, 500, 60])):
        count = len(ks)
        for turned in (False, True):
            check(*make_pieces(m, ks, n, dtype, [kind] * count, [turned] * count, 2), "store", 2)


@FUSED
@needs_sources
@TYPES
@pytest.mark.parametrize("kind", KINDS)
def test_terms_at_every_edge(kind, dtype):
    """The sum's length, and where its pieces meet, at each constant that cuts k."""
    edges = straddling("terms", dtype, high=1200, several=False)
    for k in edges:
        for ks in ([k], [k, 5], [5, k], [k // 2, k - k // 2, 1]):
            kinds = [kind] * len(ks)
            check(*make_pieces(17, ks, 35, dtype, kinds, [False] * len(ks), k), "store")


@FUSED
@needs_sources
@TYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_rows_and_columns_at_every_edge(axis, kind, dtype):
    for size in straddling(axis, dtype, high=700):
        m, n = (size, 18) if axis == "rows" else (16, size)
        check(*make_pieces(m, [9, 40], n, dtype, [kind] * 2, [False] * 2, size), "store")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_an_empty_sum(count):
    pieces, _, _ = make_pieces(5, [0] * count, 7, np.float32, ["rows"] * count, [False] * count, 0)
    c = np.full((5, 7), np.nan, np.float32)
    _core.product_pieces(pieces, c)
    np.testing.assert_array_equal(c, np.zeros((5, 7)))


# ---------------------------------------------------------------- sums that continue


def open_sums(a, b, chosen):
    """The sum of the finished chains and the unfinished one, of some elements."""
    cut = a.shape[1] // KC * KC
    return chains(a[:, :cut], b[:cut], chosen), chains(a[:, cut:], b[cut:], chosen)


@FUSED
@TYPES
@pytest.mark.parametrize("kind", ["rows", "columns", "row table"])
@pytest.mark.parametrize(
    "ks", [[7, 32], [39, 473], [600, 50], [512, 20], [1100, 600], [30, 482, 3], [0, 9], [300, 0]]
)
def test_a_sum_that_goes_on(ks, kind, dtype):
    """Products that each sum some terms give the bits of one that sums all."""
    for m, n in ((1, 1), (3, 70), (13, 33), (30, 64), (128, 45)):
        count = len(ks)
        pieces, a, b = make_pieces(m, ks, n, dtype, [kind] * count, [False] * count, m)
        bias = reference.random((1, n), dtype, 5)
        chosen = chosen_elements(m, n, 1)
        c, acc = (np.full((m, n), np.nan, dtype) for _ in range(2))
        before = 0
        for piece, k in zip(pieces[:-1], ks[:-1], strict=True):
            acc_in = acc if before % KC else None
            _core.product_pieces([piece], c, k_before=before, acc_in=acc_in, acc_out=acc)
            before += k
            finished, unfinished = open_sums(a[:, :before], b[:before], chosen)
            if before >= KC:
                assert_same_bits(c[chosen], finished)
            if before % KC:
                assert_same_bits(acc[chosen], unfinished)
        acc_in = acc if before % KC else None
        with pynn.threads(2):
            _core.product_pieces(
                [pieces[-1]], c, "bias", bias, factor=-np.inf, k_before=before, acc_in=acc_in
            )
        assert_same_bits(c[chosen], chains(a, b, chosen) + bias[0, chosen[1]])


@FUSED
@TYPES
@pytest.mark.parametrize("steps", [1, 4])
def test_a_recurrent_layers_gates(steps, dtype):
    """x W of all steps at once, then h U continues each chain in place."""
    inputs, units, batch = 7, 33, 10
    x, w = reference.random((steps, batch, inputs), dtype), reference.random((inputs, units), dtype)
    h, u = reference.random((batch, units), dtype, 2), reference.random((units, units), dtype, 3)
    z = np.empty((steps, batch, units), dtype)
    flat = (steps * batch, units)
    _core.product_pieces([(x.reshape(-1, inputs), w, None, None)], z.reshape(flat))
    chosen = chosen_elements(batch, units, 4)
    for t in range(steps):
        apart, together = z[t], np.empty((batch, units), dtype)
        _core.product_pieces([(h, u, None, None)], apart, k_before=inputs, acc_in=apart)
        _core.product_pieces([(x[t], w, None, None), (h, u, None, None)], together)
        assert_same_bits(apart, together)
        expected = chains(np.hstack([x[t], h]), np.vstack([w, u]), chosen)
        assert_same_bits(together[chosen], expected)
        h = np.tanh(together)


# ---------------------------------------------------------------- what a convolution is


@FUSED
@TYPES
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution(stride, dtype):
    """Forward and weight gradient of a 3 x 3 kernel with padding 1, of two images."""
    images, size, channels, filters = 2, 7, 5, 19
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, size, size, channels)).astype(dtype)
    w = rng.standard_normal((3, 3, channels, filters)).astype(dtype)
    out = (size + 2 - 3) // stride + 1
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    image, i, j = (index.ravel() for index in np.indices((images, out, out)))
    patches, tables = [], []
    for u, v in np.ndindex(3, 3):
        row, column = stride * i + u - 1, stride * j + v - 1
        inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
        table = ((image * size + row) * size + column) * channels
        tables.append(np.where(inside, table, -1).astype(np.int32))
        patches.append(padded[image, stride * i + u, stride * j + v])
    a, b = np.concatenate(patches, axis=1), w.reshape(-1, filters)
    pieces = [(x.ravel(), w[u, v], tables[3 * u + v], None) for u, v in np.ndindex(3, 3)]
    y = np.empty((images * out * out, filters), dtype)
    _core.product_pieces(pieces, y)
    assert_same_bits(y, reference.matmul_chain(a, b))
    dy = rng.standard_normal(y.shape).astype(dtype)
    for q, table in enumerate(tables):
        dw = np.empty((channels, filters), dtype)
        _core.product_pieces([(x.ravel(), dy, None, table)], dw)
        assert_same_bits(dw, reference.matmul_chain(np.ascontiguousarray(patches[q].T), dy))


@TYPES
def test_a_table_reads_nothing_else(dtype):
    """Padded positions and what lies between the patches are NaN, and so is c."""
    values = np.full(1000, np.nan, dtype)
    table = np.r_[7, -1, 300, 900].astype(np.int32)
    for at in table[table >= 0]:
        values[at : at + 33] = 1
    b = np.ones((33, 21), dtype)
    c = np.full((4, 21), np.nan, dtype)
    _core.product_pieces([(values, b, table, None)], c)
    np.testing.assert_array_equal(c, np.tile([[33], [0], [33], [33]], 21))
    c = np.full((33, 21), np.nan, dtype)
    _core.product_pieces([(values, b[:4], None, table)], c)
    np.testing.assert_array_equal(c, np.full((33, 21), 3))


def test_strategies():
    """Several pieces and tables are packed, or read in place by the general strategy."""
    a, b = np.ones((20, 30), np.float32), np.ones((30, 40), np.float32)
    c = np.empty((20, 40), np.float32)
    assert _core.product_pieces([(a, b, None, None)] * 2, c) == "blocks"
    np.testing.assert_array_equal(c, np.full((20, 40), 60))
