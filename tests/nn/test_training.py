"""A fit takes the steps of the NumPy MLP, whatever the options and the type of the data."""

import itertools

import numpy as np
import pytest
from numpy_mlp import (
    LOSSES,
    NumpyMLP,
    assert_close,
    assert_same_bits,
    make_samples,
    parameters_of,
    randomize_biases,
)

import pynn

PLAIN = {"learning_rate": 0.1}
MOMENTUM = {"learning_rate": 0.03, "momentum": 0.9}
NESTEROV = {**MOMENTUM, "nesterov": True}
SGDS = {"plain": PLAIN, "momentum": MOMENTUM, "nesterov": NESTEROV}
# float64: promised. float32: 200 steps of rounding errors of 6e-8 each.
RELATIVE = {"float64": 1e-10, "float32": 5e-5}


def fit_both(net, x, y, steps=200, shuffle=True, batch_size=8, sgd=MOMENTUM):
    """Train both for at least `steps` steps; the NumPy MLP and its losses, and pynn's."""
    numpy_net = NumpyMLP(net)
    epochs = -(-steps // -(-len(x) // batch_size))
    history = net.fit(
        x, y, epochs=epochs, batch_size=batch_size, optimizer=pynn.SGD(**sgd), shuffle=shuffle
    )
    losses = numpy_net.fit(np.asarray(x), np.asarray(y), epochs, batch_size, shuffle, **sgd)
    return numpy_net, losses, history.loss


def check_fit(net, x, y, **options):
    before = parameters_of(net)
    numpy_net, expected, losses = fit_both(net, x, y, **options)
    relative = RELATIVE[net.dtype.name]
    assert_close(parameters_of(net), numpy_net, relative)
    np.testing.assert_allclose(losses, expected, rtol=10 * relative)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(parameters_of(net), before, strict=True))
    assert net.rng.bit_generator.state == numpy_net.rng.bit_generator.state


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("sgd", SGDS)
@pytest.mark.parametrize("dtype", RELATIVE)
def test_200_steps(dtype, sgd, shuffle):
    net = pynn.MLP([7, 12, 9, 4], ["tanh", "relu"], dtype=dtype, seed=0)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)  # the last mini-batch has two rows
    check_fit(net, x, y, sgd=SGDS[sgd], shuffle=shuffle)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", pynn.ops.ACTIVATIONS)
@pytest.mark.parametrize(
    ("loss", "output"),
    [
        *((loss, None) for loss in LOSSES),
        ("squared_error", "sigmoid"),
        ("mse", "softmax"),
        ("poisson", "softplus"),
    ],
)
def test_every_loss_and_activation(loss, output, activation, bias):
    net = pynn.MLP(
        [6, 10, 5, 3], activation, loss, output_activation=output, bias=bias, dtype="float64",
        seed=1,
    )  # fmt: skip
    check_fit(randomize_biases(net), *make_samples(loss, 30, 6, 3), sgd=PLAIN, steps=50)


@pytest.mark.parametrize("sgd", SGDS)
@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize(
    ("sizes", "n", "batch_size"),
    [
        ([5, 16, 3], 1300, 600),  # sums over more rows than one chunk of 512, then a ragged 100
        ([5, 8, 3], 1100, 5000),  # more than there are
        ([600, 20, 3], 40, 16),  # sums over more inputs than one chunk
        ([4, 530, 3], 40, 16),  # and over more hidden units, forward and back
        ([70, 130, 17], 200, 96),  # no size is a whole number of tiles
        ([1, 1, 1], 20, 1),
    ],
)
def test_sizes(sizes, n, batch_size, dtype, sgd):
    net = pynn.MLP(sizes, "tanh", "squared_error", dtype=dtype, seed=2)
    x, y = make_samples(net.loss, n, sizes[0], sizes[-1])
    slow = {**SGDS[sgd], "learning_rate": SGDS[sgd]["learning_rate"] / 10}
    check_fit(net, x, y, batch_size=batch_size, sgd=slow, steps=60)


def byte_swapped(x):
    return x.astype(x.dtype.newbyteorder())


def unaligned(x):
    room = np.zeros(x.nbytes + 1, np.uint8)
    view = np.ndarray(x.shape, x.dtype, room.data, offset=1)
    view[...] = x
    return view


def strided(x):
    room = np.full((2 * x.shape[0], 3 * x.shape[1]), 77, x.dtype)
    room[::2, 1::3] = x
    return room[::2, 1::3]


def in_a_file(x, folder):
    memmap = np.memmap(folder / "x.dat", x.dtype, "w+", shape=x.shape)
    memmap[...] = x
    return memmap


LAYOUTS = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "strided": strided,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "swapped": byte_swapped,
    "unaligned": unaligned,
    "list": lambda x: x.tolist(),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}
NUMBERS = [*"?bBhHiIlLqQefdg"]


def converted_fit(x, y, dtype, shuffle, **options):
    net = pynn.MLP([6, 8, 3], "tanh", dtype=dtype, seed=4, **options)
    net.fit(x, y, epochs=4, batch_size=16, shuffle=shuffle, optimizer=pynn.SGD(0.01, 0.5))
    return net


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize(
    ("code", "layout"),
    [*((c, "C") for c in NUMBERS), *itertools.product("Bqefd", [k for k in LAYOUTS if k != "C"])],
)
def test_samples_of_any_type_and_layout(code, layout, dtype, shuffle):
    x, y = make_samples("softmax_cross_entropy", 50, 6, 3, labels=True)
    x = (10 * x if code in "efdg" else np.abs(10 * x)).astype(code)
    expected = converted_fit(np.ascontiguousarray(x, dtype), y, dtype, shuffle)
    assert_same_bits(converted_fit(LAYOUTS[layout](x), y, dtype, shuffle), expected)


@pytest.mark.parametrize("code", ["B", "e", "f", "d"])
def test_memmap(code, tmp_path):
    x, y = make_samples("softmax_cross_entropy", 50, 6, 3, labels=True)
    x = np.abs(10 * x).astype(code)
    expected = converted_fit(x.astype("float32"), y, "float32", True)
    assert_same_bits(converted_fit(in_a_file(x, tmp_path), y, "float32", True), expected)


@pytest.mark.parametrize("code", [*"bBhHiIlLqQ", ">i4", ">u8", "list", "strided"])
def test_labels_of_any_integer_type(code):
    x, y = make_samples("softmax_cross_entropy", 50, 6, 3, labels=True)
    expected = converted_fit(x, y.astype(np.int64), "float32", True)
    given = {"list": y.tolist(), "strided": np.repeat(y, 2)[::2]}
    same = converted_fit(x, given[code] if code in given else y.astype(code), "float32", True)
    assert_same_bits(same, expected)


@pytest.mark.parametrize("labels", [[False, True] * 25, np.arange(50) % 2 == 1])
def test_labels_that_are_truth_values(labels):
    x, _ = make_samples("sigmoid_cross_entropy", 50, 6, 1)
    nets = [pynn.MLP([6, 1], loss="sigmoid_cross_entropy", seed=0) for _ in range(2)]
    for net, y in zip(nets, (labels, np.asarray(labels, dtype=float)), strict=True):
        net.fit(x, y, epochs=1, batch_size=8)
    assert_same_bits(*nets)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("code", ["b", "i", "e", "f", "d", "g"])
def test_values_of_any_type_and_layout(code, layout):
    x, y = make_samples("mse", 50, 6, 3)
    y = (5 * y).astype(code)
    expected = converted_fit(x, y.astype("float32"), "float32", True, loss="mse")
    same = converted_fit(x, LAYOUTS[layout](y), "float32", True, loss="mse")
    assert_same_bits(same, expected)


@pytest.mark.parametrize("sgd", SGDS)
@pytest.mark.parametrize("dtype", RELATIVE)
def test_train_on_batch_equals_a_fit_of_one_step(dtype, sgd):
    x, y = make_samples("mse", 20, 4, 2)
    nets = [pynn.MLP([4, 9, 2], loss="mse", dtype=dtype, seed=5) for _ in range(2)]
    optimizers = [pynn.SGD(**SGDS[sgd]) for _ in range(2)]
    for _ in range(3):  # the velocity is kept
        expected = NumpyMLP(nets[0]).mean_loss(x, y)
        loss = nets[0].train_on_batch(x, y, optimizers[0])
        history = nets[1].fit(x, y, epochs=1, batch_size=20, optimizer=optimizers[1], shuffle=False)
        assert history.loss == [loss]
        assert loss == pytest.approx(expected, rel=1e-5)
        assert_same_bits(*nets)


@pytest.mark.parametrize("sgd", SGDS)
def test_a_further_fit_continues(sgd):
    x, y = make_samples("softmax_cross_entropy", 50, 4, 3, labels=True)
    nets = [pynn.MLP([4, 9, 3], seed=6) for _ in range(2)]
    optimizers = [pynn.SGD(**SGDS[sgd]) for _ in range(2)]
    losses = [nets[0].fit(x, y, epochs=k, optimizer=optimizers[0]).loss for k in (2, 3)]
    whole = nets[1].fit(x, y, epochs=5, optimizer=optimizers[1])
    assert sum(losses, []) == whole.loss  # noqa: RUF017
    assert_same_bits(*nets)


def test_an_optimizer_has_a_velocity_for_each_network():
    x, y = make_samples("mse", 20, 4, 2)
    nets = [pynn.MLP([4, 2], loss="mse", seed=seed) for seed in (7, 7, 8)]
    shared, own = pynn.SGD(**MOMENTUM), pynn.SGD(**MOMENTUM)
    for _ in range(3):
        nets[0].train_on_batch(x, y, shared)
        nets[2].train_on_batch(x, y, shared)
        nets[1].train_on_batch(x, y, own)
    assert_same_bits(nets[0], nets[1])


def test_the_learning_rate_may_be_set_between_calls():
    net = pynn.MLP([4, 6, 2], "tanh", "mse", dtype="float64", seed=9)
    numpy_net, sgd = NumpyMLP(net), pynn.SGD(**MOMENTUM)
    x, y = make_samples("mse", 20, 4, 2)
    for rate in (0.1, 0.01, 0.05):
        sgd.learning_rate = rate
        net.train_on_batch(x, y, sgd)
        numpy_net.train_on_batch(x, y, rate, momentum=0.9)
    assert_close(parameters_of(net), numpy_net, 1e-13)


def test_the_default_batch_size_and_rate_of_sgd():
    x, y = make_samples("mse", 100, 4, 2)
    net = pynn.MLP([4, 2], loss="mse", dtype="float64", seed=10)
    numpy_net = NumpyMLP(net)
    net.fit(x, y, epochs=1, optimizer=pynn.SGD())
    numpy_net.fit(x, y, 1, 32, learning_rate=0.01)
    assert_close(parameters_of(net), numpy_net, 1e-12)


@pytest.mark.parametrize(
    ("seed", "same"), [(3, True), (np.random.SeedSequence(3), True), (None, False)]
)
def test_the_seed_decides_weights_and_order(seed, same):
    x, y = make_samples("mse", 40, 4, 2)
    nets = [pynn.MLP([4, 5, 2], loss="mse", seed=seed) for _ in range(2)]
    for net in nets:
        net.fit(x, y, epochs=1, batch_size=3)
    assert (nets[0].weights[0].tobytes() == nets[1].weights[0].tobytes()) is same


@pytest.mark.parametrize("scheme", ["he", "glorot", "lecun"])
@pytest.mark.parametrize("shape", ["normal", "uniform"])
def test_initial_weights_are_numpys(scheme, shape):
    net = pynn.MLP([300, 200, 10], init=f"{scheme}_{shape}", dtype="float64", seed=11)
    rng = np.random.default_rng(11)
    for weight, bias in zip(net.weights, net.biases, strict=True):
        inputs, outputs = weight.shape
        variance = {"he": 2 / inputs, "glorot": 2 / (inputs + outputs), "lecun": 1 / inputs}
        std = np.sqrt(variance[scheme])
        limit = np.sqrt(3) * std
        drawn = (
            rng.normal(0, std, weight.shape)
            if shape == "normal"
            else rng.uniform(-limit, limit, weight.shape)
        )
        np.testing.assert_allclose(weight, drawn, rtol=1e-15)
        assert not bias.any()


def test_initial_weights_from_a_callable():
    net = pynn.MLP([3, 4, 2], init=lambda rng, shape, dtype: np.full(shape, 7), seed=0)
    assert all((w == 7).all() for w in net.weights)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", RELATIVE)
def test_learns_xor(loss, dtype):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    outputs = 2 if loss == "softmax_cross_entropy" else 1
    net = pynn.MLP([2, 8, outputs], "tanh", loss, dtype=dtype, seed=0)
    net.fit(x, y, epochs=1000, batch_size=4, optimizer=pynn.SGD(0.1, momentum=0.9))
    predicted = net.predict(x).ravel()
    np.testing.assert_array_equal(np.round(predicted), y)


def test_learns_digits():
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    net = pynn.MLP([64, 64, 10], seed=0)
    sgd = pynn.SGD(0.1, momentum=0.9)
    net.fit(x[:1200] / 16, y[:1200], epochs=15, optimizer=sgd)
    assert net.evaluate(x[1200:] / 16, y[1200:])["accuracy"] > 0.9
