"""
The loss surface
================

A network's loss is a surface over its weights, and not a convex one. **The claims:** one sigmoid
unit with two parameters already has minima of different depth, saddle points and plateaus; which minimum
a descent ends in depends on where it starts and how it steps; and in larger networks every minimum
comes in a multitude of copies, with hills between them.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

import pynn

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
sigmoid = pynn.sigmoid

# %%
# All of a surface
# ----------------
# The network has one weight :math:`w` and one bias :math:`b`, and is to follow a bump. It cannot: its
# output :math:`\sigma(w x + b)` only rises or falls. It can rise with the bump's left edge, fall
# with the right one, or stay near the mean; each is a minimum of the squared error. Newton's method
# from many starts finds the points without slope, and the eigenvalues of the second derivatives tell
# what they are: two positive ones make a minimum, one of each sign a saddle point.

x = np.linspace(-4, 4, 40)[:, None]
bump = sigmoid(4 * (x[:, 0] + 1)) - sigmoid(4 * (x[:, 0] - 2.5))
net = pynn.MLP([1, 1], loss="mse", output_activation="sigmoid", dtype="float64")


def loss_at(point):
    net.set_weights([[[point[0]]]], [[point[1]]])
    return net.evaluate(x, bump)["loss"]


def slope_at(point):
    net.set_weights([[[point[0]]]], [[point[1]]])
    _, dW, db = net.gradients(x, bump)
    return np.array([dW[0][0, 0], db[0][0]])


def hessian_at(point, h=1e-5):
    return np.array([(slope_at(point + e) - slope_at(point - e)) / (2 * h) for e in h * np.eye(2)])


stationary = []
for start in np.stack(np.meshgrid(np.arange(-7, 8), np.arange(-8.0, 9)), axis=-1).reshape(-1, 2):
    point = start
    for _ in range(40):
        step = np.linalg.lstsq(hessian_at(point), slope_at(point), rcond=None)[0]
        point = point - step / max(1, np.linalg.norm(step))
    found = np.linalg.norm(slope_at(point)) < 1e-9 and abs(point).max() < 9
    if found and all(np.linalg.norm(point - other) > 1e-3 for other in stationary):
        stationary.append(point)
stationary.sort(key=loss_at)
kinds = []
for point in stationary:
    curvatures = np.linalg.eigvalsh(hessian_at(point))
    kinds.append("minimum" if curvatures[0] > 0 else "saddle" if curvatures[1] > 0 else "maximum")
    print(f"{kinds[-1]:8s} w = {point[0]:5.2f}, b = {point[1]:5.2f}, loss {loss_at(point):.4f}, "
          f"curvatures {curvatures[0]:+.4f} and {curvatures[1]:+.4f}")

# %%
# Four ways down
# --------------

STARTS = ((-4.0, -3.0), (5.0, -6.0), (0.5, 5.0), (1.0, -7.0))
METHODS = {
    "gradient descent": (pynn.SGD(1.0), 40, 800),
    "SGD, mini-batches of 4": (pynn.SGD(1.0), 4, 80),
    "momentum 0.9": (pynn.SGD(1.0, momentum=0.9), 40, 800),
}


class Path(pynn.Callback):
    def __init__(self, start):
        self.points = [start]

    def on_batch_end(self, net, batch, loss):
        self.points.append((net.weights[0][0, 0], net.biases[0][0]))


paths = {}
for name, (optimizer, batch_size, epochs) in METHODS.items():
    for start in STARTS:
        walker = pynn.MLP([1, 1], loss="mse", output_activation="sigmoid", dtype="float64", seed=0)
        walker.set_weights([[[start[0]]]], [[start[1]]])
        path = Path(start)
        walker.fit(x, bump, epochs, batch_size, optimizer, callbacks=path)
        paths[name, start] = np.array(path.points)
    ends = (f"{loss_at(paths[name, start][-1]):.3f}" for start in STARTS)
    print(f"{name:24s} loss after 800 steps from the four starts:", ", ".join(ends))

w, b = np.linspace(-7, 7, 113), np.linspace(-8, 8, 129)
surface = np.array([[loss_at((wi, bi)) for wi in w] for bi in b])
figure, axes = plt.subplots(1, 3, figsize=(13, 4.8), layout="constrained", sharey=True)
for ax, name in zip(axes, METHODS, strict=True):
    image = ax.contourf(w, b, surface, 24, cmap="cividis")
    ax.contour(w, b, surface, 24, colors="black", linewidths=0.3, alpha=0.5)
    for start in STARTS:
        ax.plot(*paths[name, start].T, color="white", linewidth=1.6)
        ax.plot(*start, "o", color="white", markersize=6, mec="black")
        ax.plot(*paths[name, start][-1], "X", color="white", markersize=8, mec="black")
    for kind, marker in (("minimum", "v"), ("saddle", "P")):
        places = np.array([p for p, k in zip(stationary, kinds, strict=True) if k == kind])
        ax.plot(*places.T, marker, color=RED, markersize=8, mec="white", label=kind, linestyle="")
    ax.set(title=name, xlabel="weight w", xlim=(-7, 7), ylim=(-8, 8))
axes[0].set_ylabel("bias b")
axes[0].legend(loc="upper center")
figure.colorbar(image, ax=axes, label="mean squared error")

# %%
# The same function, elsewhere
# ----------------------------

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, size=(200, 1))
Y = np.sin(3 * X[:, 0])
trained = []
for seed in (0, 1):
    relu = pynn.MLP([1, 20, 1], loss="mse", dtype="float64", seed=seed)
    relu.fit(X, Y, epochs=1000, batch_size=50, optimizer=pynn.Adam(0.01))
    trained.append(relu.get_weights())
(W1, W2), (b1, b2) = trained[0]
order, scale = rng.permutation(20), np.exp(rng.normal(size=20))
others = {
    "units permuted": ([W1[:, order], W2[order]], [b1[order], b2]),
    "units rescaled": ([W1 * scale, W2 / scale[:, None]], [b1 * scale, b2]),
    "trained from another seed": trained[1],
}
relu.set_weights(*trained[0])
outputs = relu(X)
share = np.linspace(0, 1, 101)
barriers = {}
for name, (weights, biases) in others.items():
    relu.set_weights(weights, biases)
    print(f"{name:26s} loss {relu.evaluate(X, Y)['loss']:.5f}, "
          f"largest difference of the outputs {np.abs(relu(X) - outputs).max():.0e}")
    barriers[name] = []
    for t in share:
        mixed = [(1 - t) * p + t * q for p, q in zip([W1, W2, b1, b2], [*weights, *biases], strict=True)]
        relu.set_weights(mixed[:2], mixed[2:])
        barriers[name].append(relu.evaluate(X, Y)["loss"])
    print(f"{'':26s} highest loss on the straight way there {max(barriers[name]):.4f}")
print(f"permutations of 20 units: {math.factorial(20):.1e}")

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, values), (colour, style) in zip(
    barriers.items(), ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-.")), strict=True
):
    ax.semilogy(share, values, style, color=colour, linewidth=2, label=name)
ax.set(title="Between networks that fit equally well", ylabel="mean squared error")
ax.set_xlabel("share of the way from the trained network to the other")
ax.legend()
plt.show()
