"""gemm, linear and linear_backward against products in a wider type and torch's autograd."""

import numpy as np
import pytest
import reference

import pynn

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}
SHAPES = [(1, 1, 1), (5, 7, 3), (32, 10, 45), (46, 100, 10), (1, 64, 70), (33, 0, 4)]


def scaled(a, b, alpha, beta, out):
    """``alpha a b + beta out`` in a wider type, and its error bound."""
    product, bound = reference.exact_product(a, b)
    expected = alpha * product + beta * out.astype(product.dtype)
    eps = np.finfo(np.result_type(a, b)).eps
    return expected, abs(alpha) * bound + 2 * eps * (abs(alpha * product) + abs(beta * out))


# ---------------------------------------------------------------- gemm


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize(("alpha", "beta"), [(1, 0), (-2.5, 0), (1, 1), (0.3, -1.7), (0, 0.5)])
@pytest.mark.parametrize("shape", [*SHAPES, (20, 512, 17), (20, 513, 17), (31, 1100, 33)])
def test_gemm(shape, alpha, beta, dtype):
    m, k, n = shape
    a, b = reference.random((m, k), dtype), reference.random((k, n), dtype, 1)
    out = reference.random((m, n), dtype, 2)
    expected = scaled(a, b, alpha, beta, out)
    assert pynn.gemm(a, b, alpha=alpha, beta=beta, out=out) is out
    reference.assert_within(out, *expected)
    if beta == 0:
        result = pynn.gemm(a, b, alpha=alpha)
        assert result.dtype == dtype
        reference.assert_within(result, *expected)


@pytest.mark.parametrize("beta", [0, 0.5])
@pytest.mark.parametrize("layout", [*reference.LAYOUTS][:-1])
def test_gemm_layouts(layout, beta):
    a, b, out = (reference.random(shape) for shape in ((9, 14), (14, 11), (9, 11)))
    expected = scaled(a, b, 2, beta, out)
    a, b, out = (reference.LAYOUTS[layout](x) for x in (a, b, out))
    assert pynn.gemm(a, b, alpha=2, beta=beta, out=out) is out
    reference.assert_within(out, *expected)


@pytest.mark.parametrize("beta", [0, 0.5])
@pytest.mark.parametrize("k", [8, 600])
def test_gemm_out_overlaps_the_operands(k, beta):
    space = reference.random((k + 2, k))
    a, b, out = space[:8], space[:k], space[2:10]
    expected = scaled(a.copy(), b.copy(), 1, beta, out.copy())
    pynn.gemm(a, b, beta=beta, out=out)
    reference.assert_within(out, *expected)


@pytest.mark.parametrize("beta", [0, 0.5])
def test_gemm_out_of_another_type(beta):
    a, b, out = (reference.random(shape) for shape in ((3, 4), (4, 5), (3, 5)))
    out = out.astype(np.float32)
    expected, bound = scaled(a, b, 1, beta, out)
    pynn.gemm(a, b, beta=beta, out=out)
    reference.assert_within(out, expected, bound + 1e-7 * abs(expected))


class Labeled(np.ndarray):
    """A subclass that adds nothing."""


@pytest.mark.parametrize("beta", [0, 0.5])
def test_gemm_out_of_a_subclass(beta):
    a, b, out = (reference.random(shape) for shape in ((3, 4), (4, 5), (3, 5)))
    expected = scaled(a, b, 2, beta, out)
    out = out.view(Labeled)
    assert pynn.gemm(a, b, alpha=2, beta=beta, out=out) is out
    reference.assert_within(np.asarray(out), *expected)


@pytest.mark.parametrize("k", [3, 600])
def test_gemm_reads_out_only_with_beta(k):
    a, b = reference.random((4, k)), reference.random((k, 5), seed=1)
    out = np.full((4, 5), np.nan)
    assert np.isfinite(pynn.gemm(a, b, out=out)).all()
    assert np.isnan(pynn.gemm(a, b, beta=1, out=np.full((4, 5), np.nan))).all()


def test_gemm_mixes_types():
    a, b = [[1, 2], [3, 4]], reference.random((2, 3), np.float32)
    reference.assert_within(pynn.gemm(a, b), *reference.exact_product(np.array(a), b))
    assert pynn.gemm(np.float32(a), b).dtype == np.float32


def test_byte_order_does_not_change_the_type():
    x, w = reference.random((3, 4), np.float32), reference.random((4, 2), np.float32)
    swapped = [reference.LAYOUTS["swapped"](operand) for operand in (x, w)]
    for f in (pynn.gemm, pynn.linear):
        result = f(*swapped)
        assert result.dtype == np.float32
        reference.assert_within(result, *reference.exact_product(x, w))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"a": np.ones((3, 5))}, ValueError, r"\(3, 5\).*\(4, 2\)"),
        ({"a": np.ones(4)}, ValueError, r"a must have 2 dimensions, got shape \(4,\)"),
        ({"b": np.ones((1, 4, 2))}, ValueError, r"b must have 2 dimensions"),
        ({"a": np.ones((3, 4), complex)}, TypeError, "a must hold real numbers, got .*complex128"),
        ({"b": [["x"] * 2] * 4}, TypeError, "b must hold real numbers"),
        ({"beta": 1.0}, ValueError, "no out"),
        ({"out": np.zeros((2, 3))}, ValueError, r"out has shape \(2, 3\), expected \(3, 2\)"),
        ({"out": np.zeros((3, 2), int)}, TypeError, "out's dtype int64"),
        ({"out": [[0, 0]] * 3}, TypeError, "out must be an ndarray, got list"),
        ({"out": reference.LAYOUTS["read-only"](np.ones((3, 2)))}, ValueError, "out is read-only"),
        ({"alpha": 1j}, TypeError, "complex"),
    ],
)
def test_gemm_errors(changes, error, message):
    arguments = {"a": np.ones((3, 4)), "b": np.ones((4, 2))} | changes
    out = arguments.get("out")
    before = np.copy(out)
    with pytest.raises(error, match=message):
        pynn.gemm(arguments.pop("a"), arguments.pop("b"), **arguments)
    assert out is None or np.array_equal(out, before)


# ---------------------------------------------------------------- linear


def layer(x, w, b, activation):
    """A fully connected layer in a wider type, and its error bound."""
    z, bound = reference.exact_product(x, w)
    if b is not None:
        z = z + b
    eps = np.finfo(np.result_type(x, w)).eps
    return ACTIVATIONS[activation](z), bound + 4 * eps * (1 + abs(z))  # slopes are at most 1


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 1100, 9)])
def test_linear(shape, activation, bias, dtype):
    m, n_in, n_out = shape
    x, w = reference.random((m, n_in), dtype), reference.random((n_in, n_out), dtype, 1)
    b = reference.random(n_out, dtype, 2) if bias else None
    result = pynn.linear(x, w, b, activation=activation)
    assert result.dtype == dtype
    reference.assert_within(result, *layer(x, w, b, activation))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (0,), (2, 0, 3), (4, 1, 2)])
@pytest.mark.parametrize("n_in", [6, 0])
def test_linear_keeps_leading_axes(n_in, leading, bias):
    x, w = reference.random((*leading, n_in)), reference.random((n_in, 5), seed=1)
    b = reference.random(5, seed=2) if bias else None
    reference.assert_within(pynn.linear(x, w, b), *layer(x, w, b, "identity"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layout", [*reference.LAYOUTS][:-1])
def test_linear_layouts_and_out(layout, activation):
    x, w, b = (
        reference.random((6, 9)),
        reference.random((9, 4), seed=1),
        reference.random(4, seed=2),
    )
    expected = layer(x, w, b, activation)
    x, w, b = (reference.LAYOUTS[layout](operand) for operand in (x, w, b))
    out = reference.LAYOUTS[layout](np.full((6, 4), np.nan))
    assert pynn.linear(x, w, b, activation=activation, out=out) is out
    reference.assert_within(out, *expected)


@pytest.mark.parametrize("layout", reference.LAYOUTS)
@pytest.mark.parametrize("shape", [(9,), (2, 3, 9)])
def test_rows_of_any_layout(shape, layout):
    x, w, dy = (reference.random(s) for s in (shape, (9, 4), (*shape[:-1], 4)))
    given = reference.LAYOUTS[layout](x)
    reference.assert_within(pynn.linear(given, w), *layer(x, w, None, "identity"))
    check_backward(dy, x, w, pynn.linear_backward(dy, given, w))
    check_backward(dy, x, w, pynn.linear_backward(reference.LAYOUTS[layout](dy), x, w))


def test_linear_takes_its_arguments_by_name():
    x, w, b = reference.random((6, 9)), reference.random((9, 4), seed=1), reference.random(4)
    expected = layer(x, w, b, "tanh")
    for out in (np.empty((6, 4)), None):
        for arguments, named in (
            ((), {"out": out, "b": b, "activation": "tanh", "w": w, "x": x}),
            ((x, w), {"out": out, "activation": "tanh", "b": b}),
            ((x, w), {"activation": "tanh", "b": b, "out": out}),
            ((x, w, b), {"out": out, "activation": "tanh"}),
        ):
            result = pynn.linear(*arguments, **named)
            assert out is None or result is out
            reference.assert_within(result, *expected)
            result[...] = np.nan
    for arguments, named in (((x, w, b, "tanh"), {}), ((x, w, b), {"b": b}), ((x,), {"b": b})):
        with pytest.raises(TypeError, match=r"^linear\(\) "):
            pynn.linear(*arguments, **named)
    for arguments in ((x, w), (x, x, w, w)):
        with pytest.raises(TypeError, match=r"^linear_backward\(\) "):
            pynn.linear_backward(*arguments)


@pytest.mark.parametrize("size", [5, 60])
@pytest.mark.parametrize("which", range(3))
def test_linear_out_overlaps_the_operands(which, size):
    square = (size, size)
    operands = [
        reference.random(square),
        reference.random(square, seed=1),
        reference.random(size * size)[:size],
    ]
    expected = layer(*operands, "tanh")
    out = operands[which] if which < 2 else operands[2].base.reshape(square)
    pynn.linear(*operands, activation="tanh", out=out)
    reference.assert_within(out, *expected)


def test_an_empty_operand_overlaps_nothing():
    space = np.full((4, 5), np.nan)
    x, out = space[1:4, :0], space[:3]  # x begins within out
    pynn.linear(x, np.ones((0, 5)), np.arange(5.0), out=out)
    np.testing.assert_array_equal(out, np.tile(np.arange(5.0), (3, 1)))
    pynn.matmul(x, np.ones((0, 5)), out=out)
    np.testing.assert_array_equal(out, np.zeros((3, 5)))


def test_linear_mixes_types():
    w = reference.random((2, 3), np.float32)
    result = pynn.linear([[1, 2]], w, [1, 2, 3])
    reference.assert_within(result, *layer(np.array([[1, 2]]), w, np.array([1, 2, 3]), "identity"))
    out = np.zeros((1, 3), np.float32)
    assert pynn.linear([[1, 2]], w, [1, 2, 3], out=out) is out
    np.testing.assert_allclose(out, result, rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_passes_nan(bias, activation):
    result = pynn.linear(
        [[np.nan], [1.0]], [[1.0, 2.0]], [0.0, 0.0] if bias else None, activation=activation
    )
    assert np.isnan(result).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": np.ones((3, 5))}, ValueError, r"x has shape \(3, 5\), expected \(\.\.\., 4\)"),
        ({"x": 1.0}, ValueError, r"x has shape \(\)"),
        ({"w": np.ones(4)}, ValueError, "w must have 2 dimensions"),
        ({"b": np.ones(4)}, ValueError, r"b has shape \(4,\), expected \(2,\)"),
        ({"b": 1.0}, ValueError, r"b has shape \(\), expected \(2,\)"),
        ({"x": np.ones((3, 4), complex)}, TypeError, "x must hold real numbers"),
        ({"w": np.ones((4, 2), object)}, TypeError, "w must hold real numbers"),
        ({"b": ["p", "q"]}, TypeError, "b must hold real numbers"),
        ({"activation": "Relu"}, ValueError, "activation must be one of .*'Relu'"),
        ({"activation": None}, ValueError, "activation must be one of"),
        ({"out": np.zeros((2, 3))}, ValueError, r"out has shape \(2, 3\), expected \(3, 2\)"),
        ({"out": np.zeros((3, 2), int)}, TypeError, "out's dtype int64"),
        ({"out": reference.LAYOUTS["read-only"](np.ones((3, 2)))}, ValueError, "out is read-only"),
    ],
)
def test_linear_errors(changes, error, message):
    arguments = {"x": np.ones((3, 4)), "w": np.ones((4, 2))} | changes
    with pytest.raises(error, match=message):
        pynn.linear(**arguments)


# ---------------------------------------------------------------- linear_backward


def check_backward(dy, x, w, gradients):
    dx, dw, db = gradients
    rows, delta = x.reshape(np.prod(x.shape[:-1], dtype=int), x.shape[-1]), dy
    delta = delta.reshape(len(rows), dy.shape[-1])
    expected, bound = reference.exact_product(dy, w.T)
    reference.assert_within(dx, expected, bound)
    reference.assert_within(dw, *reference.exact_product(rows.T, delta))
    reference.assert_within(db, *reference.exact_product(np.ones(len(rows), dy.dtype), delta))


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (5, 7, 3), (32, 10, 45), (46, 100, 10), (128, 64, 70), (1100, 9, 33)]
)
def test_linear_backward(shape, dtype):
    m, n_in, n_out = shape
    dy, x = reference.random((m, n_out), dtype), reference.random((m, n_in), dtype, 1)
    w = reference.random((n_in, n_out), dtype, 2)
    gradients = pynn.linear_backward(dy, x, w)
    assert [g.dtype for g in gradients] == [dtype] * 3
    check_backward(dy, x, w, gradients)


@pytest.mark.parametrize("sizes", [(6, 5), (0, 5), (6, 0), (0, 0)])
@pytest.mark.parametrize("leading", [(), (1,), (4,), (2, 3), (0,), (2, 0)])
def test_linear_backward_keeps_leading_axes(leading, sizes):
    n_in, n_out = sizes
    dy, x = reference.random((*leading, n_out)), reference.random((*leading, n_in), seed=1)
    w = reference.random((n_in, n_out), seed=2)
    check_backward(dy, x, w, pynn.linear_backward(dy, x, w))


@pytest.mark.parametrize("layout", reference.LAYOUTS)
def test_linear_backward_layouts(layout):
    operands = reference.random((8, 4)), reference.random((8, 9), seed=1), reference.random((9, 4))
    gradients = pynn.linear_backward(*(reference.LAYOUTS[layout](x) for x in operands))
    check_backward(*operands, gradients)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_torchs(activation):
    torch = pytest.importorskip("torch")
    x, w, b, dy = (
        reference.random(s, seed=i) for i, s in enumerate([(2, 7, 6), (6, 5), 5, (2, 7, 5)])
    )
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, w, b)]
    z = leaves[0] @ leaves[1] + leaves[2]
    y = z if activation == "identity" else getattr(torch, activation)(z)
    y.backward(torch.tensor(dy))
    ours = pynn.linear(x, w, b, activation=activation)
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-12, atol=1e-14)
    if activation != "identity":
        dy = getattr(pynn, f"{activation}_backward")(dy, ours)
    for gradient, leaf in zip(pynn.linear_backward(dy, x, w), leaves, strict=True):
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dy": np.ones((3, 4))}, ValueError, r"dy has shape \(3, 4\), expected \(3, 2\)"),
        ({"dy": np.ones((4, 2))}, ValueError, r"dy has shape \(4, 2\), expected \(3, 2\)"),
        ({"dy": np.ones(6)}, ValueError, r"dy has shape \(6,\)"),
        ({"x": np.ones((3, 5))}, ValueError, r"x has shape \(3, 5\), expected \(\.\.\., 4\)"),
        ({"x": 1.0}, ValueError, r"x has shape \(\)"),
        ({"w": np.ones((1, 4, 2))}, ValueError, "w must have 2 dimensions"),
        ({"dy": np.ones((3, 2), complex)}, TypeError, "dy must hold real numbers"),
        ({"x": "text"}, TypeError, "x must hold real numbers"),
    ],
)
def test_linear_backward_errors(changes, error, message):
    arguments = {"dy": np.ones((3, 2)), "x": np.ones((3, 4)), "w": np.ones((4, 2))} | changes
    with pytest.raises(error, match=message):
        pynn.linear_backward(**arguments)
