"""gelu in both forms and its gradient, against mpmath, SciPy, central differences and torch."""

import mpmath
import numpy as np
import pytest
import reference
from scipy import special

import pynn

FORMS = pytest.mark.parametrize("approximate", ["none", "tanh"])
TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)


def exact_gelu(x, approximate):
    x = mpmath.mpf(float(x))
    if approximate == "none":
        return x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2
    v = 2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)
    return x / (1 + mpmath.exp(-v))


def error_in_ulps(value, exact, dtype):
    """|value - exact| over the spacing of the type at the exact value."""
    info = np.finfo(dtype)
    exponent = max(int(mpmath.frexp(exact)[1]) - 1, int(info.minexp))
    return float(abs(mpmath.mpf(float(value)) - exact) / mpmath.ldexp(1, exponent - info.nmant))


def slope(x, approximate):
    """In float64."""
    if approximate == "none":
        return special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)


@TYPES
@FORMS
def test_two_ulps(approximate, dtype):
    low = {"none": {4: 14.5, 8: 39}, "tanh": {4: 11, 8: 21.6}}[approximate][dtype().itemsize]
    rng = np.random.default_rng(0)
    small = rng.choice([-1, 1], 300) * np.exp2(rng.uniform(-60, 2, 300))
    x = np.concatenate([rng.uniform(-low, 8, 900), rng.uniform(-3, 3, 900), small]).astype(dtype)
    y = pynn.gelu(x, approximate=approximate)
    with mpmath.workdps(40):
        errors = [
            error_in_ulps(b, exact_gelu(a, approximate), dtype) for a, b in zip(x, y, strict=True)
        ]
    assert max(errors) <= 2, f"{max(errors)} at {x[int(np.argmax(errors))]!r}"


@TYPES
@FORMS
def test_special_values(approximate, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1000, -1000, 3e38, -3e38, tiny, -tiny], dtype)
    with np.errstate(all="raise"):
        y = pynn.gelu(x, approximate=approximate)
        dx = pynn.gelu_backward(np.ones_like(x), x, approximate=approximate)
    expected = np.array([np.nan, np.inf, -0.0, 0.0, -0.0, 1000, -0.0, 3e38, -0.0], dtype)
    np.testing.assert_array_equal(y[:-2], expected)
    np.testing.assert_array_equal(np.signbit(y[1:-2]), np.signbit(expected[1:]))
    assert abs(y[-2:]).max() <= tiny  # half of it, rounded
    np.testing.assert_array_equal(dx, np.array([np.nan, 1, 0, 0.5, 0.5, 1, 0, 1, 0, 0.5, 0.5]))


@FORMS
def test_the_forms_are_as_close_as_is_known(approximate):
    x = np.linspace(-6, 6, 1001)
    difference = abs(pynn.gelu(x, approximate=approximate) - x * special.ndtr(x)).max()
    assert difference < 1e-15 if approximate == "none" else 1e-4 < difference < 5e-4


@TYPES
@FORMS
@pytest.mark.parametrize("spread", [1, 8])
def test_backward(spread, approximate, dtype):
    dy, x = reference.random(1000, dtype), spread * reference.random(1000, dtype, 1)
    dx = pynn.gelu_backward(dy, x, approximate=approximate)
    assert dx.dtype == dtype
    expected = dy.astype(float) * slope(x.astype(float), approximate)
    # float64's formula loses some places itself.
    bound = (6 if dtype == np.float32 else 40) * np.finfo(dtype).eps * abs(dy.astype(float))
    reference.assert_within(dx, expected, bound)


@FORMS
def test_backward_is_the_derivative(approximate):
    x = np.linspace(-6, 6, 241)
    up, down = (pynn.gelu(x + step, approximate=approximate) for step in (1e-5, -1e-5))
    dx = pynn.gelu_backward(np.full(241, 2.0), x, approximate=approximate)
    np.testing.assert_allclose(dx, (up - down) / 1e-5, rtol=1e-6, atol=1e-9)


@FORMS
def test_torch_agrees(approximate):
    torch = pytest.importorskip("torch")
    x = reference.random(1000, np.float64)
    given = torch.from_numpy(x.copy()).requires_grad_()
    y = torch.nn.functional.gelu(given, approximate=approximate)
    y.sum().backward()
    # torch's tail is exact absolutely, not relatively.
    result = pynn.gelu(x, approximate=approximate)
    np.testing.assert_allclose(result, y.detach(), rtol=1e-14, atol=1e-15)
    dx = pynn.gelu_backward(np.ones(1000), x, approximate=approximate)
    np.testing.assert_allclose(dx, given.grad, rtol=1e-11, atol=1e-14)


@TYPES
@FORMS
def test_like_the_other_functions(approximate, dtype):
    x = reference.random((5, 35), dtype)
    expected = pynn.gelu(x, approximate=approximate)
    out = np.empty_like(x)
    assert pynn.gelu(x, out=out, approximate=approximate) is out
    reference.assert_same_bits(out, expected)
    for layout in reference.LAYOUTS.values():
        reference.assert_same_bits(pynn.gelu(layout(x), approximate=approximate), expected)
    for i in range(35):
        reference.assert_same_bits(pynn.gelu(x[:, i:], approximate=approximate), expected[:, i:])
    scalar = pynn.gelu(x[0, 0], approximate=approximate)
    assert isinstance(scalar, np.generic)
    assert scalar == expected[0, 0]
    in_place = x.copy()
    pynn.gelu(in_place, out=in_place, approximate=approximate)
    reference.assert_same_bits(in_place, expected)


def test_other_types():
    assert pynn.gelu([1, -1]).dtype == np.float64
    half = np.array([0.5, -2.0], np.float16)
    assert pynn.gelu(half).dtype == np.float16
    np.testing.assert_allclose(pynn.gelu(half), half * special.ndtr(half), rtol=1e-3)
    long = np.array([0.5, -2.0, -30.0, 0.0], np.longdouble)
    for approximate in ("none", "tanh"):
        result = pynn.gelu(long, approximate=approximate)
        assert result.dtype == np.longdouble
        expected = pynn.gelu(long.astype(float), approximate=approximate)
        np.testing.assert_allclose(result, expected, rtol=1e-14)


def test_errors():
    with pytest.raises(ValueError, match="approximate must be one of none, tanh; got 'erf'"):
        pynn.gelu([1.0], approximate="erf")
    with pytest.raises(TypeError, match="real numbers"):
        pynn.gelu([1j])
    with pytest.raises(ValueError, match=r"dy has shape \(2,\), but x has shape \(3,\)"):
        pynn.gelu_backward([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(TypeError):
        pynn.gelu([1.0], None, "tanh")  # by keyword only
