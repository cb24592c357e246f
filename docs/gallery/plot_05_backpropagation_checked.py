"""
Backpropagation, checked and timed against finite differences
=============================================================

Backpropagation is the chain rule, and programs that apply it get it wrong easily. **The claim:**
its gradient is that of the loss to many digits, which difference quotients confirm as far as their
own errors allow. It costs about as much as a few evaluations of the loss. Difference quotients take
two for *each* parameter.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import pynn

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
rng = np.random.default_rng(0)
X = rng.normal(size=(32, 6))
y = rng.normal(size=(32, 3))


def network(width):
    return pynn.MLP([6, width, width, 3], "tanh", "squared_error", dtype="float64", seed=0)


def flat(arrays):
    return np.concatenate([a.ravel() for a in arrays])


def backpropagation(net):
    _, dW, db = net.gradients(X, y)
    return flat(dW + db)


def finite_differences(net, h, central=True):
    """The same gradient from two evaluations of the loss for each parameter."""
    gradient = []
    for array in net.weights + net.biases:
        parameters = array.reshape(-1)  # a live view: to write here is to change the network
        for i, value in enumerate(parameters):
            parameters[i] = value + h
            above = net.evaluate(X, y)["loss"]
            parameters[i] = value - h if central else value
            below = net.evaluate(X, y)["loss"]
            parameters[i] = value
            gradient.append((above - below) / (2 * h if central else h))
    return np.array(gradient)


# %%
# How small a step?
# -----------------
# The one-sided quotient :math:`(L(w + h) - L(w)) / h` has an error proportional to :math:`h`, the
# central one, :math:`(L(w + h) - L(w - h)) / 2h`, one proportional to :math:`h^2`. So the smaller
# the step, the better. But the loss itself is rounded to about 16 digits, and :math:`h` divides
# that error. So the smaller the step, the worse. Between the two there is a best step.

net = network(8)
exact = backpropagation(net)
exponents = np.arange(-13, 0.1, 0.5)
steps = 10.0**exponents
errors = {
    central: np.array([np.linalg.norm(finite_differences(net, h, central) - exact) for h in steps])
    / np.linalg.norm(exact)
    for central in (False, True)
}
for central, name in ((False, "one-sided"), (True, "central")):
    best = errors[central].argmin()
    rise = slice(best + 2, len(steps) - 2)
    slope = np.polyfit(exponents[rise], np.log10(errors[central][rise]), 1)[0]
    print(
        f"{name:9s} best step {steps[best]:.0e}, relative error {errors[central][best]:.0e}; "
        f"right of it the error is proportional to h^{slope:.2f}"
    )

# %%
# The central quotient agrees with backpropagation to ten digits or so, which no wrong formula would
# do. A rule of thumb gives the step for numbers of size one. The one-sided quotient takes the
# square root of the rounding unit :math:`\varepsilon = 2.2 \cdot 10^{-16}`, the central one its
# cube root: 1.5e-8 and 6e-6. Both are right within a factor of three. The slopes on the right of
# the V are the 1 and 2 of theory. In float32, with :math:`\varepsilon = 1.2 \cdot 10^{-7}`, the
# central quotient would have some four or five digits at best. So check gradients in float64.
#
# And what does it cost?
# ----------------------
# Wider and wider networks, the best of several runs each. For the larger ones the dotted line
# estimates the finite differences: the time of one evaluation, times two for each parameter.

widths = (4, 8, 16, 32, 64, 128, 256, 512)
counts, forward, backward, differences = [], [], [], []


def seconds(function, *arguments, repeats=20):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


for width in widths:
    net = network(width)
    counts.append(len(backpropagation(net)))
    forward.append(seconds(net.evaluate, X, y))
    backward.append(seconds(net.gradients, X, y))
    if counts[-1] < 3000:
        differences.append(seconds(finite_differences, net, 1e-5, repeats=5))
counts, forward, backward = np.array(counts), np.array(forward), np.array(backward)
print("parameters  loss (us)  backpropagation (us)  ratio  2 P losses (s)")
for P, loss, gradient in zip(counts, forward, backward, strict=True):
    print(
        f"{P:10d}  {loss * 1e6:9.0f}  {gradient * 1e6:20.0f}  {gradient / loss:5.1f}"
        f"  {2 * P * loss:14.4f}"
    )
print(
    f"at {counts[-1]} parameters, finite differences take "
    f"{2 * counts[-1] * forward[-1] / backward[-1]:,.0f} times as long"
)

# %%
# A forward pass multiplies by each layer's weights once. The backward pass does so twice, once for
# the gradient of the weights and once for that of the layer's inputs. So both together should cost
# about three times the loss alone, whatever the number of parameters. The ratio indeed stays at a
# few. (The times differ from machine to machine, and those of small networks are mostly the call.)
# The cost of the finite differences grows with the *square* of the number of parameters. For a
# quarter of a million it is about a minute, against a millisecond.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for central, name, look in (
    (False, "one-sided", {"color": ORANGE, "marker": "s"}),
    (True, "central", {"color": BLUE, "marker": "o"}),
):
    left.loglog(steps, errors[central], label=name, markersize=4, **look)
eps = np.finfo(float).eps
left.loglog(steps, eps / steps, ":", color="black", label="ε / h, rounding")
left.loglog(steps, steps * errors[False][-8] / steps[-8], "-.", color="0.5", label="∝ h")
left.loglog(steps, steps**2 * errors[True][-6] / steps[-6] ** 2, "--", color="0.5", label="∝ h²")
left.set(title="Difference quotients against backpropagation", xlabel="step h")
left.set(ylabel="relative error of the gradient", ylim=(1e-12, 10))
left.legend(loc="upper center")

right.loglog(counts, 2 * counts * forward, ":", color=ORANGE, label="2 P times one loss")
right.loglog(counts[: len(differences)], differences, "s", color=ORANGE, label="finite differences")
right.loglog(counts, backward, "-o", color=BLUE, label="backpropagation")
right.loglog(counts, forward, "--^", color=GREEN, label="the loss alone")
right.set(title="The cost of a gradient", xlabel="parameters P", ylabel="time (s)")
right.legend()
plt.show()

# %%
# References
# ----------
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
#   errors", *Nature* 323, 1986.
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, Springer, 2006: section 5.3.3 (the
#   efficiency of backpropagation, and finite differences as its check).
# - A. Griewank, A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM, 2008 (a gradient costs a
#   small multiple of its function).
# - W. H. Press, S. A. Teukolsky, W. T. Vetterling, B. P. Flannery, *Numerical Recipes*, 3rd ed.,
#   Cambridge University Press, 2007: section 5.7 (the best step).
