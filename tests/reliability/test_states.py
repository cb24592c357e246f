"""The state at every point where Python code can run is that of one whole step.

Signals arrive at random moments of many short fits; their handlers raise exceptions of several
classes, or save the network. The reference trains step by step with `train_on_batch`,
with orders from a separate generator.
"""

import io
import json
import os
import pickle
import signal
import threading
import time

import pytest
from numpy_mlp import assert_same_bits, make_samples, run_python

import pynn

needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX")
ROWS, BATCH, EPOCHS = 23, 5, 40
STEPS = -(-ROWS // BATCH)

PROGRAM = """
import copy, io, json, pickle, random, signal, sys, threading, time
import numpy as np
import pynn

kind, acts = json.loads(sys.argv[1])
ROWS, BATCH, EPOCHS = 23, 5, 40
STEPS = -(-ROWS // BATCH)
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 4)), rng.integers(3, size=ROWS)

class OwnError(Exception):
    pass

class TimeLimit(ValueError):
    pass

def make():
    return pynn.MLP([4, 6, 3], "tanh", dropout=0.2, dtype="float64", seed=0)

def state(net):
    optimizer = net.optimizer
    steps, moments = 0, []
    if optimizer is not None and net in optimizer._states:
        kept = optimizer._states[net]
        steps, moments = int(kept.steps[0]), [a.tobytes() for a in (kept.m, kept.v)]
    return {
        "weights": net._engine.parameters.tobytes(), "steps": steps, "moments": moments,
        "noise": int(net._engine.rng_position[1]), "rng": net.rng.bit_generator.state,
        "loss": [] if net.history is None else list(net.history.history.get("loss", [])),
        "epochs": [] if net.history is None else list(net.history.epoch),
    }

# What a program makes of it step by step.
reference, twin, adam = [], make(), pynn.Adam(0.01)
losses, before = [], None
for epoch in range(EPOCHS):
    between = twin.rng.bit_generator.state
    order = twin.rng.permutation(ROWS)
    total = 0.0
    for i in range(STEPS):
        rows = order[i * BATCH:(i + 1) * BATCH]
        total += twin.train_on_batch(X[rows], Y[rows], adam) * len(rows)
        reference.append((state(twin), epoch))
    losses.append(total / ROWS)
start = state(make())

def check(found):
    steps = found["steps"]
    expected, epoch = (start, 0) if steps == 0 else reference[steps - 1]
    assert found["noise"] == steps, (found["noise"], steps)
    assert found["weights"] == expected["weights"], steps
    if steps:
        assert found["moments"] == expected["moments"], steps
    assert found["rng"] == expected["rng"], ("generator", steps)
    whole = steps // STEPS
    assert found["epochs"] == list(range(1, len(found["epochs"]) + 1))
    assert len(found["loss"]) == len(found["epochs"])
    # An epoch's figures follow its last step, unless nothing of Python's comes between two.
    least = whole - (kind != "unwatched" and steps % STEPS == 0 and steps > 0)
    assert least <= len(found["epochs"]) <= whole, (found["epochs"], steps)
    assert np.allclose(found["loss"], losses[:len(found["loss"])], rtol=1e-12)

def one_fit(net):
    further = {}
    if kind == "watched":
        further = {"callbacks": lambda net, history: None}
    elif kind == "batches":
        class Seen(pynn.Callback):
            def on_batch_end(self, net, batch, loss):
                if all(refusals):
                    check(state(net))
        further = {"callbacks": Seen()}
    elif kind == "validated":
        further = {"validation_data": (X, Y)}
    net.fit(X, Y, epochs=EPOCHS, batch_size=BATCH, optimizer=pynn.Adam(0.01), **further)

refusals, length = [], 1.0
for _ in range(5):
    began = time.perf_counter()
    one_fit(make())
    length = min(length, time.perf_counter() - began)

ERRORS = [KeyboardInterrupt, SystemExit, OwnError, TimeLimit, TimeoutError, MemoryError]
saved = []

def handler(number, frame):
    if acts == "raise":
        raise error
    if acts == "save":
        file = io.BytesIO()
        net.save(file)
        saved.append(state(pynn.load(io.BytesIO(file.getvalue()))))
    elif acts == "pickle":
        saved.append(state(pickle.loads(pickle.dumps(net))))
    elif acts == "copy":
        saved.append(state(copy.deepcopy(net)))
    elif acts == "fit":
        previous = state(net)
        try:
            net.fit(X, Y, epochs=1)
        except RuntimeError as refused:
            assert "already being trained" in str(refused), refused
            assert state(net) == previous
            refusals.append(True)
        else:  # the signal came within a callback, which may train
            refusals.append(False)

signal.signal(signal.SIGALRM, handler)
draws, reached = random.Random(1), 0
tries, refusals_seen = 120 if acts == "raise" else 60, 0
for i in range(tries):
    net = make()
    error = draws.choice(ERRORS)("on purpose")
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, draws.uniform(1e-5, 1.05 * length))
            one_fit(net)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as caught:
        if caught is not error:
            raise
        reached += 1
        now = state(net)
        check(now)
        other = threading.Thread(target=lambda: net.train_on_batch(X, Y))
        other.start()
        other.join()
        assert int(net._engine.rng_position[1]) == now["steps"] + 1  # another thread finds it free
    else:
        if all(refusals):
            check(state(net))
    refusals_seen += len(refusals)
    refusals.clear()
    for each in saved:
        reached += 1
        check(each)
    saved.clear()
reached += refusals_seen
print(json.dumps(reached))
"""


@needs_timers
@pytest.mark.parametrize("kind", ["unwatched", "watched", "batches", "validated"])
@pytest.mark.parametrize("acts", ["raise", "save", "pickle", "copy", "fit"])
def test_signals_at_random_moments(tmp_path, kind, acts):
    if (kind, acts) == ("batches", "fit"):
        pytest.skip("a handler that interrupts a callback may train, as the callback may")
    reached = json.loads(run_python(PROGRAM, tmp_path, json.dumps([kind, acts])))
    assert reached > 10


def make(rows=2000, **settings):
    net = pynn.MLP([16, 64, 4], "tanh", "mse", seed=0, dtype="float64", **settings)
    return net, *make_samples("mse", rows, 16, 4)


READERS = {
    "save": lambda net, x, y: net.save(io.BytesIO()),
    "pickle": lambda net, x, y: pickle.dumps(net),
    "gradients": lambda net, x, y: net.gradients(x[:50], y[:50]),
    "input_gradient": lambda net, x, y: net.input_gradient(x[:50], y[:50]),
    "backward": lambda net, x, y: net.backward(y[:50], x[:50]),
    "predict": lambda net, x, y: net.predict(x),
    "training mode": lambda net, x, y: net(x[:50], training=True),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "get_weights": lambda net, x, y: net.get_weights(),
}


def in_threads(*calls):
    """Call them, each in a thread; the exceptions."""
    errors = []

    def work(call):
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_readers_share_an_idle_network():
    net, x, y = make(dropout=0.1)
    net.fit(x, y, epochs=1)
    expected = [a.tobytes() for a in net.gradients(x[:50], y[:50])[1]]

    def repeat(read):
        for _ in range(30):
            read(net, x, y)

    def same():
        for _ in range(30):
            assert [a.tobytes() for a in net.gradients(x[:50], y[:50])[1]] == expected

    assert in_threads(same, same, *(lambda r=read: repeat(r) for read in READERS.values())) == []


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_in_a_loop_lets_a_fit_begin_and_go_on(reader):
    net, x, y = make()
    done = threading.Event()

    def read():
        while not done.is_set():
            READERS[reader](net, x, y)

    def fit():
        try:
            for _ in range(3):
                net.fit(x, y, epochs=2)
                net.train_on_batch(x[:9], y[:9])
        finally:
            done.set()

    assert in_threads(read, read, fit) == []
    twin, *_ = make()
    for _ in range(3):
        twin.fit(x, y, epochs=2)
        twin.train_on_batch(x[:9], y[:9])
    assert_same_bits(net, twin)


@pytest.mark.parametrize("watched", [False, True])
def test_a_reader_beside_a_fit_finds_a_whole_step(watched):
    net, x, y = make(500, dropout=0.2)
    steps = -(-500 // 32)
    twin, _, _ = make(500, dropout=0.2)
    found, done = [], threading.Event()

    def fit():
        try:
            callbacks = [lambda net, history: None] if watched else []
            net.fit(x, y, epochs=1500, optimizer=pynn.Adam(1e-4), callbacks=callbacks)
        finally:
            done.set()

    def save():
        while not done.is_set():
            file = io.BytesIO()
            net.save(file)
            found.append(file.getvalue())
            time.sleep(0.03)

    assert in_threads(fit, save) == []
    states = {}
    for data in found:
        saved = pynn.load(io.BytesIO(data))
        if saved.optimizer is not None:
            states[int(saved.optimizer._states[saved].steps[0])] = saved
    assert len(states) > 1
    adam = pynn.Adam(1e-4)
    count = 0
    for _ in range(1500):
        order = twin.rng.permutation(500)
        for i in range(steps):
            rows = order[32 * i : 32 * (i + 1)]
            twin.train_on_batch(x[rows], y[rows], adam)
            count += 1
            if count in states:
                saved = states.pop(count)
                assert_same_bits(saved, twin)
                assert saved.rng.bit_generator.state == twin.rng.bit_generator.state
                assert int(saved._engine.rng_position[1]) == count
                assert len(saved.history) in {count // steps, (count - 1) // steps}
        if not states:
            break
    assert not states or min(states) == 0


def test_threads_that_train_one_network_take_turns():
    net, x, y = make(64)

    def steps():
        for _ in range(50):
            net.train_on_batch(x, y, learning_rate=1e-3)

    assert in_threads(steps, steps, steps) == []
    assert int(net._engine.rng_position[1]) == 150


def test_a_second_fit_is_refused_and_changes_nothing():
    net, x, y = make()
    inside, tried, messages = threading.Event(), threading.Event(), []

    def wait(net, history):
        inside.set()
        tried.wait(60)

    def refused():
        inside.wait(60)
        before = net.history, net.optimizer, net.rng.bit_generator.state
        for call in (net.fit, net.train_on_batch):
            with pytest.raises(RuntimeError, match="already being trained by another"):
                call(x[:9], y[:9], optimizer=pynn.SGD())
        with pytest.raises(RuntimeError, match="already being trained"):
            net.set_weights(*net.get_weights())
        messages.append((net.history, net.optimizer, net.rng.bit_generator.state) == before)
        tried.set()

    assert in_threads(lambda: net.fit(x, y, epochs=1, callbacks=wait), refused) == []
    assert messages == [True]


FORKED = """
import copy, os, sys, threading, time
import numpy as np
import pynn

pynn.set_num_threads(1)
net = pynn.MLP([300, 200, 10], seed=1)
x, y = np.ones((1, 300), "f4"), np.ones(1, int)
x, y = (np.broadcast_to(a, (10**8, *a.shape[1:])) for a in (x, y))
start = net._engine.parameters.copy()
threading.Thread(target=net.fit, args=(x, y), daemon=True,
                 kwargs=dict(batch_size=128, shuffle=False)).start()
while (net._engine.parameters == start).all():
    time.sleep(0.001)
child = os.fork()
if child == 0:
    status = 1
    try:
        for call in (lambda: net.fit(x[:9], y[:9]), lambda: net(x[:9]), lambda: net.save("a.npz"),
                     lambda: net.gradients(x[:9], y[:9])):
            try:
                call()
            except RuntimeError as error:
                assert "forked" in str(error) and "copy.deepcopy" in str(error), error
            else:
                raise AssertionError("not refused")
        for own in (copy.deepcopy(net), copy.copy(net)):
            own.fit(x[:200], y[:200], epochs=2)
            own.save("b.npz")
            own.gradients(x[:9], y[:9])
        status = 0
    finally:
        os._exit(status)
print(os.waitpid(child, 0)[1])
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_during_a_fit(tmp_path):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}  # Python's own about fork and threads
    assert run_python(FORKED, tmp_path, environment=environment).split() == ["0"]


@needs_timers
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("kind", [ValueError, OSError, TimeoutError, RuntimeError, SystemExit])
def test_an_exception_in_a_load_or_a_save_passes_through(tmp_path, kind):
    net, _, _ = make()
    path = tmp_path / "net.npz"
    net.save(path)

    def handler(number, frame):
        raise error

    before = signal.signal(signal.SIGALRM, handler)
    reached = others = 0
    try:
        for i in range(150):
            error = kind("on purpose")
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-4 * (1 + i % 25))
                    pynn.load(path) if i % 2 else net.save(path)
                    time.sleep(0.004)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except kind as caught:
                others += caught is not error
                reached += 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert reached > 100
    assert others == 0
    assert_same_bits(pynn.load(path), net)
    others = [file.name for file in tmp_path.iterdir() if file != path]
    assert all(name.startswith(".pynn-") for name in others)
