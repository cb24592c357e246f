"""The progress that a fit shows while it runs."""

import io
import os
import re
import struct
import subprocess
import sys
import types

import numpy as np
import pytest
from numpy_mlp import make_samples

import pynn
from pynn import progress as progress_module
from pynn.progress import Bar, Line, Progress, shown_by_default

OPTIONS = {"epochs": 3, "batch_size": 8}


def make():
    net = pynn.MLP([4, 6, 3], "tanh", dtype="float64", seed=0)
    return net, *make_samples(net.loss, 30, 4, 3)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(capsys, **options):
    net, x, y = make()
    history = net.fit(x, y, **OPTIONS, **options)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err, history


def last_state(text):
    """Return what a terminal shows in the end of a line that was rewritten again and again."""
    assert text.endswith("\n")
    return text.rstrip("\n").rpartition("\r")[2].rstrip()


def without_tqdm(monkeypatch):
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(params=["tqdm", "lines"])
def way(request, monkeypatch):
    """With tqdm, and as if it were not installed."""
    if request.param == "tqdm":
        pytest.importorskip("tqdm")
    else:
        without_tqdm(monkeypatch)
    return request.param


@pytest.mark.parametrize("progress", [None, False])
def test_silent_by_default_where_nobody_looks(capsys, way, progress):
    assert shown(capsys, progress=progress)[0] == ""


def test_bar(capsys):
    pytest.importorskip("tqdm")
    text, history = shown(capsys, progress=True)
    assert re.fullmatch(
        rf"epoch 3/3 100%\|█+\| loss={history.loss[-1]:#.4g}, in 0\.\ds, \S+ samples/s",
        last_state(text),
    )


def test_bar_with_validation(capsys):
    pytest.importorskip("tqdm")
    _, x, y = make()
    text, history = shown(capsys, progress=True, validation_data=(x, y))
    for name in ("loss", "val_loss", "val_accuracy"):
        assert f" {name}={history[name][-1]:#.3g} " in last_state(text)


def test_bar_of_a_stopped_fit(capsys):
    pytest.importorskip("tqdm")
    text, _ = shown(capsys, progress=True, callbacks=lambda *_: True)
    assert last_state(text).startswith("epoch 1/3, ended by a callback |█")
    assert "%" not in last_state(text)
    assert "left" not in last_state(text)


STOPS = {
    "on_train_begin": "epoch 1/3, ended by a callback",
    "on_epoch_begin": "epoch 1/3, ended by a callback",
    "on_batch_end": "epoch 1/3, ended by a callback",
    "on_epoch_end": "epoch 1/3, ended by a callback",
}


@pytest.mark.parametrize("source", ["arrays", "mini-batches"])
@pytest.mark.parametrize("event", STOPS)
def test_bar_of_a_fit_that_a_callback_ends(capsys, event, source):
    pytest.importorskip("tqdm")
    net, x, y = make()
    callback = pynn.Callback()
    setattr(callback, event, lambda *_: True)
    options = {"epochs": 3, "progress": True, "callbacks": callback}
    if source == "arrays":
        net.fit(x, y, batch_size=7, **options)
    else:
        net.fit(((x[i : i + 7], y[i : i + 7]) for i in (0, 7, 14)), steps_per_epoch=1, **options)
    state = last_state(capsys.readouterr().err)
    assert state.startswith(STOPS[event])
    if source == "arrays":  # whole after an epoch, empty before
        assert re.match(rf"{STOPS[event]} \|{'█' if event == 'on_epoch_end' else ' '}+\|", state)
    assert "interrupted" not in state
    assert "left" not in state


def test_bar_of_a_fit_that_a_callback_ends_after_the_last_epoch(capsys):
    pytest.importorskip("tqdm")
    text, _ = shown(capsys, progress=True, callbacks=lambda net, history: len(history) == 3)
    assert last_state(text).startswith("epoch 3/3 100%|█")


def test_bar_of_an_interrupted_fit(capsys):
    pytest.importorskip("tqdm")
    net, x, y = make()
    x[-1, 0] = np.nan
    with pytest.raises(FloatingPointError):
        net.fit(x, y, **OPTIONS, shuffle=False, progress=True)
    assert last_state(capsys.readouterr().err).startswith("epoch 1/3, interrupted   0%|")


def test_bar_of_a_fit_that_continues(capsys):
    pytest.importorskip("tqdm")
    net, x, y = make()
    for _ in range(2):
        net.fit(x, y, **OPTIONS, progress=True)
        assert last_state(capsys.readouterr().err).startswith("epoch 3/3 100%|")


def test_lines_without_tqdm(capsys, monkeypatch):
    without_tqdm(monkeypatch)
    _, x, y = make()
    text, history = shown(capsys, progress=True, validation_data=(x, y))
    lines = text.splitlines()
    assert len(lines) == 1  # they are quick
    row = {name: values[-1] for name, values in history.history.items()}
    metrics = ", ".join(f"{n}={row[n]:#.4g}" for n in ("loss", "val_loss", "val_accuracy"))
    assert re.fullmatch(rf"epoch 3/3, {re.escape(metrics)}, in 0\.\ds, \S+ samples/s", lines[0])


def test_lines_are_a_second_apart(capsys, monkeypatch):
    without_tqdm(monkeypatch)
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "perf_counter", lambda: now[0])
    progress = Progress(True, 200, 10)
    for epoch in range(1, 201):
        progress.start(epoch)
        for samples in (5, 10):
            now[0] += 0.0625 if epoch != 32 else 11
            progress.at(samples, loss=1.0)
        progress.end(loss=1 / epoch)
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    epochs = [int(re.match(r"epoch (\d+)/200, loss=", line)[1]) for line in lines]
    # Two lines within epoch 32, which takes 22 seconds.
    assert epochs[:5] == [8, 16, 24, 32, 32]
    assert 8 <= min(np.diff(epochs[5:-1])) <= max(np.diff(epochs[5:-1])) <= 20
    assert epochs[-1] == 200
    assert "left" in lines[-2]
    assert "in 47s" in lines[-1]


def test_shown_on_a_terminal(monkeypatch, way):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    net, x, y = make()
    net.fit(x, y, **OPTIONS)
    assert "epoch 3/3" in terminal.getvalue()
    terminal.truncate(0)
    net.fit(x, y, **OPTIONS, progress=False)
    assert terminal.getvalue() == ""


PROGRAM = """
import sys, numpy as np, pynn
if sys.argv[1] == "lines":
    sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
net = pynn.MLP([4, 6, 3], seed=0)
x, y = np.random.default_rng(0).normal(size=(50, 4)), np.arange(50) % 3
net.fit(x, y, epochs=200, optimizer=pynn.SGD(0.1), validation_data=(x, y), metrics="accuracy")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
@pytest.mark.parametrize("columns", [0, 60, 80, 100, 132])
def test_on_a_pseudo_terminal(way, columns, tmp_path):
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program), way],
        cwd=tmp_path,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        written = read_all(ours)
        assert process.stdout.read() == ""
    assert process.returncode == 0
    text = written.decode().replace("\r\n", "\n")
    states = [state.rstrip() for state in re.split(r"[\r\n]+", text.strip())]
    width = columns or 80  # where a terminal does not say
    for state in states:
        assert len(state) < width
        # Nothing is cut: each word is whole.
        assert re.fullmatch(
            r"(epoch )?\d+/200( +\d+%)?( *\|[^|]{10,}\|)?"
            r"((^|,? )((val_)?(loss|accuracy)=\d\.\d{2,5}|(\S+ left|in \S+)|\S+ samples/s))*",
            state,
        ), state
    assert "200/200" in states[-1]
    assert "loss=" in states[-1]
    assert " val_loss=" in states[-1]
    assert (" val_accuracy=" in states[-1]) is (width >= 80 or way == "lines")
    assert text.count("\n") == 1


METRICS = {
    "accuracy": 0.9,
    "loss": 0.0123,
    "val_accuracy": 0.9312,
    "val_f1": 0.5,
    "val_loss": 12.345,
}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (200, ("epoch 12/200  34%", "loss=0.01230, val_loss=12.35, val_accuracy=0.9312, "
               "val_f1=0.5000, accuracy=0.9000, 3:25 left, 45k samples/s")),
        (130, ("epoch 12/200  34%", "loss=0.01230, val_loss=12.35, val_accuracy=0.9312, "
               "val_f1=0.5000, accuracy=0.9000, 3:25 left")),
        (100, ("epoch 12/200  34%", "loss=0.01230, val_loss=12.35, val_accuracy=0.9312, "
               "3:25 left")),
        (79, ("12/200  34%", "loss=0.0123 val_loss=12.3 val_accuracy=0.931 3:25 left")),
        (59, ("12/200 ", "loss=0.0123 val_loss=12.3 3:25 left")),
        (40, ("epoch 12/200 ", "loss=0.01230")),
        (20, ("epoch 12/200 ", "")),
    ],
)  # fmt: skip
def test_what_matters_first(columns, expected):
    heads, times = ("epoch 12/200", "12/200"), ("3:25 left", "45k samples/s")
    before, bar, after = Line().lay_out(columns, heads, " 34%", METRICS, times)
    assert (before, after.removeprefix(" ")) == expected
    assert bar >= min(10, columns - 16)
    assert len(before) + bar + 2 + len(after) == columns


def test_a_line_does_not_flicker():
    """What was shortened or left out once stays so, and the bar does not jump."""
    line, shapes = Line(), []
    rng = np.random.default_rng(0)
    for _ in range(300):
        metrics = {"loss": rng.uniform(0.05, 0.2), "val_loss": rng.uniform(0.05, 0.2)}
        times = (f"{rng.uniform(0, 20):.1f}s left", f"{rng.integers(1, 2000)} samples/s")
        before, bar, after = line.lay_out(79, ("epoch 12/200", "12/200"), " 34%", metrics, times)
        shapes.append((before, bar, re.sub(r"[\d.]+", "", after)))
    assert len(set(shapes)) < 8
    assert len(set(shapes[100:])) == 1
    # In a wider terminal there is room again.
    assert line.lay_out(132, ("epoch 12/200", "12/200"), " 34%", metrics, times)[0][:5] == "epoch"


def test_a_name_with_braces(capsys):
    pytest.importorskip("tqdm")
    bar = Bar(True, 4, unit="models", description="{grid}")
    bar.to(3, {"f{1}": 0.5})
    bar.close()
    state = last_state(capsys.readouterr().err)
    assert state.startswith("{grid}, ended early |█")
    assert "| f{1}=0.5000, in 0." in state


def read_all(descriptor):
    pieces = []
    while True:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces)


class NoFile:
    """Something that is written to, as programs put in stderr's place."""

    def write(self, text):
        raise AssertionError(text)


class Closed(io.StringIO):
    def isatty(self):
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stderr", [None, io.StringIO(), NoFile(), Closed()])
def test_silent_without_a_terminal_as_stderr(monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    net, x, y = make()
    net.fit(x, y)
    assert not isinstance(stderr, io.StringIO) or stderr.getvalue() == ""


def test_nowhere_to_show(monkeypatch, way):
    monkeypatch.setattr(sys, "stderr", None)
    net, x, y = make()
    twin = make()[0]
    net.fit(x, y, epochs=2, progress=True)
    twin.fit(x, y, epochs=2, progress=False)
    assert net.history["loss"] == twin.history["loss"]
    np.testing.assert_array_equal(net.weights[0], twin.weights[0])


@pytest.mark.parametrize(("config", "seen"), [({"IPKernelApp": {}}, True), ({}, False)])
def test_a_notebook_is_told_from_a_terminal_of_ipython(monkeypatch, config, seen):
    shell = types.SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert shown_by_default() is seen


def test_progress_changes_no_bit(capsys, way):
    assert shown(capsys, progress=True)[1].loss == shown(capsys, progress=False)[1].loss


def test_unknown_number_of_samples(capsys):
    pytest.importorskip("tqdm")
    progress = Progress(True, 3, None)
    states = []
    for epoch in (1, 2, 3):
        progress.start(epoch)
        for done in (20, 40):
            progress.at(done, loss=1 / done)
            progress._bar._refresh(1e9)
            states.append(capsys.readouterr().err.rpartition("\r")[2])
        progress.end(loss=0.1 * epoch)
    progress.close()
    # Nothing is said of the time left before the first epoch has ended; then epochs are alike.
    for state, start in zip(
        states,
        ("epoch 1/3, 20 samples in", "epoch 1/3, 40 samples in", "epoch 2/3  50%|",
         "epoch 2/3  67%|", "epoch 3/3  83%|", "epoch 3/3 100%|"),
        strict=True,
    ):  # fmt: skip
        assert state.startswith(start)
    assert last_state(capsys.readouterr().err).startswith("epoch 3/3 100%|")


def test_an_epoch_longer_than_the_one_before(capsys, way):
    progress = Progress(True, 2, None)
    for epoch, samples in ((1, 10), (2, 30)):
        progress.start(epoch)
        progress.at(samples, loss=1.0)
        progress.end(loss=1.0)
    progress.close()
    text = capsys.readouterr().err
    start = "epoch 2/2 100%|" if way == "tqdm" else "epoch 2/2, loss=1.000, in 0.0s, "
    assert last_state(text).startswith(start)


def test_epochs_may_be_numbered_on(capsys, way):
    progress = Progress(True, 2, 10, first=4)
    for epoch in (4, 5):
        progress.start(epoch)
        progress.end(loss=1.0)
    progress.close()
    text = capsys.readouterr().err.strip()
    assert re.split(r"[\r\n]+", text)[-1].startswith("epoch 5/5")


def test_figures_stay_until_there_are_newer_ones(capsys):
    pytest.importorskip("tqdm")
    progress = Progress(True, 2, 10)
    progress.start(1)
    progress.end(loss=1.0, val_loss=2.0)
    progress.start(2)
    progress.at(5, loss=0.5)
    progress.close()
    state = last_state(capsys.readouterr().err)
    assert state.startswith("epoch 2/2, interrupted  75%|")
    assert "| loss=0.5000, val_loss=2.000, in 0." in state


def test_a_bar_of_something_else(capsys, way):
    bar = Bar(True, 4, unit="models", description="grid")
    for done in range(1, 5):
        bar.to(done, {"best": 1 / done})
    bar.close()
    bar_of_4 = r"grid 100%\|█+\| " if way == "tqdm" else "grid, "
    state = last_state(capsys.readouterr().err)
    assert re.fullmatch(rf"{bar_of_4}best=0.2500, in 0\.\ds, \S+ models/s", state)


@pytest.mark.parametrize(("total", "shows"), [(4, "75%|"), (None, "3 models in")])
def test_an_interrupted_bar(capsys, total, shows):
    pytest.importorskip("tqdm")
    bar = Bar(True, total, unit="models", description="grid")
    bar.to(3, {})
    bar.close(interrupted=True)
    bar.close()  # once is enough, twice does no harm
    state = last_state(capsys.readouterr().err)
    assert state.startswith("grid, interrupted")
    assert shows in state


def test_nothing_is_shown_of_a_hidden_bar(capsys, way):
    bar = Bar(False, 4, unit="models")
    assert bar.shown is False
    bar.describe("grid")
    bar.to(2, {"loss": 1.0})
    bar.expect(3)
    bar.close()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_notebook_without_widgets(capsys, monkeypatch):
    """The bar is text on stdout: stderr is red there. Nothing warns."""
    pytest.importorskip("tqdm")
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    net, x, y = make()
    net.fit(x, y, **OPTIONS)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert last_state(captured.out).startswith("epoch 3/3 100%|")
