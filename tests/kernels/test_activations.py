"""relu, sigmoid, tanh and their gradients against NumPy in a wider type, in ULPs, and as
functions in NumPy's manner: special values, types, layouts, `out`, errors."""

import numpy as np
import pytest
import reference

import pynn


def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, np.ones_like(e)) / (1 + e)


EXACT = {"relu": lambda x: np.maximum(x, 0), "sigmoid": sigmoid, "tanh": np.tanh}
NAMES = pytest.mark.parametrize("name", EXACT)
TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)


def dense(dtype):
    """Numbers from the whole of a type, and many where the functions bend."""
    rng = np.random.default_rng(0)
    if dtype == np.float32:
        everywhere = np.arange(0, 2**32, 9973, dtype=np.uint32).view(dtype)
        ends = (104.5, 89, 17, 10)
    else:
        everywhere = rng.integers(0, 2**64, 200_000, dtype=np.uint64).view(dtype)
        ends = (746, 710, 38, 20)
    near = [np.linspace(-end, end, 40_001) for end in (*ends, 1, 0.4)]
    small = np.ldexp(rng.uniform(-1, 1, 40_000), rng.integers(-60, 4, 40_000))
    return np.concatenate([everywhere, small.astype(dtype), *(x.astype(dtype) for x in near)])


def widened(x):
    return x.astype(reference.WIDER[x.dtype])


@NAMES
@TYPES
def test_two_ulps(name, dtype):
    if not reference.has_wider(dtype):
        pytest.skip("no wider type here")
    x = dense(dtype)
    with np.errstate(all="ignore"):
        exact = EXACT[name](widened(x))
    distance = reference.ulps(getattr(pynn, name)(x), exact)
    worst = distance.argmax()
    assert distance[worst] <= (0 if name == "relu" else 2), f"at {x[worst]!r}"


@TYPES
def test_special_values(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 1000, -1000, 3e38, -3e38], dtype)
    with np.errstate(all="raise"):  # nothing of it counts as a floating-point error
        results = {name: getattr(pynn, name)(x) for name in EXACT}
    expected = {
        "relu": [np.nan, np.inf, 0, 0, 0, tiny, 0, 1000, 0, 3e38, 0],
        "sigmoid": [np.nan, 1, 0, 0.5, 0.5, 0.5, 0.5, 1, 0, 1, 0],
        "tanh": [np.nan, 1, -1, 0.0, -0.0, tiny, -tiny, 1, -1, 1, -1],
    }
    for name, result in results.items():
        np.testing.assert_array_equal(result, np.array(expected[name], dtype))
    np.testing.assert_array_equal(np.signbit(results["tanh"])[1:], np.signbit(x)[1:])
    assert not np.signbit(results["sigmoid"][1:]).any()


@TYPES
def test_the_ends(dtype):
    """Where the values stop changing, as the correctly rounded values do."""
    if not reference.has_wider(dtype):
        pytest.skip("no wider type here")
    log_tiny = np.log(widened(np.finfo(dtype).smallest_subnormal))
    for name, end in (("sigmoid", log_tiny), ("sigmoid", 40), ("tanh", 9.01), ("tanh", 19.06)):
        x = np.linspace(0.97 * end, 1.03 * end, 20_001).astype(dtype)
        result = getattr(pynn, name)(x)
        assert (reference.ulps(result, EXACT[name](widened(x))) <= 2).all()
        assert (result <= 1).all()


@NAMES
def test_types_and_scalars(name):
    f = getattr(pynn, name)
    for dtype in (
        "?",
        "i1",
        "u1",
        "i2",
        "u2",
        "i4",
        "i8",
        "u8",
        "f2",
        "f4",
        "f8",
        "g",
        ">f4",
        ">i2",
    ):
        x = np.array([0, 1, 1, 0, 1] if dtype == "?" else [0, 1, 2, 3, 100], dtype)
        numpys = (np.tanh if name == "tanh" else np.sqrt)(x)  # any function of one float
        expected_type = x.dtype.newbyteorder("=") if name == "relu" else numpys.dtype
        result = f(x)
        assert result.dtype == expected_type, dtype
        eps = np.finfo(result.dtype).eps if result.dtype.kind == "f" else 0
        np.testing.assert_allclose(
            result, EXACT[name](x.astype(np.longdouble)), rtol=2 * float(eps)
        )
        for scalar in (x[3], x[3:4].reshape(())):
            assert type(f(scalar)) is result.dtype.type
            assert f(scalar) == result[3]
    assert type(f(2.0)) is np.float64
    assert type(f(2)) is (np.dtype(int).type if name == "relu" else np.float64)


@NAMES
def test_longdouble_is_as_good_as_its_type(name):
    x = np.linspace(-100, 100, 1001, dtype=np.longdouble)
    eps = float(np.finfo(np.longdouble).eps)
    result = getattr(pynn, name)(x)
    assert result.dtype == np.longdouble
    np.testing.assert_allclose(result, EXACT[name](x), rtol=4 * eps, atol=0)


@NAMES
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (7,), (16,), (5, 17), (2, 3, 5)])
def test_shapes_and_lists(name, shape):
    x = reference.random(shape)
    for operand in (x, x.tolist()):
        result = getattr(pynn, name)(operand)
        assert np.shape(result) == shape
        np.testing.assert_allclose(result, EXACT[name](x), rtol=1e-15)


@NAMES
@TYPES
@pytest.mark.parametrize("layout", reference.LAYOUTS)
def test_layouts_and_out(layout, dtype, name):
    f = getattr(pynn, name)
    x = reference.random((5, 19), dtype)
    expected = EXACT[name](widened(x)).astype(dtype)
    x = reference.LAYOUTS[layout](x)
    np.testing.assert_array_max_ulp(f(x), expected, 2)
    for out_layout in [*reference.LAYOUTS][:-1]:
        out = reference.LAYOUTS[out_layout](np.full((5, 19), np.nan, dtype))
        assert f(x, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(dtype).eps)
    if x.flags.writeable:
        assert f(x, x) is x
        np.testing.assert_allclose(x, expected, rtol=4 * np.finfo(dtype).eps)


@NAMES
@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
def test_out_overlaps_x(name, shift):
    space = reference.random(60)
    x, out = space[5:45], space[5 + shift : 45 + shift]
    expected = EXACT[name](x.copy())
    getattr(pynn, name)(x, out=out)
    np.testing.assert_allclose(out, expected, rtol=1e-15)


@NAMES
def test_out_of_another_type(name):
    x = reference.random((3, 4))
    for dtype in (np.float16, np.float32, np.longdouble, complex, ">f8"):
        out = np.zeros((3, 4), dtype)
        assert getattr(pynn, name)(x, out=(out,)) is out
        np.testing.assert_allclose(out, EXACT[name](x), rtol=1e-3 if dtype is np.float16 else 1e-7)
    out = np.zeros((3, 4), np.float32)  # that of x in another type
    x = out.view(np.int32)
    x[...] = np.arange(12).reshape(3, 4)
    getattr(pynn, name)(x, out=out)
    np.testing.assert_allclose(out, EXACT[name](np.arange(12.0).reshape(3, 4)), rtol=1e-6)


@NAMES
@pytest.mark.parametrize("x", [1j, np.ones(3, complex), np.ones(3, object), "text", None, ["a"]])
def test_x_must_be_real(name, x):
    with pytest.raises(TypeError, match=f"{name}: x must hold real numbers, got dtype"):
        getattr(pynn, name)(x)


@NAMES
@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros(4), ValueError, r"out has shape \(4,\), expected \(3,\)"),
        (np.zeros((1, 3)), ValueError, r"out has shape \(1, 3\), expected \(3,\)"),
        (np.zeros(3, int), TypeError, "float64 to out's dtype int64"),
        ([0, 0, 0], TypeError, "out must be an ndarray, got list"),
        (reference.LAYOUTS["read-only"](np.zeros(3)), ValueError, "out is read-only"),
    ],
)
def test_wrong_out(name, out, error, message):
    with pytest.raises(error, match=message):
        getattr(pynn, name)(np.ones(3), out=out)
    if name != "relu":
        with pytest.raises(error):
            getattr(pynn, name)([1, 1, 1], out=out)


@NAMES
def test_wrong_arguments(name):
    for arguments, keywords in (((), {}), ((1, None, 2), {}), ((1,), {"other": 1}), ((), {"x": 1})):
        with pytest.raises(TypeError):
            getattr(pynn, name)(*arguments, **keywords)


# ---------------------------------------------------------------- gradients

SLOPES = {
    "relu": lambda y: y > 0,
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: (1 - y) * (1 + y),
}


def outputs(name, n, dtype):
    y = np.random.default_rng(1).uniform(-1, 1, n).astype(dtype)
    y[:3] = 0.0, -0.0, 1.0
    return abs(y) if name == "sigmoid" else y


@NAMES
@TYPES
@pytest.mark.parametrize("n", [3, 16, 45, 1000, 200_001])
def test_backward(n, dtype, name):
    dy, y = reference.random(n, dtype), outputs(name, n, dtype)
    result = getattr(pynn, f"{name}_backward")(dy, y)
    assert result.dtype == dtype
    expected = widened(dy) * SLOPES[name](widened(y))
    bound = 2 * np.finfo(dtype).eps * abs(expected)
    if name == "tanh" and not pynn.show_config("dict")["fused_multiply_add"]:
        bound += np.finfo(dtype).eps * abs(dy)  # 1 - y**2 in two roundings
    reference.assert_within(result, expected, bound if name != "relu" else 0)


@NAMES
def test_backward_is_the_derivative(name):
    x = np.linspace(-3, 3, 40)  # without 0
    f = getattr(pynn, name)
    slope = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(
        getattr(pynn, f"{name}_backward")(np.full(40, 2.0), f(x)), 2 * slope, rtol=1e-6, atol=1e-10
    )


@NAMES
def test_backward_as_a_function(name):
    f = getattr(pynn, f"{name}_backward")
    dy, y = reference.random((4, 6)), outputs(name, 24, float).reshape(4, 6)
    expected = dy * SLOPES[name](y)
    for layout in reference.LAYOUTS.values():
        np.testing.assert_allclose(f(layout(dy), layout(y)), expected, rtol=1e-14)
    np.testing.assert_allclose(f(dy.tolist(), y.tolist()), expected, rtol=1e-14)
    for out in (np.zeros((4, 6), np.float32), np.zeros((6, 4)).T):
        assert f(dy, y, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-6)
    assert f(np.float32([1, 2]), np.float64([0, 1])).dtype == np.float64
    assert f([1, 2], [0, 1]).dtype == np.float64
    out = np.zeros(())
    assert f(2.0, 0.5, out=out) is out
    assert out == f(2.0, 0.5)
    assert type(f(2.0, 0.5)) is np.float64
    assert type(f(np.float32(2), np.float32(0.5))) is np.float32
    for out in (dy.copy(), y.copy()):
        given = (out, y) if np.array_equal(out, dy) else (dy, out)
        assert f(*given, out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-14)


@NAMES
@pytest.mark.parametrize(
    ("dy", "y", "out", "error", "message"),
    [
        (np.ones(3), np.ones(4), None, ValueError, r"dy has shape \(3,\), but y has shape \(4,\)"),
        (1.0, np.ones(1), None, ValueError, r"dy has shape \(\), but y has shape \(1,\)"),
        (np.ones(3, complex), np.ones(3), None, TypeError, "dy must hold real numbers"),
        (np.ones(3), ["a"] * 3, None, TypeError, "y must hold real numbers"),
        (np.ones(3), np.ones(3), np.ones(4), ValueError, "out has shape"),
        (np.ones(3), np.ones(3), np.ones(3, int), TypeError, "out's dtype"),
    ],
)
def test_backward_errors(name, dy, y, out, error, message):
    with pytest.raises(error, match=message):
        getattr(pynn, f"{name}_backward")(dy, y, out=out)
