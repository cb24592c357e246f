"""Sparse samples: the bits of the dense matrix, memory that follows the stored values, errors."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, assert_close, parameters_of, run_python
from sanitizers import not_sanitized

import pynn
from pynn._sparse import CsrRows

sparse = pytest.importorskip("scipy.sparse")

OPTIMIZERS = {
    "sgd": lambda: pynn.SGD(0.1),
    "momentum": lambda: pynn.SGD(0.1, momentum=0.9),
    "nesterov": lambda: pynn.SGD(0.1, momentum=0.9, nesterov=True),
    "weight decay": lambda: pynn.SGD(0.1, weight_decay=0.01),
    "clipped": lambda: pynn.SGD(0.1, clip_norm=0.05),
    "adam": lambda: pynn.Adam(0.01),
    "adamw": lambda: pynn.AdamW(0.01),
    "rmsprop": lambda: pynn.RMSprop(0.001, momentum=0.5),
}
SETTINGS = {
    "plain": {},
    "penalties": {"l1": 1e-4, "l2": 1e-3},
    "dropout": {"dropout": [0.3, 0.2], "activation": "gelu"},
    "max norm": {"max_norm": 0.5, "bias": False, "activation": "tanh"},
}
# Rows, columns, the part that is stored, units, and rows of a mini-batch. (Sums are cut every 512.)
SHAPES = [(23, 30, 0.3, 9, 7), (6, 1500, 0.05, 130, 1), (700, 1100, 0.01, 17, 600)]


def make(n, columns, density=0.1, dtype="float64", seed=0):
    """Samples, some of them empty, and labels of three classes."""
    x = sparse.random_array((n, columns), density=density, format="csr", rng=seed).astype(dtype)
    return x, np.random.default_rng(seed).integers(0, 3, n)


def net_of(columns, units=8, **options):
    return pynn.MLP([columns, units, 3], **{"seed": 0, "dtype": "float64", **options})


def assert_equal(a, b):
    """Require the same bits, up to the sign of zero."""
    for left, right in zip(parameters_of(a), parameters_of(b), strict=True):
        np.testing.assert_array_equal(left, right)


def fitted(x, y, units, threads, settings, optimizer, **options):
    net = net_of(x.shape[1], units, **settings)
    with pynn.threads(threads):
        history = net.fit(x, y, optimizer=optimizer(), **options)
    return net, history


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_fit_has_the_bits_of_the_dense_one(optimizer, settings, dtype):
    for n, columns, density, units, size in SHAPES:
        x, y = make(n, columns, density, dtype)
        settled = {**SETTINGS[settings], "dtype": dtype}
        options = {"epochs": 2, "batch_size": size}
        dense, of_dense = fitted(
            x.toarray(), y, units, 1, settled, OPTIMIZERS[optimizer], **options
        )
        for threads in (1, 2, 3):
            net, history = fitted(x, y, units, threads, settled, OPTIMIZERS[optimizer], **options)
            assert history.loss == of_dense.loss
            assert_equal(net, dense)


def test_long_fits_on_threads_of_their_own():
    """Large enough that several threads do come, with parameters beyond the caches."""
    x, y = make(400, 3000, 0.05)
    for settings in ({}, {"l2": 1e-3}):
        for optimizer in (OPTIMIZERS["sgd"], OPTIMIZERS["adam"]):
            sizes = [3000, 300, 700, 3]
            nets = [pynn.MLP(sizes, dtype="float64", seed=0, **settings) for _ in range(4)]
            for net, samples, threads in zip(
                nets, (x.toarray(), x, x, x), (1, 1, 2, 3), strict=True
            ):
                with pynn.threads(threads):
                    net.fit(samples, y, batch_size=200, epochs=1, optimizer=optimizer())
                assert_equal(net, nets[0])


def test_the_numbers_of_numpy():
    x, y = make(40, 25, 0.2)
    net = net_of(25)
    numpy_net = NumpyMLP(net)
    order = numpy_net.rng.permutation(40)
    net.fit(x, y, batch_size=8, epochs=1, optimizer=pynn.SGD(0.1))
    for first in range(0, 40, 8):
        rows = order[first : first + 8]
        numpy_net.train_on_batch(x.toarray()[rows], np.eye(3)[y[rows]], 0.1)
    assert_close(parameters_of(net), numpy_net, 1e-12)


FITS = {
    "as they are": {"shuffle": False},
    "validation split": {"validation_split": 0.3, "metrics": "accuracy"},
    "replacement": {"sampling": "replacement"},
    "sample weights": {"sample_weight": np.linspace(0, 1, 90)},
    "class weights": {"class_weight": "balanced"},
    "a callback of mini-batches": {"callbacks": type("C", (pynn.Callback,), {
        "on_batch_end": lambda self, net, batch, loss: batch == 4})()},
}  # fmt: skip


@pytest.mark.parametrize("options", FITS)
def test_all_ways_to_fit(options):
    x, y = make(90, 600, 0.03)
    a, b = net_of(600), net_of(600)
    given = {"epochs": 3, "batch_size": 16, "optimizer": pynn.Adam(0.01), **FITS[options]}
    one, other = a.fit(x, y, **given), b.fit(x.toarray(), y, **given)
    assert_equal(a, b)
    for name in one.history:
        if name != "seconds":
            assert one.history[name] == other.history[name]


def test_validation_data_and_mini_batches():
    x, y = make(90, 600, 0.03)
    a, b = net_of(600), net_of(600)
    validation = x[60:], y[60:]
    one = a.fit(x[:60], y[:60], batch_size=20, epochs=2, validation_data=validation,
                shuffle=False, optimizer=pynn.SGD(0.1))  # fmt: skip
    parts = [(x[i : i + 20], y[i : i + 20]) for i in (0, 20, 40)]
    other = b.fit((part for part in parts * 2), epochs=1, optimizer=pynn.SGD(0.1),
                  validation_data=(x[60:].toarray(), y[60:]))  # fmt: skip
    assert_equal(a, b)
    assert one.val_loss[-1] == other.val_loss[-1]
    c = net_of(600)
    for part in parts * 2:
        c.train_on_batch(*part, pynn.SGD(0.1))
    assert_equal(a, c)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_training_mode_has_the_bits_of_the_dense_one(threads):
    """Dropout of inputs and of hidden units; more rows than the core takes at a time."""
    x, y = make(2500, 600, 0.02)
    net = net_of(600, dropout=[0.3, 0.2])
    net.train_on_batch(x[:50], y[:50])  # (the masks are those of a later step)
    with pynn.threads(threads):
        np.testing.assert_array_equal(net(x, training=True), net(x.toarray(), training=True))
    assert not np.array_equal(net(x, training=True), net(x))


def test_what_a_network_answers():
    x, y = make(1030, 700, 0.02)
    for dtype in ("float32", "float64"):
        net = pynn.MLP([700, 33, 20, 3], dropout=[0.2, 0.1, 0.1], dtype=dtype, seed=0)
        dense = x.toarray()
        for threads in (1, 2):
            with pynn.threads(threads):
                np.testing.assert_array_equal(net(x), net(dense))
        np.testing.assert_array_equal(net.predict(x), net.predict(dense))
        for layer in (0, 1):
            np.testing.assert_array_equal(net.hidden(x, layer), net.hidden(dense, layer))
        assert net.evaluate(x, y) == net.evaluate(dense, y)
        for training in (False, True):
            one, other = (net.gradients(samples, y, training=training) for samples in (x, dense))
            assert one[0] == other[0]
            for left, right in zip(one[1] + one[2], other[1] + other[2], strict=True):
                np.testing.assert_array_equal(left, right)
        out = np.empty((1030, 3), dtype)
        assert net(x, out=out) is out
        np.testing.assert_array_equal(out, net(dense))
        np.testing.assert_array_equal(net(x[3:4]), net(x)[3:4])
    assert net(x[:0]).shape == (0, 3)


FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("layout", FORMATS)
def test_every_format(layout, kind):
    x, y = make(20, 30)
    given = getattr(sparse, f"{layout}_{kind}")(x)
    net = net_of(30)
    np.testing.assert_array_equal(net(given), net(x.toarray()))
    net.fit(given, y, epochs=1)


def test_a_sparse_vector_is_a_sample():
    x, _ = make(4, 30, 0.5)
    vector = sparse.coo_array(x.toarray()[2])
    net = net_of(30)
    assert vector.shape == (30,)
    np.testing.assert_array_equal(net(vector), net(x.toarray()[2]))


TYPES = ("int8", "uint8", "int16", "int32", "int64", "uint64", "bool", "float32", "longdouble")


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_of_values(dtype):
    x, y = make(30, 40, 0.3)
    x.data[:] = np.round(x.data * 5)
    x = x.astype(dtype)
    for float_type in ("float32", "float64"):
        a, b = net_of(40, dtype=float_type), net_of(40, dtype=float_type)
        a.fit(x, y, epochs=1, optimizer=pynn.SGD(0.1))
        b.fit(x.toarray(), y, epochs=1, optimizer=pynn.SGD(0.1))
        assert_equal(a, b)


def test_long_indices_and_other_byte_orders():
    x, y = make(30, 40, 0.3)
    expected = net_of(40)
    expected.fit(x, y, epochs=1)
    wide = x.copy()
    wide.indices, wide.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    assert wide.indices.dtype == np.int64
    swapped = x.copy()
    swapped.data = x.data.astype(x.dtype.newbyteorder())
    for other in (wide, swapped):
        net = net_of(40)
        net.fit(other, y, epochs=1)
        assert_equal(net, expected)


def test_duplicates_are_summed_and_indices_sorted_in_a_copy():
    data = np.array([1.0, 2, 3, 4, 5])
    indices = np.array([3, 1, 3, 2, 0])
    x = sparse.csr_array((data, indices, [0, 3, 3, 5]), shape=(3, 4))
    net = net_of(4)
    np.testing.assert_array_equal(net(x), net(np.array([[0.0, 2, 0, 4], [0] * 4, [5, 0, 4, 0]])))
    np.testing.assert_array_equal(x.indices, [3, 1, 3, 2, 0])
    np.testing.assert_array_equal(x.data, data)


def test_explicit_zeros_count_as_zeros():
    x, y = make(30, 40, 0.3)
    x.data[::3] = 0
    a, b = net_of(40), net_of(40)
    a.fit(x, y, epochs=1)
    b.fit(x.toarray(), y, epochs=1)
    assert_equal(a, b)


@pytest.mark.parametrize("settings", [{}, {"dropout": [0.5, 0.5]}])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_value_that_is_not_finite(bad, threads, settings):
    x, y = make(64, 400, 0.1)
    x.data[x.indptr[19]] = bad
    net = net_of(400, **settings)
    message = r"epoch 1, mini-batch 2; X has a value that is not finite in row 19, column 3\."
    with pynn.threads(threads), pytest.raises(FloatingPointError, match=message):
        net.fit(x, y, batch_size=8, epochs=1, shuffle=False, optimizer=pynn.SGD(0.1))
    same = net_of(400, **settings)
    same.fit(x[:16], y[:16], batch_size=8, epochs=1, shuffle=False, optimizer=pynn.SGD(0.1))
    assert_equal(net, same)


def test_errors():
    x, y = make(12, 30)
    net = net_of(30)
    before = [a.copy() for a in parameters_of(net)]
    for call in (net.fit, net.gradients, net.evaluate):
        with pytest.raises(ValueError, match=r"X has shape \(12, 29\), expected \(n, 30\)"):
            call(x[:, :29], y)
        with pytest.raises(TypeError, match="X must hold numbers, got dtype complex128"):
            call(x.astype(complex), y)
        with pytest.raises(ValueError, match="there are no samples"):
            call(x[:0], y[:0])
        with pytest.raises(ValueError, match=r"y has 11 rows"):
            call(x, y[:11])
    for gradient in (lambda: net.input_gradient(x, y), lambda: net.backward(np.ones((12, 3)), x)):
        with pytest.raises(TypeError, match=r"gradient would be dense; pass X.toarray\(\)"):
            gradient()
    for a, b in zip(before, parameters_of(net), strict=True):
        np.testing.assert_array_equal(a, b)


BROKEN = {
    "a column beyond the last": ([0, 2, 3], [0, 9, 1], "column index that is out of range"),
    "a negative column": ([0, 2, 3], [-1, 2, 1], "column index that is out of range"),
    "columns that decrease": ([0, 2, 3], [2, 0, 1], "do not increase"),
    "duplicates": ([0, 2, 3], [1, 1, 1], "do not increase"),
    "rows that end before they begin": ([2, 0, 3], [0, 1, 2], "row pointers of X do not fit"),
    "rows beyond the values": ([0, 2, 4], [0, 1, 2], "row pointers of X do not fit"),
    "rows before the values": ([-1, 2, 3], [0, 1, 2], "row pointers of X do not fit"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_arrays_that_are_no_matrix(broken):
    """The caller's, or changed in place since."""
    indptr, indices, message = BROKEN[broken]
    net = net_of(4)
    for kind in (np.int32, np.int64):
        x = CsrRows(np.array(indptr, kind), np.array(indices, kind), np.ones(3), 4)
        with pytest.raises(ValueError, match=message):
            net(x)
        with pytest.raises(ValueError, match=message):
            net.fit(x, [0, 1], epochs=1)


def test_rows_by_index_and_pickles():
    x, _ = make(12, 30, 0.4)
    rows = CsrRows(x.indptr, x.indices, x.data, 30)
    dense = x.toarray()
    for index in (
        slice(3, 9),
        slice(5, 2),
        slice(None, None, 2),
        np.array([7, 0, 7]),
        dense[:, 0] > 0,
    ):
        part = rows[index]
        assert part.shape == dense[index].shape
        again = (
            sparse.csr_array((part.data, part.indices, part.indptr - part.indptr[0]), part.shape)
            if part.indptr[0] == 0
            else sparse.csr_array(x[index])
        )
        np.testing.assert_array_equal(again.toarray(), dense[index])
        net = net_of(30)
        np.testing.assert_array_equal(net(part), net(dense[index]))
    net = net_of(30)
    np.testing.assert_array_equal(net(pickle.loads(pickle.dumps(rows))), net(dense))


def test_fit_many():
    x, y = make(60, 300, 0.05)
    grid = {"hidden": [(5,), (9,)], "dropout": [0.0, 0.1]}
    results = [
        pynn.fit_many(grid, samples, y, epochs=2, cv=3, seed=0) for samples in (x, x.toarray())
    ]
    assert [row["test_loss"] for row in results[0].table] == [
        row["test_loss"] for row in results[1].table
    ]


# A dense X would have 4.3 GB, and so would a dense copy of 1024 rows.
WIDE = """
import resource, sys
import numpy as np
from scipy import sparse
import pynn

pynn.set_num_threads(2)
columns, n, stored, units = 2**20, 1100, 100, 4
rng = np.random.default_rng(0)
starts = np.arange(0, n * stored + 1, stored)
x = sparse.csr_array((np.ones(n * stored), rng.integers(0, columns, n * stored), starts),
                     shape=(n, columns))
y = rng.integers(0, 3, n)
net = pynn.MLP([columns, units, 3], seed=0)
before = [w.copy() for w in net.weights]
net.fit(x[:300], y[:300], epochs=1, batch_size=100, optimizer=pynn.Adam())  # its moments

def data():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmData"))

limit = (data() * 1024 + 60 * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
net.fit(x, y, epochs=1, batch_size=100)
net.fit(x, y, epochs=1, batch_size=1100, validation_data=(x, y))
assert net(x).shape == (n, 3)
net.evaluate(x, y)
try:
    x[:100].toarray()
except MemoryError:
    print("limited")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@not_sanitized("its shadow memory is beyond any limit of the address space")
def test_memory_follows_the_stored_values(tmp_path):
    assert run_python(WIDE, tmp_path, timeout=120).split() == ["limited"]


def test_scipy_is_not_imported(tmp_path):
    program = """
import sys, numpy as np, pynn
class Matrix:
    shape, dtype, nnz, has_canonical_format = (2, 3), np.dtype("f8"), 2, True
    indptr, indices, data = np.array([0, 1, 2]), np.array([2, 0]), np.array([1.0, 2.0])
    def tocsr(self):
        return self
net = pynn.MLP([3, 2], seed=0)
net.fit(Matrix(), [0, 1], epochs=1)
print(np.array_equal(net(Matrix()), net([[0, 0, 1], [2, 0, 0]])), "scipy" in sys.modules)
"""
    out = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert out.split() == ["True", "False"]
