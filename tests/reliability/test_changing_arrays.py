"""Labels, indices and array sizes that change during a call: an error, never a crash."""

import numpy as np
import pytest
from numpy_mlp import run_python

import pynn

# `hammer` calls functions again and again while another thread writes, and says which on stderr;
# `outcomes` counts the calls that end with an error.
START = """
import subprocess, sys, threading, time, warnings
import numpy as np
import pynn

warnings.simplefilter("error")
sys.setswitchinterval(1e-5)
rng = np.random.default_rng(0)
BAD = [10**6, -(10**6), 10**15, -1]
CPU_SECONDS = 0.1

def outcomes(call):
    refused = 0
    end = time.process_time() + CPU_SECONDS
    while time.process_time() < end:
        try:
            call()
        except (ValueError, IndexError, MemoryError, FloatingPointError) as error:
            refused += 1
    return refused

def hammer(calls, *arrays):
    stop = threading.Event()
    def write():
        good = [a.copy() for a in arrays]
        i = 0
        while not stop.is_set():
            for a, old in zip(arrays, good):
                bad = BAD[i % len(BAD)]
                a[:] = max(min(bad, np.iinfo(a.dtype).max), np.iinfo(a.dtype).min)
                i += 1
                a[:] = old
                time.sleep(1e-4 * (i % 3))
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for name, call in calls.items():
            print(name, file=sys.stderr, flush=True)
            print(name, outcomes(call))
    finally:
        stop.set()
        thread.join()
"""

LABELS = """
pynn.set_num_threads(int(sys.argv[1]))
rows, classes = 20000, int(sys.argv[2])
X = rng.normal(size=(rows, 8)).astype("f4")
y = rng.integers(classes, size=rows)
outputs = rng.normal(size=(rows, classes))
net = pynn.MLP([8, 16, classes], seed=0)
sigmoid = pynn.MLP([8, classes], loss="sigmoid_cross_entropy", seed=0)
smooth = pynn.losses.SoftmaxCrossEntropy(label_smoothing=0.1)
"""
CALLS = {
    "fit": "net.fit(X, y, epochs=2, batch_size=256)",
    "fit in order": "net.fit(X, y, epochs=2, batch_size=256, shuffle=False)",
    "fit sigmoid": "sigmoid.fit(X, y, epochs=2, batch_size=256)",
    "fit smoothed": "pynn.MLP([8, classes], loss=smooth, seed=0).fit(X, y, epochs=1)",
    "fit weighted": "net.fit(X, y, epochs=2, sample_weight=np.arange(1.0, rows + 1))",
    "validation": "net.fit(X[:9], y[:9].clip(0, 1), epochs=3, validation_data=(X, y))",
    "evaluate": "net.evaluate(X, y)",
    "score": "net.score(X, y)",
    "top_2": "net.evaluate(X, y, metrics='top_2')",
    "gradients": "net.gradients(X, y)",
    "input_gradient": "net.input_gradient(X, y)",
    "train_on_batch": "net.train_on_batch(X, y)",
    "softmax": "pynn.softmax_cross_entropy(outputs, y)",
    "sigmoid": "pynn.sigmoid_cross_entropy(outputs, y)",
    "fit_many": "pynn.fit_many([pynn.MLP([8, classes], seed=0)], X, y, epochs=1, on_error='raise')",
}


@pytest.mark.parametrize("classes", [3, 40])  # short rows and long ones
def test_a_thread_that_writes_labels(classes, tmp_path):
    calls = ", ".join(f"{name!r}: lambda: {code}" for name, code in CALLS.items())
    program = START + LABELS + f"hammer({{{calls}}}, y)"
    done = run_python(program, tmp_path, 1 + classes % 2, classes)
    assert len(done.splitlines()) == len(CALLS)


ANOTHER_PROCESS = """
writer = '''
import sys, time
import numpy as np
y = np.load(sys.argv[1], mmap_mode="r+")
good = y.copy()
print(flush=True)
for i in range(10**9):
    y[:] = [10**6, -(10**6)][i % 2]
    y[:] = good
'''
np.save("y.npy", y)
y = np.load("y.npy", mmap_mode="r")
other = subprocess.Popen([sys.executable, "-c", writer, "y.npy"], stdout=subprocess.PIPE)
other.stdout.readline()
try:
    for call in (lambda: net.fit(X, y, epochs=2, batch_size=256), lambda: net.evaluate(X, y),
                 lambda: net.gradients(X, y), lambda: pynn.softmax_cross_entropy(outputs, y)):
        print(outcomes(call), flush=True)
finally:
    other.kill()
    other.wait()
"""


def test_another_process_that_writes_labels(tmp_path):
    done = run_python(START + LABELS + ANOTHER_PROCESS, tmp_path, 1, 3)
    assert len(done.splitlines()) == 4


SPARSE = """
from scipy import sparse
pynn.set_num_threads(int(sys.argv[1]))
rows, columns = 3000, int(sys.argv[3])
stored = columns // 100
indices = np.arange(0, columns, 100) + rng.integers(100, size=(rows, stored))
X = sparse.csr_matrix((rows, columns), dtype="f4")
X.indices, X.data = indices.ravel().astype(sys.argv[2]), rng.random(indices.size, "f4")
X.indptr = np.arange(0, indices.size + 1, stored, sys.argv[2])
assert X.has_canonical_format
y = rng.integers(3, size=rows)
net = pynn.MLP([columns, 8, 3], seed=0, dropout=0.1)
deep = pynn.MLP([columns, 8, 3], seed=0)
CALLS = {
    "sgd": lambda: deep.fit(X, y, epochs=2, batch_size=64, optimizer=pynn.SGD(1e-3)),
    "adam": lambda: net.fit(X, y, epochs=2, batch_size=600, optimizer=pynn.Adam(1e-5)),
    "forward": lambda: net(X),
    "training": lambda: net(X, training=True),
    "evaluate": lambda: net.evaluate(X, y),
    "gradients": lambda: net.gradients(X, y),
}
"""


@pytest.mark.parametrize(
    ("threads", "dtype", "columns"),
    [(2, "i4", 400), (1, "i8", 400), (1, "i4", 20000), (2, "i4", 20000)],
)
def test_a_thread_that_writes_a_sparse_matrix(threads, dtype, columns, tmp_path):
    pytest.importorskip("scipy.sparse")
    program = START + SPARSE + "for a in X.indices, X.indptr: hammer(CALLS, a)"
    assert run_python(program, tmp_path, threads, dtype, columns)


# The handler runs between two mini-batches of one call of the core.
SIGNAL = """
import signal
rows = 4096
X = rng.normal(size=(rows, 100)).astype("f4")
y = rng.integers(10, size=rows)
good = y.copy()
pynn.set_num_threads(1)

def handler(*_):
    y[:] = 10

signal.signal(signal.SIGALRM, handler)
net, other = (pynn.MLP([100, 100, 10], seed=0, dropout=0.2) for _ in range(2))
options = {"batch_size": 512, "shuffle": False, "optimizer": "adam"}
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    net.fit(X, y, epochs=10**6, **options)
except ValueError as error:
    message = str(error)
y[:] = good
steps = 0
while any((a != b).any() for a, b in zip(net.weights, other.weights)):
    batch = slice(steps * 512 % rows, steps * 512 % rows + 512)
    other.train_on_batch(X[batch], y[batch], "adam")
    steps += 1
    assert steps < 20000
assert f"y holds the label 10 in row {steps * 512 % rows}, " in message, (message, steps)
place = f"in epoch {steps // 8 + 1}, mini-batch {steps % 8}. "
assert message.endswith(
    f"y was changed during the call {place}The weights are those before this mini-batch."
), (message, steps)
for each in (net, other):  # the counters of Adam and dropout, too
    each.fit(X, y, epochs=2, **options)
assert all((a == b).all() for a, b in zip(net.weights, other.weights))
print("as after", steps)
"""


def test_a_signal_handler_that_writes_labels(tmp_path):
    assert run_python(START + SIGNAL, tmp_path).startswith("as after")


def samples(rows=300, classes=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 4)), rng.integers(classes, size=rows)


IN_A_PROCESS = """
import sys
sys.path[:0] = sys.argv[2:]
import numpy as np, pynn
X = np.random.default_rng(0).normal(size=(9000, 4))
y = np.random.default_rng(1).integers(3, size=9000)
yv = y.copy()
def write(net, history):
    yv[8000:] = int(sys.argv[1])
try:
    pynn.MLP([4, 3], seed=0).fit(X, y, epochs=3, validation_data=(X, yv), callbacks=write)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("label", [10**6, -(10**6), 3, -1])
def test_a_callback_that_writes_validation_labels(label, tmp_path):
    assert run_python(IN_A_PROCESS, tmp_path, label).strip() == (
        f"validation_data[1] holds the label {label} in row 8000, which is not a class: expected "
        "0 to 2; validation_data[1] was changed during the call in epoch 2"
    )


def test_a_callback_that_writes_labels_of_the_fit():
    X, y = samples()
    net, other = (pynn.MLP([4, 8, 3], seed=0) for _ in range(2))

    def write(net, batch, loss):
        if batch == 1:
            y[70] = 3

    class Callback(pynn.Callback):
        on_batch_end = staticmethod(write)

    options = {"shuffle": False, "batch_size": 32, "optimizer": "adam"}
    other.fit(X[:64], y[:64], epochs=1, **options)
    with pytest.raises(ValueError, match=r"y holds the label 3 in row 70, .* 0 to 2") as caught:
        net.fit(X, y, epochs=2, callbacks=Callback(), **options)
    assert str(caught.value).endswith(
        "y was changed during the call in epoch 1, mini-batch 2. The weights are those before this "
        "mini-batch."
    )
    for a, b in zip(net.weights, other.weights, strict=True):
        assert a.tobytes() == b.tobytes()


def test_late_errors_name_epoch_and_mini_batch():
    X, y = samples()
    net, other = (pynn.MLP([4, 8, 3], seed=0) for _ in range(2))
    options = {"shuffle": False, "batch_size": 32}

    def write(net, history):
        if len(history) == 2:
            y[100] = -7

    other.fit(X, y, epochs=2, **options)
    with pytest.raises(ValueError, match="y holds the label -7 in row 100") as caught:
        net.fit(X, y, epochs=9, callbacks=write, **options)
    assert str(caught.value).endswith(
        "y was changed during the call in epoch 3, mini-batch 3. The weights are those before this "
        "mini-batch."
    )
    for start in (0, 32, 64):
        other.train_on_batch(X[start : start + 32], y[start : start + 32])
    for a, b in zip(net.weights, other.weights, strict=True):
        assert a.tobytes() == b.tobytes()


def test_given_mini_batches_are_named():
    X, y = samples()

    def batches():
        for start in (0, 100, 200):
            yield X[start : start + 100], y[start : start + 100]

    class Weights:  # (What is checked before `y` is read by the core.)
        def __array__(self, dtype=None, copy=None):
            y[150] = 3
            return np.ones(100)

    def weighted():
        yield X[:100], y[:100]
        yield X[100:200], y[100:200], Weights()

    net = pynn.MLP([4, 3], seed=0)
    net.fit(batches(), epochs=1)
    with pytest.raises(
        ValueError,
        match=r"^y of mini-batch 1 holds the label 3 in row 50, .* 0 to 2; y of mini-batch 1 was "
        r"changed during the call in epoch 1, mini-batch 1\. The weights are those before",
    ):
        net.fit(weighted(), epochs=1)


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("indices", 9, "X has a column index that is out of range in row 120"),
        ("indptr", 99999, "the row pointers of X do not fit its stored values in row 119"),
    ],
)
def test_a_callback_that_writes_into_a_sparse_matrix(array, value, message):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = samples()
    X = sparse.csr_matrix(X)

    def write(net, history):
        getattr(X, array)[483 if array == "indices" else 120] = value

    net = pynn.MLP([4, 8, 3], seed=0)
    with pytest.raises(ValueError, match=message) as caught:
        net.fit(X, y, epochs=3, callbacks=write, shuffle=False, batch_size=32)
    assert str(caught.value).endswith(
        "; X was changed during the call in epoch 2, mini-batch 0. The weights are those before "
        "this mini-batch."
    )


def test_other_labels_that_are_classes_count():
    X, y = samples()
    validation, training, changed = y.copy(), y.copy(), (y + 1) % 3
    sgd = pynn.SGD(0.1)
    net, other = (pynn.MLP([4, 3], seed=0) for _ in range(2))

    def write(net, history):
        validation[:] = training[:] = changed

    data = (X, validation)
    history = net.fit(X, training, epochs=2, optimizer=sgd, validation_data=data, callbacks=write)
    first = other.fit(X, y, epochs=1, optimizer=sgd, validation_data=(X, y))
    second = other.fit(X, changed, epochs=1, validation_data=(X, changed))
    for name in ("loss", "val_loss", "val_accuracy"):
        assert history[name] == [*first[name], *second[name]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_are_copied(shuffle):
    X, y = samples()
    results = []
    for write in (False, True):
        train, test = np.arange(200), np.arange(200, 300)

        def change(net, history, arrays=(train, test), write=write):
            for array in arrays if write else ():
                array[:] = 10**12

        result = pynn.fit_many(
            [pynn.MLP([4, 3], seed=0)],
            X,
            y,
            epochs=3,
            shuffle=shuffle,
            cv=[(train, test)],
            refit=False,
            callbacks=change,
            on_error="raise",
        )
        results.append(result.table[0]["test_loss"])
    assert results[0] == results[1]


def test_orders_of_a_generator_that_keeps_them():
    class Keeping(np.random.Generator):
        def permutation(self, n):
            kept.append(super().permutation(n))
            return kept[-1]

    kept = []

    X, y = samples()
    losses = []
    for write in (False, True):
        net = pynn.MLP([4, 3], seed=0)
        net.rng = Keeping(np.random.PCG64(0))

        def change(net, batch, loss, write=write):
            if write:
                kept[-1][:] = 10**12

        callback = pynn.Callback()
        callback.on_batch_end = change
        losses.append(net.fit(X, y, epochs=2, callbacks=callback)["loss"])
    assert losses[0] == losses[1]


# Large arrays: their memory goes back to the system at once.
RESIZE = """
import sys
import numpy as np, pynn
n = 10**6
X, y, w = np.zeros((n, 4)), np.zeros(n), np.ones(n)
array = {"X": X, "y": y, "w": w}[sys.argv[1]]
def resize(net, history):
    array.resize((0,) * array.ndim, refcheck=False)
try:
    pynn.MLP([4, 1], loss="mse", seed=0).fit(
        X, y, sample_weight=w, epochs=2, batch_size=10**5, shuffle=False, callbacks=resize
    )
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("array", ["X", "y", "w"])
def test_arrays_of_a_fit_cannot_be_resized(array, tmp_path):
    assert "cannot resize an array" in run_python(RESIZE, tmp_path, array)


# Another thread may resize an array while the core reads it without the GIL.
RESIZE_THREAD = """
sys.setswitchinterval(0.005)
n = 10**6
net = pynn.MLP([8, 16, 3], seed=0)
made, refused, stop = [], 0, threading.Event()

def resize():
    global refused
    while not stop.is_set():
        for array in made:
            try:
                array.resize((0,) * array.ndim, refcheck=False)
            except ValueError as error:
                refused += "cannot resize" in str(error)
        time.sleep(1e-3)

thread = threading.Thread(target=resize)
thread.start()
try:
    for call in (net, net.hidden, lambda X, y: net.gradients(X, y), lambda X, y: net.score(X, y),
                 lambda X, y: net.train_on_batch(X, y),
                 lambda z, y: pynn.softmax_cross_entropy(z, y)):
        arrays = np.zeros((n, 8), "f4"), np.zeros(n, int)
        made[:] = arrays
        try:
            call(*(arrays if call not in (net, net.hidden) else arrays[:1]))
        except ValueError:
            pass  # (resized before the call has taken it)
finally:
    stop.set()
    thread.join()
print(refused)
"""


def test_a_thread_that_resizes(tmp_path):
    assert int(run_python(START + RESIZE_THREAD, tmp_path)) > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_weights_that_become_unusable(dtype, bad):
    X, y = samples()
    weights = np.ones(len(X))
    net = pynn.MLP([4, 8, 3], seed=0, dtype=dtype)

    def write(net, history):
        weights[123] = bad

    with pytest.raises(FloatingPointError, match=f"sample_weight is {bad} in row 123"):
        net.fit(X, y, sample_weight=weights, epochs=2, callbacks=write, shuffle=False)
    assert all(np.isfinite(w).all() for w in net.weights)
