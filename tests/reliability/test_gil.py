"""Other Python threads run during every call of more than a few microseconds. (During a whole fit:
tests/nn/test_threads.py; a prediction of seconds: test_callers.py.)"""

import sys
import threading
import time

import numpy as np
import pytest

import pynn

ROWS = 4000
ELEMENTS = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid", "tanh")
SOFTMAXES = ("softmax", "log_softmax")


def compiled_calls():
    """The compiled part of each call: what NumPy does before it may give the GIL away as well."""
    rng = np.random.default_rng(0)
    x, delta = (rng.normal(size=(ROWS, 64)).astype(np.float32) for _ in range(2))
    w = rng.normal(size=(64, 300)).astype(np.float32)
    wide, out = np.empty((ROWS, 300), np.float32), np.empty_like(x)
    y, dy = delta[:, :8].copy(), np.empty((ROWS, 8), np.float32)
    calls = {
        "matmul": lambda: pynn.matmul(x, w, out=wide),
        "gemm": lambda: pynn._core.gemm_into(x, w, wide, 0.5, 0.0),
        "linear": lambda: pynn.linear(x, w, activation="tanh", out=wide),
        "linear_backward": lambda: pynn.linear_backward(wide, x, w),
    }
    for name in (*ELEMENTS, *SOFTMAXES):
        forward, backward = getattr(pynn, name), getattr(pynn, f"{name}_backward")
        calls[name] = lambda f=forward: f(x, out=out)
        calls[f"{name}_backward"] = lambda f=backward: f(delta, x, out=out)
    net = pynn.MLP([64, 300, 8], "tanh", "mse", seed=0)
    few, gradient, epoch_stats = (
        np.empty((ROWS, 8), np.float32),
        net._engine.parameters * 0,
        np.empty((1, 3)),
    )
    bound, no_weights = pynn.SGD(1e-3)._bind(net), None
    core, y_and = net._engine.core, (y, False, no_weights)
    calls |= {
        "net": lambda: net._engine.plain_forward(x, few),
        "hidden": lambda: core.forward(x, 0, False, wide),
        "train": lambda: core.train(
            x, *y_and, None, 64, bound, net._engine.rng_position, False, epoch_stats, None
        ),
        "gradients": lambda: core.gradients(x, *y_and, gradient, None),
        "backward": lambda: core.backward(x, y, out, None, None),
        "input_gradient": lambda: core.input_gradient(x, *y_and, out, None),
        "loss": lambda: pynn._core.loss_into(net._engine.core_loss, few, y, None, dy),
        "predictions": lambda: pynn._core.predict_into(net._engine.core_loss, few),
    }
    return calls


CALLS = compiled_calls()


@pytest.fixture
def turns():
    """Count how often another thread ran, which happens only if pynn releases the GIL."""
    counted, end = [0], threading.Event()

    def count():
        while not end.is_set():
            counted[0] += 1
            time.sleep(0.0005)

    thread, before = threading.Thread(target=count), sys.getswitchinterval()
    thread.start()
    sys.setswitchinterval(1000)  # seconds until Python would take the GIL away from this thread
    yield counted
    sys.setswitchinterval(before)
    end.set()
    thread.join()


@pytest.mark.parametrize("name", CALLS)
def test_others_have_their_turn(name, turns):
    call = CALLS[name]
    with pynn.threads(1):
        call()
        before, deadline = turns[0], time.monotonic() + 10
        while turns[0] < before + 3 and time.monotonic() < deadline:
            call()
    assert turns[0] >= before + 3, "nobody else has had a turn"


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL")
def test_nobody_has_a_turn_otherwise(turns):
    """Of calls that are too short to give the GIL away: what the test above would see."""
    few = np.ones(10, np.float32)
    before, deadline = turns[0], time.monotonic() + 0.2
    while time.monotonic() < deadline:
        pynn.tanh(few, out=few)
    assert turns[0] <= before + 1
