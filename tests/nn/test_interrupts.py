"""Ctrl-C and failing callbacks: whole steps only, and the fit can continue."""

import json
import os

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of, run_python

import pynn

PROGRAM = """
import json, os, signal, sys, threading, time
import numpy as np
import pynn

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
rows, shown, threads = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(500, 64)).astype("f4"), rng.normal(size=(500, 32)).astype("f4")
if rows > 500:  # one epoch of minutes, without the memory for it
    x, y = (np.broadcast_to(a[:1], (rows, a.shape[1])) for a in (x, y))
make = lambda: pynn.MLP([64, 300, 32], "tanh", "mse", seed=0)
net, interrupted = make(), {}
pynn.set_num_threads(threads)

def interrupt():
    while (net.weights[0] == start).all():  # not before the first step, however busy the machine
        time.sleep(0.01)
    time.sleep(0.1)
    interrupted["at"] = time.monotonic(), time.process_time()
    os.kill(os.getpid(), signal.SIGINT)

net.train_on_batch(x[:100], y[:100], pynn.SGD(0.001))
start = net.weights[0].copy()
threading.Thread(target=interrupt, daemon=True).start()
try:
    net.fit(x, y, epochs=10**9, batch_size=100, shuffle=False, optimizer=pynn.SGD(0.001),
            progress=shown)
except KeyboardInterrupt:
    seconds = [time.monotonic(), time.process_time()]
    seconds = [now - then for now, then in zip(seconds, interrupted["at"])]
weights = net.get_weights()

# Step by step to the same weights: they are those of a whole number of mini-batches.
pynn.set_num_threads(1)
again, sgd = make(), pynn.SGD(0.001)
again.train_on_batch(x[:100], y[:100], sgd)
for steps in range(10_000):
    if all(a.tobytes() == b.tobytes() for a, b in zip(weights[0], again.weights)):
        break
    at = 0 if rows > 500 else steps % 5 * 100
    again.train_on_batch(x[at:at + 100], y[at:at + 100], sgd)
else:
    steps = None
whole_epochs = len(net.history)
losses = net.fit(x[:500], y[:500], epochs=3).loss
print(json.dumps([seconds, steps, whole_epochs, losses]))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("rows", [500, 10**8])
def test_ctrl_c(tmp_path, rows, shown, threads):
    output = run_python(PROGRAM, tmp_path, json.dumps([rows, shown, threads]))
    seconds, steps, whole_epochs, losses = json.loads(output)
    wall, processor = seconds
    assert (
        wall < 10
    )  # on a machine with much else to do; the processor's time does not depend on it
    assert processor < 0.1 * threads
    assert steps is not None, "the weights are not those after any whole mini-batch"
    assert steps > 0
    # Python may see the signal just after an epoch's last step, before it is recorded.
    assert whole_epochs in ((0,) if rows > 500 else (steps // 5, steps // 5 - 1))
    assert np.isfinite(losses).all()


def make():
    return pynn.MLP([4, 6, 3], "tanh", "mse", seed=0), *make_samples("mse", 30, 4, 3)


@pytest.mark.parametrize("exception", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("progress", [False, True])
def test_exception_in_a_callback(capsys, exception, progress):
    net, x, y = make()

    def fail(net, history):
        if len(history) == 2:
            raise exception("on purpose")

    with pytest.raises(exception, match="on purpose"):
        net.fit(x, y, epochs=5, callbacks=[fail], progress=progress)
    assert net.history.epoch == [1, 2]
    same, *_ = make()
    same.fit(x, y, epochs=2)
    assert_same_bits(net, same)
    for each in (net, same):
        each.fit(x, y, epochs=2)  # continues
    assert_same_bits(net, same)


@pytest.mark.parametrize("progress", [False, True])
def test_a_callback_stops(capsys, progress):
    net, x, y = make()
    net.fit(x, y, epochs=9, callbacks=lambda net, history: len(history) == 3, progress=progress)
    same, *_ = make()
    same.fit(x, y, epochs=3)
    assert_same_bits(net, same)


def test_exception_in_the_progress_bar(monkeypatch):
    """As of a closed terminal, in the middle of an epoch."""
    tqdm = pytest.importorskip("tqdm").tqdm
    states = []

    def fail(*_, **__):
        states.append(None)
        if len(states) > 2:  # two come before the first mini-batch
            raise BrokenPipeError

    net = pynn.MLP([64, 256, 8], loss="mse", seed=0)
    x, y = (np.broadcast_to(np.float32(0.5), (10**8, n)) for n in (64, 8))
    monkeypatch.setattr(tqdm, "refresh", fail)
    before = parameters_of(net)
    with pytest.raises(BrokenPipeError):
        net.fit(x, y, progress=True, shuffle=False)
    after = parameters_of(net)
    assert all(np.isfinite(a).all() for a in after)
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
    net.fit(x[:100], y[:100], epochs=1)
