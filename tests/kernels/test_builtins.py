"""The compiled functions: the calls that they answer without Python, equal results of other calls,
and the look of functions written in Python."""

import gc
import inspect
import pickle
import sys
from functools import partial

import numpy as np
import pytest
import reference
from scipy import special

import pynn

FORWARD = ("relu", "leaky_relu", "elu", "silu", "softplus", "sigmoid", "tanh")
SOFTMAX = ("softmax", "log_softmax")
GRADIENTS = tuple(f"{name}_backward" for name in (*FORWARD, *SOFTMAX))
FUNCTIONS = (*FORWARD, *SOFTMAX, *GRADIENTS)
NAMES = pytest.mark.parametrize("name", FUNCTIONS)
TYPES = pytest.mark.parametrize("dtype", reference.FLOATS)


def operands(name, shape=(5, 19), dtype=np.float64):
    # The last could be an output of any of the functions.
    x = abs(reference.random(shape, dtype)) / 8
    return [reference.random(shape, dtype, 1), x] if name in GRADIENTS else [x]


def keywords(name):
    if "softmax" in name:
        return {"axis": 1}
    return {"alpha": 0.25} if name.startswith(("elu", "leaky_relu")) else {}


def python_calls(function, *args, **keywords):
    """How many Python functions run when the compiled `function` is called."""
    calls = []
    call = partial(function, *args, **keywords)
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # a collection calls those who watch collections: hypothesis does
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code) if event == "call" else None)
    try:
        call()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return len(calls)


class Labeled(np.ndarray):
    """A subclass that adds nothing."""


# ---------------------------------------------------------------- who answers


@NAMES
@TYPES
def test_plain_calls_run_no_python(name, dtype):
    calls, given = partial(python_calls, getattr(pynn, name)), operands(name, dtype=dtype)
    out, keyword = np.empty_like(given[0]), keywords(name)
    assert calls(*given) == 0
    assert calls(*given, None) == 0
    assert calls(*given, out) == 0
    assert calls(*given, out=None) == 0
    assert calls(*given, out=out) == 0
    assert calls(*given, **keyword) == 0
    assert calls(*given, out, **keyword) == 0
    assert calls(*given, **keyword, out=out) == 0
    assert calls(*(x[1] for x in given), out[1]) == 0
    assert calls(*(x.reshape(5, 1, 19, 1) for x in given)) == 0
    assert calls(*(x[:0] for x in given)) == 0
    assert calls(*given, out=given[0]) == 0
    assert calls(*given, out=given[-1]) == 0


@NAMES
def test_other_calls_run_python(name):
    calls, given = partial(python_calls, getattr(pynn, name)), operands(name)
    out = np.empty_like(given[0])
    for i in range(len(given)):
        for other in (given[i].view(Labeled), np.asfortranarray(given[i]), given[i].tolist()):
            assert calls(*given[:i], other, *given[i + 1 :]) > 0
    assert calls(*given, out=out.view(Labeled)) > 0
    assert calls(*given, out=np.empty_like(out, np.float32)) > 0
    assert calls(*(x[1:] for x in given), out=given[-1][:-1]) > 0


@TYPES
@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 7), (7, 5)),
        ((7,), (7, 5)),
        ((4, 7), (7,)),
        ((7,), (7,)),
        ((3, 4, 7), (3, 7, 5)),
        ((3, 4, 7), (7, 5)),
        ((4, 7), (3, 7, 5)),
        ((2, 1, 4, 7), (3, 7, 5)),
        ((3, 4, 7), (7,)),
        ((7,), (3, 7, 5)),
        ((0, 4, 7), (7, 5)),
        ((3, 4, 0), (3, 0, 5)),
    ],
)
def test_plain_products_run_no_python(shapes, dtype):
    calls = partial(python_calls, pynn.matmul)
    a, b = reference.random(shapes[0], dtype), reference.random(shapes[1], dtype, 1)
    out = np.empty(np.matmul(a, b).shape, dtype)
    assert calls(a, b) == 0
    assert calls(a, b, out) == 0
    assert calls(a, b, out=out) == 0
    assert calls(np.asfortranarray(a), b[::-1].copy()[::-1]) == 0


@pytest.mark.parametrize("leading", [(), (3,)])
def test_other_products_run_python(leading):
    calls = partial(python_calls, pynn.matmul)
    a, b = reference.random((*leading, 4, 7)), reference.random((7, 5), seed=1)
    out = np.empty((*leading, 4, 5))
    for change in (
        np.ndarray.tolist,
        lambda x: x.view(Labeled),
        lambda x: x.astype(np.float32),
        reference.LAYOUTS["swapped"],
        reference.LAYOUTS["misaligned"],
    ):
        assert calls(change(a), b) > 0
        assert calls(a, change(b)) > 0
    assert calls(a, b, out=(out,)) > 0
    assert calls(a, b, out=np.asfortranarray(out)) > 0
    assert calls(out, np.eye(5), out=out) > 0


@TYPES
@pytest.mark.parametrize("leading", [(4,), (), (2, 3), (0,)])
def test_plain_layers_run_no_python(leading, dtype):
    x, w, b = (reference.random(shape, dtype) for shape in ((*leading, 7), (7, 5), (5,)))
    dy, out = reference.random((*leading, 5), dtype), np.empty((*leading, 5), dtype)
    calls = partial(python_calls, pynn.linear)
    assert calls(x, w) == 0
    assert calls(x, w, None) == 0
    assert calls(x, w, b) == 0
    assert calls(x, w, b=b, out=out) == 0
    for activation in ("identity", "relu", "sigmoid", "tanh", np.str_("relu")):
        assert calls(x, w, b, activation=activation, out=None) == 0
        assert calls(x, w, out=out, activation=activation) == 0
    assert calls(x.view(Labeled), w, b) > 0
    assert calls(x, np.asfortranarray(w), b) > 0
    assert calls(x, w, b.view(Labeled)) > 0
    assert calls(x=x, w=w) > 0
    calls = partial(python_calls, pynn.linear_backward)
    assert calls(dy, x, w) == 0
    assert calls(dy, x, np.asfortranarray(w)) == 0
    assert calls(dy, x, w.view(Labeled)) > 0
    assert calls(dy.view(Labeled), x, w) > 0
    assert calls(dy, x=x, w=w) > 0


def test_matrices_of_any_strides_are_plain_for_layers():
    x, w, dy = (reference.random(shape) for shape in ((9, 7), (7, 5), (9, 5)))
    for layout in ("transposed", "inside", "strided", "negative", "read-only"):
        x = reference.LAYOUTS[layout](x)
        assert python_calls(pynn.linear, x, w) == 0
        assert python_calls(pynn.linear_backward, dy, x, w) == 0


# ---------------------------------------------------------------- the same answer


@NAMES
def test_subclasses_count_as_their_data(name):
    def make(x):
        return x.view(Labeled)

    f, given = getattr(pynn, name), operands(name)
    expected = f(*given)
    result = f(*(make(x) for x in given))
    assert type(result) is np.ndarray
    reference.assert_same_bits(result, expected)
    out = make(np.empty_like(expected))
    assert f(*given, out=out) is out
    reference.assert_same_bits(np.asarray(out), expected)


@NAMES
def test_operands_that_one_stride_describes(name):
    """Their reshape(-1) is a view, and not contiguous."""
    f, given = getattr(pynn, name), operands(name, (5, 6))
    expected, ones = f(*given), f(*(np.ones((5, 6)) for _ in given))
    for i in range(len(given)):
        apart = [*given]
        apart[i] = np.repeat(given[i], 2, axis=1)[:, ::2]
        reference.assert_same_bits(f(*apart), expected)
        constant = [np.ones((5, 6)) for _ in given]
        constant[i] = np.broadcast_to(1.0, (5, 6))
        reference.assert_same_bits(f(*constant), ones)


@NAMES
@TYPES
@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_out_overlaps_an_operand(name, shift, dtype):
    f = getattr(pynn, name)
    for i in range(1 + (name in GRADIENTS)):
        given, space = operands(name, dtype=dtype), np.empty((9, 19), dtype)
        space[2:7] = given[i]
        expected = f(*given)
        given[i], out = space[2:7], space[2 + shift : 7 + shift]
        assert f(*given, out=out) is out
        reference.assert_same_bits(out, expected)


@pytest.mark.parametrize("name", GRADIENTS)
def test_out_is_one_operand_and_overlaps_the_other(name):
    f, space = getattr(pynn, name), operands(name, (6, 19))[1]
    for i in range(2):
        own = space.copy()
        given = [own[:5], own[1:]]
        expected = f(*(x.copy() for x in given))
        f(*given, out=given[i])
        reference.assert_same_bits(given[i], expected)


@NAMES
def test_an_axis_of_length_one_may_have_any_stride(name):
    f, given = getattr(pynn, name), operands(name, (1, 7))
    expected = f(*given)
    odd = [np.lib.stride_tricks.as_strided(x, strides=(13, 8)) for x in (*given, np.empty((1, 7)))]
    assert all(x.flags.carray for x in odd)
    reference.assert_same_bits(f(*odd[:-1]), expected)
    assert python_calls(f, *odd[:-1], out=odd[-1]) == 0
    reference.assert_same_bits(odd[-1], expected)


@TYPES
@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_alpha_of_any_type(name, dtype):
    x, dy = reference.random(40, dtype), reference.random(40, dtype, 1)
    f, b = getattr(pynn, name), getattr(pynn, f"{name}_backward")
    for alpha in (2, 2.0, np.float64(2), np.float32(2), np.int8(2)):
        if name == "leaky_relu":
            np.testing.assert_array_equal(f(x, alpha=alpha), np.where(x < 0, 2 * x, x))
            np.testing.assert_array_equal(b(dy, x, alpha=alpha), np.where(x > 0, dy, 2 * dy))
        else:
            exact = np.where(x > 0, x, 2 * np.expm1(x.astype(np.longdouble)))
            assert (reference.ulps(f(x, alpha=alpha), exact) <= 2).all()
            exact = dy * np.where(x > 0, 1, x.astype(np.longdouble) + 2)
            np.testing.assert_allclose(b(dy, x, alpha=alpha), exact, rtol=4 * np.finfo(dtype).eps)
    for alpha in (2**62 + 1, 2**64 + 1):  # beyond and within a C integer
        np.testing.assert_array_equal(f(x[x > 0], alpha=alpha), x[x > 0])
        np.testing.assert_allclose(b(dy, 0 * x, alpha=alpha), dy * dtype(float(alpha)), rtol=1e-6)
    for call in (partial(f, x), partial(b, dy, x)):
        with pytest.raises(OverflowError):
            call(alpha=10**400)
        for alpha in (0, 0.0, -1, -0.5, np.nan, np.inf):
            with pytest.raises(ValueError, match=r"alpha must be in \(0, inf\), got"):
                call(alpha=alpha)
        for alpha in (True, "1", None):
            with pytest.raises(TypeError, match="alpha must be a number"):
                call(alpha=alpha)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_axis_of_any_type(name):
    f, b = getattr(pynn, name), getattr(pynn, f"{name}_backward")
    x, dy = reference.random((4, 6)), reference.random((4, 6), seed=1)
    exact, scipys = {}, getattr(special, name)
    for axis in range(2):
        y = scipys(x, axis=axis)
        p = np.exp(y) if name == "log_softmax" else y
        slope = dy - p * dy.sum(axis, keepdims=True)
        if name == "softmax":
            slope = p * (dy - (p * dy).sum(axis, keepdims=True))
        exact[axis] = y, slope
    for axis in (-2, -1, 0, 1, np.int64(1), np.int8(-1), True, False):
        y, slope = exact[int(axis) % 2]
        np.testing.assert_allclose(f(x, axis=axis), y, rtol=1e-14)
        np.testing.assert_allclose(b(dy, y, axis=axis), slope, rtol=1e-12, atol=1e-15)
    for call in (partial(f, x), partial(b, dy, x)):
        for axis in (1.0, "1", [1]):
            with pytest.raises(TypeError):
                call(axis=axis)
        for axis in (2, -3, 2**70, -(2**70)):
            with pytest.raises(ValueError, match=f"axis {axis} is out of bounds"):
                call(axis=axis)


# ---------------------------------------------------------------- as functions


@NAMES
def test_wrong_arguments(name):
    f, given = getattr(pynn, name), operands(name)
    out = np.empty_like(given[0])
    for args, named in (
        (given[1:], {}),
        (given[1:], {"out": out}),
        ((*given, out, 1), {}),
        ((*given, out), {"out": out}),
        (given, {"other": 1}),
        (given, {"out": out, "other": 1}),
        ((), {"x": given[0], "dy": given[0], "y": given[-1]}),
        *([] if keywords(name) else [(given, {"alpha": 1.0}), (given, {"axis": -1})]),
    ):
        with pytest.raises(TypeError, match=rf"^{name}\(\) "):
            f(*args, **named)


@pytest.mark.parametrize("name", pynn.ops.__all__)
def test_they_look_like_functions(name):
    f = getattr(pynn, name)
    assert f.__name__ == f.__qualname__ == name
    assert f.__doc__.split("\n")[0].endswith(".")
    assert "\n----------\n" in inspect.getdoc(f)
    assert pickle.loads(pickle.dumps(f)) is f
    documented = [word.strip() for word in inspect.getdoc(f).split("Parameters\n")[1].split("\n")]
    for parameter in inspect.signature(f).parameters:
        assert any(parameter in line.split(" : ")[0].split(", ") for line in documented), parameter


def test_signatures():
    for name, signature in {
        "matmul": "(x1, x2, /, out=None)",
        "relu": "(x, /, out=None)",
        "elu": "(x, /, out=None, *, alpha=1.0)",
        "leaky_relu_backward": "(dy, y, /, out=None, *, alpha=0.01)",
        "silu_backward": "(dy, x, /, out=None)",
        "log_softmax": "(x, /, out=None, *, axis=-1)",
        "softmax_backward": "(dy, y, /, out=None, *, axis=-1)",
    }.items():
        assert str(inspect.signature(getattr(pynn, name))) == signature
