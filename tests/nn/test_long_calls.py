"""Ctrl-C in one long call on many rows, and the bits of such calls, which work in pieces."""

import json
import os

import numpy as np
import pytest
from numpy_mlp import run_python
from sanitizers import PATIENCE

import pynn

PROGRAM = """
import json, os, signal, sys, threading, time
import numpy as np
import pynn

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
name, threads = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
rows, row = 2**21, rng.normal(size=(1, 8)).astype("f4")
X, dout = np.broadcast_to(row, (rows, 8)), np.broadcast_to(row[:, :4], (rows, 4))
y = np.broadcast_to(np.int64(1), rows)
net = pynn.MLP([8, 200, 200, 4], "tanh", dropout=0.1, seed=0)
many = np.broadcast_to(row, (2**24, 8))
calls = {
    "call": lambda: net(many),
    "predict": lambda: net.predict(many),
    "predict_proba": lambda: net.predict_proba(many),
    "hidden": lambda: net.hidden(np.broadcast_to(row, (2**22, 8))),
    "training": lambda: net(many, training=True),
    "evaluate": lambda: net.evaluate(many, np.broadcast_to(np.int64(1), 2**24)),
    "gradients": lambda: net.gradients(X, y),
    "input_gradient": lambda: net.input_gradient(X, y),
    "backward": lambda: net.backward(dout, X),
    "backward_parameters": lambda: net.backward(dout, X, parameters=True),
    "fit": lambda: net.fit(X, y, epochs=1, batch_size=rows, shuffle=False),
}
pynn.set_num_threads(threads)
before, interrupted = net._engine.parameters.copy(), []

def interrupt():
    time.sleep(0.3)
    interrupted[:] = time.monotonic(), time.process_time()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    calls[name]()
    seconds = None
except KeyboardInterrupt:
    seconds = time.monotonic() - interrupted[0], time.process_time() - interrupted[1]
same = net._engine.parameters.tobytes() == before.tobytes()
print(json.dumps([seconds, same, np.isfinite(net(row)).all().item()]))
"""
CALLS = [
    *("call", "predict", "predict_proba", "hidden", "training", "evaluate"),
    *("gradients", "input_gradient", "backward", "backward_parameters", "fit"),
]


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_in_a_long_call(tmp_path, call):
    threads = 1 + CALLS.index(call) % 2
    seconds, same, finite = json.loads(run_python(PROGRAM, tmp_path, json.dumps([call, threads])))
    assert seconds is not None, "the call ended by itself"
    wall, processor = seconds
    # On a busy machine; the processor's time depends on it less. (The whole call takes it 10 s.)
    assert wall < 10 * PATIENCE
    assert processor < 0.4 * threads * PATIENCE
    assert same
    assert finite


# Long sums are formed by calls of 512 rows each, with the bits of one call. From weights of zero, a
# step of SGD with rate 1 gives the gradient; it is never left half done, so it is not in pieces.
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [8192, 8193, 2 * 8192 + 700])
@pytest.mark.parametrize("sizes", [(3, 2), (40, 1), (70, 33), (1, 40)])
def test_gradients_of_many_rows(sizes, rows, dtype):
    rng = np.random.default_rng(rows)
    X, y = (rng.normal(size=(rows, n)).astype(dtype) for n in sizes)
    net = pynn.MLP(sizes, loss="mse", init="zeros", dtype=dtype)
    found = []
    for threads in (1, 3):
        with pynn.threads(threads):
            _, dW, db = net.gradients(X, y)
            dout = (net(X) - y) * np.asarray(2 / y.size, dtype)
            _, dW2, db2 = net.backward(dout, X, parameters=True)
        found.append([dW[0].tobytes(), db[0].tobytes()])
        expected = -2 / y.size * (X.astype("f8").T @ y), -2 / y.size * y.astype("f8").sum(axis=0)
        tolerance = 1e-12 if dtype == "float64" else 1e-4
        for got in ((dW, db), (dW2, db2)):
            assert np.allclose(got[0][0], expected[0], rtol=tolerance, atol=tolerance)
            assert np.allclose(got[1][0], expected[1], rtol=tolerance, atol=tolerance)
    assert found[0] == found[1]
    net.train_on_batch(X, y, pynn.SGD(1.0))
    assert (-net.weights[0]).tobytes() == dW[0].tobytes()
    assert (-net.biases[0]).tobytes() == db[0].tobytes()
