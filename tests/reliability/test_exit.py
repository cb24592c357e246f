"""A program that ends while daemon threads are inside pynn: its own exit code, and no output."""

import subprocess
import sys
import sysconfig

import pytest
from sanitizers import PATIENCE

# The main thread ends while calls of some milliseconds come and go in daemon threads. An object
# that outlives most of finalization keeps it going, so that each thread tries to take the GIL then.
PROGRAM = """
import sys, threading, time
import numpy as np
import pynn

class Late:
    def __init__(self):
        self.sleep = time.sleep
    def __del__(self):
        self.sleep(0.3)

pynn.late = Late()
pynn.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
X = rng.normal(size=(3000, 64)).astype("f4")
y = rng.integers(10, size=3000)
a = rng.normal(size=(600, 600))
make = lambda: pynn.MLP([64, 128, 10], seed=0)
net = make()
net.fit(X, y, epochs=1)

def ask(net, history):
    sum(range(1000))

calls = {
    "fit": lambda net: net.fit(X, y, epochs=3),
    "fit_for_long": lambda net: net.fit(X, y, epochs=10**6),
    "callback": lambda net: net.fit(X, y, epochs=10**6, callbacks=[ask]),
    "batch_callback": lambda net: net.fit(X, y, epochs=10**6, callbacks=[Batches()]),
    "train_on_batch": lambda net: net.train_on_batch(X, y),
    "call": lambda net: net(X),
    "predict": lambda net: net.predict(X),
    "hidden": lambda net: net.hidden(X),
    "training": lambda net: net(X, training=True),
    "evaluate": lambda net: net.evaluate(X, y),
    "gradients": lambda net: net.gradients(X, y),
    "input_gradient": lambda net: net.input_gradient(X, y),
    "backward": lambda net: net.backward(np.ones((3000, 10), "f4"), X),
    "fit_many": lambda net: pynn.fit_many([make() for _ in range(2)], X, y, epochs=2),
    "matmul": lambda net: pynn.matmul(a, a),
    "linear": lambda net: pynn.linear(a, a),
    "linear_backward": lambda net: pynn.linear_backward(a, a, a),
    "activation": lambda net: pynn.gelu(X),
    "softmax": lambda net: pynn.softmax(X),
    "loss": lambda net: pynn.softmax_cross_entropy(X, y),
}

class Batches:
    def on_batch_end(self, net, batch, loss):
        sum(range(100))

started = threading.Semaphore(0)

def work(call):
    own = make()
    started.release()
    while True:
        call(own)

names = sys.argv[2].split()
for name in names:
    threading.Thread(target=work, args=(calls[name],), daemon=True).start()
for _ in names:
    started.acquire()
time.sleep(0.05)
sys.exit(7)
"""
CALLS = {
    "fits": "fit fit_for_long callback batch_callback train_on_batch fit_many",
    "predictions": "call predict hidden training evaluate",
    "gradients": "gradients input_gradient backward",
    "functions": "matmul linear linear_backward activation softmax loss",
}


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) and sys.version_info < (3, 14),
    reason="a program of plain Python threads does not end there (seen on 3.13.5t)",
)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("calls", CALLS)
def test_daemon_threads_do_not_abort_the_exit(tmp_path, calls, threads):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(threads), CALLS[calls]],
        cwd=tmp_path,
        timeout=60 * PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
