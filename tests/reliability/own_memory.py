"""What needs memory of the core's own, at sizes around tiles, chunks and blocks (test_own_memory.py
runs this). Prints the instruction set and how many blocks lay at a guard page."""

import ctypes
import itertools
import sys

import numpy as np

import pynn

libc = ctypes.CDLL(None)
libc.guarded.restype = ctypes.c_long
libc.aligned_alloc.restype = ctypes.c_void_p
libc.aligned_alloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
rng = np.random.default_rng(0)

SIZES = ([1, 1, 2], [5, 3, 2], [17, 33, 20, 3], [70, 129, 65, 9], [300, 200, 31])
NETWORKS = (
    {},
    {"activation": "gelu", "dropout": 0.2},
    {"activation": "tanh", "l1": 1e-5, "l2": 1e-4, "max_norm": 1.0},
    {"activation": "elu", "bias": False, "loss": pynn.SoftmaxCrossEntropy(label_smoothing=0.1)},
    {"activation": "silu", "loss": "mse"},
    {"loss": "mse", "output_activation": "softmax", "dropout": 0.5, "max_norm": 2.0},
)
OPTIMIZERS = (
    lambda: pynn.SGD(0.01),
    lambda: pynn.SGD(0.01, momentum=0.9, clip_norm=0.1),
    lambda: pynn.AdamW(0.001),
)


def networks(dtype):
    for number, (sizes, settings) in enumerate(itertools.product(SIZES, NETWORKS)):
        for rows, batch_sizes in ((13, (5, 290)), (300, (37, 290))):
            net = pynn.MLP(sizes, **settings, dtype=dtype, seed=0)
            kind = ("f4", "f8", "f2", "u1")[number % 4]
            x = rng.integers(2, size=(rows, sizes[0])).astype(kind)
            y = rng.integers(sizes[-1], size=rows)
            if net.loss == "mse":
                y = rng.random((rows, sizes[-1]))
            weights = rng.random(rows) + 0.5 if number % 2 else None
            optimizer = OPTIMIZERS[number % 3]
            for batch_size in batch_sizes:
                net.fit(
                    x,
                    y,
                    epochs=1,
                    batch_size=batch_size,
                    optimizer=optimizer(),
                    sample_weight=weights,
                )
            out = net(x)
            net.hidden(x), net.evaluate(x, y), net.gradients(x, y), net.input_gradient(x, y)
            net.backward(out, x, parameters=True)


def products(dtype):
    """Also with matrices that are packed, and sums of several chunks."""
    for m, k, n in itertools.product((1, 13, 130), (7, 65, 600), (1, 19, 70)):
        for one, other in itertools.product("CF", "CF"):
            a = np.asarray(rng.random((m, k)), dtype, order=one)
            b = np.asarray(rng.random((k, n)), dtype, order=other)
            pynn.matmul(a, b)
            pynn.gemm(a, b, alpha=0.5, beta=0.5, out=np.zeros((m, n), dtype))
        dy = np.ones((m, n), dtype)
        pynn.linear(a, b, np.ones(n, dtype), activation="tanh")
        pynn.linear_backward(dy, a, b)


def large_network(dtype):
    """Weights that leave the L2 cache: by slabs or panels, turned, and (one sample) by rows."""
    net = pynn.MLP([330, 701, 411, 9], dtype=dtype, seed=0)
    x, y = rng.random((125, 330)), rng.integers(9, size=125)
    for batch_size in (1, 7, 37, 124):
        net.fit(x, y, epochs=1, batch_size=batch_size)
    net(x), net.gradients(x, y), net.input_gradient(x, y)


def work():
    for threads, dtype in itertools.product((1, 3), (np.float32, np.float64)):
        with pynn.threads(threads):
            networks(dtype)
            products(dtype)
            large_network(dtype)


def beyond():
    ctypes.c_char.from_address(libc.aligned_alloc(64, 100) + 100).value = b"1"


def freed():
    block = libc.aligned_alloc(64, 100)
    libc.free(block)
    ctypes.c_char.from_address(block).value = b"1"


if __name__ == "__main__":
    {"work": work, "beyond": beyond, "freed": freed}[sys.argv[1]]()
    print(pynn.show_config("dict")["isa"], libc.guarded())
