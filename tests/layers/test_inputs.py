"""Samples as they come: images, sequences and tokens of any type and layout."""

import threading
import time

import layer_nets as nets
import numpy as np
import pytest
from reference import assert_same_bits

import pynn
from pynn import layers as L

rng = np.random.default_rng(0)


def network_of_images(dtype="float32"):
    layers = [L.Dense(4, "relu"), L.Flatten(), L.Dense(3)]
    return pynn.Sequential(layers, (5, 6, 2), dtype=dtype, seed=0)


def everything(net, x, y):
    """What a network computes from samples, in the order it is computed."""
    yield net(x)
    yield net.hidden(x, 0)
    yield net.predict(x)
    yield np.array(net.score(x, y))
    yield np.array(net.evaluate(x, y)["loss"])
    if x.dtype.kind == "f" or not isinstance(net.layers[0], L.Embedding):
        yield net.input_gradient(x, y)
    yield from net.gradients(x, y)[1].values()
    history = net.fit(x, y, epochs=2, batch_size=7, validation_data=(x, y), metrics="accuracy")
    yield np.array([history.history[name] for name in ("loss", "val_loss", "accuracy")])
    yield from net.state_dict().values()


def memory_map(x, folder):
    path = folder / "x.npy"
    np.save(path, x)
    return np.load(path, mmap_mode="r")


def with_gaps(x):
    out = np.zeros((2 * len(x), *(n + 1 for n in x.shape[1:])), x.dtype)
    view = out[(slice(None, None, 2), *(slice(1, None) for _ in x.shape[1:]))]
    view[...] = x
    return view


LAYOUTS = {
    "whole": lambda x: x,
    "column-major": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "with gaps": with_gaps,
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "channels first": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 1)), 1, -1),
}


@pytest.mark.parametrize("kind", ["u1", "f2", "f4", "f8", "i4"])
def test_images_of_any_type_and_layout(kind, tmp_path):
    images = (40 * rng.random((20, 5, 6, 2))).astype(kind)
    y = rng.integers(0, 3, 20)
    for dtype in ("float32", "float64"):
        expected = list(everything(network_of_images(dtype), images.astype(dtype), y))
        for name, lay_out in (*LAYOUTS.items(), ("map", lambda x: memory_map(x, tmp_path))):
            actual = everything(network_of_images(dtype), lay_out(images), y)
            for a, b in zip(actual, expected, strict=True):
                assert_same_bits(a, b), name


TOKENS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_of_any_type_and_layout(kind, tmp_path):
    layers = [L.Embedding(100, 3), L.Flatten(), L.Dense(3)]
    tokens, y = rng.integers(0, 100, (20, 4)), rng.integers(0, 3, 20)
    expected = list(everything(pynn.Sequential(layers, 4, seed=0), tokens, y))
    for lay_out in (*LAYOUTS.values(), lambda x: memory_map(x, tmp_path), np.ndarray.tolist):
        given = lay_out(tokens.astype(kind))
        actual = everything(pynn.Sequential(layers, 4, seed=0), np.asarray(given), y)
        for a, b in zip(actual, expected, strict=True):
            assert_same_bits(a, b)


def test_tokens_never_pass_through_float32():
    """2**24 + 1 is no float32, so neighbors would be one row."""
    big = 2**24 + 3
    net = pynn.Sequential([L.Embedding(big, 1), L.Dense(1)], 2, loss="mse", seed=0)
    embeddings = net.parameters["0.embeddings"]
    embeddings[...] = np.arange(big)[:, np.newaxis] % 1000
    last = np.array([[big - 3, big - 2], [big - 1, 0]])
    for kind in ("i4", "u4", "i8", "u8"):
        hidden = net.hidden(last.astype(kind), 0)[..., 0]
        np.testing.assert_array_equal(hidden, last % 1000)
    net.fit(last, np.ones((2, 2)), epochs=1, optimizer=pynn.SGD(0.1))
    moved = np.flatnonzero(embeddings[:, 0] != np.arange(big) % 1000)
    np.testing.assert_array_equal(moved, np.sort(last.ravel()))


def test_the_largest_vocabulary():
    """Its table would be beyond memory, but no token is cut to 32 bits on the way."""
    layer = L.Embedding(2**31, 1)
    assert layer.output_shape((3,)) == (3, 1)
    assert L.Embedding(2**31 - 1, 1).vocabulary == 2**31 - 1


OUT_OF_RANGE = [
    ("i8", -1),
    ("i8", 7),
    ("i8", 2**32),
    ("i8", 2**32 + 3),
    ("i8", -(2**63)),
    ("u8", 2**63 + 3),
]
CALLS = {
    "call": lambda net, x, y: net(x),
    "in training": lambda net, x, y: net(x, training=True),
    "predict": lambda net, x, y: net.predict(x),
    "hidden": lambda net, x, y: net.hidden(x, 0),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "backward": lambda net, x, y: net.backward(np.ones((20, 2)), x, parameters=True),
    "fit": lambda net, x, y: net.fit(x, y, epochs=1),
    "train_on_batch": lambda net, x, y: net.train_on_batch(x, y),
    "validation": lambda net, x, y: net.fit(x % 7, y, epochs=1, validation_data=(x, y)),
    "mini-batches": lambda net, x, y: net.fit([(x, y)], epochs=1),
}


@pytest.mark.parametrize("call", CALLS)
def test_tokens_out_of_range_name_row_and_position(call):
    net = pynn.Sequential([L.Embedding(7, 3), L.Flatten(), L.Dense(2)], 4, seed=0)
    before, y = net.state_dict(), rng.integers(0, 2, 20)
    for kind, bad in OUT_OF_RANGE:
        x = rng.integers(0, 7, (20, 4)).astype(kind)
        x[13, 2] = bad
        message = f"X holds the token {bad} in row 13, position 2: expected 0 to 6"
        with pytest.raises(ValueError, match=message):
            CALLS[call](net, x, y)
    if call != "validation":
        for name, array in net.parameters.items():
            assert_same_bits(array, before[name])


def network_of_tokens():
    layers = [L.Embedding(7, 50), L.Flatten(), L.Dense(200), L.Dense(2)]
    return pynn.Sequential(layers, 20, seed=0)


@pytest.mark.parametrize("batch", [4, 64])
def test_tokens_that_a_callback_changes(batch):
    """The mini-batch that meets one is not applied."""
    net, states = network_of_tokens(), []
    x, y = rng.integers(0, 7, (64, 20)), rng.integers(0, 2, 64)

    class Change(pynn.Callback):
        def on_batch_end(self, net, batch, loss):
            states.append(net.state_dict())
            if len(states) == 3:
                x[:, 3] = 7

    with pytest.raises(ValueError, match=r"X holds the token 7 in row [0-9]+, position 3"):
        net.fit(x, y, epochs=9, batch_size=batch, callbacks=Change())
    assert len(states) == 3
    for name, array in net.parameters.items():
        assert_same_bits(array, states[-1][name])
    net.fit(x % 7, y, epochs=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_tokens_that_another_thread_changes(threads):
    """Whole epochs are one call of the core, which reads each token once."""
    net = network_of_tokens()
    x, y = rng.integers(0, 7, (64, 20)), rng.integers(0, 2, 64)

    def write():
        time.sleep(0.2)
        x[:, 3] = -1

    writer = threading.Thread(target=write)
    writer.start()
    with pynn.threads(threads), pytest.raises(ValueError, match=r"token -1 in row .*was changed"):
        net.fit(x, y, epochs=10**6, batch_size=16, optimizer=pynn.SGD(1e-4))
    writer.join()
    assert all(np.isfinite(array).all() for array in net.parameters.values())
    net.fit(x % 7, y, epochs=1)


def test_shapes_that_do_not_fit():
    net = network_of_images()
    images, y = rng.random((4, 5, 6, 2)), [0, 1, 2, 0]
    for wrong, message in [
        (images[..., 0], r"X has shape \(4, 5, 6\), expected \(n, 5, 6, 2\)"),
        (images.reshape(4, -1), r"X has shape \(4, 60\).*reshape\(-1, 5, 6, 2\) would fit"),
        (np.moveaxis(images, -1, 1), r"X has shape \(4, 2, 5, 6\), expected \(n, 5, 6, 2\)"),
    ]:
        for call in (net, net.predict, lambda x: net.fit(x, y), lambda x: net.gradients(x, y)):
            with pytest.raises(ValueError, match=message):
                call(wrong)
    tokens = pynn.Sequential([L.Embedding(7, 3), L.Flatten(), L.Dense(2)], 4)
    for wrong in (np.ones((2, 4)), np.ones((2, 4), bool)):
        with pytest.raises(TypeError, match="X must hold integers, which the network looks up"):
            tokens(wrong)
    with pytest.raises(ValueError, match="tokens have no gradient"):
        tokens.input_gradient(np.ones((4, 4), int), [0, 1, 0, 1])


def test_no_samples_and_one():
    for name in nets.NETS:
        net = nets.make(name)
        x = nets.samples(net, 3)
        assert net(x[:0]).shape == (0, *net.output_shape)
        assert net(x[0]).shape == net.output_shape
        assert_same_bits(net(x[0]), net(x)[0])


# ---------------------------------------------------------------- sparse matrices

TAKES = {"dense": [], "dropout": [L.Dropout(0.5)], "flatten": [L.Flatten()]}
REFUSES = {
    "batch norm": [L.BatchNorm()],
    "layer norm": [L.LayerNorm()],
    "activation": [L.Activation("relu")],
    "residual": [L.Residual([L.Dense(6)])],
    "residual of dropout": [L.Dropout(0.5), L.Residual([L.Dense(6)])],
    "several dropouts": [L.Dropout(0.5), L.Dropout(0.1)],
    "reshape": [L.Reshape((2, 3)), L.Dense(2), L.Flatten()],
    "rbf": [L.RBF(3)],
}


@pytest.mark.parametrize("first", TAKES)
def test_sparse_samples(first):
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse.random(30, 6, 0.4, format="csr", random_state=0)
    y = rng.integers(0, 2, 30)
    nets = [
        pynn.Sequential([*TAKES[first], L.Dense(5), L.BatchNorm(), L.Dense(2)], 6, seed=0)
        for _ in "ab"
    ]
    for net, given in zip(nets, (x, x.toarray()), strict=True):
        net.fit(given, y, epochs=3, batch_size=8)
    assert_same_bits(nets[0](x), nets[1](x.toarray()))
    for name, array in nets[0].parameters.items():
        np.testing.assert_array_equal(array, nets[1].parameters[name])


@pytest.mark.parametrize("first", REFUSES)
def test_layers_that_read_no_sparse_samples(first):
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse.random(30, 6, 0.4, format="csr", random_state=0)
    y = rng.integers(0, 2, 30)
    net = pynn.Sequential([*REFUSES[first], L.Dense(2)], 6, seed=0)
    message = "X.* is a sparse matrix, which only a Dense layer reads.*pass X.toarray()"
    for call in (
        lambda: net(x),
        lambda: net.fit(x, y),
        lambda: net.evaluate(x, y),
        lambda: net.gradients(x, y),
        lambda: net.hidden(x, 0),
        lambda: net.fit([(x, y)]),
    ):
        with pytest.raises(TypeError, match=message):
            call()
