"""The arithmetic contract: a scalar loop predicts every bit. Only an element's operands decide it,
not the threads, the layout, or the rest of the batch."""

import numpy as np
import pytest
import reference
from reference import assert_same_bits

import pynn

TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)
FUSED = pytest.mark.skipif(
    not pynn.show_config("dict")["fused_multiply_add"], reason="this set has no fused multiply-add"
)
ELEMENTWISE = ["relu", "sigmoid", "tanh"]


# ---------------------------------------------------------------- the scalar order predicts


@FUSED
@TYPES
@pytest.mark.parametrize("k", [0, 1, 2, 10, 46, 100, 511, 512, 513, 1024, 1025, 1100])
def test_a_chain_predicts_matmul(k, dtype):
    for m, n in ((1, 1), (1, 19), (19, 1), (4, 5), (15, 3), (3, 35)):
        a, b = reference.random((m, k), dtype), reference.random((k, n), dtype, 1)
        expected = reference.matmul_chain(a, b)
        assert_same_bits(pynn.matmul(a, b), expected)
        assert_same_bits(pynn.matmul(a[0], b), expected[0])
        assert_same_bits(pynn.matmul(a, b[:, 0]), expected[:, 0])
        assert_same_bits(pynn.matmul(a[0], b[:, 0]), expected[0, 0])


@FUSED
@TYPES
@pytest.mark.parametrize(
    "shape", [(300, 70, 200), (130, 1030, 90), (29, 600, 1100), (70, 20, 2100)]
)
def test_a_chain_predicts_large_products(shape, dtype):
    """Large enough for packing, blocks and threads; some of the elements."""
    m, k, n = shape
    a, b = reference.random((m, k), dtype), reference.random((k, n), dtype, 1)
    rng = np.random.default_rng(2)
    rows, columns = rng.integers(0, m, 40), rng.integers(0, n, 40)
    expected = [reference.dot_chain(a[i], b[:, j]) for i, j in zip(rows, columns, strict=True)]
    for x in (a, np.asfortranarray(a)):
        for y in (b, np.asfortranarray(b)):
            assert_same_bits(pynn.matmul(x, y)[rows, columns], np.array(expected, dtype))


@FUSED
@TYPES
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided", "negative"])
@pytest.mark.parametrize(
    "leading",
    [((4,), (4,)), ((4,), ()), ((), (4,)), ((2, 1), (3,)), ((1, 3), (2, 1)), ((2, 2), (2,))],
)
def test_a_chain_predicts_stacks(leading, layout, dtype):
    lay_out = reference.LAYOUTS[layout]
    a, b = (
        reference.random((*leading[i], *shape), dtype, i)
        for i, shape in enumerate([(3, 5), (5, 4)])
    )
    shape = np.broadcast_shapes(*leading)
    expected = np.empty((*shape, 3, 4), dtype)
    for i in np.ndindex(shape):
        both = (np.broadcast_to(x, (*shape, *x.shape[-2:]))[i] for x in (a, b))
        expected[i] = reference.matmul_chain(*both)
    assert_same_bits(pynn.matmul(lay_out(a), lay_out(b)), expected)
    out = np.empty_like(expected)
    assert_same_bits(pynn.matmul(lay_out(a), lay_out(b), out), expected)
    # Vectors are a row or a column that the result has not.
    row, column = lay_out(a.reshape(-1, 5))[0], lay_out(b.reshape(-1, 4))[:5, 0]
    rows = [reference.matmul_chain(row[np.newaxis], y)[0] for y in b.reshape(-1, 5, 4)]
    assert_same_bits(pynn.matmul(row, lay_out(b)), np.reshape(rows, (*leading[1], 4)))
    columns = [reference.matmul_chain(x, column[:, np.newaxis]) for x in a.reshape(-1, 3, 5)]
    assert_same_bits(pynn.matmul(lay_out(a), column), np.reshape(columns, (*leading[0], 3)))


@FUSED
@TYPES
def test_a_chain_predicts_special_products(dtype):
    """Cancellation that a rounded product would lose, denormals and overflow in the middle."""
    info = np.finfo(dtype)
    big, small = dtype(1) + info.eps, np.sqrt(info.tiny) * dtype(0.3)
    a = np.array([[big, -big, big], [small] * 3, [info.max, info.max, -info.max]], dtype)
    b = np.array([[big, small, 2], [big, small, -2], [-1, small, 1]], dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = reference.matmul_chain(a, b)
    np.testing.assert_array_equal(pynn.matmul(a, b), expected)
    assert expected[1, 1] > 0
    assert expected[1, 1] < info.tiny


@FUSED
@TYPES
@pytest.mark.parametrize("m", [1, 7, 512, 513, 1100])
def test_ones_predict_column_sums(m, dtype):
    dy = reference.random((m, 37), dtype)
    db = pynn.linear_backward(dy, np.ones((m, 1), dtype), np.ones((1, 37), dtype))[2]
    assert_same_bits(db, reference.matmul_chain(np.ones((1, m), dtype), dy)[0])


@FUSED
@TYPES
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_a_chain_predicts_linear(activation, dtype):
    for m, n_in, n_out in ((1, 5, 3), (9, 10, 45), (3, 600, 17)):
        x, w = reference.random((m, n_in), dtype), reference.random((n_in, n_out), dtype, 1)
        b = reference.random(n_out, dtype, 2)
        z = reference.matmul_chain(x, w) + b
        expected = np.maximum(z, 0) if activation == "relu" else z
        assert_same_bits(pynn.linear(x, w, b, activation=activation), expected)


@FUSED
@TYPES
@pytest.mark.parametrize("n", [5, 16, 45])
def test_chains_predict_linear_backward(n, dtype):
    dy, x, w = (reference.random(s, dtype, i) for i, s in enumerate([(18, n), (18, 7), (7, n)]))
    dx, dw, _ = pynn.linear_backward(dy, x, w)
    assert_same_bits(dx, reference.matmul_chain(dy, w.T))
    assert_same_bits(dw, reference.matmul_chain(x.T, dy))


@TYPES
@pytest.mark.parametrize("n", [1, 7, 16, 17, 31, 33, 100])
def test_lanes_predict_row_sums(n, dtype):
    y, t = reference.random((5, n), dtype), reference.random((5, n), dtype, 1)
    losses = reference.lane_sum((y - t) * (y - t) * dtype(0.5))
    loss, gradient = pynn.squared_error(y, t)
    assert loss == reference.lane_sum(losses.astype(float)) / 5
    assert_same_bits(gradient, (y - t) * dtype(1 / 5))
    dot = reference.lane_sum(y * t)[:, np.newaxis]
    assert_same_bits(pynn.softmax_backward(y, t), t * (y - dot))


@TYPES
@pytest.mark.parametrize("n", [1, 5, 16, 45])
def test_scalars_predict_gradients(n, dtype):
    dy, y = reference.random(n, dtype), abs(reference.random(n, dtype, 1)) / 4
    assert_same_bits(pynn.relu_backward(dy, y - dtype(0.1)), np.where(y > dtype(0.1), dy, dtype(0)))
    assert_same_bits(pynn.sigmoid_backward(dy, y), dy * (y * (1 - y)))
    if pynn.show_config("dict")["fused_multiply_add"]:
        fma = reference.FMA[np.dtype(dtype)]
        slope = np.array([fma(-v, v, 1.0) for v in y.tolist()], dtype)
        assert_same_bits(pynn.tanh_backward(dy, y), dy * slope)


# ---------------------------------------------------------------- nothing else counts


def results(dtype):
    """Everything that is divided among threads, in sizes at which it is."""
    a, b = reference.random((150, 200), dtype), reference.random((200, 130), dtype, 1)
    long = reference.random((1300, 60), dtype, 2)
    yield pynn.matmul(a, b)
    yield pynn.matmul(b.T, a.T)
    yield pynn.matmul(long.T, long)
    yield pynn.matmul(reference.random((3, 2100), dtype), reference.random((2100, 900), dtype, 1))
    yield pynn.matmul(
        reference.random((4, 1, 100, 80), dtype), reference.random((2, 80, 90), dtype)
    )
    yield pynn.gemm(a, b, alpha=0.7, beta=-0.3, out=reference.random((150, 130), dtype, 3))
    yield pynn.linear(a, b, b[0], activation="tanh")
    yield from pynn.linear_backward(a, reference.random((150, 130), dtype, 3), b.T)
    x = reference.random((1100, 190), dtype, 4)
    y = pynn.softmax(x)
    yield y
    yield pynn.softmax_backward(x, y)
    for name in ELEMENTWISE:
        yield getattr(pynn, name)(x)
        yield getattr(pynn, f"{name}_backward")(np.repeat(x, 4), np.repeat(y, 4))
    for loss, gradient in (pynn.softmax_cross_entropy(x, y), pynn.sigmoid_cross_entropy(x, y)):
        yield loss
        yield gradient


@TYPES
@pytest.mark.parametrize("threads", [2, 3])
def test_threads(threads, dtype):
    with pynn.threads(1):
        expected = list(results(dtype))
    with pynn.threads(threads):
        actual = list(results(dtype))
    for a, b in zip(actual, expected, strict=True):
        assert_same_bits(a, b)


@TYPES
@pytest.mark.parametrize("w_layout", ["contiguous", "transposed"])
@pytest.mark.parametrize("shape", [(10, 45), (46, 10), (100, 1), (600, 37), (1100, 64)])
def test_a_row_alone_or_in_any_batch(shape, w_layout, dtype):
    n_in, n_out = shape
    x, w = reference.random((70, n_in), dtype), reference.random((n_in, n_out), dtype, 1)
    w = reference.LAYOUTS[w_layout](w)
    b = reference.random(n_out, dtype, 2)
    full, layer = pynn.matmul(x, w), pynn.linear(x, w, b, activation="sigmoid")
    for m in range(1, 70):
        assert_same_bits(pynn.matmul(x[:m], w), full[:m])
        assert_same_bits(pynn.matmul(x[m], w), full[m])
        assert_same_bits(pynn.matmul(x[m:], w), full[m:])
    for m in (1, 5, 32):
        assert_same_bits(pynn.linear(x[m], w, b, activation="sigmoid"), layer[m])
        assert_same_bits(pynn.linear(x[:m], w, b, activation="sigmoid"), layer[:m])
    for n in range(n_out):
        assert_same_bits(pynn.matmul(x, w[:, n:]), full[:, n:])
        assert_same_bits(pynn.matmul(x[:7], w[:, n]), full[:7, n])
    assert_same_bits(pynn.matmul(x.reshape(7, 10, n_in), w), full.reshape(7, 10, n_out))


@TYPES
@pytest.mark.parametrize(
    "shape", [(5, 7, 3), (1, 600, 20), (40, 100, 64), (64, 1, 33), (33, 46, 1)]
)
def test_layouts(shape, dtype):
    m, k, n = shape
    a, b = reference.random((m, k), dtype), reference.random((k, n), dtype, 1)
    expected = pynn.matmul(a, b)
    for left in reference.LAYOUTS.values():
        for right in reference.LAYOUTS.values():
            # Both byte orders swapped is NumPy's own product.
            x, y = left(a), right(b)
            if x.dtype.isnative or y.dtype.isnative:
                assert_same_bits(pynn.matmul(x, y), expected)
            assert_same_bits(pynn.gemm(x, y), expected)


@TYPES
@pytest.mark.parametrize("n", [*range(1, 36), 100])
def test_softmax_rows_alone_or_together(n, dtype):
    x = 3 * reference.random((20, n), dtype)
    full = pynn.softmax(x)
    gradients = pynn.softmax_backward(x, full)
    for i in range(20):
        assert_same_bits(pynn.softmax(x[i]), full[i])
        assert_same_bits(pynn.softmax_backward(x[i], full[i]), gradients[i])
        assert_same_bits(pynn.softmax(x[: i + 1]), full[: i + 1])
    assert_same_bits(pynn.softmax(np.asfortranarray(x)), full)
    assert_same_bits(pynn.softmax(np.ascontiguousarray(x.T), axis=0).T, full)


@TYPES
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("n", [2, 3, 10, 16, 21])
@pytest.mark.parametrize("m", [4, 8, 32])  # powers of two: dividing by them does not round
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_loss_of_a_row_alone_or_together(name, m, n, soft, dtype):
    f = getattr(pynn, name)
    z = 3 * reference.random((m, n), dtype)
    target = pynn.softmax(reference.random((m, n), dtype, 1)) if soft else np.arange(m) % n
    alone = [f(z[i : i + 1], target[i : i + 1]) for i in range(m)]
    loss, gradient = f(z, target)
    assert loss == reference.lane_sum(np.array([own for own, _ in alone])) / m
    for i in range(m):
        assert_same_bits(alone[i][1] / dtype(m), gradient[i : i + 1])


@TYPES
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elements_alone_or_together(name, dtype):
    f, backward = getattr(pynn, name), getattr(pynn, f"{name}_backward")
    x = 3 * reference.random(67, dtype)
    y = f(x)
    dx = backward(x, y)
    for i in range(67):
        assert_same_bits(f(x[i]), y[i])
        assert_same_bits(f(x[i:]), y[i:])
        assert_same_bits(f(x[:i]), y[:i])
        assert_same_bits(backward(x[i:], y[i:]), dx[i:])
        assert_same_bits(backward(x[:i], y[:i]), dx[:i])
    assert_same_bits(f(np.repeat(x, 3)[::3]), y)


@TYPES
def test_repeated_calls(dtype):
    for a, b in zip(results(dtype), results(dtype), strict=True):
        assert_same_bits(a, b)
