"""Ctrl-C shows the caller's own lines."""

import subprocess
import sys

import pytest
from numpy_mlp import make_samples
from sanitizers import PATIENCE

import pynn

PROGRAM = """
import os, signal, threading, time
import numpy as np
import pynn

x, y = np.ones((4000, 64)), np.arange(4000) % 8
net = pynn.MLP([64, 128, 8], seed=0)
def sleeping(net, history): time.sleep(60)
def repeated(call):
    while True: call()
def batches():
    while True: yield x[:32], y[:32]
class Late(KeyboardInterrupt): pass
def late(*_): raise Late("in the handler")
def interrupt(): os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
threading.Timer(0.5, interrupt).start()
{}
"""
CALLS = {
    "fit": ("net.fit(x, y, epochs=10**6)", ["net.fit(", "raise error"]),
    "validation": (
        "net.fit(x, y, epochs=10**6, validation_split=0.5, progress=True)",
        ["net.fit(", "raise error"],
    ),
    "batches": ("net.fit(batches(), epochs=1)", ["net.fit(", "raise error"]),
    "callback": (
        "net.fit(x, y, epochs=9, callbacks=sleeping)",
        ["net.fit(", "raise error", "time.sleep("],
    ),
    "handler": (
        "signal.signal(signal.SIGINT, late); net.fit(x, y, epochs=10**6)",
        ["net.fit(", "raise error", "raise Late"],
    ),
    "many": (
        "pynn.fit_many({'hidden': [9, 5, 7]}, x, y, epochs=10**6)",
        ["pynn.fit_many(", "raise error"],
    ),
    "evaluate": (
        "big = np.broadcast_to(x[:1], (10**8, 64))\nnet.evaluate(big, np.broadcast_to(1, 10**8))",
        ["net.evaluate(", "raise error"],
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others")
@pytest.mark.parametrize("name", CALLS)
def test_the_traceback_is_the_caller_s(name, tmp_path):
    """One frame of pynn's at most, and the caller's own functions."""
    call, expected = CALLS[name]
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(call))
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * PATIENCE,
    )
    _, _, printed = done.stderr.rpartition("Traceback (most recent call last):\n")
    assert done.stderr.count("Traceback") == 1, done.stderr
    lines = [line.strip() for line in printed.splitlines() if not set(line) <= set(" ^~")]
    code = [line for line in lines[:-1] if not line.startswith("File ")]
    assert len(code) == len(expected), printed
    assert all(part in line for part, line in zip(expected, code, strict=True)), printed
    last = "Late: in the handler" if name == "handler" else "KeyboardInterrupt"
    assert lines[-1].removeprefix("__main__.") == last


def test_an_interrupt_stays_itself():
    class Own(KeyboardInterrupt):
        pass

    raised = Own("once")

    def interrupt(net, history):
        try:
            raise ValueError("before it")
        except ValueError:
            raise raised from None

    net = pynn.MLP([4, 6, 3], loss="mse", seed=0)
    x, y = make_samples("mse", 30, 4, 3)
    try:
        raise KeyError("being handled outside")
    except KeyError:
        with pytest.raises(Own) as caught:
            net.fit(x, y, epochs=3, callbacks=interrupt)
    assert caught.value is raised
    assert isinstance(raised.__context__, ValueError)
    assert isinstance(raised.__context__.__context__, KeyError)
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["fit", "interrupt"]
