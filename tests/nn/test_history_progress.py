"""What a fit records, and what it shows."""

import io
import sys

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, make_samples

import pynn

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
    history = net.fit(x, y, **OPTIONS)
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
    assert ax.get_xlabel() == "epoch"
    assert ax.get_ylabel() == "loss"
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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(capsys, **options):
    net, x, y = make()
    history = net.fit(x, y, **OPTIONS, **options)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err, history


@pytest.mark.parametrize("progress", [None, False])
def test_silent_by_default_where_nobody_looks(capsys, progress):
    assert shown(capsys, progress=progress)[0] == ""


def test_bar(capsys):
    pytest.importorskip("tqdm")
    text, history = shown(capsys, progress=True)
    for part in ("epoch 3/3", "100%", f"loss={history.loss[-1]:.4g}", "samples/s", "90.0/90.0"):
        assert part in text


def test_bar_with_validation(capsys):
    pytest.importorskip("tqdm")
    _, x, y = make()
    text, history = shown(capsys, progress=True, validation_data=(x, y))
    assert f"val_accuracy={history['val_accuracy'][-1]:.4g}" in text


def test_bar_of_a_stopped_fit(capsys):
    pytest.importorskip("tqdm")
    text, _ = shown(capsys, progress=True, callbacks=lambda *_: True)
    assert "epoch 1/3" in text
    assert "100%" not in text


def without_tqdm(monkeypatch):
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)


def test_lines_without_tqdm(capsys, monkeypatch):
    without_tqdm(monkeypatch)
    text, history = shown(capsys, progress=True)
    lines = text.splitlines()
    assert len(lines) == 3
    for i, (line, loss) in enumerate(zip(lines, history.loss, strict=True)):
        assert line.startswith(f"epoch {i + 1}/3: loss {loss:.4g}, ")
        assert line.endswith(" samples/s")


@pytest.mark.parametrize("tqdm", [True, False])
def test_shown_on_a_terminal(monkeypatch, tqdm):
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        without_tqdm(monkeypatch)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    net, x, y = make()
    net.fit(x, y, **OPTIONS)
    assert "epoch 3/3" in terminal.getvalue()
    terminal.truncate(0)
    net.fit(x, y, **OPTIONS, progress=False)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_silent_without_a_stderr(monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    net, x, y = make()
    net.fit(x, y)
    assert stderr is None or stderr.getvalue() == ""


@pytest.mark.parametrize("tqdm", [True, False])
def test_progress_changes_no_bit(capsys, monkeypatch, tqdm):
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        without_tqdm(monkeypatch)
    assert shown(capsys, progress=True)[1].loss == shown(capsys, progress=False)[1].loss
