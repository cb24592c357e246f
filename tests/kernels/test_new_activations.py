"""Special cases of leaky_relu, elu, silu and softplus (alpha, saturation, worst inputs), and
log_softmax: against formulas in a wider type, SciPy, central differences and torch."""

import numpy as np
import pytest
import reference
from activation_formulas import EXACT, SLOPES, backward, dense, widened
from scipy import special

import pynn

NAMES = pytest.mark.parametrize("name", ["elu", "leaky_relu", "silu", "softplus"])
WITH_ALPHA = pytest.mark.parametrize("name", ["elu", "leaky_relu"])
TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)


# ---------------------------------------------------------------- values


# Where |got - exact| is largest over all of float32, or float64's largest known.
@TYPES
@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("silu", -5.9388938),
        ("silu", -1.9289997515703279),
        ("softplus", -1.28137684),
        ("softplus", -1.3504943610409486),
        ("elu", -0.365297347),
        ("elu", -0.3466291181707056),
    ],
)
def test_the_worst_inputs(name, x, dtype):
    if not reference.has_wider(dtype):
        pytest.skip("no wider type here")
    x = dtype(x) * (1 + np.arange(-1000, 1001) * np.finfo(dtype).eps).astype(dtype)
    distance = reference.ulps(getattr(pynn, name)(x), EXACT[name](widened(x)))
    assert distance.max() <= 2, f"at {x[distance.argmax()]!r}"


@TYPES
def test_leaky_relu_is_one_multiplication(dtype):
    x = dense(dtype)
    with np.errstate(all="ignore"):
        for alpha in (0.01, 1.0, 3.0):
            expected = np.where(x < 0, dtype(alpha) * x, x)
            np.testing.assert_array_equal(pynn.leaky_relu(x, alpha=alpha), expected)


@TYPES
@pytest.mark.parametrize("name", ["elu", "leaky_relu", "silu"])
def test_minus_zero_stays(name, dtype):
    for n in (1, 5, 16, 40):
        assert np.signbit(getattr(pynn, name)(np.full(n, -0.0, dtype))).all()
        assert not np.signbit(getattr(pynn, name)(np.full(n, 0.0, dtype))).any()


@TYPES
def test_saturation(dtype):
    info = np.finfo(dtype)
    x = np.linspace(1, 1000, 5000).astype(dtype)
    for name in ("softplus", "silu"):
        far = x[x > 60]
        np.testing.assert_array_equal(getattr(pynn, name)(far), far)
    np.testing.assert_array_equal(pynn.elu(x), x)
    assert (pynn.elu(-x[x > 60]) == -1).all()
    assert (pynn.elu(-x) >= -1).all()
    below = float(np.log(widened(info.smallest_subnormal[np.newaxis]))[0])
    for name in ("softplus", "silu"):
        y = getattr(pynn, name)(-x)
        assert (y[-x < 1.2 * below] == 0).all()
        assert (y[-x > 0.9 * below] != 0).all()
        # Denormals are not flushed.
        assert ((y != 0) & (abs(y) < info.tiny)).any()


@WITH_ALPHA
@TYPES
@pytest.mark.parametrize("alpha", [1e-3, 0.25, 1, 1.7, np.float32(0.3), 100])
def test_alpha(alpha, dtype, name):
    f = getattr(pynn, name)
    x = 5 * reference.random(1000, dtype)
    # (The kernel has alpha in its own type.)
    exact = EXACT[name](widened(x), dtype(alpha))
    assert (reference.ulps(f(x, alpha=alpha), exact) <= 2).all()
    assert f(x[0], alpha=alpha) == f(x, alpha=alpha)[0]


def test_the_alphas_of_the_literature():
    x = np.array([-2.0, 3.0])
    np.testing.assert_array_equal(pynn.leaky_relu(x), pynn.leaky_relu(x, alpha=0.01))
    np.testing.assert_array_equal(pynn.elu(x), pynn.elu(x, alpha=1.0))
    dy = np.ones(2)
    np.testing.assert_array_equal(pynn.leaky_relu_backward(dy, x), [0.01, 1])
    np.testing.assert_array_equal(
        pynn.elu_backward(dy, pynn.elu(x)), pynn.elu_backward(dy, pynn.elu(x), alpha=1.0)
    )


# ---------------------------------------------------------------- as functions


def test_special_values_of_longdouble():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.longdouble)
    ends = np.finfo(np.longdouble).max * np.array([1, -1], np.longdouble)
    log_2 = np.log(np.longdouble(2))
    expected = {
        "elu": ([np.nan, np.inf, -1, 0, -0.0], [ends[0], -1]),
        "leaky_relu": ([np.nan, np.inf, -np.inf, 0, -0.0], [ends[0], ends[1] / 100]),
        "silu": ([np.nan, np.inf, -0.0, 0, -0.0], [ends[0], -0.0]),
        "softplus": ([np.nan, np.inf, 0, log_2, log_2], [ends[0], 0]),
        "sigmoid": ([np.nan, 1, 0, 0.5, 0.5], [1, 0]),
        "tanh": ([np.nan, 1, -1, 0, -0.0], [1, -1]),
    }
    for name, values in expected.items():
        with np.errstate(all="raise"):  # nothing of it counts as a floating-point error
            results = [getattr(pynn, name)(z) for z in (x, ends)]
            if name in ("elu", "leaky_relu"):
                getattr(pynn, name)(ends, alpha=7.0)
        for result, correct in zip(results, values, strict=True):
            np.testing.assert_allclose(result, np.array(correct, np.longdouble), rtol=1e-15)
            known = ~np.isnan(result)
            np.testing.assert_array_equal(np.signbit(result)[known], np.signbit(correct)[known])


@WITH_ALPHA
def test_alpha_is_checked(name):
    f, b = getattr(pynn, name), getattr(pynn, f"{name}_backward")
    for call in (lambda alpha: f([1.0], alpha=alpha), lambda alpha: b([1.0], [1.0], alpha=alpha)):
        for alpha in (0, -0.1, -np.inf, np.nan, np.inf):
            with pytest.raises(ValueError, match=r"alpha must be in \(0, inf\), got"):
                call(alpha)
        for alpha in ("1", None, True, [1, 2]):
            with pytest.raises(TypeError, match="alpha must be a number"):
                call(alpha)
    with pytest.raises(TypeError):
        f([1.0], None, 0.5)  # by keyword only


# ---------------------------------------------------------------- gradients


@WITH_ALPHA
def test_backward_with_alpha(name):
    x = np.linspace(-6, 6, 240)
    for alpha in (0.3, 2.5):
        expected = SLOPES[name](x, alpha)
        result = backward(name, np.ones(240), x, alpha=alpha)
        np.testing.assert_allclose(result, expected, rtol=1e-12)


@NAMES
@TYPES
def test_backward_of_special_values(name, dtype):
    x = np.array([np.inf, -np.inf, 0.0, -0.0, 1e4, -1e4], dtype)
    at_zero = {"elu": 1, "leaky_relu": 0.01, "silu": 0.5, "softplus": 0.5}[name]
    low = 0.01 if name == "leaky_relu" else 0.0
    with np.errstate(all="raise"):
        result = backward(name, np.ones(6, dtype), x)
        np.testing.assert_allclose(
            result, [1, low, at_zero, at_zero, 1, low], rtol=2 * np.finfo(dtype).eps
        )
        assert np.isnan(backward(name, np.full(1, np.nan, dtype), np.ones(1, dtype))).all()
        if name != "leaky_relu":  # which compares, as relu does
            assert np.isnan(backward(name, np.ones(1, dtype), np.full(1, np.nan, dtype))).all()


@NAMES
def test_values_and_gradients_are_torchs(name):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = getattr(functional, name)
    x, dy = np.linspace(-19, 19, 500), reference.random(500)
    leaf = torch.tensor(x, requires_grad=True)
    y = theirs(leaf)
    y.backward(torch.tensor(dy))
    np.testing.assert_allclose(getattr(pynn, name)(x), y.detach().numpy(), rtol=1e-12, atol=1e-8)
    np.testing.assert_allclose(backward(name, dy, x), leaf.grad.numpy(), rtol=1e-9, atol=1e-8)


# ---------------------------------------------------------------- log_softmax


@TYPES
@pytest.mark.parametrize("n", [1, 2, 3, 10, 15, 16, 17, 33, 100, 1000])
def test_log_softmax(n, dtype):
    x = 3 * reference.random((5, n), dtype)
    result = pynn.log_softmax(x)
    assert result.dtype == dtype
    exact = special.log_softmax(x.astype(np.longdouble), axis=-1)
    # Of x - max, the logarithm of the sum, and their difference.
    bound = (4 + np.ptp(x) + np.log(n)) * np.finfo(dtype).eps
    reference.assert_within(result, exact, bound)
    np.testing.assert_allclose(np.exp(result).sum(-1), 1, rtol=0, atol=2 * n * bound)


@TYPES
def test_log_softmax_of_extreme_values(dtype):
    """What softmax rounds to 0 keeps its logarithm."""
    big = np.finfo(dtype).max
    x = np.array(
        [
            [1000, -1000, 0],
            [big, 0, -big / 4],
            [-big, -big, -big],
            [1e4, 1e4, -np.inf],
            [-1e30, -1e30, -1e30],
        ],
        dtype,
    )
    with np.errstate(all="raise"):
        result = pynn.log_softmax(x)
    log_2, log_3 = np.log([2, 3])
    expected = [
        [0, -2000, -1000],
        [0, -big, -float(big) / 4 - float(big)],
        [-log_3] * 3,
        [-log_2, -log_2, -np.inf],
        [-log_3] * 3,
    ]
    with np.errstate(over="ignore"):
        expected = np.array(expected).astype(dtype)
    np.testing.assert_allclose(result, expected, rtol=4 * np.finfo(dtype).eps)


@TYPES
@pytest.mark.parametrize("n", [2, 3, 16, 17, 40])
def test_log_softmax_of_a_row_with_nan(n, dtype):
    """Every result depends on it; the rows beside do not."""
    for place in {0, 1, n // 2, n - 1}:
        x = reference.random((3, n), dtype)
        clean = pynn.log_softmax(x)
        x[1, place] = np.nan
        result = pynn.log_softmax(x)
        assert np.isnan(result[1]).all(), f"NaN at {place} of {n}"
        reference.assert_same_bits(result[::2], clean[::2])


@TYPES
@pytest.mark.parametrize(
    "row", [[-np.inf, 0], [np.inf, 0], [np.inf, -np.inf, 0], [np.inf] * 2, [-np.inf] * 2]
)
def test_log_softmax_of_infinities_is_scipys(row, dtype):
    x = np.array(row, dtype)
    with np.errstate(all="ignore"):
        expected = special.log_softmax(x)
    np.testing.assert_array_equal(pynn.log_softmax(x), expected)


@pytest.mark.parametrize("axis", range(-3, 3))
@pytest.mark.parametrize("layout", reference.LAYOUTS)
def test_log_softmax_axis_and_out(layout, axis):
    x = reference.random((3, 4, 5))
    expected = special.log_softmax(x, axis=axis)
    given = reference.LAYOUTS[layout](x)
    np.testing.assert_allclose(pynn.log_softmax(given, axis=axis), expected, rtol=1e-14)
    out = np.zeros((5, 4, 3), np.float32).T
    assert pynn.log_softmax(given, out, axis=axis) is out
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    if given.flags.writeable:
        assert pynn.log_softmax(given, out=given, axis=axis) is given
        np.testing.assert_allclose(given, expected, rtol=1e-14)


@TYPES
@pytest.mark.parametrize("n", [*range(1, 36), 100])
def test_log_softmax_rows_alone_or_together(n, dtype):
    x, dy = 3 * reference.random((20, n), dtype), reference.random((20, n), dtype, 1)
    full = pynn.log_softmax(x)
    gradients = pynn.log_softmax_backward(dy, full)
    for i in range(20):
        reference.assert_same_bits(pynn.log_softmax(x[i]), full[i])
        reference.assert_same_bits(pynn.log_softmax_backward(dy[i], full[i]), gradients[i])
        reference.assert_same_bits(pynn.log_softmax(x[: i + 1]), full[: i + 1])
    reference.assert_same_bits(pynn.log_softmax(np.asfortranarray(x)), full)
    reference.assert_same_bits(pynn.log_softmax(np.ascontiguousarray(x.T), axis=0).T, full)


@TYPES
def test_log_softmax_threads_do_not_count(dtype):
    x, dy = 3 * reference.random((1100, 190), dtype), reference.random((1100, 190), dtype, 1)
    with pynn.threads(1):
        y = pynn.log_softmax(x)
        dx = pynn.log_softmax_backward(dy, y)
    for threads in (2, 3):
        with pynn.threads(threads):
            reference.assert_same_bits(pynn.log_softmax(x), y)
            reference.assert_same_bits(pynn.log_softmax_backward(dy, y), dx)


def test_log_softmax_of_anything_real():
    for x in ([1, 2], np.array([0, 1, 2], np.int8), [True, False], np.float16([1, 2])):
        half = np.asarray(x).dtype == np.float16
        result = pynn.log_softmax(x)
        assert result.dtype == (np.float32 if half else np.float64)
        expected = special.log_softmax(np.array(x, float))
        np.testing.assert_allclose(result, expected, rtol=1e-6 if half else 1e-14)
    for shape in ((0,), (3, 0), (0, 3), (2, 0, 3)):
        assert pynn.log_softmax(np.zeros(shape)).shape == shape


@pytest.mark.parametrize("axis", range(-2, 2))
def test_log_softmax_backward_is_the_derivative(axis):
    x, dy = reference.random((3, 4)), reference.random((3, 4), seed=1)

    def loss(x):
        return (special.log_softmax(x, axis=axis) * dy).sum()

    expected = reference.central_difference(loss, x)
    y = pynn.log_softmax(x, axis=axis)
    result = pynn.log_softmax_backward(dy, y, axis=axis)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-9)
    for out in (np.zeros((4, 3)).T, np.zeros((3, 4), np.float32), dy.copy(), y.copy()):
        given = [out if np.array_equal(z, out) else z for z in (dy, y)]
        assert pynn.log_softmax_backward(*given, out, axis=axis) is out
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-7)


@TYPES
@pytest.mark.parametrize("n", [1, 7, 16, 33, 1000])
def test_log_softmax_backward(n, dtype):
    dy, y = reference.random((5, n), dtype), pynn.log_softmax(reference.random((5, n), dtype, 1))
    d, v = dy.astype(np.longdouble), y.astype(np.longdouble)
    total = d.sum(-1, keepdims=True)
    size = abs(d).sum(-1, keepdims=True)
    bound = (abs(d) + np.exp(v) * (n + 4) * size) * np.finfo(dtype).eps
    reference.assert_within(pynn.log_softmax_backward(dy, y), d - np.exp(v) * total, bound)


def test_log_softmax_and_gradient_are_torchs():
    torch = pytest.importorskip("torch")
    x, dy = 10 * reference.random((6, 11)), reference.random((6, 11), seed=1)
    leaf = torch.tensor(x, requires_grad=True)
    y = torch.log_softmax(leaf, -1)
    y.backward(torch.tensor(dy))
    ours = pynn.log_softmax(x)
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-13)
    dx = pynn.log_softmax_backward(dy, ours)
    np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pynn.log_softmax(np.ones((2, 3)), axis=2),
            ValueError,
            r"axis 2 is out of bounds for array of dimension 2",
        ),
        (lambda: pynn.log_softmax(1.0, axis=1), ValueError, "axis 1 is out of bounds"),
        (lambda: pynn.log_softmax(np.ones(3, complex)), TypeError, "x must hold real numbers"),
        (lambda: pynn.log_softmax("text"), TypeError, "x must hold real numbers"),
        (lambda: pynn.log_softmax(np.ones(3), np.ones(4)), ValueError, r"out has shape \(4,\)"),
        (lambda: pynn.log_softmax(np.ones(3), np.ones(3, int)), TypeError, "out's dtype"),
        (lambda: pynn.log_softmax_backward(np.ones(3), np.ones(4)), ValueError, "dy has shape"),
        (lambda: pynn.log_softmax_backward(np.ones(3), np.ones(3), axis=1), ValueError, "axis 1"),
        (lambda: pynn.log_softmax_backward(1.0, 1.0, axis=-2), ValueError, "axis -2"),
        (lambda: pynn.log_softmax_backward(np.ones(3), [1j] * 3), TypeError, "y must hold"),
        (lambda: pynn.log_softmax_backward([1.0], [1.0], np.ones(2)), ValueError, "out has"),
    ],
)
def test_log_softmax_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
