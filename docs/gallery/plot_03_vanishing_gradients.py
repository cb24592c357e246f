"""
Why deep sigmoid networks are hard to train
===========================================

Backpropagation carries the error from the outputs to the inputs. In each layer it multiplies the
error by the layer's weights and by the derivative of its activation. **The claim:** the sigmoid's
derivative is 1/4 at most, so the gradient shrinks by about that factor per layer. The first layers
of a deep network then do not learn. The derivative of tanh is 1 at the origin, that of ReLU is 1
for half of the units. With weights of the right size the gradient arrives undiminished.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import pynn

LOOKS = {
    "sigmoid": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "tanh": {"color": "#E69F00", "linestyle": "--", "marker": "s"},
    "relu": {"color": "#009E73", "linestyle": "-.", "marker": "^"},
}
# Each activation's own initial weights: Glorot and Bengio's, and He's for ReLU.
INIT = {"sigmoid": "glorot_uniform", "tanh": "glorot_uniform", "relu": "he_normal"}
DEPTH, WIDTH = 10, 64

X, y = load_digits(return_X_y=True)
X = (X - X.mean()) / X.std()
order = np.random.default_rng(0).permutation(len(X))
X, y = X[order].astype(np.float32), y[order]
train, test = slice(0, 1200), slice(1200, None)


def gradient_sizes(net):
    """The root mean square of the gradient for the weights of each layer."""
    _, dW, _ = net.gradients(X[train], y[train])
    return np.array([np.sqrt(np.mean(g.astype(float) ** 2)) for g in dW])


def factor(sizes):
    """By how much the gradient changes from a hidden layer to the one before it, on average."""
    between = sizes[1:-1]  # the layers of 64 x 64 weights
    return (between[0] / between[-1]) ** (1 / (len(between) - 1))


# %%
# Before training
# ---------------
# Ten hidden layers of 64 units, for the handwritten digits (8 x 8 pixels, ten classes). The
# initial weights are those made for each activation: Glorot and Bengio's for sigmoid and tanh,
# He's for ReLU. (pynn starts with Glorot's uniform weights unless ``init`` says otherwise.)

start, course, final = {}, {}, {}
for name in LOOKS:
    net = pynn.MLP([64, *[WIDTH] * DEPTH, 10], name, init=INIT[name], seed=0)
    start[name] = gradient_sizes(net)
    course[name] = [start[name]]
    history = net.fit(
        X[train],
        y[train],
        epochs=20,
        batch_size=32,
        optimizer=pynn.SGD(0.05),
        callbacks=lambda net, history, path=course[name]: path.append(gradient_sizes(net)),
    )
    course[name] = np.array(course[name])
    final[name] = history.loss[-1]
    print(
        f"{name:8s} gradient of layer 1: {start[name][0]:.0e}, of layer {DEPTH + 1}: "
        f"{start[name][-1]:.0e}, factor from layer to layer: {factor(start[name]):.2f}"
    )

large = pynn.MLP([64, *[WIDTH] * DEPTH, 10], "sigmoid", seed=0)
for W in large.weights[:-1]:
    W[...] = 4 * W
print(f"sigmoid with weights four times as large, factor: {factor(gradient_sizes(large)):.2f}")

# %%
# The sigmoid's gradient shrinks to a quarter with each layer. Weights of this size neither stretch
# nor shrink it, and the units' inputs are near 0, where the derivative is 1/4. At the first layer
# it is less than a millionth of what it is at the last, and 300 000 times smaller than with tanh.
# Larger weights help a little, but their units saturate, where the derivative is smaller than 1/4.
# With tanh and ReLU it stays the same throughout.
#
# Training
# --------
# The same ten layers, trained by SGD for 20 epochs, with each layer's gradient recorded after each
# epoch. Then networks of one to ten hidden layers, two of each kind.

print(
    "training loss after 20 epochs (guessing: ln 10 = 2.30):",
    ", ".join(f"{name} {loss:.3f}" for name, loss in final.items()),
)
depths = (1, 2, 3, 4, 6, 10)
grid = [
    {"hidden": (WIDTH,) * depth, "activation": name, "init": INIT[name], "seed": seed}
    for name in LOOKS
    for depth in depths
    for seed in (0, 1)
]
result = pynn.fit_many(
    grid,
    X[train],
    y[train],
    epochs=20,
    batch_size=32,
    optimizer=pynn.SGD(0.05),
    validation_data=(X[test], y[test]),
)
accuracy = np.array([row["val_accuracy"] for row in result.table]).reshape(3, len(depths), 2)
print("accuracy on new digits, by depth", depths)
for name, values in zip(LOOKS, accuracy.mean(axis=2), strict=True):
    print(f"{name:8s}", "  ".join(f"{value:6.1%}" for value in values))

# %%
# Ten layers of sigmoids learn nothing. The loss is still that of guessing, and the first layer's
# gradient stays near 1e-8 all the time. (With tanh and ReLU the gradient becomes small as well, but
# late, and because the loss does.) One hidden layer of sigmoids reads 94.1 % of the new digits, two
# 86.3 %, three 31.4 %, and four or more about one in ten. With tanh and ReLU the depth makes no
# difference here: 97 to 98 %.

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
layers = np.arange(1, DEPTH + 2)
for name, look in LOOKS.items():
    left.semilogy(layers, start[name], label=name, **look)
    middle.semilogy(course[name][:, 0], label=name, **look, markersize=4)
    right.plot(depths, 100 * accuracy[list(LOOKS).index(name)].mean(axis=1), label=name, **look)
quarter = start["sigmoid"][-2] * 0.25 ** (DEPTH - layers[:-1])
left.semilogy(layers[:-1], quarter, ":", color="black", label="1/4 per layer")
left.set(title="Gradients before training", xlabel="layer of weights (1: at the inputs)")
left.set(ylabel="gradient, root mean square", xticks=layers)
middle.set(title="The first layer's gradient in training", xlabel="epoch")
middle.set(ylabel="gradient, root mean square", xticks=[0, 5, 10, 15, 20])
right.axhline(10, color="black", linestyle=":", label="guessing")
right.set(title="After 20 epochs, by depth", xlabel="hidden layers", xticks=depths)
right.set(ylabel="accuracy on new digits (%)", ylim=(0, 102))
for ax in (left, middle, right):
    ax.legend()
plt.show()

# %%
# References
# ----------
# - Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is
#   difficult", *IEEE Transactions on Neural Networks* 5, 1994.
# - X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
#   networks", AISTATS 2010.
# - X. Glorot, A. Bordes, Y. Bengio, "Deep sparse rectifier neural networks", AISTATS 2011.
# - K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
#   performance on ImageNet classification", ICCV 2015.
