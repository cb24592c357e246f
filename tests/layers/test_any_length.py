"""Networks for sequences of any length: `input_shape` begins with None."""

import pickle

import numpy as np
import pytest

import pynn
from pynn import layers as L

LAYERS = [L.Dense(8, "tanh"), L.LayerNorm(), L.GlobalAvgPool1D(), L.Dense(2)]


def network(length=None, **options):
    return pynn.Sequential(LAYERS, (length, 3), seed=0, **options)


def samples(length, n=5):
    rng = np.random.default_rng(length)
    X = rng.normal(size=(n, length, 3)).astype(np.float32)
    return X, (X[..., 0].mean(axis=1) > 0).astype(int)


# (More lengths than are kept, and each of them twice.)
@pytest.mark.parametrize("lengths", [[1, 7, 2, 7], [*range(1, 21), *range(1, 21)]])
def test_each_length_has_the_bits_of_a_fixed_network(lengths):
    net, optimizer = network(), pynn.Adam(0.01)
    state = net.state_dict()
    for length in lengths:
        X, y = samples(length)
        fixed = network(length)
        fixed.load_state_dict(state)
        np.testing.assert_array_equal(net(X), fixed(X))
        np.testing.assert_array_equal(net(X[0]), fixed(X[0]))
        np.testing.assert_array_equal(net.hidden(X, 0), fixed.hidden(X, 0))
        np.testing.assert_array_equal(net.input_gradient(X, y), fixed.input_gradient(X, y))
        dout = np.ones((5, 2), np.float32)
        np.testing.assert_array_equal(net.backward(dout, X), fixed.backward(dout, X))
        (loss, gradients), (expected, others) = net.gradients(X, y), fixed.gradients(X, y)
        assert loss == expected
        for name, gradient in gradients.items():
            np.testing.assert_array_equal(gradient, others[name])
        assert net.evaluate(X, y) == fixed.evaluate(X, y)
        net.train_on_batch(X, y, optimizer)
        state = net.state_dict()


def test_mini_batches_of_several_lengths():
    lengths = np.random.default_rng(0).integers(2, 9, 40)
    batches = [samples(int(n), 16) for n in lengths]
    net = network()
    history = net.fit(batches, epochs=8)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]


def test_frozen_parameters_are_frozen_for_all_lengths():
    net = network()
    X, y = samples(4)
    net.train_on_batch(X, y)
    net.set_trainable("0.kernel", False)
    before = net.parameters["0.kernel"].copy()
    for length in (4, 6):
        net.train_on_batch(*samples(length))
    np.testing.assert_array_equal(net.parameters["0.kernel"], before)


def test_tokens_with_a_label_each():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 9, (64, 6))
    net = pynn.Sequential([L.Embedding(9, 8), L.Dense(9)], (None,), seed=0)
    net.fit(tokens, tokens, epochs=60, optimizer=pynn.Adam(0.05))
    assert net.predict(tokens[:, :3]).shape == (64, 3)
    assert net.score(tokens[:, :4], tokens[:, :4]) == 1
    assert net.output_shape == (None, 9)
    assert "(n, None, 8)" in str(net.summary())
    twin = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(twin(tokens[:, :5]), net(tokens[:, :5]))


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([L.Flatten(), L.Dense(2)], (None, 3), r"layer 0 \(Flatten\): it needs a fixed length"),
        ([L.Dense(2)], (None,), r"layer 0 \(Dense\): it needs a fixed number of features"),
        ([L.Dense(2)], (4, None), "only its first size may be None"),
        (
            [L.Embedding(3, 4), L.PositionEmbedding(), L.Dense(2)],
            (None,),
            r"layer 1 \(PositionEmbedding\): it needs a fixed length",
        ),
    ],
)
def test_what_needs_a_length_says_so(layers, shape, message):
    with pytest.raises(ValueError, match=message):
        pynn.Sequential(layers, shape)


def test_samples_that_do_not_fit():
    with pytest.raises(ValueError, match=r"expected \(n, time, 3\) or \(time, 3\)"):
        network()(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"X has shape \(3, 0, 3\)"):
        network().fit(np.zeros((3, 0, 3)), [0, 1, 0])
