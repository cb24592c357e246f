"""Callbacks are called when they should be, and early stopping stops as Keras' does."""

import contextlib
import copy
import math
import pickle

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of

import pynn
from pynn.callbacks import Callback, EarlyStopping, handlers
from pynn.history import record_epoch

RNG = np.random.default_rng(0)


def make_net():
    return pynn.MLP([4, 6, 1], loss="mse", seed=0)


def run(stop, values, name="val_loss", net=None):
    """Epochs with these figures: the number of the last, and the weights after each."""
    net, history = net or make_net(), pynn.History()
    stop.on_train_begin(net, history)
    weights = []
    for value in values:
        net._engine.parameters += 1
        weights.append(parameters_of(net))
        record_epoch(history, **{name: value})
        if stop.on_epoch_end(net, history) is True:
            break
    stop.on_train_end(net, history)
    return len(history), weights, net


def keras_like(values, patience, min_delta, mode):
    """What Keras' documentation says: the epoch it stops after (or None), and the best one."""
    best, best_epoch = None, None
    sign = 1 if mode == "min" else -1
    for epoch, value in enumerate(values, 1):
        better_than = math.inf if best is None else sign * best - min_delta
        if sign * value < better_than:
            best, best_epoch = value, epoch
        elif epoch - (best_epoch or 0) >= patience:
            return epoch, best_epoch
    return None, best_epoch


SERIES = {
    "falls": [5, 4, 3, 2, 1],
    "rises": [1, 2, 3, 4, 5, 6],
    "flat": [3] * 9,
    "wavy": [5, 4, 4.5, 4.4, 3.9, 4, 4.1, 4.2, 3.85, 3.84, 3.83, 3.82, 4, 4, 4, 4],
    "with NaN": [5, np.nan, 4, np.nan, np.nan, np.nan, np.nan, 1],
    "NaN": [np.nan] * 6,
    "infinite": [np.inf, np.inf, 3, -np.inf, 2, 2, 2, 2],
    "random": RNG.normal(size=60).tolist(),
    "one": [1],
}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("min_delta", [0, 0.1, 1])
@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("series", SERIES)
def test_stops_and_restores(series, patience, min_delta, mode):
    values = [x if mode == "min" else -x for x in SERIES[series]]
    stopped, best = keras_like(values, patience, min_delta, mode)
    stop = EarlyStopping("metric", patience=patience, min_delta=min_delta, mode=mode)
    nothing = contextlib.nullcontext()
    warned = pytest.warns(RuntimeWarning, match="'metric' was .* there is no best epoch")
    with warned if best is None else nothing:
        epochs, weights, net = run(stop, values, "metric")
    assert stop.stopped_epoch == stopped
    assert epochs == (stopped or len(values))
    assert stop.best_epoch == best
    assert stop.best == (None if best is None else values[best - 1])
    assert_same_bits(net, weights[epochs - 1 if best is None else best - 1])


def test_without_restoring():
    stop = EarlyStopping(patience=2, restore_best=False)
    epochs, weights, net = run(stop, [3, 1, 2, 2, 2])
    assert (epochs, stop.best, stop.best_epoch, stop.stopped_epoch) == (4, 1, 2, 4)
    assert_same_bits(net, weights[-1])


def test_a_second_fit_starts_afresh():
    stop = EarlyStopping(patience=2)
    run(stop, [3, 1, 2, 2])
    assert stop.stopped_epoch == 4
    epochs, weights, net = run(stop, [9, 8, 7])
    assert (epochs, stop.best, stop.best_epoch, stop.stopped_epoch) == (3, 7, 3, None)
    assert_same_bits(net, weights[-1])


def test_a_network_of_another_size_may_follow():
    stop = EarlyStopping(patience=1)
    run(stop, [1, 2])
    other = pynn.MLP([30, 20], dtype="float64", seed=0)
    epochs, weights, net = run(stop, [1, 2], net=other)
    assert net is other
    assert (epochs, stop.best_epoch, stop.stopped_epoch) == (2, 1, 2)
    assert_same_bits(net, weights[0])


def test_a_function_of_the_history():
    def ratio(history):
        return history["val_loss"][-1] / 2

    stop = EarlyStopping(ratio, patience=1, mode="max")
    assert run(stop, [1, 3, 2])[0] == 3
    assert (stop.best, stop.best_epoch) == (1.5, 2)
    stop = EarlyStopping(lambda history: "low", mode="min")
    with pytest.raises(TypeError, match="must be a number, got 'low'"):
        run(stop, [1])


SMALL = ["loss", "val_loss", "mse", "val_mae", "rmse", "mean_squared_error", "log_loss",
         "val_brier_score_loss", "mean_poisson_deviance"]  # fmt: skip
LARGE = ["accuracy", "val_accuracy", "top_5", "val_top_12", "r2", "f1", "val_recall", "precision",
         "f1_score", "balanced_accuracy", "auc"]  # fmt: skip


@pytest.mark.parametrize("name", SMALL + LARGE)
def test_the_mode_goes_by_the_name(name):
    stop = EarlyStopping(name, patience=1)
    assert run(stop, [1, 2, 3], name)[0] == (2 if name in SMALL else 3)
    opposite = "max" if name in SMALL else "min"
    assert run(EarlyStopping(name, patience=1, mode=opposite), [1, 2, 3], name)[0] != (
        2 if name in SMALL else 3
    )


@pytest.mark.parametrize("name", ["seconds", "top", "5", "lossy", "val_", "", "learning_rate"])
def test_names_that_do_not_tell_the_mode(name):
    with pytest.raises(ValueError, match="pass mode='min' or mode='max'"):
        EarlyStopping(name)
    EarlyStopping(name, mode="max")


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"monitor": 3}, TypeError, ["monitor", "3"]),
        ({"monitor": len}, ValueError, ["mode", "len"]),
        ({"patience": -1}, ValueError, ["patience", "-1"]),
        ({"patience": 2.5}, TypeError, ["patience", "2.5"]),
        ({"min_delta": -0.1}, ValueError, ["min_delta", "-0.1"]),
        ({"min_delta": np.nan}, ValueError, ["min_delta", "nan"]),
        ({"mode": "up"}, ValueError, ["mode", "auto", "'up'"]),
        ({"mode": None}, TypeError, ["mode", "None"]),
        ({"restore_best": 1}, TypeError, ["restore_best", "1"]),
    ],
)
def test_errors(arguments, exception, says):
    with pytest.raises(exception) as caught:
        EarlyStopping(**arguments)
    for word in says:
        assert word in str(caught.value)


def test_a_figure_that_is_not_recorded():
    x, y = make_samples("mse", 20, 4, 1)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make_net().fit(x, y, callbacks=EarlyStopping())
    for word in ("'val_loss'", "loss, learning_rate, seconds", "validation data"):
        assert word in str(caught.value)
    with pytest.raises(ValueError, match="'val_f1' is not recorded, but loss, val_loss, "):
        make_net().fit(x, y, callbacks=EarlyStopping("val_f1"), validation_data=(x, y))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    stop, net, history = EarlyStopping(patience=2), make_net(), pynn.History()
    twin = copied(stop)
    assert repr(twin) == repr(stop)
    assert eval(repr(stop)).patience == 2
    for value in (3, 1, 2):
        record_epoch(history, val_loss=value)
        stop.on_epoch_end(net, history)
    twin = copied(stop)
    record_epoch(history, val_loss=2)
    assert stop.on_epoch_end(net, history) is True
    assert (twin.best, twin.best_epoch, twin.stopped_epoch) == (1, 2, None)
    assert twin.on_epoch_end(net, history) is True


# ------------------------------------------------------------------- in a fit


class Recorder(Callback):
    """Keeps the weights after each epoch, and what it was called with."""

    def __init__(self):
        self.calls, self.weights = [], []

    def on_train_begin(self, net, history):
        self.calls.append(("begin", len(history)))

    def on_epoch_end(self, net, history):
        self.calls.append(("epoch", len(history)))
        self.weights.append(parameters_of(net))

    def on_train_end(self, net, history):
        self.calls.append(("end", len(history)))


@pytest.mark.parametrize("epochs", [300, 8])
def test_a_fit(epochs):
    """Overfitting: it stops, or the epochs are over, and has the weights of the best epoch."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=60)
    net, stop, recorder = pynn.MLP([4, 60, 1], "tanh", "mse", seed=0), EarlyStopping(), Recorder()
    history = net.fit(x[:20], y[:20], epochs=epochs, batch_size=5, optimizer=pynn.Adam(0.01),
                      callbacks=[stop, recorder], validation_data=(x[20:], y[20:]))  # fmt: skip
    losses = history["val_loss"]
    assert stop.best == min(losses)
    assert stop.best_epoch == np.argmin(losses) + 1
    assert len(losses) > stop.best_epoch
    assert stop.stopped_epoch == (len(losses) if epochs == 300 else None)
    assert epochs == 8 or len(losses) == stop.best_epoch + 10
    assert_same_bits(net, recorder.weights[stop.best_epoch - 1])
    assert net.evaluate(x[20:], y[20:])["loss"] == stop.best
    middle = [("epoch", i) for i in range(1, len(losses) + 1)]
    assert recorder.calls == [("begin", 0), *middle, ("end", len(losses))]


def test_reduce_on_plateau_in_a_fit():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=60)
    schedule = pynn.ReduceOnPlateau(0.05, 0.5, patience=1)
    history = make_net().fit(x[:20], y[:20], epochs=40, batch_size=5, optimizer=pynn.SGD(schedule),
                             validation_data=(x[20:], y[20:]))  # fmt: skip
    rate, best, wait = 0.05, math.inf, 0
    for recorded, loss in zip(history["learning_rate"], history["val_loss"], strict=True):
        assert recorded == rate
        best, wait = (loss, 0) if loss < best - 1e-4 else (best, wait + 1)
        if wait == 2:
            rate, wait = rate / 2, 0
    assert schedule.current_rate == rate < 0.01


class Batches(Callback):
    def on_batch_end(self, net, batch, loss):
        pass


class Duck:
    def on_batch_end(self, net, batch, loss):
        pass


def test_who_wants_batches():
    own = Callback()
    own.on_batch_end = print
    assert all(handlers([c], "on_batch_end") for c in (Batches(), Duck(), own))
    assert not any(
        handlers([c], "on_batch_end")
        for c in (Callback(), Recorder(), EarlyStopping(), print, None)
    )


def test_the_base_class_does_nothing():
    net, callback, history = make_net(), Callback(), pynn.History()
    before = parameters_of(net)
    assert callback.on_train_begin(net, history) is None
    assert callback.on_epoch_begin(net, history) is None
    assert callback.on_epoch_end(net, history) is None
    assert callback.on_batch_end(net, 0, 0.5) is None
    assert callback.on_train_end(net, history) is None
    assert_same_bits(net, before)


@pytest.mark.parametrize(
    "settings", [{"learning_rate": 0.02}, {"momentum": 0.5}, {"clip_norm": 0.1}], ids=str
)
def test_a_callback_changes_the_optimizer(settings):
    """In the midst of a fit, as between two."""
    x, y = make_samples("mse", 30, 4, 1)

    def change(net, history):
        if len(history) == 2:
            vars(net.optimizer).update(settings)

    net, twin = make_net(), make_net()
    history = net.fit(x, y, epochs=4, batch_size=10, optimizer=pynn.SGD(0.1), callbacks=change)
    sgd = pynn.SGD(0.1)
    twin.fit(x, y, epochs=2, batch_size=10, optimizer=sgd)
    vars(sgd).update(settings)
    twin.fit(x, y, epochs=2, batch_size=10)
    assert_same_bits(net, twin)
    rate = settings.get("learning_rate", 0.1)
    assert history["learning_rate"] == [0.1, 0.1, rate, rate]


def test_a_callback_spoils_the_optimizer():
    x, y = make_samples("mse", 30, 4, 1)

    def spoil(net, history):
        net.optimizer.learning_rate = -1.0

    with pytest.raises(ValueError, match="learning_rate"):
        make_net().fit(x, y, epochs=4, optimizer=pynn.SGD(0.1), callbacks=spoil)


def test_one_object_is_as_good_as_a_list_of_it():
    class Plain:
        def on_epoch_end(self, net, history):
            return len(history) == 2

    X, y = make_samples("mse", 12, 3, 2)
    for callbacks in (Plain(), [Plain()]):
        assert len(pynn.MLP([3, 2], loss="mse").fit(X, y, epochs=5, callbacks=callbacks)) == 2
