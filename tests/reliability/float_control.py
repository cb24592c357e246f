"""A program for test_neighbors.py and, emulated, test_aarch64.py: the caller's rounding, and its
flushing to zero (MXCSR, FPCR), stay its own and change nothing of what pynn computes.

Prints how many settings it has tried.
"""

import ctypes
import ctypes.util
import platform

import numpy as np

import pynn

# fenv_t of Linux: where the control register is, and its bits. All four ways to round, and
# denormals flushed to zero.
ON_ARM = platform.machine() == "aarch64"
if ON_ARM:
    SIZE, PLACE, BITS = 2, 0, [0, 1 << 22, 2 << 22, 3 << 22, 1 << 24, 3 << 22 | 1 << 24]
else:
    SIZE, PLACE, BITS = 8, 7, [0, 0x2000, 0x4000, 0x6000, 0x8040, 0xE040]
FLAGS = 0 if ON_ARM else 0x3F

libm = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")


def environment():
    values = (ctypes.c_uint32 * SIZE)()
    libm.fegetenv(values)
    return values


def control():
    return environment()[PLACE] & ~FLAGS


def set_control(value):
    values = environment()
    values[PLACE] = value
    libm.fesetenv(values)


rng = np.random.default_rng(0)
x, labels = rng.normal(size=(400, 100)).astype(np.float32), rng.integers(10, size=400)
tiny, huge = x * np.float32(1e-38), x * np.float32(30)  # most of the tiny ones are denormal
product, out, z = np.empty((400, 400), np.float32), np.empty((400, 10), np.float32), tiny.copy()
dout, sgd = np.ones((400, 10), np.float32), pynn.SGD(0.1)
net = pynn.MLP([100, 200, 10], "sigmoid", seed=0)
start = net._engine.parameters.copy()


def train():
    net._engine.parameters[...] = start
    net.train_on_batch(x, labels, sgd)
    return net._engine.parameters


CALLS = {
    "train": train,
    "net": lambda: net(x, out=out),
    "one row": lambda: net(x[:1]),
    "backward": lambda: net.backward(dout, x),
    "matmul": lambda: pynn.matmul(tiny, x.T, out=product),
    "relu": lambda: pynn.relu(tiny, out=z),
    "sigmoid": lambda: pynn.sigmoid(huge, out=z),
}


def computed_under(setting):
    """What each call computes under a setting, which must be there afterwards."""
    found = {}
    for name, call in CALLS.items():
        set_control(setting)
        try:
            array = call()
            after = control()
        finally:
            set_control(usual)
        assert after == setting, f"{name}: {setting:x} became {after:x}"
        found[name] = array.tobytes()
    return found


usual, tried = control(), 0
with pynn.threads(1):
    expected = computed_under(usual)
assert np.frombuffer(expected["relu"], np.float32).any()
for bits in BITS:
    for n in (1, 2):
        with pynn.threads(n):
            found = computed_under(usual | bits)
        different = [name for name, array in found.items() if array != expected[name]]
        assert not different, f"{different} with {usual | bits:x} on {n} threads"
        tried += 1
print(tried)
