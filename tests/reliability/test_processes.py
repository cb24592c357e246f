"""Training in the parent, then in its children: a pre-fork server, joblib's processes, a fork
while another thread trains. (A plain fork and multiprocessing's: tests/nn/test_threads.py.)"""

import os

import pytest
from numpy_mlp import run_python
from sanitizers import SANITIZERS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

PROGRAM = """
import hashlib, os, socket, sys, threading, time
import numpy as np
import pynn

def work(x, y, n=None):
    net = pynn.MLP([300, 200, 10], seed=0)
    with pynn.threads(n):
        net.fit(x, y, batch_size=128, epochs=2, validation_split=0.1)
        return hashlib.sha256(net._engine.parameters.tobytes() + net(x).tobytes()).hexdigest()

rng = np.random.default_rng(0)
x, y = rng.normal(size=(512, 300)), rng.integers(10, size=512)
expected = work(x, y, 2)
"""
# Workers that wait at a socket which their parent opened, each for several requests.
PRE_FORK = """
net = pynn.MLP([300, 200, 10], seed=3)
with pynn.threads(2):
    net.fit(x, y, epochs=1, batch_size=128)
answer = hashlib.sha256(net(x).tobytes()).hexdigest()
listening = socket.create_server(("127.0.0.1", 0))
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                connection, _ = listening.accept()
                with connection:
                    what = connection.recv(100)
                    if what == b"stop":
                        os._exit(0)
                    result = work(x, y) if what == b"train" else net(x).tobytes()
                    if what == b"predict":
                        result = hashlib.sha256(result).hexdigest()
                    connection.sendall(result.encode())
        finally:
            os._exit(1)
    workers.append(pid)

def ask(what):
    with socket.create_connection(listening.getsockname()) as connection:
        connection.sendall(what)
        return connection.recv(1000).decode()

print({ask(b"train") for _ in range(6)} == {expected},
      {ask(b"predict") for _ in range(6)} == {answer})
print(work(x, y, 2) == expected)
for _ in workers:
    ask(b"stop")
print([os.waitpid(pid, 0)[1] for pid in workers])
"""
# In two rounds, so that the parent has already had child processes in the second.
LOKY = """
import joblib
for _ in range(2):
    there = joblib.Parallel(2)(joblib.delayed(work)(x, y, n) for n in (None, 1, 2, None))
    print(set(there) == {expected}, work(x, y, 2) == expected)
joblib.externals.loky.get_reusable_executor().shutdown()
"""
# The child has the parent's memory as it was in the middle of another thread's training.
FORK_WHILE_TRAINING = """
many = [np.broadcast_to(a[:1], (10**8, *a.shape[1:])) for a in (x.astype("f4"), y)]
pynn.set_num_threads(2)
net = pynn.MLP([300, 200, 10], seed=1)
start = net._engine.parameters.copy()
threading.Thread(target=net.fit, args=many, daemon=True,
                 kwargs=dict(batch_size=128, shuffle=False, optimizer=pynn.SGD(1e-6))).start()
while (net._engine.parameters == start).all():
    time.sleep(0.001)
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(work(x, y) != expected)
    print(os.waitpid(child, 0)[1])
sys.stdout.flush()
os._exit(0)
"""


def run(code, folder):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}  # Python's own about fork and threads
    return run_python(PROGRAM + code, folder, environment=environment, timeout=180).splitlines()


def test_a_pre_fork_server(tmp_path):
    assert run(PRE_FORK, tmp_path) == ["True True", "True", "[0, 0, 0]"]


def test_joblib_s_processes(tmp_path):
    pytest.importorskip("joblib")
    assert run(LOKY, tmp_path) == ["True True"] * 2


@pytest.mark.skipif(
    "thread" in SANITIZERS, reason="the thread sanitizer lets such a child have no threads"
)
def test_fork_while_another_thread_trains(tmp_path):
    assert run(FORK_WHILE_TRAINING, tmp_path) == ["0"] * 3
