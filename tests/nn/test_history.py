"""The history that a fit records."""

import copy
import json
import math
import pickle
import sys

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, make_samples

import pynn
from pynn.history import record_epoch

OPTIONS = {"epochs": 3, "batch_size": 8}


def make(loss="softmax_cross_entropy"):
    net = pynn.MLP([4, 6, 3], "tanh", loss, dtype="float64", seed=0)
    return net, *make_samples(loss, 30, 4, 3)


@pytest.fixture
def history():
    net, x, y = make()
    return net.fit(x, y, **OPTIONS, validation_data=(x[:9], y[:9]))


def test_losses_are_the_means_over_the_mini_batches():
    net, x, y = make()
    numpy_net = NumpyMLP(net)
    history = net.fit(x, y, **OPTIONS, optimizer=pynn.SGD())
    expected = numpy_net.fit(x, y, **OPTIONS, learning_rate=0.01)
    np.testing.assert_allclose(history.loss, expected, rtol=1e-12)
    assert net.history is history
    assert history.epoch == [1, 2, 3]
    assert len(history) == 3
    assert set(history.history) == {"loss", "learning_rate", "seconds"}
    assert history["learning_rate"] == [0.01] * 3
    assert all(0 < s < 10 for s in history["seconds"])


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mse"])
def test_validation_figures_are_those_after_the_epoch(loss):
    net, x, y = make(loss)
    seen = []
    history = net.fit(
        x,
        y,
        **OPTIONS,
        validation_data=(x[:9], y[:9]),
        callbacks=lambda net, history: seen.append(
            (NumpyMLP(net).mean_loss(x[:9], y[:9]), net.evaluate(x[:9], y[:9]), len(history))
        ),
    )
    np.testing.assert_allclose(history["val_loss"], [s[0] for s in seen], rtol=1e-12)
    for name in seen[0][1]:
        assert history[f"val_{name}"] == [s[1][name] for s in seen]
    assert ("val_accuracy" in history.history) is (loss == "softmax_cross_entropy")
    assert [s[2] for s in seen] == [1, 2, 3]


def test_validation_changes_nothing():
    nets = [make()[0] for _ in range(2)]
    _, x, y = make()
    losses = [
        net.fit(x, y, **OPTIONS, validation_data=data).loss
        for net, data in zip(nets, (None, (x, y)), strict=True)
    ]
    assert losses[0] == losses[1]


def test_a_new_rate_is_recorded():
    net, x, y = make()
    sgd = pynn.SGD(0.1)

    def halve(net, history):
        sgd.learning_rate /= 2

    history = net.fit(x, y, **OPTIONS, optimizer=sgd, callbacks=[halve])
    assert history["learning_rate"] == [0.1, 0.05, 0.025]


def test_to_dict(history):
    figures = history.to_dict()
    assert list(figures) == [
        "epoch", "loss", "val_loss", "val_accuracy", "learning_rate", "seconds",
    ]  # fmt: skip
    assert all(len(values) == 3 for values in figures.values())
    figures["loss"].clear()
    assert len(history.loss) == 3


def test_to_pandas(history):
    pytest.importorskip("pandas")
    frame = history.to_pandas()
    assert frame.index.name == "epoch"
    assert list(frame.index) == [1, 2, 3]
    assert list(frame["val_loss"]) == history["val_loss"]


def test_plot(history):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    ax = history.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["training"].get_ydata(), history.loss)
    np.testing.assert_array_equal(lines["validation"].get_ydata(), history["val_loss"])
    best = int(np.argmin(history["val_loss"])) + 1
    np.testing.assert_array_equal(lines[f"best: epoch {best}"].get_xdata(), [best])
    assert [panel.get_ylabel() for panel in ax.figure.axes] == ["loss", "accuracy"]
    assert ax.figure.axes[-1].get_xlabel() == "epoch"
    _, own = plt.subplots()
    assert history.plot(own) is own
    assert pynn.History().plot(own) is own
    plt.close("all")


@pytest.mark.parametrize(("method", "package"), [("plot", "matplotlib"), ("to_pandas", "pandas")])
def test_a_missing_package_is_named(history, monkeypatch, method, package):
    for name in (package, "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        getattr(history, method)()


def test_repr(history):
    text = repr(history)
    assert text.startswith("History(3 epochs; last: loss=")
    assert f"val_loss={history['val_loss'][-1]:.4g}" in text
    assert repr(pynn.History()) == "History(no epochs)"
    assert pynn.History().loss == []


def test_figures_by_name(history):
    assert history["val_loss"] is history.val_loss is history.history["val_loss"]
    assert "val_loss" in history
    assert "val_r2" not in history
    assert "val_loss" in dir(history)
    with pytest.raises(KeyError, match=r"'val_r2'.*loss, val_loss, val_accuracy"):
        history["val_r2"]
    with pytest.raises(AttributeError, match=r"'val_r2'.*loss, val_loss, val_accuracy"):
        history.val_r2  # noqa: B018


def test_a_loop_goes_through_the_epochs(history):
    rows = list(history)
    assert len(rows) == len(history)
    assert rows[1] == {name: values[1] for name, values in history.to_dict().items()}


def test_figures_that_start_late_or_pause_are_filled_up():
    history = pynn.History()
    record_epoch(history, loss=3.0)
    record_epoch(history, loss=2.0, val_loss=5.0)
    record_epoch(history, loss=1.0)
    assert history.epoch == [1, 2, 3]
    assert history.loss == [3.0, 2.0, 1.0]
    np.testing.assert_array_equal(history["val_loss"], [math.nan, 5.0, math.nan])


def test_equality(history):
    other = pynn.History.from_dict(history.to_dict())
    assert other == history
    assert (other != history) is False
    other.history["loss"][0] += 1
    assert other != history
    assert history != history.to_dict()
    assert pynn.History() != history
    with_nan = [pynn.History.from_dict({"loss": [1.0, math.nan]}) for _ in range(2)]
    assert with_nan[0] == with_nan[1]
    with_nan[1].epoch = [2, 3]
    assert with_nan[0] != with_nan[1]
    with pytest.raises(TypeError, match="unhashable"):
        hash(history)


def test_copies(history):
    copies = (
        copy.copy(history),
        copy.deepcopy(history),
        pickle.loads(pickle.dumps(history)),
        pynn.History.from_dict(json.loads(json.dumps(history.to_dict()))),
    )
    for other in copies:
        assert other is not history
        assert other == history
        assert repr(other) == repr(history)


def test_from_dict():
    history = pynn.History.from_dict({"epoch": [4, 5], "loss": np.array([2, 1]), "r2": [None, 1]})
    assert history.epoch == [4, 5]
    assert history.loss == [2.0, 1.0]
    assert all(type(value) is float for value in history.loss)
    np.testing.assert_array_equal(history["r2"], [math.nan, 1.0])
    record_epoch(history, loss=0.5)
    assert history.epoch == [4, 5, 6]
    assert pynn.History.from_dict({}) == pynn.History()


@pytest.mark.parametrize(
    ("figures", "exception", "says"),
    [
        ([1.0], TypeError, ["history", "[1.0]"]),
        ({"loss": 3.0}, TypeError, ["history['loss']", "3.0"]),
        ({"loss": "abc"}, TypeError, ["history['loss']", "'abc'"]),
        ({"loss": [1.0, "a"]}, TypeError, ["history['loss'][1]", "'a'"]),
        ({1: [1.0]}, TypeError, ["history", "1"]),
        ({"loss": [1.0], "r2": [1.0, 2.0]}, ValueError, ["one length", "'loss': 1", "'r2': 2"]),
        ({"epoch": [1], "loss": [1.0, 2.0]}, ValueError, ["one length", "'epoch': 1"]),
        ({"epoch": [1, 1], "loss": [1.0, 2.0]}, ValueError, ["history['epoch']", "[1.0, 1.0]"]),
        ({"epoch": [0.5], "loss": [1.0]}, ValueError, ["history['epoch']", "0.5"]),
        ({"epoch": [None], "loss": [1.0]}, ValueError, ["history['epoch']", "nan"]),
    ],
)
def test_from_dict_refuses(figures, exception, says):
    with pytest.raises(exception) as caught:
        pynn.History.from_dict(figures)
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)


def test_callbacks_may_stop_the_fit():
    net, x, y = make()
    calls = []
    history = net.fit(
        x,
        y,
        epochs=10,
        callbacks=[lambda net, history: len(history) == 2, lambda *seen: calls.append(seen)],
    )
    assert history.epoch == [1, 2]
    assert [(a is net, b is history) for a, b in calls] == [(True, True)] * 2


def test_only_true_stops():
    net, x, y = make()
    assert len(net.fit(x, y, epochs=3, callbacks=[lambda *_: 1, lambda *_: "stop"])) == 3


def test_metrics_have_any_name():
    net, x, y = make()
    names = ("self", "recorded", "{}", "100 %")
    history = net.fit(x, y, metrics={name: lambda y, p: 1.0 for name in names}, **OPTIONS)
    assert all(history[name] == [1.0] * 3 for name in names)
