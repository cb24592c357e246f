"""A program for test_guard_pages.py: calls everything that pynn has on arrays at guard pages.

    python guarded_calls.py (end|begin) (kernels|training|too far|over the edge) [step]

at every `step`th length. The last two break the rule on purpose: a read beyond the guarded edge, a
write beyond the other. Prints the instruction set in use, and how many arrays there were.
"""

import os
import sys

import numpy as np
from guard_pages import Guard, is_guarded

import pynn
import pynn.engine
from pynn import layers as L
from pynn._sparse import CsrRows

LENGTHS = range(1, 72, int(sys.argv[3]) if len(sys.argv) > 3 else 1)
rng = np.random.default_rng(0)


def guarded(x, dtype=None):
    """A copy of `x`, at a guard page."""
    return np.array(x, dtype, copy=True)


def random(shape, dtype):
    return guarded(rng.standard_normal(shape), dtype)


def empty(x):
    return np.full_like(x, np.nan)


def strided(x, step):
    """The values of the matrix `x` with `step` between its columns; the last element ends it."""
    between = np.nan if x.dtype.kind == "f" else 1
    whole = np.full((x.shape[0], (x.shape[1] - 1) * step + 1), between, x.dtype)
    whole[:, ::step] = x
    return whole[:, ::step]


def check(name, *results):
    """A NaN was read beyond an operand, or stands where nothing was written."""
    for result in results:
        assert np.isfinite(result).all(), f"{name} has read, or left, a NaN"


# ---------------------------------------------------------------- the kernels, by public name


def elementwise(name, n, dtype):
    function = getattr(pynn, name)
    settings = [{}, {"approximate": "tanh"}] if name.startswith("gelu") else [{}]
    operands = 2 if name.endswith("_backward") else 1
    for shape in [(n,), (3, n)]:
        for keywords in settings:
            arrays = [random(shape, dtype) for _ in range(operands)]
            if operands == 2 and name not in ("gelu_backward", "silu_backward"):
                arrays[1] = abs(arrays[1]) / 9  # an output of the activation
            out = empty(arrays[0])
            check(name, function(*arrays, **keywords), function(*arrays, out=out, **keywords), out)
            check(name, function(*arrays, out=arrays[-1], **keywords))


def softmaxes(name, n, dtype):
    function = getattr(pynn, name)
    for shape in [(n,), (1, n), (5, n), (n, 3), (n, 10)]:
        for axis in (-1, 0):
            arrays = [random(shape, dtype) for _ in range(1 + name.endswith("_backward"))]
            out = empty(arrays[0])
            check(name, function(*arrays, axis=axis), function(*arrays, out=out, axis=axis), out)
            check(name, function(*arrays, out=arrays[0], axis=axis))


def losses(name, n, dtype):
    function = getattr(pynn, name)
    for rows, columns in [(3, n), (n, 1), (n, 3)]:
        outputs = random((rows, columns), dtype)
        target = rng.random((rows, columns))
        if name == "softmax_cross_entropy":
            target /= target.sum(axis=1, keepdims=True)
        target = guarded(target, dtype)
        check(name, *function(outputs, target))
        if name.endswith("cross_entropy"):
            for kind in ("i8", "u1", "i4"):
                labels = guarded(rng.integers(columns, size=rows), kind)
                check(name, *function(outputs, labels))


def matrices(n):
    """Shapes (m, k, n) of a product with `n` at each place."""
    yield from [(n, 7, 9), (5, n, 9), (5, 7, n), (1, n, 20), (20, n, 1), (1, 30, n), (n, 30, 1)]
    yield (n, n, n)
    if n % 10 == 1:
        yield from [(n, 520, 33), (64, 100, n), (33, 1030, n)]  # packed, and k in pieces


def matmul(name, n, dtype):
    for m, k, columns in matrices(n):
        a, b = random((m, k), dtype), random((k, columns), dtype)
        out = np.full((m, columns), np.nan, dtype)
        check(name, pynn.matmul(a, b), pynn.matmul(a, b, out=out), out)
        turned = [guarded(a.T).T, guarded(b.T).T]
        check(name, pynn.matmul(*turned), pynn.matmul(a, turned[1]), pynn.matmul(turned[0], b))
        back = [guarded(a[::-1, ::-1])[::-1, ::-1], guarded(b[::-1, ::-1])[::-1, ::-1]]
        check(name, pynn.matmul(*back), pynn.matmul(strided(a, 2), strided(b, 3)))
        check(name, pynn.matmul(a, guarded(b[:, 0])), pynn.matmul(guarded(a[0]), b))
        check(name, pynn.matmul(guarded(a[0]), guarded(b[:, 0])))
    check(name, pynn.matmul(random((3, 4, n), dtype), random((n, 2), dtype)))


def gemm(name, n, dtype):
    for m, k, columns in matrices(n):
        a, b, out = (random(shape, dtype) for shape in [(m, k), (k, columns), (m, columns)])
        check(name, pynn.gemm(a, b, alpha=0.5), pynn.gemm(a, b, beta=0.5, out=out))
        check(name, pynn.gemm(guarded(a.T).T, strided(b, 2), out=empty(out)))


def linear(name, n, dtype):
    for m, k, columns in matrices(n):
        x, w, b = (random(shape, dtype) for shape in [(m, k), (k, columns), (columns,)])
        w /= k
        out = np.full((m, columns), np.nan, dtype)
        activations = pynn.ops.ACTIVATIONS if n < 40 else ("identity", "relu", "tanh")
        for activation in activations if m == 5 else activations[:2]:
            check(name, pynn.linear(x, w, b, activation=activation, out=out), out)
            check(name, pynn.linear(strided(x, 2), guarded(w.T).T, activation=activation))


def linear_backward(name, n, dtype):
    for m, k, columns in matrices(n):
        dy, x, w = (random(shape, dtype) for shape in [(m, columns), (m, k), (k, columns)])
        check(name, *pynn.linear_backward(dy, x, w))
        check(name, *pynn.linear_backward(strided(dy, 2), guarded(x.T).T, guarded(w.T).T))


ACTIVATIONS = set(pynn.ops.ACTIVATIONS) - {"identity"}
SOFTMAXES = {"softmax", "log_softmax"}
LOSSES = {
    "softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "mse", "mae", "huber",
    "poisson", "pinball",
}  # fmt: skip
KERNELS = {
    **dict.fromkeys([*ACTIVATIONS, *(f"{name}_backward" for name in ACTIVATIONS)], elementwise),
    **dict.fromkeys([*SOFTMAXES, *(f"{name}_backward" for name in SOFTMAXES)], softmaxes),
    **dict.fromkeys(LOSSES, losses),
    "matmul": matmul,
    "gemm": gemm,
    "linear": linear,
    "linear_backward": linear_backward,
}


def kernels():
    assert KERNELS.keys() == set(pynn.ops.__all__), "a public function is not called here"
    for name, call in sorted(KERNELS.items()):
        for dtype in (np.float32, np.float64):
            for n in LENGTHS:
                call(name, n, dtype)


# ---------------------------------------------------------------- whole networks


def train(n, x, y, loss, dtype, optimizer, activation="relu"):
    columns = y.shape[1] if y.ndim == 2 else 3
    net = pynn.MLP([x.shape[1], n, 5, columns], activation, loss, dtype=dtype, seed=0)
    weights = guarded(rng.random(len(x)) + 0.5)
    history = net.fit(x, y, epochs=2, batch_size=5, optimizer=optimizer, sample_weight=weights)
    assert is_guarded(x if x.base is None else x.base, sys.argv[1])
    check("fit", history.loss, *net.weights, *net.biases)
    out = np.full((len(x), columns), np.nan, dtype)
    check("a prediction", net(x), net(x, out=out), out, net.hidden(x), net.predict(x), net(x[:1]))
    check("evaluate", *net.evaluate(x, y).values())
    loss, dw, db = net.gradients(x, y)
    check("gradients", loss, *dw, *db, net.backward(guarded(net(x)), x))
    check("train_on_batch", net.train_on_batch(x, y, optimizer))
    net.set_weights([guarded(w) for w in net.weights], [guarded(b) for b in net.biases])


def train_sparse(n, values, kind, dtype, optimizer):
    starts = guarded(np.concatenate([[0], np.cumsum((values != 0).sum(axis=1))]), np.int32)
    indices = guarded(np.nonzero(values)[1], np.int32 if n % 2 else np.int64)
    x = CsrRows(starts, indices, guarded(values[values != 0], kind), n)
    y = guarded(rng.integers(3, size=len(values)))
    net = pynn.MLP([n, n, 3], dtype=dtype, dropout=(n % 3) / 4, seed=0)
    history = net.fit(x, y, epochs=2, batch_size=5, optimizer=optimizer)
    loss, dw, db = net.gradients(x, y)
    check("a sparse fit", history.loss, net(x), net(x[3:5]), net.hidden(x), loss, *dw, *db)


def layers_of_width(n):
    """Layers with `n` channels, and the shape of a sample."""
    first = n % 5 + 1
    yield [L.Dense(n, "gelu"), L.BatchNorm(), L.Dropout(0.2), L.Dense(3)], (first,)
    yield [L.BatchNorm(), L.Residual([L.Dense(n, "tanh"), L.LayerNorm()]), L.Dense(2)], (3, first)
    yield [L.LayerNorm(), L.RBF(5), L.Dense(n), L.Activation("softmax"), L.Dense(2)], (2, n)
    yield [L.RBF(n, train_widths=False), L.PositionEmbedding("sinusoidal"), L.Dense(2)], (3, 4)
    yield [L.PositionEmbedding(), L.Reshape((n, -1)), L.GlobalAvgPool1D(), L.Dense(2)], (3, n)
    yield (
        [
            L.Dense(n),
            L.Residual([L.GlobalMaxPool3D(), L.Reshape((1, 1, 1, n))]),
            L.Flatten(),
            L.Dense(2),
        ],
        (1, 1, 1, 2),
    )
    yield [L.GlobalAvgPool3D(), L.Dense(2)], (1, 2, 2, n)
    yield [L.Dense(n), L.GlobalMaxPool1D(), L.Dense(2)], (4, 2)
    yield [L.GlobalAvgPool2D(), L.Dense(2)], (2, 3, n)
    for rank, (conv, largest, mean) in enumerate(
        (
            (L.Conv1D, L.MaxPool1D, L.AvgPool1D),
            (L.Conv2D, L.MaxPool2D, L.AvgPool2D),
            (L.Conv3D, L.MaxPool3D, L.AvgPool3D),
        ),
        start=1,
    ):
        windows = [conv(n, 2, padding="same", activation="relu"), conv(3, 2), largest(2), mean(1)]
        yield [*windows, L.Flatten(), L.Dense(2)], (*(3,) * rank, 2)
    yield [L.GlobalMaxPool2D(), L.Dense(2)], (2, 3, n)
    yield [L.Embedding(n, first), L.LayerNorm(), L.Dense(2)], (4,)
    yield [L.Embedding(9, n, sparse=n % 2 == 0), L.PositionEmbedding(), L.Dense(2)], (n % 3 + 1,)


def kinds(layers):
    return {type(each).__name__ for each in layers} | {
        name for each in layers for name in kinds(getattr(each, "layers", ()))
    }


def train_layers(n, dtype, make_optimizer):
    called = set()
    for layers, shape in layers_of_width(n):
        called |= kinds(layers)
        net = pynn.Sequential(layers, shape, "mse", dtype=dtype, seed=0)
        tokens = isinstance(layers[0], L.Embedding)
        limit = layers[0].vocabulary if tokens else 9
        kind = TOKENS[n % len(TOKENS)] if tokens else SAMPLES[n % len(SAMPLES)]
        x = guarded(rng.integers(limit, size=(13, *shape)) / (1 if tokens else 9), kind)
        y = random((13, *net.output_shape), "f4")
        positions = net.output_shape[:-1] if n % 2 else ()
        weights = guarded(rng.random((13, *positions)) + 0.5)
        optimizer = make_optimizer()
        history = net.fit(x, y, epochs=2, batch_size=5, optimizer=optimizer, sample_weight=weights)
        out = np.full((13, *net.output_shape), np.nan, dtype)
        check("a fit of layers", history.loss, *net.parameters.values())
        check(
            "its outputs", net(x, out=out), out, net(x[:1]), net(x, training=True), net.hidden(x, 0)
        )
        _, gradients = net.gradients(x, y, training=True)
        dx, through = net.backward(guarded(out), x, training=True, parameters=True)
        check("its gradients", *gradients.values(), *through.values(), *([] if tokens else [dx]))
        optimizer.apply_gradients(net, {name: guarded(value) for name, value in through.items()})
        check("applied gradients", *net.parameters.values())
    return called


TOKENS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
SAMPLES = ("f4", "f8", "f2", "u1")
OPTIMIZERS = (
    lambda: pynn.SGD(0.01),
    lambda: pynn.SGD(0.01, momentum=0.9, nesterov=True, clip_norm=1.0),
    lambda: pynn.AdamW(0.001),
    lambda: pynn.RMSprop(0.001, momentum=0.5),
)


def training():
    # The network's own block of parameters begins at a cache line; here it lies as the others do.
    pynn.engine._aligned_zeros = np.zeros
    for n in LENGTHS:
        optimizer = OPTIMIZERS[n % len(OPTIMIZERS)]
        for dtype in (np.float32, np.float64):
            called = train_layers(n, dtype, optimizer)
            assert called == set(L.__all__) - {"Layer", "from_config"}, "a layer is not called here"
            for kind in ("f4", "f8", "f2", "u1", "i8", "i2", "?"):
                values = rng.integers(2, size=(13, n))
                x = guarded(values, kind)
                labels = guarded(rng.integers(3, size=13))
                train(n, x, labels, "softmax_cross_entropy", dtype, optimizer())
                if kind in ("f4", "f8", "i2"):
                    train_sparse(n, values, kind, dtype, optimizer())
                if kind in ("f4", "u1"):
                    activation = pynn.ops.ACTIVATIONS[n % len(pynn.ops.ACTIVATIONS)]
                    y = guarded(rng.random((13, 1 + n % 20)), kind[0] + "4")
                    train(n, strided(x, 2), y, "mse", dtype, optimizer(), activation)
                    whole = guarded(x.T).T
                    train(7, whole, guarded(y.T).T, "huber", dtype, optimizer(), activation)


# ---------------------------------------------------------------- the rule broken on purpose


def too_far():
    x = random(16, np.float32)
    longer = np.lib.stride_tricks.as_strided(x if sys.argv[1] == "end" else x[:1], (17,), (4,))
    if sys.argv[1] == "begin":
        longer = np.lib.stride_tricks.as_strided(x, (1, 2), (4, -4))[:, 1:]
    pynn.matmul(longer, longer.T)


def over_the_edge():
    x = random(16, np.float32)
    pynn.relu(random(16, np.float32), out=x)
    address = x.__array_interface__["data"][0]
    beyond = address - 4 if sys.argv[1] == "end" else address + x.nbytes
    np.ctypeslib.as_array((np.ctypeslib.ctypes.c_float * 1).from_address(beyond))[0] = 1


if __name__ == "__main__":
    with Guard(sys.argv[1]) as guard, pynn.threads(2):
        {
            "kernels": kernels,
            "training": training,
            "too far": too_far,
            "over the edge": over_the_edge,
        }[sys.argv[2]]()
    assert guard.violations == [], guard.violations[:5]
    print(pynn.show_config("dict")["isa"], guard.arrays, flush=True)
    # Arrays in caches outlive the guard's memory handler: leave without freeing them.
    os._exit(0)
