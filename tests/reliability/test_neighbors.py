"""pynn beside others in one process: nothing printed, the floating-point state the caller's, other
OpenMP libraries, joblib, Python threads that predict and train. (Many callers: test_callers.py;
fork: test_processes.py; exported symbols: tests/test_runtime.py.)"""

import contextlib
import ctypes
import ctypes.util
import importlib.util
import itertools
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of, run_python
from sanitizers import PATIENCE

import pynn

# ---------------------------------------------------------------- output


def test_nothing_is_printed(tmp_path):
    code = """
import numpy as np, pynn
x, y = np.random.default_rng(0).normal(size=(300, 100)), np.arange(300) % 10
net = pynn.MLP([100, 200, 10], seed=0)
with pynn.threads(2):
    net.fit(x, y, epochs=2, validation_split=0.1)
    net.predict(x), net(x), net.evaluate(x, y), pynn.matmul(x.T, x)
net.save("net.npz")
pynn.load("net.npz")
"""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        timeout=60 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---------------------------------------------------------------- the floating-point state

# fenv.h of Linux on x86-64. Python's own arithmetic raises "inexact" all the time: it is left out.
INVALID, DENORMAL, DIVIDE, OVERFLOW, UNDERFLOW = 0x01, 0x02, 0x04, 0x08, 0x10
FLAGS = INVALID | DENORMAL | DIVIDE | OVERFLOW | UNDERFLOW
ROUNDING = {"nearest": 0x000, "down": 0x400, "up": 0x800, "to zero": 0xC00}
on_x86_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64",
    reason="fenv.h's numbers are those of Linux on x86-64",
)


@contextlib.contextmanager
def rounding(mode):
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    libm.fesetround(mode)
    libm.feclearexcept(FLAGS)
    try:
        yield libm
    finally:
        libm.fesetround(ROUNDING["nearest"])
        libm.feclearexcept(FLAGS)


def network_and_samples():
    """Values that overflow exp and underflow products, in mini-batches for one or two threads."""
    x, y = make_samples("softmax_cross_entropy", 400, 100, 10, labels=True)
    x *= np.logspace(-40, 2, 400)[:, None]
    return pynn.MLP([100, 200, 10], "sigmoid", seed=0), x.astype(np.float32), y


@on_x86_linux
@pytest.mark.parametrize("mode", ROUNDING.values(), ids=list(ROUNDING))
def test_the_rounding_mode_stays_the_callers(mode):
    net, x, y = network_and_samples()
    calls = {
        "fit": lambda: net.fit(x, y, epochs=1, batch_size=200),
        "gradients": lambda: net.gradients(x, y),
        "predict": lambda: net.predict(x),
        "matmul": lambda: pynn.matmul(x, x.T),
        "softmax": lambda: pynn.softmax(x),
    }
    for n, (name, call) in itertools.product((1, 2), calls.items()):
        with pynn.threads(n), rounding(mode) as libm:
            call()
            assert libm.fegetround() == mode, name


@on_x86_linux
@pytest.mark.parametrize("raised", [0, DIVIDE, FLAGS & ~DENORMAL])
@pytest.mark.parametrize("n", [1, 2])
def test_the_exception_flags_stay_the_callers(n, raised):
    """Of calls in which no function of NumPy's runs: those clear the flags."""
    net, x, _ = network_and_samples()
    out, z = np.empty((400, 10), np.float32), np.empty_like(x)
    square, w = np.empty((400, 400), np.float32), np.ascontiguousarray(net.weights[0])
    huge, product = x * np.float32(1e30), np.empty((400, 200), np.float32)
    calls = {
        "net": lambda: net(x, out=out),
        "matmul": lambda: pynn.matmul(huge, x.T, out=square),
        "linear": lambda: pynn.linear(huge, w, activation="sigmoid", out=product),
        "sigmoid": lambda: pynn.sigmoid(huge, out=z),
        "softmax": lambda: pynn.softmax(huge, out=z),
        "softplus": lambda: pynn.softplus(huge, out=z),
    }
    found = {}
    for name, call in calls.items():
        with pynn.threads(n), rounding(0) as libm:
            libm.feraiseexcept(raised)
            call()
            found[name] = libm.fetestexcept(FLAGS)
    assert found == dict.fromkeys(calls, raised)


@on_x86_linux
@pytest.mark.parametrize("n", [1, 2])
def test_training_raises_no_exception_flag(n):
    net, x, y = network_and_samples()
    found = []
    with pynn.threads(n), rounding(0) as libm:
        net.fit(
            x,
            y,
            epochs=2,
            batch_size=200,
            callbacks=lambda *_: found.append(libm.fetestexcept(FLAGS)),
        )
        found.append(libm.fetestexcept(FLAGS))
    assert found == [0, 0, 0]


@on_x86_linux
def test_the_callers_arithmetic_changes_nothing(tmp_path):
    """Nor does pynn change it: rounding, and flushing denormals to zero as torch may be told to."""
    program = str(Path(__file__).with_name("float_control.py"))
    assert run_python(f"import runpy; runpy.run_path({program!r})", tmp_path).strip() == "12"


# ---------------------------------------------------------------- other libraries

PROGRAM = """
import hashlib, warnings
import numpy as np

def train_torch():
    import torch
    torch.set_num_threads(2)
    layer = torch.nn.Linear(300, 200)
    for _ in range(3):
        layer(torch.ones(512, 300)).square().mean().backward()

def train_sklearn():
    from sklearn.ensemble import HistGradientBoostingClassifier  # on OpenMP
    x = np.random.default_rng(0).normal(size=(3000, 5))
    HistGradientBoostingClassifier(max_iter=3).fit(x, x[:, 0] > 0)

def train_numba():
    import numba
    @numba.njit(parallel=True)
    def total(x):
        s = 0.0
        for i in numba.prange(len(x)):
            s += x[i]
        return s
    assert total(np.ones(100_000)) == 100_000

bits = set()
def train_pynn():
    import pynn
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(512, 300)), rng.integers(10, size=512)
    net = pynn.MLP([300, 200, 10], seed=0)
    with pynn.threads(2):
        net.fit(x, y, epochs=1, batch_size=128)
    bits.add(hashlib.sha256(b"".join(w.tobytes() for w in net.weights)).hexdigest())

"""


# Each library before and after each other one, and each of them first: an import takes seconds.
ORDERS = [
    "pynn torch sklearn",
    "torch sklearn pynn",
    "sklearn pynn torch",
    "pynn numba",
    "numba pynn",
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return run_python(PROGRAM + "train_pynn()\nprint(*bits)", folder)


@pytest.mark.parametrize("order", ORDERS)
def test_imported_and_training_in_any_order(order, alone, tmp_path):
    names = order.split()
    if not all(importlib.util.find_spec(name) for name in names):
        pytest.skip(f"needs {' and '.join(names)}")
    calls = "".join(f"train_{name}()\n" for name in names)
    together = run_python(PROGRAM + calls + calls + "print(*bits)", tmp_path, timeout=120)
    assert together == alone


SETTINGS = """
import gc, locale, os, signal, sys, threading, warnings
import numpy as np

def settings():
    return {
        "environment": dict(os.environ),
        "signals": [str(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "warnings": [str(f) for f in warnings.filters],
        "numpy": [np.geterr(), np.get_printoptions(), np.random.get_state()[1].tolist()],
        "python": [sys.getrecursionlimit(), sys.getswitchinterval(), sys.path, gc.get_threshold()],
        "hooks": [str(h) for h in (sys.excepthook, threading.excepthook, sys.getprofile())],
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": threading.active_count(),
        "folder": os.getcwd(),
        "processors": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "others": [limit["num_threads"] for limit in others()],
    }

def others():
    try:
        import scipy.linalg, threadpoolctl
    except ImportError:
        return []
    libraries = threadpoolctl.threadpool_info()
    return [lib for lib in libraries if lib["user_api"] == "blas"]

settings()
before = settings()
import pynn
x, y = np.random.default_rng(0).normal(size=(300, 100)), np.arange(300) % 10
net = pynn.MLP([100, 200, 10], seed=0)
with pynn.threads(2):
    net.fit(x, y, epochs=2, batch_size=128, validation_split=0.1)
    net.predict(x), pynn.matmul(x.T, x)
net.save("net.npz")
pynn.load("net.npz")
pynn.fit_many([net, pynn.MLP([100, 20, 10], seed=1)], x, y)
after = settings()
print([name for name in before if before[name] != after[name]])
"""


def test_the_process_s_settings_are_as_before(tmp_path):
    """Environment, signals, warnings, NumPy's and Python's own, other libraries' threads."""
    # (Of this process's environment, where pynn is imported, only what Python needs.)
    kept = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    assert run_python(SETTINGS, tmp_path, environment=environment).strip() == "[]"


# ---------------------------------------------------------------- joblib, Python's threads


def trained(seed, n=None):
    x, y = make_samples("mse", 300, 100, 10)
    net = pynn.MLP([100, 200, 10], loss="mse", seed=seed)
    with pynn.threads(n) if n else contextlib.nullcontext():
        net.fit(x, y, epochs=3, batch_size=128)
    return net


@pytest.mark.skipif(importlib.util.find_spec("joblib") is None, reason="no joblib")
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_in_joblib(backend, tmp_path):
    code = f"""
import joblib
import numpy as np
import pynn

def work(seed):
    import os
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 100)), rng.normal(size=(300, 10))
    net = pynn.MLP([100, 200, 10], loss="mse", seed=seed)
    net.fit(x, y, epochs=3, batch_size=128)
    return net.weights[0].tobytes(), net(x).tobytes(), pynn.get_num_threads()

if __name__ == "__main__":
    alone = [work(seed) for seed in range(4)]
    there = joblib.Parallel(2, backend={backend!r})(joblib.delayed(work)(s) for s in range(4))
    print([a[:2] for a in alone] == [b[:2] for b in there], max(n for *_, n in there))
"""
    program = tmp_path / "program.py"
    program.write_text(code, encoding="utf-8")
    main = f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')"
    same, threads = run_python(main, tmp_path).split()
    assert same == "True"
    if backend == "loky" and pynn.show_config("dict")["openmp"]:
        # joblib divides the processors among its processes, by OMP_NUM_THREADS.
        assert int(threads) <= max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.parametrize("n", [1, 2])
def test_twenty_threads_predict_while_two_train(n):
    net = trained(0)
    x, _ = make_samples("mse", 300, 100, 10)
    outputs, row = net(x).tobytes(), net(x[:1]).tobytes()
    alone = [parameters_of(trained(seed)) for seed in (1, 2)]

    def predict(_):
        return {(net(x).tobytes(), net(x[:1]).tobytes()) for _ in range(20)}

    with pynn.threads(n), ThreadPoolExecutor(22) as pool:
        others = [pool.submit(trained, seed) for seed in (1, 2)]
        for answers in pool.map(predict, range(20)):
            assert answers == {(outputs, row)}
        for future, expected in zip(others, alone, strict=True):
            assert_same_bits(parameters_of(future.result()), expected)
