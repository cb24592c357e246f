"""A signal ends a fit after a whole mini-batch."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples

import pynn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")
X, Y = make_samples("mse", 500, 16, 4)


def make():
    return pynn.MLP([16, 32, 4], "tanh", "mse", seed=0, dtype="float64")


def soon(number, after=0.15):
    timer = threading.Timer(after, os.kill, (os.getpid(), number))
    timer.start()
    return timer


@pytest.mark.parametrize("further", [{}, {"callbacks": [lambda net, history: None]}])
@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_a_signal_ends_a_fit_after_a_whole_step(tmp_path, further, source):
    ended = []

    class Last(pynn.Callback):
        def on_train_end(self, net, history):
            ended.append(len(history))

    before = signal.getsignal(signal.SIGTERM)
    net, stop = make(), pynn.StopOnSignal()
    batches = [(X[i : i + 50], Y[i : i + 50]) for i in range(0, 500, 50)]
    data = (X, Y) if source == "arrays" else (batches,)
    timer = soon(signal.SIGTERM)
    history = net.fit(
        *data, epochs=10**9, optimizer=pynn.SGD(1e-4),
        callbacks=[*further.get("callbacks", ()), stop, Last()],
    )  # fmt: skip
    timer.join()
    assert stop.signal is signal.SIGTERM
    assert ended == [len(history)]
    assert signal.getsignal(signal.SIGTERM) == before
    per_epoch = 16 if source == "arrays" else 10
    assert int(net._engine.rng_position[1]) // per_epoch in {len(history), len(history) + 1}
    # The network saved afterwards continues as the original.
    net.save(tmp_path / "net.npz")
    again = pynn.load(tmp_path / "net.npz")
    for each in (net, again):
        each.fit(X, Y, epochs=2)
    assert_same_bits(net, again)


def test_a_long_epoch_ends_soon():
    x, y = (np.broadcast_to(np.float32(0.5), (10**8, n)) for n in (64, 8))
    net = pynn.MLP([64, 256, 8], "tanh", "mse", seed=0)
    timer = soon(signal.SIGUSR1, 0.3)
    start = time.process_time()
    history = net.fit(x, y, shuffle=False, callbacks=pynn.StopOnSignal(signal.SIGUSR1))
    timer.join()
    assert len(history) == 0
    assert int(net._engine.rng_position[1]) > 0
    assert time.process_time() - start < 5


def test_the_handlers_are_back_after_an_exception_and_for_a_second_signal():
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda *_: calls.append(1))
    own = signal.getsignal(signal.SIGUSR1)
    try:
        stop = pynn.StopOnSignal(signal.SIGUSR1)

        def fail(net, history):
            signal.raise_signal(signal.SIGUSR1)
            assert calls == []
            signal.raise_signal(signal.SIGUSR1)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            make().fit(X, Y, epochs=2, callbacks=[stop, fail])
        assert calls == [1]
        assert signal.getsignal(signal.SIGUSR1) is own
        # It can be used again.
        assert len(make().fit(X, Y, epochs=2, callbacks=stop)) == 2
        assert stop.signal is None
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_fits_in_threads():
    stop = pynn.StopOnSignal()
    errors = []

    def fit():
        try:
            make().fit(X, Y, epochs=1, callbacks=stop)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert "with stop:" in errors[0]
    with stop:
        timer = soon(signal.SIGTERM, 0.3)
        result = pynn.fit_many([make(), make()], X, Y, epochs=10**6, callbacks=[stop])
        timer.join()
    assert stop.signal is signal.SIGTERM
    assert all(row["epoch"] < 10**6 for row in result.table)


@pytest.mark.parametrize(
    ("given", "kind"),
    [(("SIGTERM",), TypeError), ((signal.SIGKILL,), ValueError), ((0,), ValueError)],
)
def test_what_is_no_signal(given, kind):
    with pytest.raises(kind, match=r"signals\[0\] must be"):
        pynn.StopOnSignal(*given)


def test_its_representation():
    assert repr(pynn.StopOnSignal()) == "StopOnSignal(signal.SIGTERM)"
