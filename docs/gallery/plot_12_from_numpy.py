"""
From a NumPy program to pynn, line by line
==========================================

Many people have written their own multilayer perceptron in NumPy, to learn how it works. Here is
such a program. pynn replaces first its kernels, then its layers and its loss, then all of it. At
every stage the weights after training are the same, to rounding.
"""

import time

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

import pynn

X, labels = load_digits(return_X_y=True)
X, Y = X / 16, np.eye(10)[labels]
RATE, BATCH, EPOCHS, SEED = 0.1, 32, 20, 0

# %%
# Before
# ------
#
# 64-128-10, ReLU, softmax cross-entropy, SGD. The lines that follow are numbered in the comments
# so that the later programs can refer to them.


def start(dtype):
    rng = np.random.default_rng(SEED)
    W1 = rng.normal(0, np.sqrt(2 / 64), (64, 128)).astype(dtype)
    W2 = rng.normal(0, np.sqrt(2 / 128), (128, 10)).astype(dtype)
    return [W1, np.zeros(128, dtype), W2, np.zeros(10, dtype)], rng


def train_numpy(X, Y):
    (W1, b1, W2, b2), rng = start(X.dtype)
    for _ in range(EPOCHS):
        order = rng.permutation(len(X))
        for i in range(0, len(X), BATCH):
            x, t = X[order[i : i + BATCH]], Y[order[i : i + BATCH]]
            h = np.maximum(x @ W1 + b1, 0)  # 1
            z = h @ W2 + b2  # 2
            e = np.exp(z - z.max(axis=1, keepdims=True))  # 3
            dz = (e / e.sum(axis=1, keepdims=True) - t) / len(x)  # 4
            dW2, db2, dh = h.T @ dz, dz.sum(axis=0), dz @ W2.T  # 5
            dh[h == 0] = 0  # 6
            dW1, db1 = x.T @ dh, dh.sum(axis=0)  # 7
            for p, g in ((W1, dW1), (b1, db1), (W2, dW2), (b2, db2)):  # 8
                p[...] -= RATE * g  # 9
    return [W1, b1, W2, b2]


# %%
# The kernels only
# ----------------
#
# Lines 1 to 7 with pynn's functions, which take and give NumPy arrays. Bias and activation are part
# of the product (1, 2). One call gives loss and gradient (3, 4), another the three gradients of a
# layer (5, 7).


def train_kernels(X, Y):
    (W1, b1, W2, b2), rng = start(X.dtype)
    for _ in range(EPOCHS):
        order = rng.permutation(len(X))
        for i in range(0, len(X), BATCH):
            x, t = X[order[i : i + BATCH]], Y[order[i : i + BATCH]]
            h = pynn.linear(x, W1, b1, activation="relu")  # 1
            z = pynn.linear(h, W2, b2)  # 2
            _, dz = pynn.softmax_cross_entropy(z, t)  # 3, 4
            dh, dW2, db2 = pynn.linear_backward(dz, h, W2)  # 5
            dh = pynn.relu_backward(dh, h)  # 6
            _, dW1, db1 = pynn.linear_backward(dh, x, W1)  # 7
            for p, g in ((W1, dW1), (b1, db1), (W2, dW2), (b2, db2)):  # 8
                p[...] -= RATE * g  # 9
    return [W1, b1, W2, b2]


# %%
# The network, in your own loop
# -----------------------------
#
# Lines 1 to 9 are one call. Whatever else happens in the loop can stay.


def train_steps(X, Y):
    (W1, b1, W2, b2), rng = start(X.dtype)
    net = pynn.MLP([64, 128, 10], activation="relu", loss="softmax_cross_entropy", dtype=X.dtype)
    net.set_weights([W1, W2], [b1, b2])
    sgd = pynn.SGD(RATE)
    for _ in range(EPOCHS):
        order = rng.permutation(len(X))
        for i in range(0, len(X), BATCH):
            net.train_on_batch(X[order[i : i + BATCH]], Y[order[i : i + BATCH]], sgd)
    return [net.weights[0], net.biases[0], net.weights[1], net.biases[1]]


# %%
# After
# -----
#
# ``fit`` has the loops too. With the generator of the other programs it draws the same
# mini-batches, since it shuffles with ``net.rng.permutation(n)`` once an epoch. (``init="zeros"``
# keeps the constructor from drawing initial weights with it. A program that does not need equal
# numbers has only the two lines ``net = pynn.MLP([64, 128, 10], seed=0)`` and ``net.fit(...)``.)


def train_fit(X, Y):
    (W1, b1, W2, b2), rng = start(X.dtype)
    net = pynn.MLP([64, 128, 10], dtype=X.dtype, seed=rng, init="zeros")
    net.set_weights([W1, W2], [b1, b2])
    net.fit(X, Y, epochs=EPOCHS, batch_size=BATCH, optimizer=pynn.SGD(RATE))
    return [net.weights[0], net.biases[0], net.weights[1], net.biases[1]]


# %%
# Equal weights, and the time of each
# -----------------------------------
#
# The programs take turns, five times; the time is the median. Differences are of weights,
# relative to the largest of their array.

programs = {
    "NumPy": train_numpy,
    "pynn's kernels": train_kernels,
    "train_on_batch": train_steps,
    "fit": train_fit,
}
updates = EPOCHS * -(-len(X) // BATCH)
differences, times = {}, {}
print(f"{updates} updates          difference          ms  µs / update  times as fast")
for dtype in ("float64", "float32"):
    data = X.astype(dtype), Y.astype(dtype)
    seconds = {name: [] for name in programs}
    for _ in range(5):
        for name, train in programs.items():
            before = time.perf_counter()
            parameters = train(*data)
            seconds[name].append(time.perf_counter() - before)
            if name == "NumPy":
                expected = parameters
            pairs = zip(parameters, expected, strict=True)
            differences[name, dtype] = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
    for name, values in seconds.items():
        times[name, dtype] = 1e3 * np.median(values)
        print(
            f"{dtype} {name:14}  {differences[name, dtype]:10.1e}  {times[name, dtype]:10.1f}"
            f"  {1e3 * times[name, dtype] / updates:11.1f}"
            f"  {times['NumPy', dtype] / times[name, dtype]:12.1f}"
        )

# %%
# The picture
# -----------

figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
places = np.arange(len(programs))[::-1]
styles = (("float64", 0.2, "#0072B2", "", "s"), ("float32", -0.2, "#E69F00", "//", "o"))
for dtype, shift, color, hatch, marker in styles:
    some = [times[name, dtype] for name in programs]
    bars = axes[0].barh(places + shift, some, 0.38, color=color, hatch=hatch, ec="k", label=dtype)
    axes[0].bar_label(bars, fmt="%.0f", padding=3, fontsize=9)
    some = [differences[name, dtype] for name in programs][1:]
    axes[1].plot(some, places[1:], marker, color=color, mec="k", ms=9, label=dtype)
axes[1].text(1e-15, places[0], "(the reference)", va="center")
axes[0].set_yticks(places, list(programs))
axes[0].set(title=f"Training time, {updates} updates", xlabel="milliseconds", ylabel="program")
axes[0].margins(x=0.15)
axes[0].legend()
axes[1].set_xscale("log")
axes[1].set_xlim(1e-17, 1)
for dtype, line in (("float64", "-"), ("float32", "--")):
    axes[1].axvline(np.finfo(dtype).eps, color="k", ls=line, label=f"{dtype}'s precision")
axes[1].set(title="Weights: difference from NumPy's", xlabel="largest relative difference")
axes[1].legend(loc="upper right", fontsize=8)
plt.show()

# %%
# After 1140 updates the weights of all four programs agree to about ten times the precision of
# their type. That is 2e-15 in float64 and 8e-7 in float32, relative to the largest. The sums are
# the same, only their order and rounding differ.
#
# The four programs show where the time goes. NumPy reads and writes an array for every operation,
# and each operation is a call. The kernels fuse some of these. With one call per update, NumPy
# still gathers the mini-batches (``X[order[...]]``). In ``fit`` a whole epoch is one call, which
# gathers, computes and updates without returning to Python. The gain depends on the machine and on
# the sizes: the smaller the network, the larger the share of the calls. The page on performance
# measures sixteen networks. (The times above are those of the machine that built this page.)
#
# The mathematics of lines 1 to 9 is in every textbook, for instance in [1]_.
#
# .. [1] I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, MIT Press, 2016, section 6.5.
