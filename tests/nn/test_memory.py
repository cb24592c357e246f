"""What a fit allocates: nothing after the first mini-batch, and never a copy of X."""

import os
import platform

import numpy as np
import pytest
from numpy_mlp import run_python
from sanitizers import not_sanitized
from toolchain import COMPILER, needs_compiler, run

linux = pytest.mark.skipif(
    platform.system() != "Linux" or platform.libc_ver()[0] != "glibc", reason="needs glibc"
)

# Counts the allocator's calls, by way of LD_PRELOAD.
COUNTER = r"""
#include <errno.h>
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static long count;
long allocations(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }
static void add(void) { __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED); }
void *malloc(size_t n) { add(); return __libc_malloc(n); }
void *calloc(size_t m, size_t n) { add(); return __libc_calloc(m, n); }
void *realloc(void *p, size_t n) { add(); return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { add(); return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { add(); return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) {
    add();
    *p = __libc_memalign(a, n);
    return *p ? 0 : ENOMEM;
}
"""
COUNTING = """
import ctypes, sys
import numpy as np
import pynn

allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
pynn.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
batch, steps = 128, 100
x = rng.normal(size=(batch * steps, 40)).astype(sys.argv[2])
y = rng.integers(3, size=len(x))
order = rng.permutation(len(x)) if sys.argv[3] == "shuffled" else None
weights = rng.random(len(x))
net = pynn.MLP(
    [40, 300, 200, 3], ["tanh", "gelu"], dropout=0.2, l1=1e-6, l2=1e-5, max_norm=3, seed=0
)
optimizer = getattr(pynn, sys.argv[4])(1e-4)

def counted(batches):
    part = None if order is None else np.ascontiguousarray(order[: batches * batch])
    rows = slice(None) if part is not None else slice(batches * batch)
    bound = optimizer._bind(net)
    before = allocations()
    net._engine.core.train(
        x[rows], y[rows], True, weights[rows], part, batch, bound, net._engine.rng_position, False,
        np.empty((1, 3)), None,
    )
    return allocations() - before

counted(1)
print(counted(1), counted(steps))
"""
# A mini-batch, then a fit whose last mini-batches are smaller, which are cut in other ways; the
# largest number of allocations of such a fit.
SMALLER = """
import numpy as np

import ctypes, sys
import pynn

allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
rng = np.random.default_rng(0)
bound = pynn.SGD(1e-4)
pynn.set_num_threads(1)

def counted(net, x, batch):
    y = np.zeros(len(x), np.int64)
    optimizer = bound._bind(net)
    figures = np.empty((1, 3))
    before = allocations()
    net._engine.core.train(
        x, y, True, None, None, batch, optimizer, net._engine.rng_position, False, figures, None
    )
    return allocations() - before

counts = []
for sizes, batch, lasts in [
    ([881, 1106, 3], 494, (368, 17)),  # blocks of the second operand: more columns, not more bytes
    ([584, 835, 3], 476, (451, 40)),
    ([512, 1098, 3], 140, (129, 30, 7)),
    ([86, 582, 301, 3], 181, (178, 47, 25)),
]:
    net = pynn.MLP(sizes, dtype=sys.argv[1], seed=0)
    x = rng.normal(size=(batch + max(lasts), sizes[0])).astype(sys.argv[1])
    counted(net, x[:batch], batch)
    alone = counted(net, x[:batch], batch)
    counts += [counted(net, x[: batch + last], batch) - alone for last in lasts]
print(max(counts))
"""
# X has 256 MB of bytes; as float32 it would have 1 GB. Memory beyond the start: 150 MB.
BOUNDED = """
import resource, sys
import numpy as np
import pynn

folder = sys.argv[1]
with open(folder + "/x.dat", "wb") as file:
    file.truncate(2**28)  # zeros that take no room on the disk
x = np.memmap(folder + "/x.dat", np.uint8, "r", shape=(2**18, 2**10))
y = np.zeros(len(x), np.int64)
net = pynn.MLP([2**10, 4, 2], seed=0)
net.fit(x[:256], y[:256], epochs=1, batch_size=128, optimizer=pynn.Adam())
with open("/proc/self/status") as status:
    kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
limit = kilobytes * 1024 + 150 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    x.astype(np.float32)
except MemoryError:
    print("limited")
some = x[:20000], y[:20000]
net.fit(x, y, epochs=1, batch_size=128, optimizer=pynn.Adam(), validation_data=some)
print(len(net.history), net.evaluate(x[:5000], y[:5000])["accuracy"])
"""


@linux
@needs_compiler
@not_sanitized("the sanitizer's allocator is in the counter's place")
@pytest.mark.parametrize(
    ("threads", "dtype", "order", "optimizer"),
    [
        (1, "float32", "unshuffled", "SGD"),
        (1, "float32", "shuffled", "Adam"),
        (1, "float64", "shuffled", "SGD"),
        (2, "float32", "unshuffled", "RMSprop"),
        (2, "float64", "shuffled", "AdamW"),
    ],
)
def test_nothing_is_allocated_after_the_first_mini_batch(
    threads, dtype, order, optimizer, tmp_path
):
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    run(*COMPILER, "-x", "c", "-shared", "-fPIC", "-O1", source, "-o", library)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    printed = run_python(
        COUNTING, tmp_path, threads, dtype, order, optimizer, environment=environment
    )
    one, many = map(int, printed.split())
    # (The calls of the Python side, which hears of a longer epoch now and then, take a few.)
    assert one > 0
    assert many <= one + 20


@linux
@needs_compiler
@not_sanitized("the sanitizer's allocator is in the counter's place")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_smaller_last_mini_batch_allocates_nothing(dtype, tmp_path):
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    run(*COMPILER, "-x", "c", "-shared", "-fPIC", "-O1", source, "-o", library)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    assert run_python(SMALLER, tmp_path, dtype, environment=environment).strip() == "0"


@linux
@not_sanitized("its shadow memory is beyond any limit of the address space")
def test_x_may_be_larger_than_the_memory(tmp_path):
    printed = run_python(BOUNDED, tmp_path, tmp_path, timeout=120).split()
    assert printed == ["limited", "1", "1.0"]


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_x_is_not_converted_as_a_whole(dtype, monkeypatch):
    """The core is handed the caller's own array."""
    import pynn

    x, y = np.ones((64, 5), dtype), np.zeros(64, int)
    net = pynn.MLP([5, 4, 2], seed=0)
    seen = []

    class Core:
        def __init__(self, core):
            self.core = core

        def __getattr__(self, name):
            return getattr(self.core, name)

        def train(self, samples, *rest):
            seen.append(samples)
            return self.core.train(samples, *rest)

    monkeypatch.setattr(net._engine, "core", Core(net._engine.core))
    net.fit(x, y, epochs=1)
    assert [np.shares_memory(samples, x) for samples in seen] == [True]


# Address space for what there is and 200 MB; each call then wants more than that.
OUT_OF_MEMORY = """
import resource
import numpy as np
import pynn

pynn.set_num_threads(1)
net = pynn.MLP([64, 256, 8], "tanh", "mse", seed=0)
x, y = (np.broadcast_to(np.float32(0.5), (10**7, n)) for n in (64, 8))
net.fit(x[:100], y[:100], epochs=1, optimizer=pynn.SGD())
before, state = net._engine.parameters.tobytes(), net.rng.bit_generator.state
with open("/proc/self/status") as status:
    kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmSize"))
limit = kilobytes * 1024 + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
calls = {
    "fit": lambda: net.fit(x, y, batch_size=10**7, shuffle=False),
    "train_on_batch": lambda: net.train_on_batch(x, y, pynn.SGD(0.1)),
    "gradients": lambda: net.gradients(x, y),
    "input_gradient": lambda: net.input_gradient(x, y),
    "predict": lambda: net(x),
    "hidden": lambda: net.hidden(x),
    "matmul": lambda: pynn.matmul(x, x[:100].T),
    "MLP": lambda: pynn.MLP([20_000, 20_000]),
    "fit_many": lambda: pynn.fit_many([net], x, y, batch_size=10**7, shuffle=False,
                                      on_error="raise"),
}
for name, call in calls.items():
    try:
        call()
        print(name, "has had enough")
    except MemoryError:
        pass
    if net._engine.parameters.tobytes() != before:
        print(name, "has changed the network")
print(net.fit(x[:100], y[:100], epochs=1).epoch)  # goes on
"""


@linux
@not_sanitized("its operator new ends the process where any other throws std::bad_alloc")
def test_out_of_memory_is_a_memory_error(tmp_path):
    assert run_python(OUT_OF_MEMORY, tmp_path).strip() == "[1]"


# A layer so wide that the core's own memory, of some rows of it, is beyond the limit.
OUT_OF_THE_CORES_MEMORY = """
import resource
import numpy as np
import pynn

x, y = np.linspace(-1, 1, 512, dtype=np.float32)[:, None], np.zeros((512, 1), np.float32)
wide = pynn.MLP([1, 2_000_000, 1], "tanh", "mse", seed=0)
before = wide._engine.parameters.copy()
small = pynn.MLP([300, 300, 10], seed=0)
with pynn.threads(2):  # its threads are there before the limit is
    small.train_on_batch(np.ones((512, 300)), np.zeros(512, int), pynn.SGD(0.1))
    small(np.ones((512, 300), np.float32))
with open("/proc/self/status") as status:
    kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmSize"))
old = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (kilobytes * 1024 + 150 * 2**20, old[1]))
calls = {
    "net": lambda: wide(x),
    "predict": lambda: wide.predict(x),
    "train_on_batch": lambda: wide.train_on_batch(x, y, pynn.SGD(0.1)),
    "input_gradient": lambda: wide.input_gradient(x, y),
}
for threads in (1, 2):
    for name, call in calls.items():
        try:
            with pynn.threads(threads):
                call()
            print(name, "has had enough")
        except MemoryError:
            pass
resource.setrlimit(resource.RLIMIT_AS, old)
assert (wide._engine.parameters == before).all()
(w, v), (b, c) = wide.weights, wide.biases
print(np.allclose(wide(x[:1]), np.tanh(x[:1] @ w + b) @ v + c, atol=1e-3))
"""


@linux
@not_sanitized("its shadow memory is beyond any limit of the address space")
def test_out_of_the_core_s_own_memory_is_a_memory_error(tmp_path):
    """Of one thread, and of several: an exception must find its way out of a team."""
    assert run_python(OUT_OF_THE_CORES_MEMORY, tmp_path).strip() == "True"
