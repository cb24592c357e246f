"""Epochs without Python between them are one call of the core, with the same results."""

import signal

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples

import pynn
from pynn import sources

ROWS, BATCH = 103, 10
X, Y = make_samples("softmax_cross_entropy", ROWS, 5, 3)


def make_net(**settings):
    return pynn.MLP([5, 8, 3], "tanh", seed=0, dtype="float64", **settings)


def watch(net, history):
    """A callback, for which the fit has to come back to Python after every epoch."""


class Calls:
    """The core of a network, whose epochs by call are counted."""

    def __init__(self, net):
        self._core, self.epochs = net._engine.core, []
        net._engine.core = self

    def __getattr__(self, name):
        return getattr(self._core, name)

    def train(self, *arguments):
        self.epochs.append(len(arguments[-2]))
        return self._core.train(*arguments)


@pytest.mark.parametrize(
    ("optimizer", "fit"),
    [
        (lambda: pynn.SGD(0.1, momentum=0.9), {}),
        (lambda: pynn.Adam(pynn.CosineDecay(0.01, steps=50)), {}),
        (lambda: pynn.SGD(pynn.WarmUp(pynn.StepDecay(0.1, every=7), steps=15)), {}),
        (lambda: pynn.SGD(0.1), {"shuffle": False}),
        (lambda: pynn.SGD(0.1), {"progress": True}),
        (lambda: pynn.SGD(0.1), {"sampling": "replacement"}),
        (lambda: pynn.SGD(0.1), {"batch_size": 1000}),
        (lambda: pynn.SGD(0.1), {"sample_weight": np.linspace(0, 1, ROWS)}),
    ],
)
def test_all_is_as_with_a_look_after_every_epoch(optimizer, fit):
    arguments = {"epochs": 8, "batch_size": BATCH, **fit}
    settings = {"dropout": 0.2, "l2": 1e-3, "l1": 1e-4}
    net, twin = make_net(**settings), make_net(**settings)
    calls, looks = Calls(net), Calls(twin)
    first = net.fit(X, Y, optimizer=optimizer(), **arguments)
    second = twin.fit(X, Y, optimizer=optimizer(), callbacks=watch, **arguments)
    assert (calls.epochs, looks.epochs) == ([8], [1] * 8)
    assert_same_bits(net, twin)
    for name in ("loss", "learning_rate"):
        assert first[name] == second[name]
    assert first.epoch == second.epoch
    assert all(seconds > 0 for seconds in first["seconds"])
    assert net.rng.bit_generator.state == twin.rng.bit_generator.state
    assert (net._engine.rng_position == twin._engine.rng_position).all()
    # The optimizer's state too: both continue alike.
    net.fit(X, Y, epochs=1, batch_size=BATCH)
    twin.fit(X, Y, epochs=1, batch_size=BATCH)
    assert_same_bits(net, twin)


@pytest.mark.parametrize(
    "fit",
    [
        {"callbacks": watch},
        {"metrics": "accuracy"},
        {"validation_split": 0.2},
        {"validation_data": (X, Y)},
        {"optimizer": pynn.SGD(pynn.ReduceOnPlateau(0.1, monitor="loss"))},
        {"optimizer": pynn.SGD(pynn.WarmUp(pynn.ReduceOnPlateau(0.1, monitor="loss"), steps=3))},
        {"optimizer": pynn.SGD(lambda step: 0.1)},
    ],
)
def test_whoever_looks_is_called_after_every_epoch(fit):
    net = make_net()
    calls = Calls(net)
    net.fit(X, Y, epochs=4, batch_size=BATCH, **fit)
    assert calls.epochs == [1] * 4


def test_orders_of_many_samples_are_drawn_one_by_one(monkeypatch):
    monkeypatch.setattr(sources, "DRAWN_AHEAD", 2 * ROWS)
    net, twin = make_net(), make_net()
    calls = Calls(net)
    net.fit(X, Y, epochs=5, batch_size=BATCH)
    assert calls.epochs == [2, 2, 1]
    twin.fit(X, Y, epochs=5, batch_size=BATCH, callbacks=watch)
    assert_same_bits(net, twin)
    monkeypatch.setattr(sources, "DRAWN_AHEAD", 2 * ROWS - 1)
    net.fit(X, Y, epochs=2, batch_size=BATCH)
    assert calls.epochs[3:] == [1, 1]


def test_few_samples_have_no_more_epochs_drawn_ahead_than_an_interrupt_may_redraw():
    net = make_net()
    calls = Calls(net)
    net.fit(X[:2], Y[:2], epochs=2500, batch_size=2)
    assert calls.epochs == [1000, 1000, 500]
    assert net.history.epoch == list(range(1, 2501))


def test_a_fit_that_fails_at_once_records_nothing():
    net = make_net()
    with pytest.raises(FloatingPointError, match="in epoch 1, mini-batch 0"):
        net.fit(np.full_like(X, np.nan), Y, epochs=3, batch_size=BATCH)
    assert net.history.to_dict() == {"epoch": []}


def test_what_is_not_finite_names_the_epoch_and_keeps_what_was_done():
    rate = 1e150  # the second epoch's

    def fit(net, **further):
        schedule = pynn.StepDecay(0.1, every=11, factor=rate)
        with pytest.raises(FloatingPointError) as raised:
            net.fit(X, Y, epochs=3, batch_size=BATCH, optimizer=pynn.SGD(schedule), **further)
        return str(raised.value)

    def make():
        return pynn.MLP([5, 8, 3], "relu", "softmax_cross_entropy", dtype="float64", seed=0)

    net, twin = make(), make()
    message = fit(net)
    assert "in epoch 2, mini-batch" in message
    assert fit(twin, callbacks=watch) == message
    assert net.history.loss == twin.history.loss
    assert len(net.history) == 1
    assert_same_bits(net, twin)
    assert net.rng.bit_generator.state == twin.rng.bit_generator.state


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX")
def test_an_interrupt_leaves_all_as_after_the_last_mini_batch():
    net, sgd = make_net(dropout=0.2), pynn.SGD(1e-3, momentum=0.9)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, epochs=10**9, batch_size=BATCH, optimizer=sgd)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    steps = int(sgd._states[net].steps[0])
    epochs, further = divmod(steps, -(-ROWS // BATCH))
    assert epochs > 0
    assert len(net.history) == epochs
    assert int(net._engine.rng_position[1]) == steps

    twin, again = make_net(dropout=0.2), pynn.SGD(1e-3, momentum=0.9)
    history = twin.fit(X, Y, epochs=epochs, batch_size=BATCH, optimizer=again)
    assert history.loss == net.history.loss
    between = twin.rng.bit_generator.state
    order = twin.rng.permutation(ROWS)
    for i in range(further):
        rows = order[i * BATCH : (i + 1) * BATCH]
        twin.train_on_batch(X[rows], Y[rows], again)
    assert_same_bits(net, twin)
    # Between two epochs the next one's order may have been drawn, or not yet.
    states = [twin.rng.bit_generator.state] + [between] * (further == 0)
    assert net.rng.bit_generator.state in states


def test_the_row_that_is_not_finite_is_found_in_a_later_epoch():
    x = X[:6].copy()
    x[2] = np.nan
    net, draws = make_net(), make_net().rng  # (one that has drawn the weights)
    epoch = next(i for i in range(1, 50) if 2 in draws.integers(6, size=6))
    assert epoch > 1
    with pytest.raises(FloatingPointError, match=f"in epoch {epoch}, .* in row 2"):
        net.fit(x, Y[:6], epochs=50, batch_size=2, sampling="replacement")
    assert len(net.history) == epoch - 1
