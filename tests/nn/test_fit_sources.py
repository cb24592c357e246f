"""Sources of mini-batches, validation data, callbacks, and gradients of the inputs."""

import itertools

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, assert_close, assert_same_bits, make_samples, parameters_of

import pynn
from pynn import run


def make_net(**options):
    return pynn.MLP([5, 8, 3], dtype="float64", seed=0, **options)


X, Y = make_samples("softmax_cross_entropy", 60, 5, 3, labels=True)
SGD = {"learning_rate": 0.1, "momentum": 0.5}


def batches(size=8, weights=None):
    for i in range(0, len(X), size):
        rows = slice(i, i + size)
        yield (X[rows], Y[rows]) if weights is None else (X[rows], Y[rows], weights[rows])


class Loader:
    """An object that can be iterated again for each epoch."""

    def __init__(self, weights=None):
        self.weights = weights

    def __iter__(self):
        return batches(weights=self.weights)


class EmptyLoader:
    """An iterable without an item."""

    def __iter__(self):
        return iter(())


@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 2, len(X))])
def test_an_iterable_of_mini_batches_is_the_same_as_arrays(weights):
    a, b = make_net(dropout=0.3), make_net(dropout=0.3)
    one = a.fit(
        X,
        Y,
        epochs=4,
        batch_size=8,
        optimizer=pynn.SGD(**SGD),
        shuffle=False,
        sample_weight=weights,
    )
    other = b.fit(Loader(weights), epochs=4, optimizer=pynn.SGD(**SGD))
    assert_same_bits(a, b)
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-14)


def test_an_endless_iterator_needs_steps_per_epoch():
    def endless():
        for _ in itertools.count():
            yield from batches()

    a, b = make_net(), make_net()
    a.fit(X, Y, epochs=3, batch_size=8, optimizer=pynn.SGD(**SGD), shuffle=False)
    b.fit(endless(), epochs=6, steps_per_epoch=4, optimizer=pynn.SGD(**SGD))  # 24 steps of 8
    assert_same_bits(a, b)
    assert len(b.history) == 6


def test_an_iterator_that_ends_too_soon():
    net = make_net()
    with pytest.raises(ValueError, match="can be gone through only once"):
        net.fit(batches(), epochs=2)
    with pytest.raises(ValueError, match="gave only 8 mini-batches in epoch 1, expected 9"):
        net.fit(batches(), epochs=1, steps_per_epoch=9)
    with pytest.raises(ValueError, match="gave only 0 mini-batches"):
        net.fit(iter(()), epochs=1)
    net.fit(batches(), epochs=1)
    assert len(net.history) == 1


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_mini_batches_is_an_iterable_of_them(kind):
    a, b = make_net(), make_net()
    a.fit(X, Y, epochs=3, batch_size=8, optimizer=pynn.SGD(**SGD), shuffle=False)
    b.fit(kind(batches()), epochs=3, optimizer=pynn.SGD(**SGD))
    assert_same_bits(a, b)
    c = make_net()  # a DataLoader gives lists
    c.fit(kind(list(batch) for batch in batches()), epochs=3, optimizer=pynn.SGD(**SGD))
    assert_same_bits(a, c)
    assert len(b.fit(list(batches()))) == 100  # as many epochs as for arrays
    for samples in ([], [[0.0, 1.0], [1.0, 0.0]], [(X, Y), X]):
        with pytest.raises(
            TypeError, match=r"^y is missing: .*without y, X must give mini-batches"
        ):
            b.fit(samples)


def test_steps_per_epoch_go_through_an_iterable_again_and_again():
    a, b = make_net(), make_net()
    a.fit(X, Y, epochs=3, batch_size=8, optimizer=pynn.SGD(**SGD), shuffle=False)
    history = b.fit(Loader(), epochs=2, steps_per_epoch=12, optimizer=pynn.SGD(**SGD))
    assert_same_bits(a, b)  # 3 times 8 mini-batches, and 2 times 12
    assert len(history) == 2
    with pytest.raises(ValueError, match="gave only 0 mini-batches in epoch 1, expected 3"):
        b.fit(EmptyLoader(), epochs=2, steps_per_epoch=3)


def test_a_bad_mini_batch_is_named():
    net = make_net()
    with pytest.raises(ValueError, match=r"X of mini-batch 1 has shape \(4, 7\)"):
        net.fit(iter([(X, Y), (np.zeros((4, 7)), Y[:4])]))
    with pytest.raises(TypeError, match="mini-batch 0 must be a tuple"):
        net.fit(iter([X]))


def test_sampling_with_replacement():
    net, reference = make_net(), NumpyMLP(make_net())
    net.fit(X, Y, epochs=5, batch_size=8, optimizer=pynn.SGD(**SGD), sampling="replacement")
    for _ in range(5):
        order = reference.rng.integers(len(X), size=len(X))
        for i in range(0, len(X), 8):
            reference.train_on_batch(X[order[i : i + 8]], Y[order[i : i + 8]], **SGD)
    assert_close(parameters_of(net), reference, 1e-10)
    assert net.rng.bit_generator.state == reference.rng.bit_generator.state


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_validation_split_is_stratified_and_not_trained_on(fraction, monkeypatch):
    seen = []
    net = make_net()
    train = run.train

    def watched(net, data, order, *rest):
        seen.extend(order)
        return train(net, data, order, *rest)

    monkeypatch.setattr(run, "train", watched)
    history = net.fit(
        X, Y, epochs=3, batch_size=8, optimizer=pynn.SGD(0.1), validation_split=fraction
    )
    trained = set(map(int, seen))
    held_out = sorted(set(range(len(X))) - trained)
    assert len(held_out) == int(np.ceil(fraction * len(X)))
    for label in range(3):
        share = np.mean(Y[held_out] == label) * len(held_out)
        assert abs(share - fraction * np.sum(label == Y)) <= 1
    expected = net.evaluate(X[held_out], Y[held_out])
    assert history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-12)
    assert history["val_accuracy"][-1] == pytest.approx(expected["accuracy"])


def test_metrics_of_training_and_validation():
    net = make_net()
    history = net.fit(X, Y, epochs=2, validation_data=(X[:9], Y[:9]), metrics=("accuracy", "top_2"))
    assert set(history.history) == {
        "loss", "accuracy", "top_2", "val_loss", "val_accuracy", "val_top_2", "learning_rate",
        "seconds",
    }  # fmt: skip
    assert history["accuracy"][-1] == pytest.approx(np.mean(net.predict(X) == Y))
    best_two = np.argsort(net(X[:9]), axis=1)[:, 1:]
    assert history["val_top_2"][-1] == pytest.approx(np.mean((best_two == Y[:9, None]).any(axis=1)))


def test_weighted_validation():
    net, weights = make_net(), np.linspace(0, 1, len(X))
    history = net.fit(X, Y, epochs=1, validation_data=(X, Y, weights))
    reference = NumpyMLP(net)
    assert history["val_loss"][-1] == pytest.approx(reference.mean_loss(X, Y, weights), rel=1e-12)


class Watcher(pynn.Callback):
    def __init__(self, stop_at=None):
        self.losses, self.events, self.stop_at = [], [], stop_at

    def on_train_begin(self, net, history):
        self.events.append("begin")

    def on_batch_end(self, net, batch, loss):
        self.losses.append((batch, loss))
        return len(self.losses) == self.stop_at

    def on_epoch_end(self, net, history):
        self.events.append(len(history))

    def on_train_end(self, net, history):
        self.events.append("end")


def test_callbacks_of_mini_batches_see_every_loss_and_change_no_bit():
    a, b, watcher = make_net(dropout=0.2), make_net(dropout=0.2), Watcher()
    a.fit(X, Y, epochs=3, batch_size=16, optimizer=pynn.Adam())
    history = b.fit(X, Y, epochs=3, batch_size=16, optimizer=pynn.Adam(), callbacks=watcher)
    assert_same_bits(a, b)
    assert watcher.events == ["begin", 1, 2, 3, "end"]
    assert [batch for batch, _ in watcher.losses] == [0, 1, 2, 3] * 3
    sizes = np.tile([16, 16, 16, 12], 3)
    losses = np.array([loss for _, loss in watcher.losses])
    means = (losses * sizes).reshape(3, 4).sum(axis=1) / 60
    np.testing.assert_allclose(history.loss, means, rtol=1e-13)


def test_a_callback_of_mini_batches_may_stop_the_fit():
    net, watcher = make_net(), Watcher(stop_at=6)
    history = net.fit(X, Y, epochs=5, batch_size=16, callbacks=[watcher])
    assert len(watcher.losses) == 6
    assert len(history) == 1
    assert watcher.events[-1] == "end"


def test_a_further_fit_goes_on_with_the_optimizer():
    a, b = make_net(), make_net()
    a.fit(X, Y, epochs=4, optimizer=pynn.Adam(0.01))
    b.fit(X, Y, epochs=2, optimizer=pynn.Adam(0.01))
    b.fit(X, Y, epochs=2)
    assert_same_bits(a, b)


# ---------------------------------------------------------------- gradients of the inputs

OUTPUTS = [
    ("softmax_cross_entropy", None),
    ("sigmoid_cross_entropy", None),
    ("poisson", None),
    ("poisson", "softplus"),
    ("mse", "softmax"),
    ("mse", "gelu"),
    ("mse", "tanh"),
]


@pytest.mark.parametrize(("loss", "output"), OUTPUTS)
@pytest.mark.parametrize("rows", [1, 7, 1500])
def test_backward_against_differences(loss, output, rows):
    net = pynn.MLP(
        [5, 8, 6, 3], ["gelu", "tanh"], loss, output, dtype="float64", dropout=0.5, seed=1
    )
    rng = np.random.default_rng(0)
    x, dout = rng.normal(size=(rows, 5)), rng.normal(size=(rows, 3))
    before = parameters_of(net)
    dx, dw, db = net.backward(dout, x, parameters=True)
    assert net.backward(dout, x).tobytes() == dx.tobytes()
    some = rng.integers(rows, size=4)
    for i, j in itertools.product(some, range(5)):
        up, down = x[[i]], x[[i]]
        up[0, j] += 1e-6
        down[0, j] -= 1e-6
        slope = ((net(up) - net(down)) * dout[i]).sum() / 2e-6
        assert dx[i, j] == pytest.approx(slope, rel=2e-5, abs=1e-8)
    for parameter, gradient in zip([*net.weights, *net.biases], [*dw, *db], strict=True):
        at = tuple(rng.integers(n) for n in parameter.shape)
        value = parameter[at]
        parameter[at] = value + 1e-6
        above = (net(x) * dout).sum()
        parameter[at] = value - 1e-6
        slope = (above - (net(x) * dout).sum()) / 2e-6
        parameter[at] = value
        assert gradient[at] == pytest.approx(slope, rel=2e-4, abs=1e-6)
    assert_same_bits(parameters_of(net), before)


def test_backward_of_the_loss_is_the_input_gradient():
    net = make_net(loss="mse")
    x, y = make_samples("mse", 33, 5, 3)
    out = net(x)
    dout = 2 * (out - y) / y.size
    np.testing.assert_allclose(net.backward(dout, x), net.input_gradient(x, y), rtol=1e-12)
    single = net(x[0])
    assert net.backward(np.ones_like(single), x[0]).shape == (5,)


def test_backward_says_what_does_not_fit():
    net = make_net()
    with pytest.raises(TypeError, match="'X'"):
        net.backward(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"dout has shape \(2, 3\), expected \(60, 3\)"):
        net.backward(np.zeros((2, 3)), X)
    with pytest.raises(ValueError, match=r"dout has shape \(1, 3\), expected \(3,\)"):
        net.backward(np.zeros((1, 3)), X[0])
    with pytest.raises(ValueError, match=r"X has shape \(60, 4\), expected \(n, 5\)"):
        net.backward(np.zeros((60, 3)), X[:, 1:])
    with pytest.raises(ValueError, match="there are no samples"):
        net.backward(np.zeros((0, 3)), X[:0])
    with pytest.raises(TypeError, match="dout must hold numbers"):
        net.backward(np.full((60, 3), "a"), X)


# ---------------------------------------------------------------- initializers


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (7, 7)])
def test_orthogonal_weights(shape):
    net = pynn.MLP(shape, loss="mse", init="orthogonal", dtype="float64", seed=4)
    w = net.weights[0]
    small = w @ w.T if shape[0] < shape[1] else w.T @ w
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-14)
    drawn = np.random.default_rng(4).normal(size=(max(shape), min(shape)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diag(r))
    np.testing.assert_allclose(w if shape[0] >= shape[1] else w.T, q, atol=1e-14)


def test_zeros():
    assert not pynn.MLP([3, 2], init="zeros", seed=0).weights[0].any()


@pytest.mark.parametrize("activation", pynn.ops.ACTIVATIONS)
def test_default_initialization(activation):
    net = pynn.MLP([400, 300, 3], activation, seed=0)
    limit = np.sqrt(6 / 700)
    assert np.abs(net.weights[0]).max() == pytest.approx(limit, rel=1e-3)
    assert net.weights[0].std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize("error", [TypeError, NotImplementedError, OverflowError])
def test_an_iterable_may_not_know_its_length(error):
    class Endless(Loader):
        def __len__(self):
            raise error("of unknown length")

    assert len(make_net().fit(Endless())) == 10
    assert len(make_net().fit(Endless(), epochs=2)) == 2


def test_mini_batches_may_be_lists():
    """As torch's DataLoader makes them."""
    a, b = make_net(), make_net()
    a.fit(list(batches()), epochs=2)
    b.fit([[x, y] for x, y in batches()], epochs=2)
    assert_same_bits(a, b)
    with pytest.raises(TypeError, match="without y, X must give mini-batches"):
        b.fit([[[[0.0] * 5], [0]]])  # (an array of four dimensions might be meant)
    with pytest.raises(ValueError, match="X of mini-batch 0 has rows of different lengths"):
        b.fit([([[1.0, 2.0], [3.0]], [0, 1])])
