"""Without further threads, or with stacks that are too small: one thread and one warning."""

import os
import subprocess
import sys

import pytest
from sanitizers import HAS_THREADS, PATIENCE, not_sanitized

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Linux's limits"),
    pytest.mark.skipif(not HAS_THREADS, reason="built for one thread"),
    not_sanitized("its stacks and memory are larger"),
]

PROGRAM = """
import hashlib, os, resource, sys, warnings
import numpy as np
import pynn

limit, limit_of = sys.argv[1:]
rng = np.random.default_rng(0)
X, y = rng.normal(size=(2000, 64)).astype("f4"), rng.integers(10, size=2000)

def work():
    net = pynn.MLP([64, 128, 10], seed=0)
    net.fit(X, y, epochs=2, batch_size=1000)
    nets = [pynn.MLP([64, n, 10], seed=1) for n in (20, 30, 40)]
    pynn.fit_many(nets, X, y, epochs=1)
    results = net(X), net.gradients(X, y)[1][0], net.input_gradient(X, y), pynn.matmul(X.T, X)
    arrays = [net._engine.parameters, *(n._engine.parameters for n in nets), *results]
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()

pynn.set_num_threads(1)
expected = work()
pynn.set_num_threads(4)
if limit == "processes":
    if os.getuid() == 0:  # for whom there is no limit
        os.setuid(54321)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
elif limit == "memory":
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 6 * 2**20,) * 2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    answers = {work(), work()}
print(answers == {expected}, [(w.category.__name__, limit_of in str(w.message)) for w in caught])
"""


@pytest.mark.parametrize(
    ("limit", "named", "stack"),
    [
        ("processes", "ulimit -u", None),
        ("memory", "ulimit -v", None),
        ("large stacks", "OMP_STACKSIZE", "100G"),
        ("small stacks", "OMP_STACKSIZE is too small", "16K"),
        ("small stacks", "OMP_STACKSIZE is too small", "20 k"),
    ],
)
def test_too_few_threads(tmp_path, limit, named, stack):
    environment = {**os.environ, "OMP_DYNAMIC": "false"}
    if stack:
        environment["OMP_STACKSIZE"] = stack
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, limit, named],
        cwd=tmp_path,
        env=environment,
        timeout=60 * PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True [('RuntimeWarning', True)]\n"


STACKS = """
import resource, warnings
import numpy as np
import pynn

X = np.random.default_rng(0).normal(size=(2000, 64)).astype("f4")
net = pynn.MLP([64, 128, 10], seed=0)
pynn.set_num_threads(2)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**30,) * 2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    net.fit(X, np.arange(2000) % 10, epochs=1, batch_size=1000)
print(["OMP_STACKSIZE" in str(w.message) for w in caught])
"""


@pytest.mark.parametrize("size", [2**31, 2**32])
@pytest.mark.parametrize("unit", ["B", "", " k", "m ", "G"])
def test_units_of_stacks(tmp_path, size, unit):
    # A second thread has room for a stack of 2 GiB, and not for one of 4.
    shift = {"b": 0, "": 10, "k": 10, "m": 20, "g": 30}[unit.strip().lower()]
    stack = f"{size >> shift}{unit}"
    done = subprocess.run(
        [sys.executable, "-c", STACKS],
        cwd=tmp_path,
        env={**os.environ, "OMP_DYNAMIC": "false", "OMP_STACKSIZE": stack},
        timeout=60 * PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("[]\n" if size == 2**31 else "[True]\n")
