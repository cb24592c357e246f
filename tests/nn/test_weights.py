"""Weights and biases: live views, and copies in and out."""

import copy
import gc
import pickle

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, assert_same_bits, make_samples, parameters_of

import pynn

SIZES = [5, 8, 8, 3]


@pytest.fixture(params=["float32", "float64"])
def net(request):
    return pynn.MLP(SIZES, "tanh", "mse", dtype=request.param, seed=0)


def new_values(net, seed=1):
    rng = np.random.default_rng(seed)
    return tuple([rng.normal(size=a.shape) for a in x] for x in (net.weights, net.biases))


def test_shapes_and_types(net):
    assert [w.shape for w in net.weights] == [(5, 8), (8, 8), (8, 3)]
    assert [b.shape for b in net.biases] == [(8,), (8,), (3,)]
    assert all(a.dtype == net.dtype and a.flags.carray for a in (*net.weights, *net.biases))
    assert pynn.MLP([3, 2], bias=False).biases == ()


@pytest.mark.parametrize("kind", ["weights", "biases"])
@pytest.mark.parametrize("layer", range(3))
def test_writing_to_a_view_changes_the_outputs(net, kind, layer):
    x, _ = make_samples("mse", 6, 5, 3)
    before = net(x)
    getattr(net, kind)[layer][...] += 0.25
    after = net(x)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, NumpyMLP(net)(x), rtol=1e-4, atol=1e-5)


def test_training_changes_the_views(net):
    x, y = make_samples("mse", 20, 5, 3)
    views, before = [*net.weights, *net.biases], parameters_of(net)
    net.fit(x, y, epochs=1)
    for view, old in zip(views, before, strict=True):
        assert (view != old).any()
    assert_same_bits([v.copy() for v in views], net)


def test_training_goes_on_from_what_was_written(net):
    x, y = make_samples("mse", 20, 5, 3)
    other = pynn.MLP(SIZES, "tanh", "mse", dtype=net.dtype, seed=9)
    weights, biases = new_values(net)
    other.set_weights(weights, biases)
    for old, new in zip([*net.weights, *net.biases], [*weights, *biases], strict=True):
        old[...] = new
    for each in (net, other):
        each.fit(x, y, epochs=1, shuffle=False)
    assert_same_bits(net, other)


def test_the_views_cannot_be_replaced(net):
    before = parameters_of(net)
    for views in (net.weights, net.biases):
        assert isinstance(views, tuple)
        with pytest.raises(TypeError, match="does not support item assignment"):
            views[0] = np.zeros_like(views[0])
        with pytest.raises(ValueError, match="could not broadcast"):
            views[0][...] = np.zeros((99, 99))
    assert_same_bits(net, before)


def test_views_keep_the_memory_alive():
    net = pynn.MLP([300, 400, 10], seed=0)
    expected, views = parameters_of(net), [*net.weights, *net.biases]
    del net
    gc.collect()
    noise = [np.full(300 * 400, 7, np.float32) for _ in range(4)]  # would take the freed memory
    assert_same_bits([v.copy() for v in views], expected)
    views[0][...] = noise[0].reshape(300, 400)


LAYOUTS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "list": lambda a: a.tolist(),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("code", ["f", "d", "e", "g", "i", "B", "?"])
def test_set_weights_from_any_type_and_layout(net, code, layout):
    weights, biases = ([(10 * np.abs(a)).astype(code) for a in x] for x in new_values(net))
    net.set_weights(map(LAYOUTS[layout], weights), tuple(map(LAYOUTS[layout], biases)))
    for got, given in zip(parameters_of(net), [*weights, *biases], strict=True):
        np.testing.assert_array_equal(got, given.astype(net.dtype))


def test_set_weights_from_the_pair_that_get_weights_gives(net):
    weights, biases = ([a.astype(net.dtype) for a in x] for x in new_values(net))
    for pair in ((weights, biases), [tuple(weights), tuple(biases)]):
        net.set_weights([np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases])
        net.set_weights(pair)
        assert_same_bits(net, [*weights, *biases])
    net.set_weights(net.get_weights())
    assert_same_bits(net, [*weights, *biases])


def test_two_layers_without_biases_are_no_pair():
    net = pynn.MLP([2, 2, 2], loss="mse", bias=False, seed=0)
    weights = [np.eye(2, dtype="f4"), 2 * np.eye(2, dtype="f4")]
    for given in (weights, tuple(weights), [w.tolist() for w in weights], (weights, [])):
        net.set_weights(given)
        assert_same_bits(net, weights)


def test_set_weights_copies(net):
    weights, biases = ([a.astype(net.dtype) for a in x] for x in new_values(net))
    views = net.weights
    net.set_weights(weights, biases)
    before = parameters_of(net)
    weights[0][...] = 9
    biases[0][...] = 9
    assert_same_bits(net, before)
    assert all(np.shares_memory(a, b) for a, b in zip(views, net.weights, strict=True))


def test_set_weights_from_own_views_permuted():
    net = pynn.MLP([4, 4, 4, 4], "tanh", "mse", seed=0)
    net.biases[0][...] = 1
    weights, biases = net.get_weights()
    own = net.weights
    net.set_weights([own[1].T, own[2], own[0][::-1]], net.biases[::-1])
    expected = [weights[1].T, weights[2], weights[0][::-1], *biases[::-1]]
    assert_same_bits(net, [np.ascontiguousarray(a) for a in expected])


def test_set_weights_without_biases():
    net = pynn.MLP([2, 3], loss="mse", bias=False)
    for biases in ((), [], None):
        net.set_weights([np.ones((2, 3))], biases)
    net.set_weights((np.zeros((2, 3)) for _ in range(1)), (_ for _ in ()))
    assert not net(np.ones((1, 2))).any()


def test_get_weights_copies(net):
    weights, biases = net.get_weights()
    before = parameters_of(net)
    weights[0][...] = 5
    biases[2][...] = 5
    assert_same_bits(net, before)
    assert not any(
        np.shares_memory(a, b) for a, b in zip(weights, net.get_weights()[0], strict=True)
    )


@pytest.mark.parametrize("name", ["weights", "biases"])
def test_no_setter(net, name):
    before = parameters_of(net)
    with pytest.raises(AttributeError):
        setattr(net, name, [])
    assert_same_bits(net, before)


def test_weights_and_biases_in_turn_are_an_error_with_the_cure():
    net = pynn.MLP([3, 4, 2], seed=0)
    in_turn = [a for pair in zip(net.weights, net.biases, strict=True) for a in pair]
    with pytest.raises(
        ValueError, match=r"has 4 arrays, expected 2; .*weights\[::2\], weights\[1::2\]"
    ):
        net.set_weights(in_turn)
    net.set_weights(in_turn[::2], in_turn[1::2])


def test_a_layers_weights_are_changed_in_place():
    net = pynn.MLP([2, 3], seed=0)
    expected = net(np.ones((1, 2)))
    net.biases[0] += 1
    net.weights[-1] *= 2
    net.weights[0][0, 0] -= 0
    assert net.biases[0].tolist() == [1, 1, 1]
    assert not np.array_equal(net(np.ones((1, 2))), expected)
    before = net.weights[0].copy()
    with pytest.raises(TypeError, match=r"write into the array, \[0\]\[...\] = values"):
        net.weights[0] = before * 0
    assert np.array_equal(net.weights[0], before)
    for copied in (copy.deepcopy(net.weights), pickle.loads(pickle.dumps(net.weights))):
        assert np.array_equal(copied[0], before)


# ------------------------------------------------------- beyond float32's range

BEYOND = [
    ("weights", 0, (2, 3), r"weights\[0\] .* too large for float32 in row 2, column 3"),
    ("weights", 1, (0, 1), r"weights\[1\] .* too large for float32 in row 0, column 1"),
    ("biases", 1, (2,), r"biases\[1\] .* too large for float32 in row 2$"),
]


@pytest.mark.parametrize("value", [1e300, -3.5e38, np.finfo(np.float64).max])
@pytest.mark.parametrize(("kind", "layer", "place", "message"), BEYOND)
def test_values_beyond_the_range(kind, layer, place, message, value):
    net = pynn.MLP([4, 5, 3], seed=0)
    before = parameters_of(net)
    arrays = {
        name: [a.astype(np.float64) for a in getattr(net, name)] for name in ("weights", "biases")
    }
    arrays[kind][layer][place] = value
    with np.errstate(all="raise"), pytest.raises(ValueError, match=message):
        net.set_weights(**arrays)
    assert_same_bits(net, before)
    double = pynn.MLP([4, 5, 3], dtype="float64")
    double.set_weights(**arrays)
    assert getattr(double, kind)[layer][place] == value


def test_infinities_and_the_largest_number_are_in_range():
    net, largest = pynn.MLP([1, 2], seed=0), float(np.finfo(np.float32).max)
    net.set_weights([[[np.inf, largest]]], [[np.nan, -largest]])
    np.testing.assert_array_equal(net.weights[0], [[np.inf, largest]])
    np.testing.assert_array_equal(net.biases[0], [np.nan, -largest])


def test_an_initializer_beyond_the_range():
    with pytest.raises(ValueError, match=r"init's array .* too large for float32 in row 0, column"):
        pynn.MLP([2, 3], init=lambda rng, shape, dtype: np.full(shape, 1e39))
