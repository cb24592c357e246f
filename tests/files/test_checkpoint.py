"""Checkpoints: when they are written, under which name, and what they hold."""

import os
import pathlib

import numpy as np
import pytest
from model_files import as_bytes
from numpy_mlp import assert_same_bits, make_samples

import pynn
from pynn.history import record_epoch

X, Y = make_samples("mse", 30, 4, 3)


def make(loss="mse"):
    return pynn.MLP([4, 6, 3], "tanh", loss, seed=0)


def fit(net, checkpoint, epochs=4, **options):
    return net.fit(X, Y, epochs=epochs, batch_size=8, callbacks=[checkpoint], **options)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def history_of(**figures):
    history = pynn.History()
    for values in zip(*figures.values(), strict=True):
        record_epoch(history, **dict(zip(figures, values, strict=True)))
    return history


def saved_epochs(tmp_path, checkpoint, **figures):
    """The epochs after which it saves, for given figures."""
    net, epochs = make(), []
    for epoch in range(1, 1 + len(next(iter(figures.values())))):
        net.biases[0][0] = epoch
        checkpoint.on_epoch_end(net, history_of(**{k: v[:epoch] for k, v in figures.items()}))
        if pathlib.Path(checkpoint.path).exists():
            epochs.append(int(pynn.load(checkpoint.path).biases[0][0]))
    return sorted(set(epochs))


def test_one_file(tmp_path):
    net = make()
    fit(net, pynn.Checkpoint(tmp_path / "net.npz"), optimizer=pynn.Adam())
    assert names(tmp_path) == ["net.npz"]
    assert (tmp_path / "net.npz").read_bytes() == as_bytes(net)


def test_one_file_for_each_epoch(tmp_path):
    net = make()
    history = fit(
        net,
        pynn.Checkpoint(f"{tmp_path}/net-{{epoch:02d}}-{{loss:.3f}}-{{val_loss:.3f}}"),
        validation_data=(X, Y),
    )
    assert names(tmp_path) == [
        f"net-{epoch:02d}-{loss:.3f}-{val_loss:.3f}.npz"
        for epoch, loss, val_loss in zip(
            history.epoch, history.loss, history["val_loss"], strict=True
        )
    ]
    whole = make()
    for epoch, name in enumerate(names(tmp_path), start=1):
        whole.fit(X, Y, epochs=1, batch_size=8)
        assert_same_bits(pynn.load(tmp_path / name), whole)
        assert len(pynn.load(tmp_path / name).history) == epoch


def test_safetensors(tmp_path):
    pytest.importorskip("safetensors")
    net = make()
    fit(net, pynn.Checkpoint(tmp_path / "net.safetensors"))
    assert_same_bits(pynn.load(tmp_path / "net.safetensors"), net)


def test_every(tmp_path):
    fit(make(), pynn.Checkpoint(f"{tmp_path}/{{epoch}}.npz", every=3), epochs=10)
    assert names(tmp_path) == ["3.npz", "6.npz", "9.npz"]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("monitor", "mode", "values", "expected"),
    [
        ("val_loss", "auto", [3, 2, 4, 2, 1, 1], [1, 2, 5]),
        ("loss", "auto", [3, 2, 4, 2, 1, 1], [1, 2, 5]),
        ("val_mse", "auto", [3, 2, 4], [1, 2]),
        ("mae", "auto", [3, 2, 4], [1, 2]),
        ("val_accuracy", "auto", [0.5, 0.4, 0.6, 0.6], [1, 3]),
        ("accuracy", "auto", [0.5, 0.4, 0.6], [1, 3]),
        ("val_top_5", "auto", [0.5, 0.4, 0.6], [1, 3]),
        ("val_r2", "auto", [-3, -4, 0.1], [1, 3]),
        ("val_loss", "max", [3, 2, 4], [1, 3]),
        ("val_r2", "min", [3, 2, 4], [1, 2]),
        ("anything", "min", [3, 2, 4], [1, 2]),
        ("val_loss", "auto", [NAN, 3, NAN, 2], [2, 4]),
        ("val_loss", "auto", [INF, NAN, 3], [3]),
        ("val_loss", "auto", [NAN, NAN], []),
    ],
)
def test_best_only(tmp_path, monitor, mode, values, expected):
    checkpoint = pynn.Checkpoint(tmp_path / "net.npz", best_only=True, monitor=monitor, mode=mode)
    assert saved_epochs(tmp_path, checkpoint, **{monitor: values}) == expected


def test_best_only_of_every_second(tmp_path):
    checkpoint = pynn.Checkpoint(tmp_path / "net.npz", best_only=True, every=2)
    assert saved_epochs(tmp_path, checkpoint, val_loss=[1, 5, 2, 6, 3, 4]) == [2, 6]
    assert checkpoint.best == 4


def test_the_best_goes_on_with_the_next_fit(tmp_path):
    checkpoint = pynn.Checkpoint(tmp_path / "net.npz", best_only=True)
    assert saved_epochs(tmp_path, checkpoint, val_loss=[3, 2]) == [1, 2]
    assert saved_epochs(tmp_path, checkpoint, val_loss=[4, 1]) == [2]
    resumed = pynn.Checkpoint(tmp_path / "net.npz", best_only=True)
    resumed.best = checkpoint.best
    assert saved_epochs(tmp_path, resumed, val_loss=[2, 3]) == [2]


def test_best_only_in_a_fit(tmp_path):
    net, parameters = make("squared_error"), []
    keep = pynn.Checkpoint(tmp_path / "net.npz", best_only=True)
    history = net.fit(
        X,
        Y,
        epochs=60,
        optimizer=pynn.SGD(0.1),
        validation_data=(X, 0.3 * Y),  # which training toward Y passes on its way
        callbacks=[keep, lambda net, history: parameters.append(as_bytes(net))],
    )
    best = int(np.argmin(history["val_loss"]))
    assert 0 < best < 59
    assert (tmp_path / "net.npz").read_bytes() == parameters[best]
    assert keep.best == history["val_loss"][best]


def test_a_figure_that_is_not_recorded(tmp_path):
    net = make()
    with pytest.raises(ValueError, match="monitor='val_loss' is not recorded, but loss, "):
        fit(net, pynn.Checkpoint(tmp_path / "net.npz", best_only=True))
    with pytest.raises(ValueError, match="has the field 'val_loss', but the history records"):
        fit(net, pynn.Checkpoint(f"{tmp_path}/{{val_loss}}.npz"))
    assert names(tmp_path) == []


def test_a_file_that_cannot_be_written_was_not_the_best(tmp_path):
    checkpoint = pynn.Checkpoint(tmp_path / "folder" / "net.npz", best_only=True)
    with pytest.raises(FileNotFoundError):
        checkpoint.on_epoch_end(make(), history_of(val_loss=[1.0]))
    assert checkpoint.best is None
    (tmp_path / "folder").mkdir()
    checkpoint.on_epoch_end(make(), history_of(val_loss=[2.0]))
    assert checkpoint.best == 2
    assert names(tmp_path / "folder") == ["net.npz"]


def test_braces_that_are_meant(tmp_path):
    fit(make(), pynn.Checkpoint(f"{tmp_path}/{{{{net}}}}-{{epoch}}.npz"), epochs=1)
    assert names(tmp_path) == ["{net}-1.npz"]


def test_odd_figures(tmp_path):
    checkpoint = pynn.Checkpoint(f"{tmp_path}/{{f1-score:.1f}}.npz")
    checkpoint.on_epoch_end(make(), history_of(**{"f1-score": [0.5]}))
    assert names(tmp_path) == ["0.5.npz"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": None}, TypeError, "path must be a path, got None"),
        ({"path": 3}, TypeError, "path must be a path, got 3"),
        ({"path": "net-{epoch.npz"}, ValueError, "path 'net-{epoch.npz' is not a format string"),
        ({"path": "net-{}.npz"}, ValueError, "'' is not a metric's name"),
        ({"path": "net-{0}.npz"}, ValueError, "'0' is not a metric's name"),
        ({"path": "net-{epoch.real}.npz"}, ValueError, "'epoch.real' is not a metric's name"),
        ({"path": "net-{loss:03d}.npz"}, ValueError, "is not a format string"),
        ({"path": "net-{epoch:q}.npz"}, ValueError, "is not a format string"),
        ({"best_only": 1}, TypeError, "best_only must be True or False, got 1"),
        ({"monitor": None}, TypeError, "monitor must be a metric's name, got None"),
        ({"mode": "best"}, ValueError, "mode must be one of auto, min, max; got 'best'"),
        ({"mode": 1}, TypeError, "mode must be one of auto, min, max; got 1"),
        ({"best_only": True, "monitor": "hue"}, ValueError, "pass mode='min' or mode='max'"),
        ({"every": 0}, ValueError, "every must be at least 1, got 0"),
        ({"every": 1.5}, TypeError, "every must be an integer, got 1.5"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        pynn.Checkpoint(**{"path": "net.npz", **arguments})


def test_it_costs_no_speed():
    """`on_batch_end` is there by inheritance, and is not called for."""
    from pynn.callbacks import handlers

    assert isinstance(pynn.Checkpoint("net.npz"), pynn.Callback)
    assert not handlers([pynn.Checkpoint("net.npz")], "on_batch_end")


def test_repr():
    assert repr(pynn.Checkpoint("net.npz")) == "Checkpoint('net.npz')"
    assert repr(pynn.Checkpoint(os.fsencode("a"), best_only=True, every=2)) == (
        "Checkpoint('a', best_only=True, monitor='val_loss', mode='min', every=2)"
    )
