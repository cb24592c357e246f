"""The functions of `pynn.ops` on masked, sparse and other foreign operands, and on values at the
ends of the range: NumPy's and SciPy's results, or an error with the cure."""

import warnings

import numpy as np
import pytest
from scipy import sparse, special

import pynn

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "sigmoid": special.expit,
    "tanh": np.tanh,
}
NAMES = pytest.mark.parametrize("name", ACTIVATIONS)

VECTOR = np.ma.array([1.0, -2.0, 3.0], mask=[False, True, False], fill_value=-1)
MATRIX = np.ma.array(np.eye(3), mask=np.eye(3) > 0)
EYE, ONES = np.eye(3), np.ones(3)
SPARSE = sparse.csr_matrix(EYE)


@NAMES
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8", "g"])
def test_activations_keep_masks_as_numpy_does(name, dtype):
    x = VECTOR.astype(dtype)
    before = x.copy()
    result = getattr(pynn, name)(x)
    expected = np.tanh(x) if name != "relu" else np.maximum(x, 0)  # for mask, type and fill value
    assert type(result) is np.ma.MaskedArray
    assert result.dtype == expected.dtype
    if result.dtype == x.dtype:
        assert result.fill_value == expected.fill_value
    np.testing.assert_array_equal(result.mask, expected.mask)
    values = ACTIVATIONS[name](np.array([1.0, 3.0]))
    tolerance = 2e-3 if dtype == "f2" else 1e-6
    np.testing.assert_allclose(result.compressed().astype(float), values, rtol=tolerance)
    result[1] = 5  # a mask of the result's own
    np.testing.assert_array_equal(x.mask, before.mask)
    assert getattr(pynn, name)(np.ma.masked) is np.ma.masked
    assert not np.ma.getmaskarray(getattr(pynn, name)(np.ma.array([1.0, 2.0]))).any()


@NAMES
def test_gradients_have_the_masks_of_both(name):
    other = np.ma.array([1.0, 2.0, 3.0], mask=[True, False, False])
    function = getattr(pynn, f"{name}_backward")
    for dy, y in ((VECTOR, other), (VECTOR, other.data), (VECTOR.data, other)):
        result = function(dy, y)
        np.testing.assert_array_equal(result.mask, np.add(dy, y).mask)
        np.testing.assert_array_equal(result.data, function(np.asarray(dy), np.asarray(y)))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x, m: pynn.linear(m, EYE), "x"),
        (lambda x, m: pynn.linear(EYE, m), "w"),
        (lambda x, m: pynn.linear(EYE, EYE, x), "b"),
        (lambda x, m: pynn.linear_backward(m, EYE, EYE), "dy"),
        (lambda x, m: pynn.linear_backward(EYE, m, EYE), "x"),
        (lambda x, m: pynn.linear_backward(EYE, EYE, m), "w"),
        (lambda x, m: pynn.matmul(m, EYE), "x1"),
        (lambda x, m: pynn.matmul(EYE, m), "x2"),
        (lambda x, m: pynn.gemm(m, EYE), "a"),
        (lambda x, m: pynn.gemm(EYE, m), "b"),
        (lambda x, m: pynn.softmax(x), "x"),
        (lambda x, m: pynn.log_softmax(x, axis=None), "x"),
        (lambda x, m: pynn.softmax_backward(x, ONES), "dy"),
        (lambda x, m: pynn.log_softmax_backward(ONES, x), "y"),
        (lambda x, m: pynn.softmax([x, x]), r"x\[0\]"),
        (lambda x, m: pynn.relu(x, np.zeros(3)), "x"),
        (lambda x, m: pynn.tanh([x, x]), r"x\[0\]"),
        (lambda x, m: pynn.relu_backward(ONES, x, np.zeros(3)), "y"),
        (lambda x, m: pynn.mse(x, ONES), "y"),
        (lambda x, m: pynn.mae(ONES, x), "target"),
        (lambda x, m: pynn.huber(ONES, x), "target"),
        (lambda x, m: pynn.squared_error(ONES, x), "target"),
        (lambda x, m: pynn.poisson(ONES, x), "target"),
        (lambda x, m: pynn.pinball(m, EYE), "y"),
        (lambda x, m: pynn.pinball(EYE, EYE, quantile=abs(x) / 4), "quantile"),
        (lambda x, m: pynn.softmax_cross_entropy(m, EYE), "logits"),
        (
            lambda x, m: pynn.softmax_cross_entropy(EYE, np.ma.array([0, 1, 2], mask=x.mask)),
            "target",
        ),
        (lambda x, m: pynn.sigmoid_cross_entropy(EYE, m), "target"),
    ],
)
def test_hidden_values_are_never_used(call, name):
    with pytest.raises(ValueError, match=rf"^{name} has \d masked values?: .*\.filled\(value\)"):
        call(VECTOR, MATRIX)


@pytest.mark.parametrize(
    "call",
    [
        lambda out: pynn.relu(ONES, out),
        lambda out: pynn.tanh_backward(ONES, ONES, out),
        lambda out: pynn.softmax(ONES, out),
        lambda out: pynn.matmul(EYE, ONES, out=out),
    ],
)
def test_out_has_no_mask(call):
    before = VECTOR.copy()
    with pytest.raises(TypeError, match=r"out is a masked array, .* out\.data"):
        call(VECTOR)
    np.testing.assert_array_equal(VECTOR.data, before.data)
    np.testing.assert_array_equal(VECTOR.mask, before.mask)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: pynn.linear(SPARSE, EYE), "x"),
        (lambda: pynn.linear(EYE, SPARSE), "w"),
        (lambda: pynn.matmul(SPARSE, EYE), "x1"),
        (lambda: pynn.matmul(EYE, SPARSE), "x2"),
        (lambda: pynn.gemm(EYE, SPARSE), "b"),
        (lambda: pynn.relu(SPARSE), "x"),
        (lambda: pynn.gelu_backward(EYE, SPARSE), "x"),
        (lambda: pynn.softmax(SPARSE), "x"),
        (lambda: pynn.mse(SPARSE, EYE), "y"),
        (lambda: pynn.softmax_cross_entropy(EYE, SPARSE), "target"),
        (lambda: pynn.poisson(EYE, SPARSE), "target"),
        (lambda: pynn.pinball(SPARSE, EYE), "y"),
    ],
)
def test_sparse_operands_are_refused_with_the_cure(call, name):
    with pytest.raises(TypeError, match=rf"^{name} is sparse .*: {name}\.toarray\(\)"):
        call()


def test_frames_and_memory_maps_are_arrays(tmp_path):
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(0).standard_normal((5, 3))
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=x.shape)
    mapped[...] = x
    for given in (pandas.DataFrame(x), mapped):
        assert type(pynn.softmax(given)) is np.ndarray
        np.testing.assert_array_equal(pynn.softmax(given), pynn.softmax(x))
        np.testing.assert_array_equal(pynn.tanh(given), pynn.tanh(x))
        np.testing.assert_array_equal(pynn.linear(given, EYE), pynn.linear(x, EYE))
        assert pynn.mse(given, given)[0] == 0


# ---------------------------------------------------------------- axes of the softmaxes

AXES = [None, 0, -1, (0,), (0, 1), (2, 0), (-1, -3), (0, 1, 2), ()]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_axes_of_softmaxes_are_scipy_s(axis, dtype):
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(dtype)
    tolerance = 20 * np.finfo(dtype).eps
    for ours, theirs in (
        (pynn.softmax, special.softmax),
        (pynn.log_softmax, special.log_softmax),
    ):
        expected = theirs(x.astype(float), axis=axis)
        given = (x, np.asfortranarray(x), x.tolist()) if dtype == np.float64 else (x,)
        for each in given:
            np.testing.assert_allclose(ours(each, axis=axis), expected, tolerance, tolerance)
        out = np.zeros(x.shape, dtype)
        assert ours(x, out, axis=axis) is out
        np.testing.assert_allclose(out, expected, tolerance, tolerance)


@pytest.mark.parametrize("axis", AXES)
def test_gradients_along_axes_are_torch_s(axis):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 3, 4))
    axes = tuple(range(3)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    leaf = torch.tensor(x, requires_grad=True)
    log = leaf - torch.logsumexp(leaf, axes, keepdim=True) if axes else leaf - leaf
    for y, ours, forward in (
        (torch.exp(log), pynn.softmax_backward, pynn.softmax),
        (log, pynn.log_softmax_backward, pynn.log_softmax),
    ):
        (expected,) = torch.autograd.grad(y, leaf, torch.tensor(dy), retain_graph=True)
        result = ours(dy, forward(x, axis=axis), axis=axis)
        np.testing.assert_allclose(result, expected.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [None, -1, 0, ()])
@pytest.mark.parametrize("x", [2.0, 3, True, np.float32(2), np.array(4.0), -np.inf, np.nan])
def test_scalars(x, axis):
    with np.errstate(invalid="ignore"):
        for ours, theirs in (
            (pynn.softmax, special.softmax),
            (pynn.log_softmax, special.log_softmax),
        ):
            expected = theirs(np.asarray(x, float), axis=axis)
            result = ours(x, axis=axis)
            assert isinstance(result, np.floating)
            np.testing.assert_array_equal(result, expected)
    assert pynn.softmax_backward(2.0, 1.0, axis=axis) == 0
    assert pynn.log_softmax_backward(2.0, 0.0, axis=axis) == 0


@pytest.mark.parametrize("axis", [3, -4, (0, 3), (0, 0), (0, -3), 1.0, "a", [0], np.array([0, 1])])
def test_wrong_axes_are_errors_in_numpy_s_words(axis):
    x = np.ones((2, 3, 4))
    with pytest.raises((ValueError, TypeError)) as theirs:
        x.sum(axis=axis)
    for call in (
        lambda: pynn.softmax(x, axis=axis),
        lambda: pynn.log_softmax(x, axis=axis),
        lambda: pynn.softmax_backward(x, x, axis=axis),
    ):
        with pytest.raises(type(theirs.value)) as ours:
            call()
        assert str(ours.value) == str(theirs.value) or isinstance(axis, np.ndarray)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])
@pytest.mark.parametrize("axis", [None, -1, 0, ()])
def test_empty_arrays_stay_empty(shape, axis):
    x = np.zeros(shape)
    for result in (pynn.softmax(x, axis=axis), pynn.log_softmax_backward(x, x, axis=axis)):
        assert result.shape == shape


# ---------------------------------------------------------------- floating-point errors

TINY, HUGE = np.finfo(np.float32).tiny, np.finfo(np.float64).max
EDGES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    TINY,
    5e-324,
    1e30,
    -1e30,
    1e39,
    HUGE,
    -HUGE,
    np.inf,
    -np.inf,
    np.nan,
]


def edges(dtype):
    with np.errstate(all="ignore"):
        return np.array(EDGES).astype(dtype)


def every_call(x, out):
    """Every function of `pynn.ops`, of a square matrix."""
    n = len(x)
    soft, labels, count = np.full(x.shape, 1 / n), np.arange(n), np.ones_like(x)
    single = edges("f4") + np.zeros((n, 1), "f4")
    for name in ACTIVATIONS:
        yield lambda name=name: getattr(pynn, name)(x)
        yield lambda name=name: getattr(pynn, name)(x, out)
        yield lambda name=name: getattr(pynn, f"{name}_backward")(x, x)
        yield lambda name=name: getattr(pynn, f"{name}_backward")(x, x, out)
    for axis in (-1, 0, None):
        yield lambda axis=axis: pynn.softmax(x, axis=axis)
        yield lambda axis=axis: pynn.log_softmax(x, out, axis=axis)
        yield lambda axis=axis: pynn.softmax_backward(x, x, axis=axis)
        yield lambda axis=axis: pynn.log_softmax_backward(x, x, out, axis=axis)
    yield lambda: pynn.linear(x, x)
    yield lambda: pynn.linear(x, x, x[0], activation="gelu", out=out)
    yield lambda: pynn.linear_backward(x, x, x)
    yield lambda: pynn.gemm(x, x, alpha=2, beta=0.5, out=out)
    if x.dtype in (np.float32, np.float64):  # (other products are NumPy's own)
        yield lambda: pynn.matmul(x, x)
        yield lambda: pynn.matmul(x, x, out=out)
    for name in ("squared_error", "mse", "mae", "huber", "pinball"):
        yield lambda name=name: getattr(pynn, name)(x, x[::-1])
        yield lambda name=name: getattr(pynn, name)(single, x)
    yield lambda: pynn.poisson(x, count)
    yield lambda: pynn.softmax_cross_entropy(x, soft)
    yield lambda: pynn.softmax_cross_entropy(x, labels)
    yield lambda: pynn.sigmoid_cross_entropy(x, soft)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "g", ">f8"])
@pytest.mark.parametrize("out_dtype", ["f4", "f8", "f2"])
def test_nothing_raises_where_numpy_s_errors_are_raised(dtype, out_dtype):
    row = edges(dtype)
    x = np.array([np.roll(row, i) for i in range(len(row))])
    results = []
    for state in ("ignore", "raise"):
        out = np.zeros(x.shape, out_dtype)
        with np.errstate(all=state), warnings.catch_warnings():
            warnings.simplefilter("error")
            with np.errstate(all="ignore"):
                calls = [*every_call(x, out)]
            for call in calls:
                out[...] = 1
                result = call()
                flat = result if isinstance(result, tuple) else (result,)
                results.append([np.array(part) for part in flat])
    half = len(results) // 2
    for quiet, loud in zip(results[:half], results[half:], strict=True):
        for a, b in zip(quiet, loud, strict=True):
            np.testing.assert_array_equal(a, b)
