"""Column-major samples (a DataFrame's values, transposed arrays): the bits of row-major ones."""

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, run_python
from sanitizers import not_sanitized

import pynn
from pynn import _core, staging


def reversed_rows(a):
    return np.asfortranarray(a[::-1])[::-1]


def reversed_columns(a):
    return np.asfortranarray(a[:, ::-1])[:, ::-1]


def every_other_row(a):
    wide = np.zeros((2 * a.shape[0], a.shape[1]), a.dtype, order="F")
    wide[::2] = a
    return wide[::2]


def every_third_column(a):
    wide = np.zeros((a.shape[0], 3 * a.shape[1]), a.dtype, order="F")
    wide[:, ::3] = a
    return wide[:, ::3]


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "reversed rows": reversed_rows,
    "reversed columns": reversed_columns,
    "every other row": every_other_row,
    "every third column": every_third_column,
}
LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
# By size and kind; float16 and the integers that a frame may have.
TYPES = ["f4", "f8", "f2", "u1", "i2", "i4", "i8", "?"]


def table(n, d, dtype):
    return (8 * np.random.default_rng(n + d).standard_normal((n, d))).astype(dtype)


@LAYOUT
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(700, 37), (1, 5), (300, 1), (33, 16), (64, 100)])
@pytest.mark.parametrize("to", [None, "f4", "f8"])
def test_rows_are_gathered_as_numpy_gathers_them(to, shape, dtype, layout):
    x = table(*shape, dtype)
    given = LAYOUTS[layout](x)
    to = np.dtype(to or dtype)
    out = np.empty(shape, to)
    _core.gather_rows(given, None, out)
    np.testing.assert_array_equal(out, x.astype(to))
    rows = np.random.default_rng(0).integers(len(x), size=50)
    out = np.empty((50, shape[1]), to)
    _core.gather_rows(given, rows, out)
    np.testing.assert_array_equal(out, x[rows].astype(to))


def test_gather_rows_refuses_what_is_not_there():
    x, out = np.ones((4, 3)), np.empty((2, 3))
    for rows in ([0, 4], [-1, 0]):
        with pytest.raises(ValueError, match="out of range"):
            _core.gather_rows(x, np.array(rows), out)
    with pytest.raises(ValueError, match="columns"):
        _core.gather_rows(x, np.array([0, 1]), np.empty((2, 4)))
    with pytest.raises(ValueError, match="another type"):
        _core.gather_rows(x, np.array([0, 1]), np.empty((2, 3), int))
    with pytest.raises(ValueError, match="number of rows"):
        _core.gather_rows(x, None, out)


def bits(x, y, dtype, loss, **arguments):
    """All that a network makes of samples: weights, history, outputs, gradients, figures."""
    outputs = y.shape[1] if y.ndim == 2 else 3
    net = pynn.MLP([x.shape[1], 8, outputs], seed=0, dtype=dtype, loss=loss)
    history = net.fit(x, y, epochs=2, batch_size=32, optimizer=pynn.SGD(1e-3), **arguments)
    after = [net(x), net.hidden(x), net.input_gradient(x, y), net.gradients(x, y)[1][0]]
    epoch_stats = [history["loss"], list(net.evaluate(x, y).values())]
    return b"".join(
        np.ascontiguousarray(a).tobytes() for a in [net._engine.parameters, *after, *epoch_stats]
    )


@LAYOUT
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", TYPES)
def test_column_major_samples_give_the_same_bits(source, dtype, layout):
    # (Each type, and each layout, on one thread and on two.)
    threads = 1 + (TYPES.index(source) + [*LAYOUTS].index(layout) + (dtype == "float32")) % 2
    x, y = table(300, 21, source), np.arange(300) % 3
    lay_out = LAYOUTS[layout]
    cases = [{}, {"shuffle": False}, {"validation_split": 0.3}, {"sampling": "replacement"}]
    with pynn.threads(threads):
        for arguments in cases:
            expected = bits(x, y, dtype, "softmax_cross_entropy", **arguments)
            assert bits(lay_out(x), y, dtype, "softmax_cross_entropy", **arguments) == expected
            expected = bits(x, x.astype("f4"), dtype, "mse", **arguments)
            target = lay_out(x.astype("f4"))
            assert bits(lay_out(x), target, dtype, "mse", **arguments) == expected


@LAYOUT
def test_samples_too_large_for_a_copy_give_the_same_bits(layout, monkeypatch):
    """The core stages them."""
    x, y = table(300, 21, "f4"), np.arange(300) % 3
    given = LAYOUTS[layout](x)
    assert staging.row_major(given, np.dtype("f4")) is not None
    monkeypatch.setattr(staging, "COPIED_BYTES", 0)
    assert staging.row_major(given, np.dtype("f4")) is None
    expected = bits(x, y, "float32", "softmax_cross_entropy")
    assert bits(given, y, "float32", "softmax_cross_entropy") == expected


@pytest.mark.parametrize(
    ("source", "dtype", "threads"),
    [
        ("f4", "float32", 1), ("f8", "float32", 2), ("u1", "float32", 2),
        ("f4", "float64", 2), ("f8", "float64", 1), ("u1", "float64", 1),
    ],
)  # fmt: skip
def test_runs_of_mini_batches_give_the_same_bits(source, dtype, threads):
    """In the core, of more samples than a stage has room for."""
    columns = 2600
    rows = _core.STAGING_BYTES // (
        columns * min(np.dtype(source).itemsize, np.dtype(dtype).itemsize)
    )
    x = np.zeros((rows + 1500, columns), source, order="F")
    x[:, :5] = table(len(x), 5, "i1")
    y = (np.arange(len(x)) % 2)[:, None] * np.ones((1, 9))
    order = np.random.default_rng(0).permutation(len(x))

    def trained(x, y):
        net = pynn.MLP([columns, 2, 9], seed=0, dtype=dtype, loss="mse")
        bound = pynn.SGD(1e-4)._bind(net)
        epoch_stats = np.empty((1, 3))
        with pynn.threads(threads):
            net._engine.core.train(
                x,
                y,
                False,
                None,
                order,
                3000,
                bound,
                net._engine.rng_position,
                False,
                epoch_stats,
                None,
            )
        return net._engine.parameters.tobytes() + epoch_stats[:, 0].tobytes()

    expected = trained(np.ascontiguousarray(x), y)
    assert trained(x, np.asfortranarray(y)) == expected
    assert trained(x, y) == expected


def test_a_callback_may_change_the_samples():
    x, y = np.asfortranarray(table(200, 9, "f8")), np.arange(200) % 3

    def trained(x):
        net = pynn.MLP([9, 4, 3], seed=0)

        def turn(net, history):
            x[...] = -x

        net.fit(x, y, epochs=3, callbacks=[turn], optimizer=pynn.SGD(1e-2))
        return net._engine.parameters.tobytes()

    assert trained(x.copy(order="F")) == trained(x.copy(order="C"))


def test_not_finite_samples_are_named_by_the_caller_s_values():
    x, y = np.asfortranarray(table(100, 9, "f8")), np.arange(100) % 3
    x[41, 3] = np.inf
    with pytest.raises(FloatingPointError, match="in row 41"):
        pynn.MLP([9, 4, 3], seed=0).fit(x, y, optimizer=pynn.SGD(1e-2))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("shuffle", [True, False])
def test_estimators_have_the_same_coefficients(shuffle):
    pytest.importorskip("sklearn")
    from pynn.sklearn import MLPClassifier

    x, y = table(300, 21, "f8"), np.arange(300) % 3

    def fitted(x):
        return MLPClassifier((7,), max_iter=3, random_state=0, shuffle=shuffle).fit(x, y).coefs_

    for ours, expected in zip(fitted(np.asfortranarray(x)), fitted(x), strict=True):
        np.testing.assert_array_equal(ours, expected)


# X has 512 MB of bytes in columns. Memory beyond the start: what a stage takes and 30 MB.
BOUNDED = """
import resource, sys
import numpy as np
import pynn
from pynn import _core

with open(sys.argv[1] + "/x.dat", "wb") as file:
    file.truncate(2**29)  # zeros that take no room on the disk
x = np.memmap(sys.argv[1] + "/x.dat", np.uint8, "r", shape=(2**10, 2**19)).T
y = np.zeros(len(x), np.int64)
net = pynn.MLP([2**10, 2, 2], seed=0)
net.fit(x[:256], y[:256], epochs=1, batch_size=128, optimizer=pynn.SGD(0.1))
with open("/proc/self/status") as status:
    kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
limit = kilobytes * 1024 + _core.STAGING_BYTES + 30 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
net.fit(x, y, epochs=1, batch_size=128, optimizer=pynn.SGD(0.1))
net.fit(x, y, epochs=1, batch_size=128, optimizer=pynn.SGD(0.1), shuffle=False)
print(len(net.history))
"""


@pytest.mark.skipif("sys.platform != 'linux'", reason="needs Linux's limits")
@not_sanitized("its shadow memory is beyond any limit of the address space")
def test_memory_is_bounded(tmp_path):
    assert run_python(BOUNDED, tmp_path, tmp_path, timeout=240).split() == ["1"]


def test_whatever_is_called_between_epochs_may_change_the_samples():
    start, y = make_samples("mse", 60, 40, 3)

    class Halving(pynn.Schedule):
        def __init__(self, half):
            self.half = half

        def observe(self, history):
            self.half()

        def _rates(self, steps):
            return np.full_like(steps, 0.01)

    for options in (
        lambda half: {"callbacks": lambda net, history: half()},
        lambda half: {"callbacks": pynn.EarlyStopping(lambda history: half(), mode="min")},
        lambda half: {"metrics": {"half": lambda y_true, y_pred: half()}},
        lambda half: {"learning_rate": Halving(half)},
        lambda half: {"learning_rate": pynn.WarmUp(Halving(half), 2)},
    ):
        nets = []
        for order in "CF":
            X = np.array(start, order=order)

            def half(X=X):
                X /= 2
                return 1.0

            net = pynn.MLP([40, 3], loss="mse", seed=0)
            net.fit(X, y, epochs=3, **options(half))
            nets.append(net)
        assert_same_bits(*nets)
