"""Operands that hypothesis draws: any shape, 0-sized ones too, any layout and type, byte order,
subclass, read-only, `out` that overlaps, and sizes beyond any memory. A function gives what NumPy
gives in float64, leaves its operands as they are, and writes nothing beside `out`."""

import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from numpy_mlp import ACTIVATIONS
from scipy import special

import pynn

TYPES = st.sampled_from(["f2", "f4", "f8", ">f4", ">f8", "i1", "u2", ">i4", "?"])
SIZES = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 33])
SHAPES = st.lists(SIZES, min_size=1, max_size=3).map(tuple)
SEEDS = st.integers(0, 99)


class Labeled(np.ndarray):
    """A subclass that adds nothing."""


def apart(x):
    """Its elements with others between them, along every axis."""
    for axis in range(x.ndim):
        x = np.repeat(x, 3, axis)
    return x[(slice(None, None, 3),) * x.ndim]


LAYOUTS = {
    **reference.LAYOUTS,
    "inside": lambda x: np.pad(x, 1, constant_values=7)[(slice(1, -1),) * x.ndim],
    "strided": apart,
    "negative": lambda x: np.flip(apart(np.flip(x))),
    "subclass": lambda x: x.view(Labeled),
}
OPERAND_LAYOUTS = LAYOUTS | {
    "zero stride": lambda x: np.broadcast_to(x[..., :1], x.shape) if x.size else x,
    "list": lambda x: x.tolist() if x.size else x,  # (of nothing it would lose the shape)
}


def drawn_operands(data, *shapes):
    """Arrays of these shapes, none negative: any of them may be an output of any function.

    Half of the time all but one are as the compiled functions take them, of one type.
    """
    one_type = data.draw(st.sampled_from([None, None, "f4", "f8"]))
    odd = data.draw(st.integers(0, len(shapes)))
    arrays = []
    for i, shape in enumerate(shapes):
        values = abs(2 * reference.random(shape, seed=data.draw(SEEDS)))
        layout = st.sampled_from([*OPERAND_LAYOUTS])
        if one_type and i != odd:
            layout = st.just("contiguous")
        values = values.astype(one_type or data.draw(TYPES))
        arrays.append(OPERAND_LAYOUTS[data.draw(layout)](values))
    return arrays


def drawn_out(data, shape, dtype):
    """None, or an array of sevens, mostly within another one."""
    layout = data.draw(st.sampled_from([None, *LAYOUTS]))
    if layout is None:
        return None
    return LAYOUTS[layout](
        np.full(shape, 7, data.draw(st.sampled_from([dtype, dtype, "f4", "f8"])))
    )


def result_type(name, arrays):
    """In which NumPy's functions of elements compute; float32 or float64 for all others."""
    types = [np.asarray(a).dtype for a in arrays]
    if name == "relu":
        return types[0].newbyteorder("=")
    if name in ACTIVATIONS:
        return np.tanh(np.empty(0, types[0])).dtype
    single = all(t.kind == "f" and t.itemsize <= 4 for t in types)
    return np.dtype(np.float32 if single else np.float64)


def as_float64(arrays):
    return [np.array(a, np.float64) for a in arrays]


def bytes_of(arrays):
    return [np.asarray(a).tobytes() for a in arrays]


def whole(x):
    """The array that has the memory."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x


def assert_near(result, expected, dtype=None):
    """`dtype`: in which it was computed."""
    size = min(result.dtype.itemsize, np.dtype(dtype or result.dtype).itemsize)
    tolerance = {1: 0, 2: 1e-3, 4: 3e-5, 8: 1e-11}[size]
    bound = tolerance * (1 + np.max(np.abs(expected), initial=0))
    np.testing.assert_allclose(np.array(result, float), expected, rtol=0, atol=bound)


def check(name, arrays, out, expected):
    """`expected` is what NumPy makes of the arrays in float64."""
    function, dtype, before = getattr(pynn, name), result_type(name, arrays), bytes_of(arrays)
    if out is None:
        result = function(*arrays)
        assert (type(result), result.dtype) == (np.ndarray, dtype)
        assert_near(result, expected)
    elif not out.flags.writeable:
        sevens = whole(out).tobytes()
        with pytest.raises(ValueError, match="read-only"):
            function(*arrays, out=out)
        assert whole(out).tobytes() == sevens
    else:
        around = whole(out).tobytes()
        assert function(*arrays, out=out) is out
        assert_near(out, expected, dtype)
        out[...] = 7
        assert whole(out).tobytes() == around, "something beside `out` was written"
    assert bytes_of(arrays) == before, "an operand was written"


# ---------------------------------------------------------------- elements and rows

FUNCTIONS = {name: (f,) for name, (f, _) in ACTIVATIONS.items() if name not in ("identity", "exp")}
FUNCTIONS["softmax"] = (lambda x: special.softmax(x, axis=-1) if x.size else x,)
FUNCTIONS["log_softmax"] = (lambda x: special.log_softmax(x, axis=-1) if x.size else x,)
# Of two operands: the gradient and the outputs; two functions need their inputs instead.
GRADIENTS = {
    "relu": lambda dy, y: dy * (y > 0),
    "leaky_relu": lambda dy, y: np.where(y > 0, dy, 0.01 * dy),
    "elu": lambda dy, y: np.where(y > 0, dy, dy * (y + 1)),
    "gelu": lambda dy, x: dy * ACTIVATIONS["gelu"][1](x),
    "silu": lambda dy, x: dy * ACTIVATIONS["silu"][1](x),
    "softplus": lambda dy, y: dy * -np.expm1(-y),
    "sigmoid": lambda dy, y: dy * y * (1 - y),
    "tanh": lambda dy, y: dy * (1 - y**2),
    "softmax": lambda dy, y: y * (dy - (dy * y).sum(-1, keepdims=True)),
    "log_softmax": lambda dy, y: dy - np.exp(y) * dy.sum(-1, keepdims=True),
}
CASES = [(name, 1, *exact) for name, exact in FUNCTIONS.items()]
CASES += [(f"{name}_backward", 2, exact) for name, exact in GRADIENTS.items()]
functions = pytest.mark.parametrize(("name", "count", "exact"), CASES, ids=[c[0] for c in CASES])


@functions
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_functions_of_elements_and_rows(name, count, exact, data):
    shape = data.draw(SHAPES)
    arrays = drawn_operands(data, *[shape] * count)
    out = drawn_out(data, shape, result_type(name, arrays))
    check(name, arrays, out, exact(*as_float64(arrays)))


@functions
@given(
    shape=st.tuples(st.integers(0, 6), SIZES),
    dtype=st.sampled_from(reference.FLOATS),
    which=st.integers(0, 1),
    shift=st.integers(-3, 3),
    steps=st.tuples(*[st.sampled_from([1, -1])] * 2),
)
@settings(max_examples=60, deadline=None)
def test_out_overlaps_an_operand(name, count, exact, shape, dtype, which, shift, steps):
    rows, columns = shape
    space = abs(reference.random((rows + 6, columns), dtype))
    before = space.copy()
    arrays = [abs(reference.random(shape, dtype, 1 + i)) for i in range(count)]
    arrays[which % count] = space[3 : 3 + rows][:: steps[0]]
    out = space[3 + shift : 3 + shift + rows][:: steps[1]]
    expected = exact(*as_float64(arrays))
    assert getattr(pynn, name)(*arrays, out=out) is out
    assert_near(out, expected)
    space[3 + shift : 3 + shift + rows] = before[3 + shift : 3 + shift + rows]
    reference.assert_same_bits(space, before)  # nothing beside `out`


# ---------------------------------------------------------------- products


@given(data=st.data(), sizes=st.tuples(SIZES, SIZES, SIZES))
@settings(max_examples=300, deadline=None)
def test_layers(data, sizes):
    m, k, n = sizes
    arrays = drawn_operands(data, (m, k), (k, n), (n,))
    x, w, b = as_float64(arrays)
    out = drawn_out(data, (m, n), result_type("linear", arrays))
    check("linear", arrays, out, x @ w + b)
    dy = drawn_operands(data, (m, n))[0]
    given_ = [dy, *arrays[:2]]
    before, exact = bytes_of(given_), np.array(dy, np.float64)
    gradients = pynn.linear_backward(*given_)
    for gradient, expected in zip(gradients, (exact @ w.T, x.T @ exact, exact.sum(0)), strict=True):
        assert gradient.dtype == result_type("linear_backward", given_)
        assert_near(gradient, expected)
    assert bytes_of(given_) == before


@given(
    size=st.integers(1, 40),
    dtype=st.sampled_from(reference.FLOATS),
    places=st.tuples(*[st.integers(0, 60)] * 3),
    steps=st.tuples(*[st.sampled_from([1, -1])] * 3),
)
@settings(max_examples=200, deadline=None)
def test_operands_and_out_of_a_product_anywhere_in_one_array(size, dtype, places, steps):
    space = reference.random((100, size), dtype)
    before = space.copy()
    x, w, out = (space[p : p + size][::step] for p, step in zip(places, steps, strict=True))
    expected = x.astype(np.float64) @ w.astype(np.float64)
    for function in (pynn.matmul, pynn.linear):
        space[...] = before
        assert function(x, w, out=out) is out
        assert_near(out, expected)
        space[places[2] : places[2] + size] = before[places[2] : places[2] + size]
        reference.assert_same_bits(space, before)


# ---------------------------------------------------------------- networks


@given(data=st.data(), rows=SIZES, dtype=st.sampled_from(["float32", "float64"]))
@settings(max_examples=150, deadline=None)
def test_networks_take_samples_of_any_layout(data, rows, dtype):
    """With the bits of the same samples laid out plainly."""
    (x,), (y,) = drawn_operands(data, (rows, 5)), drawn_operands(data, (rows, 3))
    before = bytes_of([x, y])
    plain_x, plain_y = (
        np.array(np.asarray(a).tolist(), dtype).reshape(np.shape(a)) for a in (x, y)
    )
    net, twin = (pynn.MLP([5, 9, 3], "tanh", "mse", dtype=dtype, seed=0) for _ in range(2))
    out = drawn_out(data, (rows, 3), np.dtype(dtype))
    plain = twin(plain_x)
    if out is not None and out.flags.carray and out.dtype == dtype:
        around = whole(out).tobytes()
        assert net(x, out=out) is out
        reference.assert_same_bits(np.array(out, dtype), plain)
        out[...] = 7
        assert whole(out).tobytes() == around
    reference.assert_same_bits(net(x), plain)
    order = data.draw(st.permutations(range(rows)))
    if rows == 0:
        for call in (net.fit, net.gradients, net.evaluate):
            with pytest.raises(ValueError, match="no samples"):
                call(x, y)
        return
    weights = np.asarray(order, data.draw(TYPES)) * 1.0
    for each, samples in ((net, (x, y)), (twin, (plain_x, plain_y))):
        each.train_on_batch(*samples, pynn.SGD(0.01))
        each.fit(*samples, epochs=2, batch_size=4, sample_weight=1 + weights)
    reference.assert_same_bits(net._engine.parameters, twin._engine.parameters)
    assert bytes_of([x, y]) == before


# ---------------------------------------------------------------- beyond any memory

HUGE = st.integers(50, 62).map(lambda bits: 2**bits)


@given(huge=HUGE, other=st.sampled_from([1, 2, 3, 2**31, 2**62]), dtype=st.sampled_from("fd"))
@settings(max_examples=60, deadline=None)
def test_sizes_beyond_memory(huge, other, dtype):
    """Of arrays that take none, since their strides are 0."""

    def ones(*shape):
        return np.broadcast_to(np.ones((), dtype), shape)  # (NumPy has a limit, too)

    net = pynn.MLP([3, 4, 2], loss="mse", seed=0)
    calls = [
        lambda: pynn.matmul(ones(huge, 1), ones(1, other)),
        lambda: pynn.matmul(ones(other, huge, 1), ones(1, 1)),
        lambda: pynn.linear(ones(huge, 1), ones(1, other)),
        lambda: pynn.gemm(ones(huge, 1), ones(1, other)),
        lambda: pynn.softmax(ones(huge)),
        lambda: pynn.tanh(ones(huge)),
        lambda: pynn.tanh_backward(ones(huge), ones(huge)),
        lambda: pynn.mse(ones(huge, 1), ones(huge, 1)),
        lambda: net(ones(huge, 3)),
        lambda: net.hidden(ones(huge, 3)),
        lambda: net.fit(ones(huge, 3), ones(huge, 2)),
        lambda: net.gradients(ones(huge, 3), ones(huge, 2)),
        lambda: pynn.MLP([huge, other, 2]),
    ]
    for number, call in enumerate(calls):
        try:
            call()
        except (MemoryError, ValueError):
            continue
        raise AssertionError(f"call {number} has found memory for {huge} and {other}")
