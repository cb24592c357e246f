"""threadpoolctl's limits that change while a network trains: honored from the next step on."""

import os
from pathlib import Path

import pytest
from numpy_mlp import run_python
from sanitizers import not_sanitized

import pynn

pytest.importorskip("threadpoolctl")
pytestmark = [
    pytest.mark.skipif(not pynn.show_config("dict")["openmp"], reason="serial build"),
    pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="needs Linux's /proc"),
    not_sanitized("the times are those of the sanitizer"),
]

# `others()` is the time, in s, that threads have run which are not Python's. `Limits` changes the
# limit at every event and notes by its value what these threads have run until the next one.
START = """
import hashlib, os, sys, threading
from pathlib import Path
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
import pynn

def others():
    known = {str(thread.native_id) for thread in threading.enumerate()}
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name not in known]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * 1e-9

def limits():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]

class Limits(pynn.Callback):
    def __init__(self, event, every=1):
        setattr(self, event, self.change)
        self.seen, self.number, self.limit, self.every = {1: [], 2: []}, 0, None, every
    def change(self, *arguments):
        now = others()
        if self.limit:
            self.seen[self.limit].append(now - self.before)
        self.number += 1
        self.limit = 1 + self.number // self.every % 2
        self.context = threadpool_limits(self.limit, "openmp")
        assert pynn.get_num_threads() == self.limit
        self.before = others()

rng = np.random.default_rng(0)
X = rng.normal(size=(4096, 784)).astype("f4")
y = rng.integers(10, size=len(X))
make = lambda: pynn.MLP([784, 512, 10], seed=0, dropout=0.2)
bits = lambda net: b"".join(w.tobytes() for w in (*net.weights, *net.biases))
"""
FIT = """
event, epochs = sys.argv[1:]
options = {"batch_size": 1024, "epochs": int(epochs)}
net, other = make(), make()
with threadpool_limits(1, "openmp"):
    other.fit(X, y, **options)
with threadpool_limits(2, "openmp"):
    before = limits()
    changes = Limits(event)
    with threadpool_limits(2, "openmp"):
        net.fit(X, y, callbacks=changes, **options)
    print(bits(net) == bits(other), limits() == before, pynn.get_num_threads())
print(max(changes.seen[1]), max(changes.seen[2]))
"""
VARIABLES = {"OMP_DYNAMIC": "false", "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"}


def run(program, folder, *arguments):
    # (OMP_DYNAMIC: where other programs keep the processors busy, teams stay together.)
    environment = {**os.environ, **VARIABLES}
    return run_python(START + program, folder, *arguments, timeout=200, environment=environment)


@pytest.mark.parametrize(
    ("event", "epochs"), [("on_batch_end", 3), ("on_epoch_end", 9), ("on_epoch_begin", 9)]
)
def test_callbacks_of_a_fit(tmp_path, event, epochs):
    facts, times = run(FIT, tmp_path, event, epochs).splitlines()
    assert facts == "True True 2"
    alone, together = map(float, times.split())
    # (The second thread of the last team may still be on its way to sleep.)
    assert together > 0.002 > 10 * alone


MANY = """
def nets():
    return [pynn.MLP([784, n, 10], seed=n) for n in (20, 30, 40, 50, 60)]

options = {"epochs": 2, "batch_size": 256, "on_error": "raise"}
with threadpool_limits(1, "openmp"):
    expected = pynn.fit_many(nets(), X, y, **options)
calls = []

def change(net, history):
    calls.append((threading.get_ident(), pynn.get_num_threads()))
    threadpool_limits(1 + len(calls) % 2, "openmp")

with threadpool_limits(2, "openmp"):
    before = limits()
    found = pynn.fit_many(nets(), X, y, callbacks=change, **options)
    print(limits() == before, pynn.get_num_threads(), {n for _, n in calls})
print([r["loss"] for r in found.table] == [r["loss"] for r in expected.table])
"""


def test_callbacks_of_fit_many(tmp_path):
    """Each fit has one thread, whatever its callbacks set; the caller's limit stays as it was."""
    assert run(MANY, tmp_path).splitlines() == ["True 2 {1}", "True"]


SKLEARN = """
from sklearn.model_selection import cross_val_score
from pynn.sklearn import MLPClassifier

def made(**options):
    return MLPClassifier((512,), batch_size=1024, max_iter=4, random_state=0, tol=0, **options)

def fitted(model):
    model.fit(X, y)
    return hashlib.sha256(b"".join(w.tobytes() for w in model.coefs_)).hexdigest()

import warnings
warnings.simplefilter("ignore")
with threadpool_limits(1, "openmp"):
    expected = fitted(made())
with threadpool_limits(2, "openmp"):
    before = limits()
    model, found = made(warm_start=False), []
    # Between the epochs: partial_fit.
    for epoch in range(6):
        limit = 1 + epoch % 2
        with threadpool_limits(limit, "openmp"):
            start = others()
            model.partial_fit(X, y, classes=np.arange(10))
            found.append(others() - start)
    print(limits() == before, pynn.get_num_threads())
    print(expected == fitted(made()))
print(max(found[::2]), max(found[1::2]))
"""


def test_estimators(tmp_path):
    pytest.importorskip("sklearn")
    first, bits, times = run(SKLEARN, tmp_path).splitlines()
    assert (first, bits) == ("True 2", "True")
    alone, together = map(float, times.split())
    assert together > 0.002 > 10 * alone
