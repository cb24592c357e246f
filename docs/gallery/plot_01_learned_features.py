r"""
Features by hand, and features that a network learns
====================================================

Linear regression is linear in its *features*, not in the inputs. With :math:`x, x^2, x^3, \dots`
for features it draws curves, but you have to choose these features, and the same ones serve
everywhere on the axis. **The claim:** a network with one hidden layer is a linear (or logistic)
regression too. Its features are the outputs of the hidden units. It learns them together with the
regression's coefficients.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

import pynn

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
rng = np.random.default_rng(0)


def target(x):
    return np.tanh(10 * (x - 0.4)) + 0.4 * np.sin(3 * x)


def rms(values):
    return np.sqrt(np.mean(values**2))


x = np.sort(rng.uniform(-1, 1, 100))
y = target(x) + rng.normal(0, 0.1, 100)  # measured with noise of standard deviation 0.1
grid = np.linspace(-1, 1, 1001)

# %%
# Hand-made features
# ------------------
# The curve to be found is smooth except for one steep rise. Least squares on the powers of x, from
# a straight line to degree 16:

fits = {}
print("features     coefficients   error (root mean square, against the curve without noise)")
for degree in (1, 3, 5, 8, 12, 16):
    coefficients = np.linalg.lstsq(np.vander(x, degree + 1), y, rcond=None)[0]
    fits[degree] = np.vander(grid, degree + 1) @ coefficients
    print(f"degree {degree:2d}    {degree + 1:8d}       {rms(fits[degree] - target(grid)):.3f}")

# %%
# Learned features
# ----------------
# Three hidden units, each computing :math:`\tanh(w x + b)`, and a linear output on top. After
# training, least squares replaces the last layer: it fits the outputs of ``net.hidden``.

net = pynn.MLP([1, 3, 1], activation="tanh", loss="mse", dtype="float64", seed=2)
steps = 8000
adam = pynn.Adam(pynn.CosineDecay(0.05, steps=steps))
net.fit(x[:, None], y, epochs=steps, batch_size=len(x), optimizer=adam)
parameters = sum(a.size for a in net.weights + net.biases)
network_error = rms(net(grid[:, None])[:, 0] - target(grid))
print(f"network  {parameters:11d}       {network_error:.3f}")

features = np.column_stack([net.hidden(x[:, None]), np.ones(len(x))])
refit = np.linalg.lstsq(features, y, rcond=None)[0]
difference = np.abs(features @ refit - net(x[:, None])[:, 0]).max()
print("last layer, as the network has it:", net.weights[1][:, 0].round(3), net.biases[1].round(3))
print("least squares on its features:    ", refit[:3].round(3), refit[3:].round(3))
print(f"largest difference of the outputs: {difference:.0e}")

# %%
# Least squares finds the last layer that was there already, to three digits: for these features the
# network *is* the linear regression. With ten numbers it comes closer to the curve than the
# polynomial of degree 16 with seventeen (an error of 0.030 against 0.053), because its features are
# where the curve needs them. In the picture, unit 3 switches at the steep rise, and only there.
# Units 1 and 2 are wide, and their sum makes the gentle wave on both sides. A polynomial has to be
# wavy everywhere to be steep somewhere.

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for ax in (left, right):
    ax.plot(x, y, "o", color="0.7", markersize=3, label="data")
    ax.set(xlabel="x", ylabel="y", ylim=(-2.2, 2.2))
for degree, style, color in ((1, ":", "black"), (5, "--", ORANGE), (12, "-", BLUE)):
    left.plot(grid, fits[degree], style, color=color, label=f"degree {degree}")
left.set_title("Linear regression on powers of x")
left.legend()

hidden = net.hidden(grid[:, None])
for unit, (style, color) in enumerate((("-", BLUE), ("--", ORANGE), ("-.", GREEN))):
    name = f"unit {unit + 1}, output weight {net.weights[1][unit, 0]:+.2f}"
    middle.plot(grid, hidden[:, unit], style, color=color, label=name)
middle.set(title="The features that the network learned", xlabel="x", ylim=(-1.1, 1.7))
middle.set_ylabel("output of a hidden unit")
middle.legend(loc="upper left")

right.plot(grid, target(grid), color="black", linewidth=1, label="curve without noise")
right.plot(grid, net(grid[:, None]), "--", color=RED, linewidth=2.5, label="their weighted sum")
right.set_title("The network: linear regression on these")
right.legend()

# %%
# Straight lines in a bent plane
# ------------------------------
# Now two classes, one around the other, which no straight line separates. The last hidden layer has
# two units, so that we can draw the plane of the learned features. The output is a logistic
# regression. scikit-learn's, on the outputs of ``hidden`` and with the same penalty, finds the same
# coefficients. (``C=1/(n l2)``: scikit-learn multiplies the sum of the losses, pynn the penalty on
# top of their mean.)

rng = np.random.default_rng(5)
n, penalty = 400, 1e-3
angle, labels = rng.uniform(0, 2 * np.pi, n), np.arange(n) % 2
radius = np.where(labels == 1, 0.5, 1.5) + rng.normal(0, 0.25, n)
X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

classifier = pynn.MLP(
    [2, 4, 2, 1], "tanh", "sigmoid_cross_entropy", l2=(0, 0, penalty), dtype="float64", seed=0
)
adam = pynn.Adam(pynn.CosineDecay(0.03, steps=3000))
classifier.fit(X, labels, epochs=3000, batch_size=n, optimizer=adam)
logistic = LogisticRegression(C=1 / (n * penalty), tol=1e-10, max_iter=1000)
logistic.fit(classifier.hidden(X), labels)
probability = logistic.predict_proba(classifier.hidden(X))[:, 1]
on_inputs = LogisticRegression().fit(X, labels).score(X, labels)
on_features = logistic.score(classifier.hidden(X), labels)
print(
    f"logistic regression on the inputs: {on_inputs:.1%} right, on the features {on_features:.1%}"
)
print("network's last layer:", classifier.weights[2][:, 0].round(2), classifier.biases[2].round(2))
print("logistic regression: ", logistic.coef_[0].round(2), logistic.intercept_.round(2))
apart = np.abs(probability - classifier(X)[:, 0]).max()
print(f"largest difference of the probabilities: {apart:.0e}")

# %%
# On the inputs, logistic regression is right for 56 % of the points, hardly more than a guess; on
# the two features for 99.2 %. The gray curves on the right are the lines of squared paper, laid
# over the plane of the inputs. The hidden layers have stretched and folded that plane until the
# points inside lie in one corner. There a straight line cuts them off. Seen from the inputs, that
# line is the closed curve on the left.

figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.5), layout="constrained")
pynn.plot.decision_regions(
    classifier, X, labels, ax=axes[0], class_names=["outside", "inside"], feature_names=["x₁", "x₂"]
)
axes[0].set(title="In the plane of the inputs", aspect="equal")
H = classifier.hidden(X)
for label, marker, color in ((0, "o", BLUE), (1, "s", ORANGE)):
    axes[1].plot(*H[labels == label].T, marker, color=color, markersize=4, mec="white", mew=0.4)
for k in np.linspace(-2, 2, 17):  # the lines of squared paper, and where the network takes them
    line = np.column_stack([np.full(200, k), np.linspace(-2, 2, 200)])
    for points in (line, line[:, ::-1]):
        axes[1].plot(*classifier.hidden(points).T, color="0.75", linewidth=0.7, zorder=0)
weights, bias = classifier.weights[2][:, 0], classifier.biases[2][0]
axes[1].axline(-bias * weights / (weights @ weights), slope=-weights[0] / weights[1], color="black")
axes[1].set(title="In the plane of the learned features", aspect="equal")
axes[1].set(xlabel="first unit of the last hidden layer", ylabel="second unit")
axes[1].set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
plt.show()

# %%
# References
# ----------
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, Springer, 2006: section 3.1 (linear
#   regression on basis functions) and chapter 5 (basis functions that are learned).
# - T. Hastie, R. Tibshirani, J. Friedman, *The Elements of Statistical Learning*, 2nd ed.,
#   Springer, 2009: section 11.3 (neural networks as linear models in derived features).
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, MIT Press, 2016: section 6.1 (XOR,
#   and the plane of the learned features).
