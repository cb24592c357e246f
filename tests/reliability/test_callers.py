"""Calls from many threads at once (Python's, joblib's, another library's parallel region): no more
threads than before, the same bits, and no call waits for another."""

import os
import threading

import numpy as np
import pytest
from numpy_mlp import run_python
from sanitizers import SANITIZERS
from toolchain import COMPILER, needs_compiler, run

import pynn

needs_openmp = pytest.mark.skipif(not pynn.show_config("dict")["openmp"], reason="serial build")
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")

REGION = """
void each(int n, void (*call)(int)) {
#pragma omp parallel for num_threads(n) schedule(static, 1)
    for (int i = 0; i < n; ++i) call(i);
}
"""
# One caller trains for as long as the process lives, the others predict and train beside it.
# Prints by how many threads the process has grown since, and whether all bits are right.
PROGRAM = """
import ctypes, hashlib, os, sys, threading, time
import numpy as np
import pynn

rng = np.random.default_rng(0)
x, y = rng.normal(size=(512, 300)).astype("f4"), rng.integers(10, size=512)
many = [np.broadcast_to(a[:1], (10**8, *a.shape[1:])) for a in (x, y)]
CALLERS = 4

def work():
    net = pynn.MLP([300, 200, 10], seed=0)
    net.fit(x, y, epochs=1, batch_size=128)
    return hashlib.sha256(net._engine.parameters.tobytes() + net(x).tobytes()).hexdigest()

pynn.set_num_threads(1)
expected = work()
pynn.set_num_threads(2)
long = pynn.MLP([300, 200, 10], seed=1)
start, arrived, done = long._engine.parameters.copy(), threading.Barrier(CALLERS), []
last = threading.Lock()

def count():
    return len(os.listdir("/proc/self/task"))

def call(i):
    try:
        arrived.wait()
        if i == 0:
            long.fit(*many, epochs=1, batch_size=128, shuffle=False, optimizer=pynn.SGD(1e-6))
        while (long._engine.parameters == start).all():
            time.sleep(0.001)
        before = count()
        bits = {work() for _ in range(2)}
        done.append((before, count(), bits))
        while len(done) < CALLERS - 1:
            time.sleep(0.001)
        last.acquire()
        grown = max(after for _, after, _ in done) - min(before for before, *_ in done)
        print(grown, all(bits == {expected} for *_, bits in done), flush=True)
    finally:
        os._exit(0)  # with the first one

def in_threads():
    for i in range(CALLERS):
        threading.Thread(target=call, args=(i,)).start()

def in_joblib():
    import joblib
    joblib.Parallel(CALLERS, backend="threading")(joblib.delayed(call)(i) for i in range(CALLERS))

def in_openmp():
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
    ctypes.CDLL(sys.argv[2]).each(CALLERS, kind(call))
"""


@needs_openmp
@needs_proc
@pytest.mark.parametrize(
    "caller", ["threads", "joblib", pytest.param("openmp", marks=needs_compiler)]
)
def test_no_more_threads_than_before(caller, tmp_path):
    library = tmp_path / "region.so"
    if caller == "joblib":
        pytest.importorskip("joblib")
    if caller == "openmp":
        source = tmp_path / "region.c"
        source.write_text(REGION)
        run(*COMPILER, "-x", "c", "-shared", "-fPIC", "-fopenmp", source, "-o", library)
    code = f"{PROGRAM}\nin_{caller}()"
    printed = run_python(code, tmp_path, caller, library, timeout=120)
    assert printed.split() == ["0", "True"]


LONG_CALLS = {
    "net": lambda net, x, out: net(x, out=out),
    "linear": lambda net, x, out: pynn.linear(x, net.weights[0], out=out),
}


@pytest.mark.parametrize("name", LONG_CALLS)
def test_nobody_waits_for_a_long_call(name):
    """Of one network: neither for the GIL nor for a lock."""
    net = pynn.MLP([64, 8], "identity", "mse", seed=0)
    if name == "net":
        net = pynn.MLP([64, 300, 8], "tanh", "mse", seed=0)
    shorter = 10 if SANITIZERS else 1  # they slow it down as much
    rows = (2_000_000 if name == "net" else 10_000_000) // shorter
    x = np.broadcast_to(np.float32(0.5), (rows, 64))
    out = np.zeros((rows, 8), np.float32)
    small, twin = np.ones((500, 64), np.float32), pynn.MLP([64, 300, 8], "tanh", "mse", seed=0)
    expected = net(small).tobytes()
    with pynn.threads(1):
        thread = threading.Thread(target=LONG_CALLS[name], args=(net, x, out))
        thread.start()
        while not out[0].any():
            assert thread.is_alive() or out[0].any()
        for _ in range(10 // shorter):
            assert net(small).tobytes() == expected
            twin.train_on_batch(small, np.zeros((500, 8), np.float32), pynn.SGD(0.01))
        beside = thread.is_alive()
        thread.join()
    assert beside, "the short calls came after the long one"
    assert out[-1].any()
