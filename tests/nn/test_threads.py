"""Threads, OpenMP's and Python's: the same bits, no hang, no harm."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of, run_python
from sanitizers import HAS_THREADS, SANITIZERS

import pynn

needs_openmp = pytest.mark.skipif(not pynn.show_config("dict")["openmp"], reason="serial build")
needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork") or "thread" in SANITIZERS,
    reason="no fork, or none in which the thread sanitizer lets the child have threads",
)

# Large enough for several threads, and the last one's mini-batches are longer than a chunk.
CASES = {
    "784-100-10": ([784, 100, 10], 300, 128),
    "50-220-30-7": ([50, 220, 30, 7], 260, 256),
    "20-80-40-3": ([20, 80, 40, 3], 1300, 600),
}
OPTIMIZERS = {
    "SGD": lambda: pynn.SGD(0.01),
    "Nesterov": lambda: pynn.SGD(0.01, momentum=0.9, nesterov=True),
    "AdamW": lambda: pynn.AdamW(0.001),
    "RMSprop": lambda: pynn.RMSprop(0.001, momentum=0.5),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
# Starts a large fit and its threads; `digest` shows the weights' bits.
PROGRAM = """
import hashlib, os, sys
import numpy as np
import pynn

rng = np.random.default_rng(0)
x, y = rng.normal(size=(512, 300)), rng.integers(10, size=512)

def trained(n=2):
    net = pynn.MLP([300, 200, 10], seed=0)
    with pynn.threads(n):
        net.fit(x, y, epochs=1, batch_size=128)
    return net

def digest(net):
    return hashlib.sha256(b"".join(w.tobytes() for w in net.weights)).hexdigest()
"""


@pytest.fixture(autouse=True)
def _thread_count_is_restored():
    with pynn.threads(None):
        yield


@cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mse"])
def test_training_gives_the_same_bits(case, loss, dtype, optimizer):
    sizes, rows, batch_size = case
    x, y = make_samples(loss, rows, sizes[0], sizes[-1])

    def trained(n):
        net = pynn.MLP(sizes, "tanh", loss, dtype=dtype, seed=0)
        with pynn.threads(n):
            history = net.fit(x, y, epochs=2, batch_size=batch_size, optimizer=optimizer())
        return [*parameters_of(net), np.array(history.loss)]

    one = trained(1)
    for n in (2, 3):
        assert_same_bits(trained(n), one)


@cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_and_gradients_have_the_same_bits(case, dtype):
    sizes, rows, _ = case
    net = pynn.MLP(sizes, "sigmoid", dtype=dtype, seed=0)
    x, y = make_samples(net.loss, rows, sizes[0], sizes[-1], labels=True)

    def figures(n):
        with pynn.threads(n):
            loss, dw, db = net.gradients(x, y)
            evaluated = np.array([loss, *net.evaluate(x, y).values()])
            out = net(x)
            dx, dw_out, db_out = net.backward(out, x, parameters=True)
            inputs = [dx, net.input_gradient(x, y)]
            return [out, net.hidden(x), *dw, *db, evaluated, *inputs, *dw_out, *db_out]

    one = figures(1)
    for n in (2, 3):
        assert_same_bits(figures(n), one)


@needs_openmp
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")
def test_such_networks_do_use_threads(tmp_path):
    code = """
count = lambda: len(os.listdir("/proc/self/task"))
before = count()
trained(1)
alone = count()
trained(3)
print(alone - before, count() - alone)
"""
    assert run_python(PROGRAM + code, tmp_path).split() == ["0", "2"]


@needs_openmp
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")
def test_a_team_gives_its_threads_back(tmp_path):
    """Callers beside each other share the threads; one after another each has all of them."""
    code = """
count = lambda: len(os.listdir("/proc/self/task"))
for _ in range(3):
    trained(2)
before = count()
trained(4)
print(count() - before)
"""
    assert run_python(PROGRAM + code, tmp_path).strip() == "2"


def test_set_num_threads():
    pynn.set_num_threads(3)
    assert pynn.get_num_threads() == (3 if HAS_THREADS else 1)
    pynn.set_num_threads(None)
    assert pynn.get_num_threads() >= 1
    assert pynn.show_config("dict")["threads"] == pynn.get_num_threads()


@pytest.mark.parametrize(
    ("n", "exception"), [(0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError)]
)
def test_a_bad_number_of_threads(n, exception):
    pynn.set_num_threads(2)
    before = pynn.get_num_threads()
    with pytest.raises(exception, match="n must be"):
        pynn.set_num_threads(n)
    with pytest.raises(exception, match="n must be"), pynn.threads(n):
        pass
    assert pynn.get_num_threads() == before


@needs_openmp
def test_threads_nest_and_survive_exceptions():
    pynn.set_num_threads(4)
    with pynn.threads(3):
        with pynn.threads(2):
            assert pynn.get_num_threads() == 2
        assert pynn.get_num_threads() == 3
        with pytest.raises(KeyError), pynn.threads(1):
            raise KeyError
        assert pynn.get_num_threads() == 3
        with pynn.threads(None):
            assert pynn.get_num_threads() >= 1
    assert pynn.get_num_threads() == 4


@needs_openmp
@pytest.mark.parametrize("n", [1, 3])
def test_omp_num_threads(tmp_path, n):
    environment = {**os.environ, "OMP_NUM_THREADS": str(n)}
    code = "print(pynn.get_num_threads(), digest(trained(None)) == digest(trained(1)))"
    assert run_python(PROGRAM + code, tmp_path, environment=environment).split() == [str(n), "True"]


@needs_openmp
def test_threadpoolctl():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = pynn.get_num_threads()
    for n in (1, 3):
        with threadpoolctl.threadpool_limits(n):
            assert pynn.get_num_threads() == n
    assert pynn.get_num_threads() == before


@needs_fork
def test_fork(tmp_path):
    code = """
expected = digest(trained())
r, w = os.pipe()
child = os.fork()
if child == 0:
    os.write(w, f"{pynn.get_num_threads()} {digest(trained())}".encode())
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
threads, bits = os.read(r, 1000).decode().split()
assert digest(trained()) == expected  # the parent goes on as before
print(threads, bits == expected)
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}  # Python's own about fork and threads
    assert run_python(PROGRAM + code, tmp_path, environment=environment).split() == ["1", "True"]


@needs_fork
def test_multiprocessing_with_fork(tmp_path):
    code = """
import multiprocessing
net = trained()

def work(seed):
    return digest(trained()), net(x).tobytes()

with multiprocessing.get_context("fork").Pool(2) as pool:
    answers = pool.map(work, range(4))
print(set(answers) == {(digest(net), net(x).tobytes())})
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    assert run_python(PROGRAM + code, tmp_path, environment=environment).split() == ["True"]


def long_fit():
    """A network and its fit of one long epoch, in a thread that is already at it."""
    pynn.set_num_threads(1)
    net = pynn.MLP([64, 256, 8], "tanh", "mse", seed=0)
    rows = 20_000 if SANITIZERS else 600_000  # they slow it down as much
    x, y = (np.broadcast_to(np.float32(0.5), (rows, n)) for n in (64, 8))
    start = net.weights[0].tobytes()
    failures, stop = [], threading.Event()

    def run():
        try:
            net.fit(x, y, epochs=1000, callbacks=lambda *_: stop.is_set(), batch_size=64)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while net.weights[0].tobytes() == start and time.monotonic() < deadline:
        time.sleep(0.001)
    stop.set()  # at the end of the epoch
    return net, thread, failures, (x, y)


REFUSED = {
    "fit": lambda net, x, y: net.fit(x[:100], y[:100], epochs=1),
    "train_on_batch": lambda net, x, y: net.train_on_batch(x[:9], y[:9], pynn.SGD()),
    "set_weights": lambda net, x, y: net.set_weights(net.weights, net.biases),
}


def test_only_one_thread_trains_a_network():
    net, thread, failures, (x, y) = long_fit()
    state, history = net.rng.bit_generator.state, net.history
    refused = []
    for call in REFUSED.values():
        try:
            call(net, x, y)
        except RuntimeError as error:
            refused.append(str(error))
    busy = thread.is_alive()
    same = net.rng.bit_generator.state == state, net.history is history
    thread.join()
    assert busy, "the fit was too short for this test"
    assert failures == []
    assert len(refused) == len(REFUSED)
    assert all("already being trained" in message for message in refused)
    assert same == (True, True), "a refused fit has drawn from the generator, or taken the history"
    assert len(history) == 1


def test_the_core_itself_refuses_a_second_training():
    """By another thread, and from within a training; who only reads is let in."""
    net = pynn.MLP([64, 256, 8], "tanh", "mse", seed=0)
    x, y = (np.broadcast_to(np.float32(0.5), (10**7, n)) for n in (64, 8))
    optimizer = pynn.SGD(0.01, momentum=0.9)
    bound = optimizer._bind(net)
    gradient, dx = (
        np.full_like(net._engine.parameters, np.nan),
        np.full((9, 64), np.nan, np.float32),
    )

    def train(net, bound, rows, report=None):
        figures = np.empty((1, 3))
        some = x[:rows], y[:rows], False, None, None
        net._engine.core.train(*some, 64, bound, net._engine.rng_position, False, figures, report)

    readers = {
        "gradients": lambda: net._engine.core.gradients(x[:9], y[:9], False, None, gradient, None),
        "backward": lambda: net._engine.core.backward(x[:9], y[:9].copy(), dx, None, None),
        "input_gradient": lambda: net._engine.core.input_gradient(
            x[:9], y[:9], False, None, dx, None
        ),
    }
    inside, read = threading.Event(), []

    def refused(call):
        with pytest.raises(RuntimeError, match="this network is already being trained"):
            call()

    def report(so_far):  # on the thread that trains, in the middle of it
        refused(lambda: train(net, bound, 9))
        for call in readers.values():
            call()
        inside.set()
        if len(read) == len(readers):
            raise ZeroDivisionError("on purpose")

    def run():
        with (
            net._engine.core.writing(fits=True),
            pytest.raises(ZeroDivisionError, match="on purpose"),
        ):
            train(net, bound, len(x), report)

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(60)
    refused(lambda: train(net, bound, 9))
    for call in readers.values():
        call()
        read.append(call)
    thread.join()
    assert np.isfinite(net._engine.named(gradient)["weights_0"]).all()
    assert np.isfinite(dx).all()
    # A refused call has changed nothing; a stopped fit can continue.
    steps = int(optimizer._states[net].steps[0])
    twin = pynn.MLP([64, 256, 8], "tanh", "mse", seed=0)
    train(twin, pynn.SGD(0.01, momentum=0.9)._bind(twin), 64 * steps)
    assert steps > 0
    assert_same_bits(net, twin)
    train(net, bound, 9)


def test_training_releases_the_gil():
    _, thread, failures, _ = long_fit()
    turns = 0
    while thread.is_alive():
        time.sleep(0)  # gives the GIL away, and must get it back
        turns += 1
    thread.join()
    assert turns > 100
    assert failures == []


@pytest.mark.parametrize("n", [1, 2])
def test_many_threads_predict_with_one_network(n):
    net = pynn.MLP([100, 200, 10], seed=0)
    x, _ = make_samples(net.loss, 300, 100, 10)
    expected, hidden = net(x).tobytes(), net.hidden(x).tobytes()

    def work(_):
        return {(net(x).tobytes(), net.hidden(x).tobytes()) for _ in range(10)}

    with pynn.threads(n), ThreadPoolExecutor(4) as pool:
        for answers in pool.map(work, range(4)):
            assert answers == {(expected, hidden)}


def test_two_networks_train_side_by_side():
    x, y = make_samples("mse", 300, 100, 10)

    def trained(seed):
        net = pynn.MLP([100, 200, 10], loss="mse", seed=seed)
        net.fit(x, y, epochs=3, batch_size=128)
        return net

    alone = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for net, same in zip(pool.map(trained, range(4)), alone, strict=True):
            assert_same_bits(net, same)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_threads_keep_the_processors_they_are_allowed():
    """Who leaves a processor for another one puts the allowed ones back."""
    allowed = os.sched_getaffinity(0)
    net = pynn.MLP([300, 200, 10], seed=0)
    x = np.ones((512, 300), np.float32)
    with pynn.threads(4):
        for _ in range(5):
            time.sleep(0.02)  # so that threads are asleep, and woken anywhere
            net(x)
    for task in os.listdir("/proc/self/task"):
        assert os.sched_getaffinity(int(task)) == allowed
