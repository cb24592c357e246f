"""
What depth without a non-linearity is worth
===========================================

**The claim:** layers without an activation between them, :math:`Z = X W V`, are one linear map,
however many there are. Such a network draws only straight lines, and its rank is that of its
narrowest layer. Depth changes only the way in which it learns.
"""

import matplotlib.pyplot as plt
import numpy as np

import pynn

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), ("black", ":"))


def collapse(net):
    """The one matrix and the one bias of a network whose activations are all identities."""
    matrix, bias = np.eye(net.layer_sizes[0]), np.zeros(net.layer_sizes[0])
    for W, b in zip(net.weights, net.biases, strict=True):
        matrix, bias = matrix @ W, bias @ W + b
    return matrix, bias


# %%
# Three layers that are one
# -------------------------
# Two classes, one around the other. A single layer (logistic regression), three layers with the
# identity for their activation, and three with ReLU are trained alike.

rng = np.random.default_rng(0)
labels = np.arange(400) % 2
angle = rng.uniform(0, 2 * np.pi, 400)
radius = np.where(labels == 1, 0.5, 1.5) + rng.normal(0, 0.2, 400)
X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

nets = {
    "one layer": pynn.MLP([2, 2], dtype="float64", seed=0),
    "three layers, identity": pynn.MLP([2, 16, 16, 2], "identity", dtype="float64", seed=0),
    "three layers, ReLU": pynn.MLP([2, 16, 16, 2], "relu", dtype="float64", seed=0),
}
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharey=True)
accuracy = {}
for ax, (name, net) in zip(axes, nets.items(), strict=True):
    net.fit(X, labels, epochs=1000, batch_size=400, optimizer=pynn.Adam(0.01))
    accuracy[name] = net.evaluate(X, labels)["accuracy"]
    loss = net.evaluate(X, labels)["loss"]
    print(f"{name:24s} loss {loss:.4f}   accuracy {accuracy[name]:.1%}")
    pynn.plot.decision_regions(
        net, X, labels, ax=ax, class_names=["outside", "inside"], feature_names=["x₁", "x₂"]
    )
    ax.set(title=f"{name}: {accuracy[name]:.0%} right", aspect="equal")
for ax in axes[1:]:
    ax.set_ylabel("")
    ax.get_legend().remove()

matrix, bias = collapse(nets["three layers, identity"])
logits = X @ matrix + bias
probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
difference = np.abs(probabilities - nets["three layers, identity"](X)).max()
print(f"three layers collapsed into a matrix of shape {matrix.shape}: difference {difference:.0e}")

# %%
# The :math:`2 \cdot 16 + 16 \cdot 16 + 16 \cdot 2` weights of the second network come down to four,
# and the probabilities are the same to rounding. So the three linear layers end where one layer
# does, at the best straight line. Its loss of 0.6891 is hardly below that of guessing, :math:`\ln 2
# = 0.6931`. ReLU between the same layers is right for 99.8 % of the points.
#
# Rank, and the way of learning
# -----------------------------
# The outputs of a linear network depend on the inputs through its narrowest layer. A matrix with
# the singular values 4, 3, 2 and 1 makes the data. A network with a layer of two units has a matrix
# of rank two at most. The best such matrix keeps the two largest values (Eckart and Young), and
# gradient descent finds it: 4, 3, and two zeros.
#
# How it gets there depends on the depth. A single layer learns all four directions at once, at the
# same rate. With more layers and small initial weights, each direction waits, because the other
# layers' small weights multiply its gradient. Then the network learns it quickly, the strongest
# first. After 600 steps the weakest one is still on its way (0.79 of 1). The learning is not linear
# in the data, though the map is. Without a non-linearity, depth is worth only that.

left_vectors, right_vectors = (np.linalg.qr(rng.normal(size=(8, 4)))[0] for _ in range(2))
strengths = np.array([4.0, 3.0, 2.0, 1.0])
truth = left_vectors * strengths @ right_vectors.T
inputs = np.linalg.qr(rng.normal(size=(64, 8)))[0] * np.sqrt(64)  # uncorrelated, of variance 1
targets = inputs @ truth


paths, maps = {}, {}
cases = {"one layer": ([8, 8], 0.01), "four layers": ([8] * 5, 0.01), "narrow": ([8, 2, 8], 0.01)}
for name, (sizes, rate) in cases.items():
    net = pynn.MLP(sizes, "identity", "squared_error", init="orthogonal", dtype="float64", seed=1)
    for W in net.weights:
        W[...] = 0.3 * W  # the weights are live: this makes the network's own small
    paths[name] = []

    def watch(net, history, path=paths[name]):
        path.append(np.linalg.svd(collapse(net)[0], compute_uv=False)[:4])

    net.fit(inputs, targets, epochs=600, batch_size=64, optimizer=pynn.SGD(rate), callbacks=watch)
    maps[name] = collapse(net)[0]
    print(f"{name:12s} singular values after training:", paths[name][-1].round(3) + 0.0)

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharey=True)
titles = ("One layer: all at once", "Four layers: one after another", "8-2-8: rank two")
for ax, name, title in zip(axes, paths, titles, strict=True):
    for k, (color, style) in enumerate(STYLES):
        values = np.array(paths[name])[:, k]
        ax.plot(values, style, color=color, linewidth=2, label=f"singular value {k + 1}")
        ax.axhline(strengths[k], color="0.8", linewidth=1, zorder=0)
    ax.set(title=title, xlabel="step of gradient descent")
axes[0].set_ylabel("singular value of the network's one matrix")
axes[2].legend(loc="center right")
plt.show()

# %%
# References
# ----------
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, MIT Press, 2016: section 6.1 (linear
#   layers in a row are linear).
# - C. Eckart, G. Young, "The approximation of one matrix by another of lower rank",
#   *Psychometrika* 1, 1936.
# - P. Baldi, K. Hornik, "Neural networks and principal component analysis: learning from examples
#   without local minima", *Neural Networks* 2, 1989.
# - A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of
#   learning in deep linear neural networks", ICLR 2014.
