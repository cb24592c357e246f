r"""
Gradient descent against SGD
============================

Gradient descent computes the gradient of the loss over all :math:`n` samples and makes one step.
Stochastic gradient descent (SGD) makes a step with the gradient over a mini-batch of :math:`m` of
them [1]_ [2]_. Here we measure three things on scikit-learn's digits: the noise of a mini-batch's
gradient, the cost of a given loss, and the network that each of the two ends with.
"""

import time

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pynn

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, train_size=1000, random_state=0, stratify=y)
n = len(X)

# %%
# The variance of the gradient estimate
# -------------------------------------
#
# A mini-batch's gradient is a mean over a random sample from a population of :math:`n` gradients.
# It is right on average, and the theory of sampling [3]_ tells how far off it is: with
# :math:`\sigma^2 = \frac1n \sum_i \lVert g_i - \bar g \rVert^2`,
#
# .. math::
#    \operatorname{E} \lVert g_\text{batch} - \bar g \rVert^2
#    = \frac{\sigma^2}{m} \left(1 - \frac{m - 1}{n - 1}\right)
#
# for :math:`m` different samples, and :math:`\sigma^2 / m` for draws with replacement.
# ``net.gradients`` gives the gradients of one sample, of a mini-batch and of everything.


def gradient(net, rows):
    _, dW, db = net.gradients(X[rows], y[rows])
    return np.concatenate([g.ravel() for g in (*dW, *db)])


net = pynn.MLP([64, 32, 10], init="he_normal", dtype="float64", seed=0)
rng = np.random.default_rng(0)
full = gradient(net, np.arange(n))
sigma2 = np.mean([np.sum((gradient(net, [i]) - full) ** 2) for i in range(n)])

sizes = np.array([1, 3, 10, 30, 100, 300, 600, 900, 990])
measured = []
for m in sizes:
    draws = [gradient(net, rng.choice(n, m, replace=False)) for _ in range(300)]
    measured.append(np.mean([np.sum((g - full) ** 2) for g in draws]))
theory = sigma2 / sizes * (1 - (sizes - 1) / (n - 1))
print("mini-batch  measured    theory  ratio")
for m, a, b in zip(sizes, measured, theory, strict=True):
    print(f"{m:10d}  {a:8.5f}  {b:8.5f}  {a / b:5.2f}")

# %%
# What a given loss costs
# -----------------------
#
# Each mini-batch size trains until an epoch's mean loss is below 0.05. Its learning rate is the one
# of 0.02, 0.05, 0.1, 0.2, 0.5, 1 and 2 that needed the fewest epochs. An epoch is 1000 gradients of
# one sample, whatever the mini-batch size.

RATES = {1: 0.05, 8: 0.5, 64: 1.0, 256: 1.0, 1000: 1.0}


def train(net, batch_size, rate):
    sgd, done = pynn.SGD(rate), lambda net, history: history.loss[-1] < 0.05
    return net.fit(X, y, epochs=5000, batch_size=batch_size, optimizer=sgd, callbacks=done).loss


curves = {}
print("mini-batch  rate  epochs  gradients  updates  time (ms)")
for m, rate in RATES.items():
    start = time.perf_counter()
    curves[m] = train(pynn.MLP([64, 32, 10], init="he_normal", seed=0), m, rate)
    seconds, epochs = time.perf_counter() - start, len(curves[m])
    figures = f"{n * epochs:9d}  {epochs * -(-n // m):7d}  {1e3 * seconds:9.1f}"
    print(f"{m:10d}  {rate:4g}  {epochs:6d}  {figures}")

# %%
# Where it ends
# -------------
#
# Now 300 training digits, a fifth of them with a random label. The network is large enough to learn
# them by heart. Every mini-batch size has the same learning rate and trains to the same training
# loss. Sharpness is the largest eigenvalue of the loss's matrix of second derivatives. The power
# method finds it from differences of gradients. A flat minimum has a small one [4]_.

X, y = X[:300], y[:300].copy()
noisy = rng.random(300) < 0.2
y[noisy] = rng.integers(10, size=noisy.sum())


def sharpness(net, step=1e-4):
    parameters = [*net.weights, *net.biases]  # views: what is written to them is in the network
    cuts = np.cumsum([p.size for p in parameters])[:-1]
    here = np.concatenate([p.ravel() for p in parameters])

    def gradient_at(place):
        for p, piece in zip(parameters, np.split(place, cuts), strict=True):
            p[...] = piece.reshape(p.shape)
        return gradient(net, slice(None))

    v = rng.normal(size=here.size)
    for _ in range(25):
        v *= step / np.linalg.norm(v)
        v = (gradient_at(here + v) - gradient_at(here - v)) / (2 * step)
    gradient_at(here)  # back where it was
    return np.linalg.norm(v)


ends = {}
print("mini-batch  epochs  test error (%)  sharpness")
for m in (4, 16, 64, 300):
    rows = []
    for seed in range(4):
        net = pynn.MLP([64, 128, 10], init="he_normal", dtype="float64", seed=seed)
        losses = train(net, m, 0.1)
        error = 100 * (1 - net.evaluate(X_test, y_test)["accuracy"])
        rows.append((error, sharpness(net), len(losses)))
    ends[m] = np.array(rows)
    error, sharp, epochs = ends[m].mean(axis=0)
    print(f"{m:10d}  {epochs:6.0f}  {error:14.2f}  {sharp:9.2f}")

# %%
# The picture
# -----------

COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000"]
figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
(top_left, top_right), (bottom_left, bottom_right) = axes

dense = np.linspace(1, 995, 2000)
top_left.loglog(dense, sigma2 / dense, "--", color="#D55E00", label=r"$\sigma^2 / m$")
top_left.loglog(
    dense,
    sigma2 / dense * (1 - (dense - 1) / (n - 1)),
    color="#0072B2",
    label=r"$\frac{\sigma^2}{m} \left(1 - \frac{m - 1}{n - 1}\right)$",
)
top_left.loglog(sizes, measured, "ko", mfc="none", label="measured, 300 mini-batches")
top_left.set(
    title="The gradient estimate's variance",
    xlabel="mini-batch size $m$ (samples)",
    ylabel="mean squared distance from the gradient",
)
top_left.legend(loc="lower left")

styles = zip(COLORS, ["-", "--", "-.", ":", "-"], "osD^v", strict=True)
for (m, losses), (color, line, marker) in zip(curves.items(), styles, strict=True):
    label = f"{m}, in {len(losses)} epochs" if m < n else f"all {n}, in {len(losses)} epochs"
    top_right.loglog(
        n * np.arange(1, len(losses) + 1),
        losses,
        line,
        color=color,
        label=label,
        marker=marker,
        ms=4,
        markevery=(len(losses) - 1, 1),
    )
top_right.axhline(0.05, color="gray", lw=0.8)
top_right.set(
    title="What a loss costs",
    xlabel="gradients of single samples",
    ylabel="training loss (cross-entropy, nats)",
)
top_right.set_ylim(0.004)
top_right.legend(title="mini-batch size", loc="lower left", fontsize=8, title_fontsize=8)

for axis, column, color, title, label in (
    (bottom_left, 1, "#009E73", "Small mini-batches end in flatter places", "sharpness"),
    (bottom_right, 0, "#D55E00", "and the smallest make fewer test errors", "test error (%)"),
):
    for m, rows in ends.items():
        axis.plot([m] * len(rows), rows[:, column], "o", color="gray", mfc="none", ms=5)
    means = [rows[:, column].mean() for rows in ends.values()]
    axis.plot(list(ends), means, "s-", color=color, label="mean of 4 seeds")
    axis.set_xscale("log")
    axis.set_xticks(list(ends), [str(m) for m in ends])
    axis.minorticks_off()
    axis.set(title=title, xlabel="mini-batch size (samples; 300 is all)", ylabel=label)
    axis.legend()
bottom_left.set_yscale("log")
plt.show()

# %%
# *Top left*: the circles lie on the curve, within 4 %. A hundred times the samples make a hundredth
# of the variance, so a tenth of the error, at a hundred times the cost. Only from a tenth of the
# data on does it matter that no sample is drawn twice.
#
# *Top right*: that is why SGD is cheaper. Nine passes over the data are enough for mini-batches of
# 1 and of 8. Gradient descent needs 188: about as many updates as SGD with 256 samples (204), each
# at four times the price. The small ones are not equal in time, though. 9000 updates with one
# sample take longer than 1125 with eight, whose samples share the same instructions. (The learning
# rate is a part of this: the noisier the gradient, the smaller the rate that still converges.)
#
# *Bottom*: all these networks have the same training loss, but sharpness grows more than tenfold
# from mini-batches of 4 to gradient descent. The noise of SGD keeps it out of narrow valleys. With
# nearly a fifth of the labels wrong, the flattest network has the smallest test error, by 2.0 to
# 3.1 percentage points. That is not a law. The gray circles, one for each seed, show how much
# chance there is in it. With a learning rate of 0.2 the difference in test error (not that in
# sharpness) is lost among them.
#
# .. [1] H. Robbins, S. Monro, "A stochastic approximation method", *Annals of Mathematical
#    Statistics* 22 (3), 400-407, 1951.
# .. [2] L. Bottou, F. E. Curtis, J. Nocedal, "Optimization methods for large-scale machine
#    learning", *SIAM Review* 60 (2), 223-311, 2018.
# .. [3] W. G. Cochran, *Sampling Techniques*, 3rd ed., Wiley, 1977, chapter 2.
# .. [4] N. S. Keskar, D. Mudigere, J. Nocedal, M. Smelyanskiy, P. T. P. Tang, "On large-batch
#    training for deep learning: generalization gap and sharp minima", ICLR 2017.
