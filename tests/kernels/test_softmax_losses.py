"""softmax and the losses against SciPy's formulas, central differences and torch."""

import numpy as np
import pytest
import reference
from scipy import special

import pynn

TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)
SIZES = pytest.mark.parametrize("n", [1, 2, 3, 10, 15, 16, 17, 33, 100, 1000])


def wide(x):
    return np.asarray(x).astype(np.longdouble)


# ---------------------------------------------------------------- softmax


def tolerance(x):
    """Of exp(x - max): the difference is rounded, so its size counts."""
    return float((8 + np.ptp(x)) * np.finfo(x.dtype).eps)


@TYPES
@SIZES
@pytest.mark.parametrize("m", [1, 2, 7])
def test_softmax(m, n, dtype):
    x = 3 * reference.random((m, n), dtype)
    result = pynn.softmax(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, special.softmax(wide(x), axis=-1), rtol=tolerance(x))


@pytest.mark.parametrize("axis", range(-3, 3))
@pytest.mark.parametrize("layout", reference.LAYOUTS)
def test_softmax_axis_and_out(layout, axis):
    x = reference.random((3, 4, 5))
    expected = special.softmax(x, axis=axis)
    given = reference.LAYOUTS[layout](x)
    np.testing.assert_allclose(pynn.softmax(given, axis=axis), expected, rtol=1e-14)
    out = np.zeros((5, 4, 3), np.float32).T
    assert pynn.softmax(given, out, axis=axis) is out
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    if given.flags.writeable:
        assert pynn.softmax(given, out=given, axis=axis) is given
        np.testing.assert_allclose(given, expected, rtol=1e-14)


@TYPES
def test_softmax_of_extreme_values(dtype):
    big = np.finfo(dtype).max
    x = np.array([[1e4, -1e4, 1e4], [big, 0, -big], [-big, -big, -big], [0, -np.inf, 0]], dtype)
    with np.errstate(all="raise"):
        result = pynn.softmax(x)
    third = dtype(1) / dtype(3)
    expected = [[0.5, 0, 0.5], [1, 0, 0], [third] * 3, [0.5, 0, 0.5]]
    np.testing.assert_array_equal(result, np.array(expected, dtype))
    for x in ([np.nan, 0, 1], [np.inf, 0, 1], [-np.inf] * 2):
        with np.errstate(invalid="ignore"):
            expected = special.softmax(np.array(x, dtype))
        np.testing.assert_array_equal(pynn.softmax(np.array(x, dtype)), expected)


def test_softmax_of_anything_real():
    for x in ([1, 2], np.array([0, 1, 2], np.int8), [True, False], np.float16([1, 2])):
        expected = special.softmax(np.array(x, float))
        result = pynn.softmax(x)
        half = np.asarray(x).dtype == np.float16
        assert result.dtype == (np.float32 if half else np.float64)
        np.testing.assert_allclose(result, expected, rtol=1e-6 if half else 1e-14)
    for shape in ((0,), (3, 0), (0, 3), (2, 0, 3)):
        assert pynn.softmax(np.zeros(shape)).shape == shape


@TYPES
@SIZES
def test_softmax_backward(n, dtype):
    dy, y = reference.random((5, n), dtype), pynn.softmax(reference.random((5, n), dtype, 1))
    result = pynn.softmax_backward(dy, y)
    assert result.dtype == dtype
    d, p = wide(dy), wide(y)
    dot = (d * p).sum(-1, keepdims=True)
    bound = p * (abs(d) + (n + 2) * (abs(d) * p).sum(-1, keepdims=True)) * 2 * np.finfo(dtype).eps
    reference.assert_within(result, p * (d - dot), bound)


@pytest.mark.parametrize("axis", range(-2, 2))
def test_softmax_backward_is_the_derivative(axis):
    x, dy = reference.random((3, 4)), reference.random((3, 4), seed=1)
    expected = reference.central_difference(lambda x: (special.softmax(x, axis=axis) * dy).sum(), x)
    y = special.softmax(x, axis=axis)
    np.testing.assert_allclose(
        pynn.softmax_backward(dy, y, axis=axis), expected, rtol=1e-6, atol=1e-10
    )
    for out in (np.zeros((4, 3)).T, np.zeros((3, 4), np.float32), dy.copy(), y.copy()):
        given = [out if np.array_equal(x, out) else x for x in (dy, y)]
        assert pynn.softmax_backward(*given, out, axis=axis) is out
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-7)


def test_softmax_backward_is_torchs():
    torch = pytest.importorskip("torch")
    x, dy = reference.random((6, 11)), reference.random((6, 11), seed=1)
    leaf = torch.tensor(x, requires_grad=True)
    y = torch.softmax(leaf, -1)
    y.backward(torch.tensor(dy))
    ours = pynn.softmax_backward(dy, pynn.softmax(x))
    np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pynn.softmax(np.ones((2, 3)), axis=2),
            ValueError,
            r"axis 2 is out of bounds for array of dimension 2",
        ),
        (lambda: pynn.softmax(1.0, axis=1), ValueError, "axis 1 is out of bounds"),
        (lambda: pynn.softmax(np.ones(3, complex)), TypeError, "x must hold real numbers"),
        (lambda: pynn.softmax("text"), TypeError, "x must hold real numbers"),
        (lambda: pynn.softmax(np.ones(3), np.ones(4)), ValueError, r"out has shape \(4,\)"),
        (lambda: pynn.softmax(np.ones(3), np.ones(3, int)), TypeError, "out's dtype int64"),
        (lambda: pynn.softmax_backward(np.ones(3), np.ones(4)), ValueError, "dy has shape"),
        (lambda: pynn.softmax_backward(np.ones(3), np.ones(3), axis=1), ValueError, "axis 1"),
        (lambda: pynn.softmax_backward(1.0, 1.0, axis=-2), ValueError, "axis -2"),
        (lambda: pynn.softmax_backward(np.ones(3), 1j * np.ones(3)), TypeError, "y must hold"),
        (lambda: pynn.softmax_backward(np.ones(3), np.ones(3), np.ones(2)), ValueError, "out has"),
    ],
)
def test_softmax_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------- losses


def softmax_cross_entropy(z, t):
    return (t.sum(1) * special.logsumexp(z, axis=1) - (t * z).sum(1)).mean()


def sigmoid_cross_entropy(z, t):
    return (np.logaddexp(0, z) - t * z).sum(1).mean()


def squared_error(y, t):
    return 0.5 * ((y - t) ** 2).sum(1).mean()


def mse(y, t):
    return ((y - t) ** 2).mean()


# name: the formula, its gradient times the number of rows
LOSSES = {
    "softmax_cross_entropy": (
        softmax_cross_entropy,
        lambda z, t: t.sum(1, keepdims=True) * special.softmax(z, axis=1) - t,
    ),
    "sigmoid_cross_entropy": (sigmoid_cross_entropy, lambda z, t: special.expit(z) - t),
    "squared_error": (squared_error, lambda y, t: y - t),
    "mse": (mse, lambda y, t: 2 * (y - t) / y.shape[1]),
}
NAMES = pytest.mark.parametrize("name", LOSSES)


def problem(name, m, n, dtype=np.float64):
    """Outputs and targets, which for the cross-entropies are probabilities."""
    z, t = 3 * reference.random((m, n), dtype), reference.random((m, n), dtype, 1)
    if name == "softmax_cross_entropy":
        t = special.softmax(t, axis=1)
    elif name == "sigmoid_cross_entropy":
        t = special.expit(t)
    return z, t.astype(dtype)


def check_loss(name, z, given, target):
    """One call against the formulas in float64."""
    loss, gradient = getattr(pynn, name)(z, given)
    z, dtype = np.asarray(z), gradient.dtype
    assert type(loss) is float
    assert gradient.shape == z.shape
    formula, slope = LOSSES[name]
    rows, target = z.astype(float).reshape(target.shape), target.astype(float)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(loss, formula(rows, target), rtol=50 * eps)
    expected = slope(rows, target).reshape(z.shape) / len(target)
    np.testing.assert_allclose(gradient, expected, rtol=50 * eps, atol=50 * eps / len(target))


@NAMES
@TYPES
@SIZES
@pytest.mark.parametrize("m", [1, 5, 16, 33])
def test_loss(m, n, dtype, name):
    z, t = problem(name, m, n, dtype)
    before = z.copy()
    check_loss(name, z, t, t)
    assert getattr(pynn, name)(z, t)[1].dtype == dtype
    np.testing.assert_array_equal(z, before)


@NAMES
def test_gradient_is_the_derivative(name):
    z, t = problem(name, 4, 5)
    gradient = getattr(pynn, name)(z, t)[1]
    expected = reference.central_difference(lambda z: getattr(pynn, name)(z, t)[0], z)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


@NAMES
def test_torch_agrees(name):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    z, t = problem(name, 7, 5)
    leaf, target = torch.tensor(z, requires_grad=True), torch.tensor(t)
    theirs = {
        "softmax_cross_entropy": lambda: f.cross_entropy(leaf, target),
        "sigmoid_cross_entropy": lambda: (
            f.binary_cross_entropy_with_logits(leaf, target, reduction="sum") / 7
        ),
        "squared_error": lambda: f.mse_loss(leaf, target, reduction="sum") / 14,
        "mse": lambda: f.mse_loss(leaf, target),
    }[name]()
    theirs.backward()
    loss, gradient = getattr(pynn, name)(z, t)
    np.testing.assert_allclose(loss, theirs.item(), rtol=1e-13)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-12, atol=1e-16)


@TYPES
@SIZES
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
@pytest.mark.parametrize("kind", ["i1", "u1", "i8", "u8", ">i4", list])
def test_labels(kind, name, n, dtype):
    if n > 127 and kind in ("i1", "u1"):
        n = 127
    z = 3 * reference.random((9, n), dtype)
    binary = n == 1 and name == "sigmoid_cross_entropy"
    labels = np.random.default_rng(0).integers(0, 2 if binary else n, 9)
    target = labels[:, None] if binary else np.eye(n)[labels]
    given = labels.tolist() if kind is list else np.repeat(labels, 2).astype(kind)[::2]
    check_loss(name, z, given, target)


@NAMES
def test_one_dimension(name):
    z, t = problem(name, 6, 1)
    if name != "softmax_cross_entropy":  # a column
        check_loss(name, z[:, 0], t[:, 0], t)
        check_loss(name, z[:, 0], [0, 1, 1, 0, 1, 0], np.array([[0, 1, 1, 0, 1, 0]]).T)
        return
    target = np.array([[0.0, 0, 1, 0, 0, 0]])  # a row
    for given in (2, np.int8(2), target[0], target[0].astype(int), target[0].astype(bool)):
        check_loss(name, z[:, 0], given, target)


@NAMES
@pytest.mark.parametrize("layout", reference.LAYOUTS)
def test_loss_layouts_and_types(layout, name):
    z, t = problem(name, 5, 7)
    lay_out = reference.LAYOUTS[layout]
    check_loss(name, lay_out(z), lay_out(t), t)
    check_loss(name, z.tolist(), t.tolist(), t)
    check_loss(name, z.astype(np.float32), t, t)
    whole = np.round(t).astype(int)
    if name == "softmax_cross_entropy":
        whole = np.eye(7, dtype=int)[t.argmax(axis=1)]
    check_loss(name, z, whole, whole)
    check_loss(name, np.round(z).astype(int), whole, whole)


@TYPES
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extreme_logits(scale, dtype):
    z = (np.array([[1, 0, -1], [0, 1, -1], [0, 0, 0]]) * scale).astype(dtype)
    t = np.array([[0, 1, 0], [0, 0.5, 0.5], [1, 0, 0]])
    for name in ("softmax_cross_entropy", "sigmoid_cross_entropy"):
        check_loss(name, z, t, t)
        check_loss(name, z, [1, 2, 0], np.eye(3)[[1, 2, 0]])


@TYPES
def test_small_losses_keep_their_digits(dtype):
    """log(1 + e) and -log(p) near p = 1."""
    z = np.array([[5.0], [12.0]], dtype)
    expected = np.log1p(np.exp(-z.astype(float))).mean()
    rtol = 4 * float(np.finfo(dtype).eps)
    assert pynn.sigmoid_cross_entropy(z, [1, 1])[0] == pytest.approx(expected, rel=rtol)
    loss, gradient = pynn.softmax_cross_entropy(np.array([[0, -5]], dtype), [0])
    assert loss == pytest.approx(np.log1p(np.exp(-5.0)), rel=1e3 * rtol)
    assert gradient[0, 1] == pytest.approx(np.exp(-5.0) / (1 + np.exp(-5.0)), rel=rtol)


@TYPES
@pytest.mark.parametrize("m", [1, 8])
@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_gradients_do_not_begin_as_denormals(name, labels, n, m, dtype):
    """What multiplies them, layer after layer, would take a hundred times as long."""
    least = 2.0**-110 if dtype == np.float32 else 2.0**-1000
    z = np.zeros((m, n), dtype)
    z[:, 1:] = np.linspace(-0.5, 1.1, n - 1) * np.log(least)
    given = np.zeros(m, int) if labels else np.eye(n)[np.zeros(m, int)]
    gradient = getattr(pynn, name)(z, given)[1] * m
    expected = LOSSES[name][1](z.astype(np.longdouble), np.eye(n)[np.zeros(m, int)])
    tiny = np.abs(expected) < least * m
    assert 0 < np.count_nonzero(tiny) < tiny.size
    assert np.all(gradient[tiny] == 0)
    np.testing.assert_allclose(gradient[~tiny], expected[~tiny].astype(float), rtol=1e-5)


@NAMES
def test_nan_and_infinity_are_not_hidden(name):
    z, t = problem(name, 3, 4)
    z[1, 2] = np.nan
    loss, gradient = getattr(pynn, name)(z, t)
    assert np.isnan(loss)
    assert np.isnan(gradient[1, 2])
    assert np.isfinite(gradient[[0, 2]]).all()


def test_many_rows():
    for name in LOSSES:
        z, t = problem(name, 10_000, 3)
        check_loss(name, z, t, t)


@NAMES
@pytest.mark.parametrize(
    ("z", "t", "error", "message"),
    [
        (
            np.ones((2, 3)),
            np.ones((3, 2)),
            ValueError,
            r"target has shape \(3, 2\), expected \(2, 3\)",
        ),
        (np.ones((2, 3)), np.ones(6), ValueError, r"target has shape \(6,\)"),
        (np.ones((2, 3)), np.ones(2), ValueError, r"target has shape \(2,\)"),
        (np.ones((2, 3)), np.ones((2, 3), complex), TypeError, "target must hold real numbers"),
        (np.ones((2, 3)), np.full((2, 3), "a"), TypeError, "target must hold real numbers"),
        (np.ones((2, 3), complex), np.ones((2, 3)), TypeError, "must hold real numbers"),
        (np.ones((2, 3, 4)), np.ones((2, 3, 4)), ValueError, r"shape \(2, 3, 4\)"),
        (np.ones((0, 3)), np.ones((0, 3)), ValueError, r"shape \(0, 3\)"),
        (np.ones((3, 0)), np.ones((3, 0)), ValueError, r"shape \(3, 0\)"),
    ],
)
def test_loss_errors(name, z, t, error, message):
    with pytest.raises(error, match=message):
        getattr(pynn, name)(z, t)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("softmax_cross_entropy", "logits"),
        ("sigmoid_cross_entropy", "logits"),
        ("mse", "y"),
        ("squared_error", "y"),
    ],
)
def test_errors_name_the_first_argument(name, argument):
    for z in (np.ones((2, 3), complex), np.ones((2, 3, 4)), np.ones((0, 3))):
        with pytest.raises((TypeError, ValueError), match=rf"\b{argument}\b"):
            getattr(pynn, name)(z, np.ones(z.shape))


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((2, 3), [0, 3], "target holds labels from 0 to 3, expected 0 to 2"),
        ((2, 3), [-1, 0], "target holds labels from -1 to 0, expected 0 to 2"),
        ((2, 3), np.array([1, 2**63 + 5], np.uint64), "target holds labels .* expected 0 to 2"),
        ((2, 3), [0, 1, 2], r"target has shape \(3,\), expected \(2,\)"),
        ((2, 3), [], r"target has shape \(0,\)"),
        ((3,), 3, "target holds labels from 3 to 3, expected 0 to 2"),
    ],
)
def test_label_errors(shape, labels, message):
    names = ["softmax_cross_entropy", "sigmoid_cross_entropy"]
    for name in names[: len(shape)]:
        with pytest.raises(ValueError, match=message):
            getattr(pynn, name)(np.ones(shape), labels)
    if len(shape) == 2:
        with pytest.raises(ValueError, match="target holds labels from 0 to 2, expected 0 to 1"):
            pynn.sigmoid_cross_entropy(np.ones((2, 1)), [0, 2])


@TYPES
def test_sigmoid_cross_entropy_of_infinite_logits(dtype):
    z = np.array([np.inf, np.inf, -np.inf, -np.inf], dtype)
    for targets in (np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1], dtype)):
        each = [pynn.sigmoid_cross_entropy(z[i : i + 1], targets[i : i + 1]) for i in range(4)]
        assert [loss for loss, _ in each] == [np.inf, 0, 0, np.inf]
        assert [float(gradient[0]) for _, gradient in each] == [1, 0, 0, -1]
    assert np.isnan(pynn.sigmoid_cross_entropy(dtype([0]), dtype([np.nan]))[0])
    assert np.isnan(pynn.sigmoid_cross_entropy(dtype([np.nan]), dtype([0]))[0])
