"""The arithmetic contract on shapes, layouts, epilogues and thread counts that hypothesis draws."""

import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from hypothesis import example, given, settings
from reference import assert_same_bits

import pynn

FUSED = pytest.mark.skipif(
    not pynn.show_config("dict")["fused_multiply_add"], reason="this set has no fused multiply-add"
)

LAYOUTS = st.sampled_from(["contiguous", "transposed", "inside", "strided", "negative"])
# Lengths at which something changes (vectors, tiles, panels, pieces of k), and any other.
LENGTHS = st.one_of(
    st.sampled_from([1, 2, 3, 7, 8, 9, 14, 15, 16, 17, 29, 31, 32, 33, 64, 100, 113, 128, 400]),
    st.integers(1, 150),
)
DEPTHS = st.one_of(LENGTHS, st.sampled_from([511, 512, 513, 1024, 1100]))
PRODUCTS = st.fixed_dictionaries(
    {
        "m": LENGTHS,
        "k": DEPTHS,
        "n": LENGTHS,
        "dtype": st.sampled_from(reference.FLOATS),
        "layouts": st.tuples(LAYOUTS, LAYOUTS),
        "threads": st.integers(1, 4),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def product(m, k, n, layouts=("contiguous", "contiguous"), dtype=np.float32, threads=1, seed=0):
    """One drawn product, for the cases that are tried every time."""
    return {
        "m": m,
        "k": k,
        "n": n,
        "dtype": dtype,
        "layouts": layouts,
        "threads": threads,
        "seed": seed,
    }


# The ways that a product may take: packed columns of a, both operands packed, rows of a whose
# distance is a multiple of a page, few columns with a transposed (the last layer's gradient), more
# columns than a block, one row, one column; a large b by slabs or panels; few rows times a
# transposed matrix, turned, of which the last has more than are packed at a time; several blocks
# of columns of a, by panels of which the last has a partial vector; rows of b that lie across
# cache lines; a far b streaming by one to eight rows, or packed while the block before is at work;
# short sums, whose tiles run on one after another.
WAYS = [
    product(130, 70, 150, ("transposed", "contiguous")),
    product(784, 128, 10, ("transposed", "contiguous")),
    product(784, 600, 3, ("transposed", "contiguous"), np.float64),
    product(40, 1024, 520),
    product(120, 1024, 1030, threads=2),
    product(120, 520, 410, ("negative", "transposed"), np.float64, 3),
    product(1, 600, 300, ("contiguous", "transposed")),
    product(1, 70, 2100, ("strided", "transposed"), np.float64),
    product(300, 600, 1, ("transposed", "strided")),
    product(33, 1100, 390),
    product(111, 700, 601, ("transposed", "contiguous"), np.float64),
    product(9, 520, 1001, ("strided", "inside"), np.float64),
    product(20, 600, 300, ("contiguous", "transposed")),
    product(71, 1030, 131, ("inside", "transposed"), np.float64, 2),
    product(70, 5000, 200, ("contiguous", "transposed")),
    product(1003, 530, 421, ("transposed", "contiguous")),
    product(7, 500, 33, ("transposed", "transposed"), np.float64),
    product(29, 1200, 301),
    product(30, 700, 517, ("inside", "inside"), np.float64),
    product(131, 300, 77, threads=2),
    product(1, 700, 2110, ("strided", "contiguous")),
    product(3, 1030, 515, ("negative", "inside")),
    product(8, 1100, 601, ("transposed", "contiguous"), np.float64),
    product(4, 5000, 517),
    product(23, 1100, 401, ("strided", "contiguous")),
    product(50, 1300, 517),
    product(140, 901, 450, ("inside", "inside"), np.float64, 2),
    product(131, 33, 100, ("transposed", "contiguous")),
    product(95, 18, 71, ("transposed", "inside"), np.float64, 2),
    product(37, 21, 99),
    product(41, 530, 67, ("inside", "contiguous"), np.float64),
]


def ways(test):
    for way in WAYS:
        test = example(way)(test)
    return test


def operands(p):
    left, right = (reference.LAYOUTS[layout] for layout in p["layouts"])
    a = left(reference.random((p["m"], p["k"]), p["dtype"], p["seed"]))
    b = right(reference.random((p["k"], p["n"]), p["dtype"], p["seed"] + 1))
    rng = np.random.default_rng(p["seed"])
    # Corners, where tiles are cut, and a few elements anywhere.
    rows = np.r_[0, p["m"] - 1, 0, p["m"] - 1, rng.integers(0, p["m"], 6)]
    columns = np.r_[0, p["n"] - 1, p["n"] - 1, 0, rng.integers(0, p["n"], 6)]
    chains = [reference.dot_chain(a[i], b[:, j]) for i, j in zip(rows, columns, strict=True)]
    return a, b, (rows, columns), np.array(chains, p["dtype"])


@FUSED
@ways
@given(PRODUCTS)
@settings(max_examples=60, deadline=None)
def test_a_chain_predicts_any_product(p):
    a, b, chosen, chains = operands(p)
    with pynn.threads(p["threads"]):
        assert_same_bits(pynn.matmul(a, b)[chosen], chains)


@FUSED
@pytest.mark.parametrize("beta", [0.3, 1])  # (beta 1 has a separate path: it is an update)
@ways
@given(PRODUCTS)
@settings(max_examples=40, deadline=None)
def test_a_chain_predicts_any_scaled_product(beta, p):
    a, b, chosen, chains = operands(p)
    old = reference.random((p["m"], p["n"]), p["dtype"], 2)
    alpha, beta = p["dtype"](-0.7), p["dtype"](beta)
    fma = reference.FMA[np.dtype(p["dtype"])]
    expected = [fma(alpha, x, beta * y) for x, y in zip(chains, old[chosen], strict=True)]
    with pynn.threads(p["threads"]):
        out = pynn.gemm(a, b, alpha=alpha, beta=beta, out=old.copy())
    assert_same_bits(out[chosen], np.array(expected, p["dtype"]))


@FUSED
@ways
@given(PRODUCTS)
@settings(max_examples=40, deadline=None)
def test_a_chain_predicts_any_layer(p):
    a, b, chosen, chains = operands(p)
    bias = reference.random(p["n"], p["dtype"], 3)
    with pynn.threads(p["threads"]):
        y = pynn.linear(a, b, bias, activation="relu")
    expected = np.maximum(chains + bias[chosen[1]], 0)
    assert_same_bits(y[chosen], expected)
