"""
The loss surface
================

A network's loss is a surface over its weights, and not a convex one. **The claims:** one sigmoid
unit with two parameters already has minima of different depth, saddle points and plateaus. The
start and the steps of a descent decide in which minimum it ends. In larger networks every minimum
has many copies, with hills between them.
"""

import matplotlib.pyplot as plt
import numpy as np

import pynn

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"

# %%
# All of a surface
# ----------------
# The network has one weight :math:`w` and one bias :math:`b`, and is to follow a bump. It cannot:
# its output :math:`\sigma(w x + b)` only rises or falls. It can stay near the mean, rise with the
# bump's left edge, or fall with the right one. Newton's method from many starts finds the points
# without slope. The eigenvalues of the second derivatives classify them: two positive ones make a
# minimum, one of each sign a saddle point.

x = np.linspace(-4, 4, 40)[:, None]
bump = pynn.sigmoid(3 * (x[:, 0] + 1)) - pynn.sigmoid(3 * (x[:, 0] - 2.5))
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
for start in np.stack(np.meshgrid(np.arange(-7, 8), np.arange(-8.0, 11)), axis=-1).reshape(-1, 2):
    point = start
    for _ in range(40):
        step = np.linalg.lstsq(hessian_at(point), slope_at(point), rcond=None)[0]
        point = point - step / max(1, np.linalg.norm(step))
    found = np.linalg.norm(slope_at(point)) < 1e-9 and abs(point).max() < 11
    if found and all(np.linalg.norm(point - other) > 1e-3 for other in stationary):
        stationary.append(point)
stationary.sort(key=loss_at)
kinds = []
for point in stationary:
    curvatures = np.linalg.eigvalsh(hessian_at(point))
    kinds.append("minimum" if curvatures[0] > 0 else "saddle" if curvatures[1] > 0 else "maximum")
    print(f"{kinds[-1]:7s} loss {loss_at(point):.4f} at (w, b) =", point.round(2), end=", ")
    print("curvatures", curvatures.round(4))

# %%
# There are three minima: near the mean (the deepest), the rise, and, much higher, the fall.
# Between them lie two saddle points. Toward the edges the sigmoid saturates, and the surface is
# all but flat: plateaus, at the top and the bottom of the picture.
#
# Three ways down
# ---------------
# Three methods take 800 steps each from the same four points: the whole gradient, a noisy estimate
# of it from four samples, and the whole gradient with momentum. A callback keeps the path.

STARTS = ((-4.0, -3.0), (5.0, -6.0), (-6.0, 3.0), (1.0, -7.0))
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
        walker.fit(
            x, bump, epochs=epochs, batch_size=batch_size, optimizer=optimizer, callbacks=path
        )
        paths[name, start] = np.array(path.points)
    ends = np.array([loss_at(paths[name, start][-1]) for start in STARTS])
    print(f"{name:23s} loss after 800 steps from each start:", ends.round(3))
print("sizes of the gradient there:", [f"{np.linalg.norm(slope_at(p)):.4f}" for p in STARTS])

# %%
# (Circles: the starts. Crosses: the ends.) From (-6, 3) all three go toward the high minimum of the
# fall (0.338) and stay there: not every minimum is the minimum. From (1, -7), on the plateau, the
# first steps are short: the gradient there (0.0055) is half of that at the next flattest start. All
# three still reach the valley. Gradient descent comes to rest in the deepest minimum (0.147) or
# crawls along the floor of the long valley (0.157, where its minimum has 0.155). SGD takes the same
# paths and then jumps around the minimum (0.159), since its steps do not get shorter. Momentum
# reaches the end of the valley in the same number of steps. But it also runs through the deepest
# minimum and over the saddle point beyond, into the next one (0.155). It escapes from minima, good
# or bad.

w, b = np.linspace(-8, 8, 129), np.linspace(-8, 11, 153)
surface = np.array([[loss_at((wi, bi)) for wi in w] for bi in b])
figure, axes = plt.subplots(1, 3, figsize=(13, 4.8), layout="constrained", sharey=True)
for ax, name in zip(axes, METHODS, strict=True):
    image = ax.contourf(w, b, surface, 24, cmap="cividis")
    ax.contour(w, b, surface, 24, colors="black", linewidths=0.3, alpha=0.5)
    for start in STARTS:
        ax.plot(*paths[name, start].T, color="black", linewidth=2.6)
        ax.plot(*paths[name, start].T, color="white", linewidth=1.4)
        ax.plot(*start, "o", color="white", markersize=6, mec="black")
        ax.plot(*paths[name, start][-1], "X", color="white", markersize=8, mec="black")
    for kind, marker in (("minimum", "v"), ("saddle", "P")):
        places = np.array([p for p, k in zip(stationary, kinds, strict=True) if k == kind])
        ax.plot(*places.T, marker, color=RED, markersize=8, mec="white", label=kind, linestyle="")
    ax.set(title=name, xlabel="weight w", xlim=(-8, 8), ylim=(-8, 11))
axes[0].set_ylabel("bias b")
axes[0].legend(loc="upper center")
figure.colorbar(image, ax=axes, label="mean squared error", pad=0.02)

# %%
# The same function, elsewhere
# ----------------------------
# The hidden units of a network may change places. The incoming weights of a ReLU unit may be
# multiplied by any positive number if the outgoing ones are divided by it. Both leave the function
# as it is, with other weights. We train a network, change it in these two ways, and train another
# one from a different seed. Then we walk from the first to the others in a straight line.

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, size=(200, 1))
Y = np.sin(3 * X[:, 0])
trained = []
for seed in (0, 1):
    relu = pynn.MLP([1, 20, 1], loss="mse", init="he_normal", dtype="float64", seed=seed)
    relu.biases[0][:] = -relu.weights[0][0] * rng.uniform(-2, 2, 20)  # kinks all over the interval
    relu.fit(X, Y, epochs=1000, batch_size=50, optimizer=pynn.Adam(0.01))
    trained.append([*relu.weights, *relu.biases])
(W1, W2, b1, b2), _ = trained
order, scale = rng.permutation(20), np.exp(rng.normal(size=20))
others = {
    "units permuted": [W1[:, order], W2[order], b1[order], b2],
    "units rescaled": [W1 * scale, W2 / scale[:, None], b1 * scale, b2],
    "trained from another seed": trained[1],
}
probe = pynn.MLP([1, 20, 1], loss="mse", dtype="float64")


def loss_of(W1, W2, b1, b2):
    probe.set_weights([W1, W2], [b1, b2])
    return probe.evaluate(X, Y)["loss"]


share = np.linspace(0, 1, 101)
loss_of(*trained[0])
outputs, ways = probe(X), {}
for name, other in others.items():
    loss, apart = loss_of(*other), np.abs(probe(X) - outputs).max()
    pairs = list(zip(trained[0], other, strict=True))
    ways[name] = [loss_of(*[(1 - t) * p + t * q for p, q in pairs]) for t in share]
    print(f"{name}: loss {loss:.5f}, outputs {apart:.0e} apart, on the way {max(ways[name]):.2f}")
curve = [loss_of(W1 * f, W2 / f[:, None], b1 * f, b2) for f in (scale**t for t in share)]
print(f"highest loss on the curve of rescaled networks: {max(curve):.5f}")

# %%
# Changed networks have the same outputs to rounding, and the same loss of 0.0012. In between it
# rises to 1.8, which is worse than always saying 0 (0.5): an average of two good networks is no
# good network. The same holds for one trained from another seed (0.74 on the way). Permutations are
# separate points, 20! = 2.4e18 of them for 20 units. A curve on which the loss does not change
# joins rescaled networks, so no minimum of a ReLU network is a single point. None of this harms the
# training: all copies are equally good.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.set_prop_cycle(color=[BLUE, ORANGE, GREEN], linestyle=["-", "--", "-."])
for name, losses in ways.items():
    ax.semilogy(share, losses, linewidth=2, label=name)
ax.set(title="Between equally good networks", ylabel="mean squared error")
ax.set_xlabel("share of the way to the other network")
ax.legend()
plt.show()

# %%
# References
# ----------
# - P. Auer, M. Herbster, M. K. Warmuth, "Exponentially many local minima for single neurons",
#   NIPS 8, 1995 (one sigmoid unit, squared error).
# - B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", *USSR
#   Computational Mathematics and Mathematical Physics* 4, 1964 (momentum).
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, Springer, 2006: section 5.1.1
#   (weight-space symmetries).
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, MIT Press, 2016: section 8.2 (local
#   minima, plateaus, saddle points; the rescaling of ReLU networks).
