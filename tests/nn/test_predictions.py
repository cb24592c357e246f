"""Outputs, labels, hidden representations, evaluation."""

import gc

import numpy as np
import pytest
from numpy_mlp import LOSSES, NumpyMLP, make_samples, randomize_biases

import pynn

RELATIVE = {"float32": 1e-5, "float64": 1e-13}
dtypes = pytest.mark.parametrize("dtype", RELATIVE)
losses = pytest.mark.parametrize("loss", LOSSES)


def make_net(loss, dtype="float64", hidden=("relu", "tanh", "sigmoid"), outputs=3, **options):
    sizes = [5, *(7 + i for i in range(len(hidden))), outputs]
    return randomize_biases(pynn.MLP(sizes, hidden, loss, dtype=dtype, seed=0, **options))


@losses
@dtypes
@pytest.mark.parametrize("rows", [1, 2, 29, 300])
def test_outputs(loss, dtype, rows):
    net = make_net(loss, dtype)
    x, _ = make_samples(loss, rows, 5, 3)
    outputs = net(x)
    assert outputs.dtype == net.dtype
    assert outputs.shape == (rows, 3)
    np.testing.assert_allclose(outputs, NumpyMLP(net)(x), rtol=0, atol=RELATIVE[dtype])


@pytest.mark.parametrize("output", ["identity", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_output_activation(output, bias):
    net = make_net("mse", output_activation=output, bias=bias)
    x, _ = make_samples("mse", 20, 5, 3)
    np.testing.assert_allclose(net(x), NumpyMLP(net)(x), rtol=0, atol=1e-13)
    assert net.activations[-1] == output


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -2, -3])
@dtypes
def test_hidden(layer, dtype):
    net = make_net("mse", dtype)
    x, _ = make_samples("mse", 20, 5, 3)
    expected = NumpyMLP(net).layers(x)[0][1:][layer]
    np.testing.assert_allclose(net.hidden(x, layer), expected, rtol=0, atol=RELATIVE[dtype])
    np.testing.assert_array_equal(net.hidden(x[4], layer), net.hidden(x, layer)[4])


def test_hidden_is_the_last_hidden_layer_by_default():
    net = make_net("mse")
    x, _ = make_samples("mse", 20, 5, 3)
    np.testing.assert_array_equal(net.hidden(x), net.hidden(x, 2))


@pytest.mark.parametrize(
    ("loss", "outputs", "shape"),
    [
        ("softmax_cross_entropy", 3, (40,)),
        ("sigmoid_cross_entropy", 3, (40, 3)),
        ("sigmoid_cross_entropy", 1, (40,)),
        ("squared_error", 3, (40, 3)),
        ("mse", 1, (40, 1)),
    ],
)
@dtypes
def test_predict(loss, outputs, shape, dtype):
    net = make_net(loss, dtype, outputs=outputs)
    x, _ = make_samples(loss, 40, 5, outputs)
    net.biases[-1][...] -= np.median(NumpyMLP(net).layers(x)[1][-1], axis=0)  # both answers occur
    expected = NumpyMLP(net)(x)
    if loss == "softmax_cross_entropy":
        expected = expected.argmax(axis=1)
    elif loss == "sigmoid_cross_entropy":
        expected = (expected > 0.5).astype(int).reshape(shape)
    predicted = net.predict(x)
    assert predicted.shape == shape
    assert predicted.dtype == (np.int64 if loss.endswith("cross_entropy") else net.dtype)
    # The rows next to the median lie on the threshold, where rounding decides.
    assert np.isclose(predicted, expected, rtol=1e-4, atol=1e-5).mean() >= 0.9
    assert len(np.unique(predicted)) > 1
    np.testing.assert_array_equal([net.predict(row) for row in x], predicted)


@losses
@dtypes
def test_a_row_alone_has_the_bits_of_the_row_in_a_batch(loss, dtype):
    net = make_net(loss, dtype, hidden=("relu", "sigmoid"), outputs=10)
    x, _ = make_samples(loss, 311, 5, 10)
    whole = net(x)
    for i in (0, 1, 27, 28, 150, 310):
        assert net(x[i]).tobytes() == whole[i].tobytes()
        assert net(x[i : i + 1]).tobytes() == whole[i].tobytes()
    for count in (2, 13, 64, 200):
        assert net(x[:count]).tobytes() == whole[:count].tobytes()


@dtypes
def test_a_row_alone_has_the_bits_of_the_row_in_a_batch_of_a_large_network(dtype):
    net = pynn.MLP([700, 130, 10], dtype=dtype, seed=0)
    x = np.random.default_rng(0).normal(size=(70, 700))
    whole, hidden = net(x), net.hidden(x)
    for i in (0, 33, 69):
        assert net(x[i]).tobytes() == whole[i].tobytes()
        assert net.hidden(x[i]).tobytes() == hidden[i].tobytes()


@losses
def test_out(loss):
    net = make_net(loss)
    x, _ = make_samples(loss, 20, 5, 3)
    out, row = np.full((20, 3), np.nan), np.full(3, np.nan)
    assert net(x, out=out) is out
    assert net(x[3], out=row) is row
    np.testing.assert_array_equal(out, net(x))
    np.testing.assert_array_equal(row, out[3])


@pytest.mark.parametrize("sizes", [[4, 4], [4, 6, 4]])
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_out_may_overlap_the_samples(sizes, shift):
    net = pynn.MLP(sizes, loss="mse", dtype="float64", seed=0)
    room = np.random.default_rng(0).normal(size=(302, 4))
    x, out = room[1:-1], room[1 + shift : 301 + shift]
    expected = net(x)
    np.testing.assert_array_equal(net(x, out=out), expected)


@pytest.mark.parametrize("code", [*"?bBhHiIlLqQefdg", ">f4", ">i2"])
@dtypes
def test_samples_of_any_type(code, dtype):
    net = make_net("mse", dtype)
    x, _ = make_samples("mse", 30, 5, 3)
    x = np.abs(20 * x).astype(code)
    expected = net(np.ascontiguousarray(x, dtype)).tobytes()
    for same in (x, np.asfortranarray(x), x[::-1].copy()[::-1], np.repeat(x, 2, axis=1)[:, ::2]):
        assert net(same).tobytes() == expected
    assert net(x.tolist()).tobytes() == expected


@dtypes
def test_every_float16(dtype):
    net = pynn.MLP([1, 1], loss="mse", dtype=dtype, bias=False)
    net.weights[0][...] = 1
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)[:, None]
    np.testing.assert_array_equal(net(x), x.astype(dtype))


@losses
def test_no_samples(loss):
    net = make_net(loss)
    empty = np.empty((0, 5))
    assert net(empty).shape == (0, 3)
    assert net(empty).dtype == net.dtype
    assert net.hidden(empty).shape == (0, 9)
    assert len(net.predict(empty)) == 0
    assert net(empty, out=np.empty((0, 3))).shape == (0, 3)


@losses
@pytest.mark.parametrize("rows", [1, 50, 4097, 9000])
def test_evaluate(loss, rows):
    net = make_net(loss)
    x, y = make_samples(loss, rows, 5, 3)
    if loss == "sigmoid_cross_entropy":
        y = np.round(y)
    figures, numpy_net = net.evaluate(x, y), NumpyMLP(net)
    assert figures["loss"] == pytest.approx(numpy_net.mean_loss(x, y), rel=1e-12)
    outputs = numpy_net(x)
    if loss == "softmax_cross_entropy":
        right = outputs.argmax(axis=1) == y.argmax(axis=1)
    elif loss == "sigmoid_cross_entropy":
        right = ((outputs > 0.5) == (y > 0.5)).all(axis=1)
    else:
        assert set(figures) == {"loss"}
        return
    assert figures["accuracy"] == right.mean()
    assert set(figures) == {"loss", "accuracy"}


@pytest.mark.parametrize(
    ("loss", "outputs"), [("softmax_cross_entropy", 4), ("sigmoid_cross_entropy", 1)]
)
@dtypes
def test_evaluate_with_labels(loss, outputs, dtype):
    net = make_net(loss, dtype, outputs=outputs)
    x, y = make_samples(loss, 200, 5, outputs, labels=True)
    net.fit(x, y, epochs=3)
    figures = net.evaluate(x, y)
    assert figures["loss"] == pytest.approx(NumpyMLP(net).mean_loss(x, y), rel=1e-5)
    assert figures["accuracy"] == np.mean(net.predict(x) == y)
    assert 0 < figures["accuracy"] < 1


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
@dtypes
def test_huge_logits_stay_exact(loss, dtype):
    net = pynn.MLP([1, 2], loss=loss, dtype=dtype, bias=False)
    net.weights[0][...] = [[1e4, -1e4]]
    np.testing.assert_array_equal(net([[1], [-1]]), [[1, 0], [0, 1]])
    figures = net.evaluate([[1], [-1]], [[0, 1], [1, 0]])
    both = 1 if loss == "softmax_cross_entropy" else 2
    assert figures["loss"] == pytest.approx(2e4 if both == 1 else both * 1e4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [[4, 16, 3], [30, 20, 1], [7, 2]])
def test_plain_arrays_and_all_others_give_the_same_bits(sizes, dtype):
    """Plain arrays are answered by a builtin, others by way of NumPy."""
    loss = "squared_error" if sizes[-1] == 1 else "softmax_cross_entropy"
    net = pynn.MLP(sizes, loss=loss, dtype=dtype, seed=0)
    X = np.random.default_rng(1).standard_normal((40, sizes[0])).astype(dtype)
    expected = net(X.tolist())
    out = np.empty_like(expected)
    assert net(X, out=out) is out
    for result in (net(X), out, net(np.asfortranarray(X)), net(X[::-1])[::-1]):
        np.testing.assert_array_equal(result, expected)
    for i in range(40):
        np.testing.assert_array_equal(net(X[i]), expected[i])
        np.testing.assert_array_equal(net(X[i : i + 1]), expected[i : i + 1])
    together = np.concatenate([X, np.zeros((40, sizes[-1]), dtype)], axis=1)
    net(together[:, : sizes[0]], out=out)
    np.testing.assert_array_equal(out, expected)
    assert net(X[:0]).shape == (0, sizes[-1])


def test_the_builtin_keeps_the_network_alive():
    net = pynn.MLP([4, 3], seed=0)
    x = np.ones((2, 4), np.float32)
    expected, forward = net(x), net._engine.plain_forward
    del net
    gc.collect()
    np.testing.assert_array_equal(forward(x, None), expected)
