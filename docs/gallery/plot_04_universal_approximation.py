"""
Universal approximation, by width
=================================

**The claim:** with enough neurons, a network with one hidden layer comes arbitrarily close to any
continuous function on an interval, everywhere at once. To a function with jumps it comes close on
average, but not at the jumps, since its own output is continuous. The theorems say that the weights
are there; here, gradient descent has to find them.
"""

import matplotlib.pyplot as plt
import numpy as np

import pynn


def continuous(x):
    return np.sqrt(np.abs(np.sin(4 * x)))


def discontinuous(x):
    return np.select([x < -0.6, x < -0.1, x < 0.5], [-1.0, 1.0, -0.5], default=0.5)


functions = {"continuous": continuous, "discontinuous": discontinuous}
widths = (2, 4, 8, 16, 32, 64, 128)
seeds = (0, 1, 2)
x = np.linspace(-1, 1, 512)[:, None]  # trained on these
fine = np.linspace(-1, 1, 20_001)[:, None]  # measured on these

# %%
# More and more neurons
# ---------------------
# Seven widths, three networks each, trained by one call of ``fit_many`` for each function. A hidden
# unit computes :math:`\tanh(w x + b)`, a step of width :math:`1/w` at :math:`-b/w`. At the start
# the steps lie side by side over the interval, steeper if there are more of them. With the usual
# initial weights (small, and biases of 0) all steps would be at the origin. Most of the training
# would go into moving them apart.


def network(width, seed):
    net = pynn.MLP([1, width, 1], activation="tanh", loss="mse", seed=seed)
    places = np.linspace(-1, 1, 2 * width + 1)[1::2]
    net.weights[0][0] = width * np.sign(net.weights[0][0])  # (live: they are the network's own)
    net.biases[0][:] = -net.weights[0][0] * places
    return net


fits, mean_error, largest_error = {}, {}, {}
for name, function in functions.items():
    nets = [network(width, seed) for width in widths for seed in seeds]
    adam = pynn.Adam(pynn.CosineDecay(0.03, steps=600 * 8))
    result = pynn.fit_many(nets, x, function(x), epochs=600, batch_size=64, optimizer=adam)
    outputs = np.array([net(fine)[:, 0] for net in result]).reshape(len(widths), len(seeds), -1)
    errors = np.abs(outputs - function(fine)[:, 0])
    mean_error[name] = np.sqrt(np.mean(errors**2, axis=2))
    largest_error[name] = errors.max(axis=2)
    best = mean_error[name].argmin(axis=1)
    fits[name] = outputs[np.arange(len(widths)), best]
    slope = np.polyfit(np.log(widths), np.log(mean_error[name].min(axis=1)), 1)[0]
    print(f"{name}, the best of {len(seeds)} networks:")
    print("  neurons                ", "".join(f"{width:8d}" for width in widths))
    for kind, values in (("root mean square", mean_error), ("largest error", largest_error)):
        print(f"  {kind:23s}", "".join(f"{e:8.4f}" for e in values[name].min(axis=1)))
    print(f"  the root mean square error is proportional to about width^{slope:.2f}")

# %%
# The continuous function is a hard one: at its three cusps the slope has no bound. Still both
# errors keep falling, the largest one too, from 0.76 with two neurons to 0.096 with 128. (The small
# dots are all three networks of a width.)
#
# For the function with jumps the root mean square error falls as well, but more slowly. The slope
# grows like the number of neurons, which leaves an error on a stretch of length 1/width. In the
# root mean square that is width to the power -1/2; the measured power is -0.39. The largest error
# does not fall at all. No continuous curve can be closer to both ends of a jump than half of it,
# here 1. The wide networks even overshoot a little before and after it, like a Fourier series.

figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
LOOKS = ((2, "#E69F00", ":"), (8, "#56B4E9", "--"), (128, "#0072B2", "-"))
for ax, (name, function) in zip(axes, functions.items(), strict=False):
    ax.plot(fine, function(fine), color="0.75", linewidth=5, label="the function")
    for width, color, style in LOOKS:
        fit = fits[name][widths.index(width)]
        ax.plot(fine, fit, style, color=color, linewidth=1.8, label=f"{width} neurons")
    ax.set(title=f"A {name} function", xlabel="x", ylabel="y")
axes[0].set_ylim(-0.05, 1.45)
axes[1].set_ylim(-1.4, 1.9)
for ax in axes[:2]:
    ax.legend(loc="upper center", ncols=2)
for name, color, marker in (("continuous", "#0072B2", "o"), ("discontinuous", "#D55E00", "s")):
    for errors, style, kind in ((mean_error, "-", "RMS"), (largest_error, "--", "largest")):
        axes[2].loglog(
            widths,
            errors[name].min(axis=1),
            style,
            color=color,
            marker=marker,
            fillstyle="full" if style == "-" else "none",
            label=f"{name}, {kind}",
        )
    axes[2].loglog(widths, mean_error[name], ".", color=color, alpha=0.4)
axes[2].axhline(1, color="black", linestyle=":", linewidth=1, label="half of the largest jump")
axes[2].set(title="Error against width", xlabel="neurons in the hidden layer", ylabel="error")
axes[2].set(xticks=widths, xticklabels=widths, ylim=(8e-4, 2))
axes[2].minorticks_off()
axes[2].legend(loc="lower left", fontsize="small")
plt.show()

# %%
# References
# ----------
# - G. Cybenko, "Approximation by superpositions of a sigmoidal function", *Mathematics of
#   Control, Signals and Systems* 2, 1989.
# - K. Hornik, "Approximation capabilities of multilayer feedforward networks", *Neural Networks*
#   4, 1991 (also in the mean, for functions with jumps).
# - A. R. Barron, "Universal approximation bounds for superpositions of a sigmoidal function",
#   *IEEE Transactions on Information Theory* 39, 1993.
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, MIT Press, 2016: section 6.4.1.
