"""relu, sigmoid, tanh, elu, leaky_relu, silu, softplus and their gradients against NumPy in a wider
type, in ULPs, and as functions in NumPy's manner: special values, types, layouts, `out`, errors.
"""

import numpy as np
import pytest
import reference
from activation_formulas import EXACT, SLOPES, backward, dense, widened

import pynn

NAMES = pytest.mark.parametrize("name", EXACT)
TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)


@TYPES
@pytest.mark.parametrize("name", [name for name in EXACT if name != "leaky_relu"])
def test_two_ulps(name, dtype):
    if not reference.has_wider(dtype):
        pytest.skip("no wider type here")
    x = dense(dtype)
    x = x[np.isfinite(x)]
    with np.errstate(all="ignore"):
        exact = EXACT[name](widened(x))
    distance = reference.ulps(getattr(pynn, name)(x), exact)
    worst = distance.argmax()
    assert distance[worst] <= (0 if name == "relu" else 2), f"at {x[worst]!r}"


@TYPES
def test_special_values(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    log_2 = dtype(np.log(2))
    x = [np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 3e38, -3e38, 1000, -1000]
    x = np.array(x, dtype)
    expected = {
        "relu": [np.nan, np.inf, 0, 0, 0, tiny, 0, 3e38, 0, 1000, 0],
        "sigmoid": [np.nan, 1, 0, 0.5, 0.5, 0.5, 0.5, 1, 0, 1, 0],
        "tanh": [np.nan, 1, -1, 0, 0, tiny, -tiny, 1, -1, 1, -1],
        "elu": [np.nan, np.inf, -1, 0, 0, tiny, -tiny, 3e38, -1, 1000, -1],
        "leaky_relu": [np.nan, np.inf, -np.inf, 0, 0, tiny, 0, 3e38, dtype(0.01) * x[8], 1000, -10],
        # The limits; x * expit(x) is NaN at -infinity.
        "silu": [np.nan, np.inf, 0, 0, 0, 0, 0, 3e38, 0, 1000, 0],
        "softplus": [np.nan, np.inf, 0, log_2, log_2, log_2, log_2, 3e38, 0, 1000, 0],
    }
    with np.errstate(all="raise"):  # nothing of it counts as a floating-point error
        results = {name: getattr(pynn, name)(x) for name in EXACT}
    for name, result in results.items():
        correct = np.array(expected[name], dtype)
        assert (reference.ulps(result, correct) <= (1 if name == "leaky_relu" else 0)).all(), name
        # silu(tiny) is tiny / 2, a tie between two neighbors
    for name in ("tanh", "elu", "leaky_relu", "silu"):  # as of an odd function
        np.testing.assert_array_equal(np.signbit(results[name])[1:], np.signbit(x)[1:])
    for name in ("sigmoid", "softplus"):
        assert not np.signbit(results[name][1:]).any()


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
    for dtype in ("?", *["b", "B", "h", "H", "i", "q", "Q", "e", "f", "d", "g", ">f", ">h"]):
        x = np.array([0, 1, 1, 0, 1] if dtype == "?" else [0, 1, 2, 3, 100], dtype)
        if x.dtype.kind in "if":
            x[1] = -1
        result = f(x)
        # relu keeps a type; the others take that of any of NumPy's functions of a float.
        expected_type = x.dtype.newbyteorder("=") if name == "relu" else np.tanh(x).dtype
        assert result.dtype == expected_type, dtype
        exact = EXACT[name](x.astype(np.longdouble))
        eps = np.finfo(result.dtype).eps if result.dtype.kind == "f" else 0
        np.testing.assert_allclose(result, exact, rtol=3 * float(eps))
        for scalar in (x[3], x[3:4].reshape(())):
            assert type(f(scalar)) is result.dtype.type
            assert f(scalar) == result[3]
    assert type(f(2.0)) is np.float64
    assert type(f(2)) is (np.dtype(int).type if name == "relu" else np.float64)
    assert f([[1, 2], [3, 4]]).shape == (2, 2)


@NAMES
def test_longdouble_is_as_good_as_its_type(name):
    x = np.linspace(-100, 100, 1001, dtype=np.longdouble)
    result = getattr(pynn, name)(x)
    assert result.dtype == np.longdouble
    rtol = 4 * float(np.finfo(np.longdouble).eps)
    np.testing.assert_allclose(result, EXACT[name](x), rtol=rtol, atol=0)


@NAMES
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (7,), (16,), (5, 17), (2, 3, 5)])
def test_shapes(name, shape):
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
    expected = f(x)
    np.testing.assert_array_max_ulp(expected, EXACT[name](widened(x)).astype(dtype), 2)
    x = reference.LAYOUTS[layout](x)
    reference.assert_same_bits(f(x), expected)
    for out_layout in [*reference.LAYOUTS][:-1]:
        out = reference.LAYOUTS[out_layout](np.full((5, 19), np.nan, dtype))
        assert f(x, out=out) is out
        reference.assert_same_bits(out.astype(dtype), expected)
    if x.flags.writeable:
        assert f(x, out=x) is x
        reference.assert_same_bits(x.astype(dtype), expected)


@NAMES
@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
def test_out_overlaps_x(name, shift):
    space = reference.random(60)
    x, out = space[5:45], space[5 + shift : 45 + shift]
    expected = getattr(pynn, name)(x.copy())
    getattr(pynn, name)(x, out=out)
    reference.assert_same_bits(out, expected)


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
@TYPES
def test_elements_alone_or_together(name, dtype):
    f = getattr(pynn, name)
    x, dy = 3 * reference.random(67, dtype), reference.random(67, dtype, 1)
    y, dx = f(x), backward(name, dy, x)
    for i in range(67):
        pairs = [
            (f(x[i]), y[i]),
            (f(x[i:]), y[i:]),
            (f(x[:i]), y[:i]),
            (backward(name, dy[i:], x[i:]), dx[i:]),
            (backward(name, dy[:i], x[:i]), dx[:i]),
        ]
        for actual, expected in pairs:
            reference.assert_same_bits(actual, expected)


@NAMES
@TYPES
def test_threads_do_not_count(name, dtype):
    x, dy = 3 * reference.random(300_001, dtype), reference.random(300_001, dtype, 1)
    with pynn.threads(1):
        expected = getattr(pynn, name)(x), backward(name, dy, x)
    for threads in (2, 3):
        with pynn.threads(threads):
            reference.assert_same_bits(getattr(pynn, name)(x), expected[0])
            reference.assert_same_bits(backward(name, dy, x), expected[1])


@NAMES
def test_errors(name):
    f, b = getattr(pynn, name), getattr(pynn, f"{name}_backward")
    other = "x" if name == "silu" else "y"
    ones = np.ones(3)
    for x in (1j, np.ones(3, complex), np.ones(3, object), "text", None, ["a"]):
        with pytest.raises(TypeError, match=f"{name}: x must hold real numbers, got dtype"):
            f(x)
    with pytest.raises(ValueError, match=r"dy has shape \(\), but . has shape \(1,\)"):
        b(1.0, np.ones(1))
    with pytest.raises(TypeError, match="dy must hold real numbers"):
        b(ones * 1j, ones)
    with pytest.raises(TypeError, match=f"{other} must hold real numbers"):
        b(ones, ["a"] * 3)
    with pytest.raises(ValueError, match=rf"dy has shape \(3,\), but {other} has shape \(4,\)"):
        b(ones, np.ones(4))
    for call in (lambda out: f(ones, out=out), lambda out: b(ones, ones, out=out)):
        with pytest.raises(ValueError, match=r"out has shape \(4,\), expected \(3,\)"):
            call(np.ones(4))
        with pytest.raises(ValueError, match=r"out has shape \(1, 3\), expected \(3,\)"):
            call(np.ones((1, 3)))
        with pytest.raises(TypeError, match="float64 to out's dtype int64"):
            call(np.ones(3, np.int64))
        with pytest.raises(TypeError, match="out must be an ndarray, got list"):
            call([0, 0, 0])
        with pytest.raises(ValueError, match="out is read-only"):
            call(reference.LAYOUTS["read-only"](ones))
    for arguments, keywords in (((), {}), ((1, None, 2), {}), ((1,), {"other": 1}), ((), {"x": 1})):
        with pytest.raises(TypeError):
            f(*arguments, **keywords)
    if name not in ("elu", "leaky_relu"):
        with pytest.raises(TypeError, match="alpha"):
            f(ones, alpha=1.0)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@TYPES
@pytest.mark.parametrize("n", [3, 16, 45, 1000, 200_001])
def test_backward_of_outputs(n, dtype, name):
    dy, y = reference.random(n, dtype), np.random.default_rng(1).uniform(-1, 1, n).astype(dtype)
    y[:3] = 0.0, -0.0, 1.0
    if name == "sigmoid":
        y = abs(y)
    result = getattr(pynn, f"{name}_backward")(dy, y)
    assert result.dtype == dtype
    wide = widened(y)
    slope = {"relu": wide > 0, "sigmoid": wide * (1 - wide), "tanh": (1 - wide) * (1 + wide)}[name]
    expected = widened(dy) * slope
    bound = 2 * np.finfo(dtype).eps * abs(expected)
    if name == "tanh" and not pynn.show_config("dict")["fused_multiply_add"]:
        bound += np.finfo(dtype).eps * abs(dy)  # 1 - y**2 in two roundings
    reference.assert_within(result, expected, bound if name != "relu" else 0)


@NAMES
@TYPES
@pytest.mark.parametrize("spread", [3, 30])
@pytest.mark.parametrize("n", [3, 16, 45, 1000])
def test_backward(n, spread, dtype, name):
    dy, x = reference.random(n, dtype), spread * reference.random(n, dtype, 1)
    result = backward(name, dy, x)
    assert result.dtype == dtype
    exact = widened(dy) * SLOPES[name](widened(x))
    # From an output y, 1 + y is as exact as y's last place.
    bound = 4 * np.finfo(dtype).eps * abs(widened(dy))
    reference.assert_within(result, exact, bound)


@NAMES
def test_backward_is_the_derivative(name):
    x = np.linspace(-6, 6, 240)  # without 0
    f = getattr(pynn, name)
    slope = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
    result = backward(name, np.full(240, 2.0), x)
    np.testing.assert_allclose(result, 2 * slope, rtol=1e-6, atol=1e-9)


@NAMES
def test_backward_as_a_function(name):
    f = getattr(pynn, f"{name}_backward")
    dy, y = reference.random((4, 6)), abs(reference.random((4, 6), seed=1))
    expected = f(dy, y)
    for layout in reference.LAYOUTS.values():
        reference.assert_same_bits(f(layout(dy), layout(y)), expected)
    reference.assert_same_bits(f(dy.tolist(), y.tolist()), expected)
    for out in (np.zeros((4, 6), np.float32), np.zeros((6, 4)).T, dy.copy(), y.copy()):
        given = [out if np.array_equal(out, x) else x for x in (dy, y)]
        assert f(*given, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-6)
    assert f(np.float32([1, 2]), np.float64([0, 1])).dtype == np.float64
    assert f(np.float16([1, 2]), np.float16([0, 1])).dtype == np.float32
    assert f([1, 2], [0, 1]).dtype == np.float64
    out = np.zeros(())
    assert f(2.0, 0.5, out=out) is out
    assert out == f(2.0, 0.5)
    assert type(f(2.0, 0.5)) is np.float64
    assert type(f(np.float32(2), np.float32(0.5))) is np.float32
