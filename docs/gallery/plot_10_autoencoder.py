"""
An autoencoder beside principal components
==========================================

An autoencoder is a network that learns to reproduce its input through a narrow layer, the code.
Principal components do that with straight lines: no linear map through :math:`k` numbers loses
less. So an autoencoder without non-linearities can at best reach their error, and at every minimum
of its loss it does [1]_. One with hidden layers can bend, and keep more in a code of the same width
[2]_.
"""

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import pynn

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, test_size=397, random_state=0, stratify=y)

# %%
# The error against the width of the code
# ---------------------------------------
#
# The deep autoencoder is 64-128-k-128-64 with ReLU, except for the code, which is linear. Its
# output is a sigmoid, since pixels lie between 0 and 1.

widths = [1, 2, 4, 8, 16, 32]
epochs = 150
linear = [pynn.MLP([64, k, 64], "identity", loss="mse", seed=k) for k in widths]
deep = [
    pynn.MLP(
        [64, 128, k, 128, 64],
        ["relu", "identity", "relu"],
        loss="mse",
        output_activation="sigmoid",
        seed=k,
    )
    for k in widths
]
steps = epochs * -(-len(X) // 32)
slow, fast = (pynn.Adam(pynn.CosineDecay(rate, steps)) for rate in (0.005, 0.02))
pynn.fit_many(
    linear + deep,
    X,
    X,
    epochs=epochs,
    batch_size=32,
    optimizer=[fast] * len(linear) + [slow] * len(deep),
)
components = [PCA(k).fit(X) for k in widths]


def errors(inputs):
    """Mean squared error per pixel by width: of PCA, linear and deep autoencoders."""
    pca = [pca.inverse_transform(pca.transform(inputs)) for pca in components]
    return [
        [float(np.mean((output - inputs) ** 2)) for output in outputs]
        for outputs in (pca, [net(inputs) for net in linear], [net(inputs) for net in deep])
    ]


print("mean squared error per pixel, in thousandths")
print("            training data                    test data")
print("width   PCA  linear net  deep net      PCA  linear net  deep net")
trained, tested = errors(X), errors(X_test)
for i, k in enumerate(widths):
    a, b, c = (1e3 * e[i] for e in trained)
    d, e, f = (1e3 * e[i] for e in tested)
    print(f"{k:5d} {a:5.1f} {b:11.1f} {c:9.1f} {d:8.1f} {e:11.1f} {f:9.1f}")
largest = max(b / a - 1 for a, b in zip(*trained[:2], strict=True))
print(f"the linear net's excess over PCA on the training data: at most {100 * largest:.2f} %")

# %%
# Two numbers a digit
# -------------------
#
# Both codes of the test digits, and how well they separate the classes. The measure is the share of
# test digits whose nearest training digit in the code is of the same class. (The training used no
# classes.)

pca, net = components[widths.index(2)], deep[widths.index(2)]
codes = {
    "two principal components": (pca.transform(X), pca.transform(X_test)),
    "the deep autoencoder's code": (net.hidden(X, layer=1), net.hidden(X_test, layer=1)),
}
shares = {}
for name, (known, new) in codes.items():
    distances = ((new[:, np.newaxis] - known) ** 2).sum(axis=2)
    shares[name] = 100 * np.mean(y[distances.argmin(axis=1)] == y_test)
    print(f"{name:28} {shares[name]:.1f} % have a nearest neighbor of their class")

# %%
# The picture
# -----------

figure = plt.figure(figsize=(12, 9), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(1.25, 1))
for axis, (name, (_, code)) in zip(top.subplots(1, 2), codes.items(), strict=True):
    colors = plt.get_cmap("tab10")
    for digit in range(10):
        some = code[y_test == digit]
        axis.scatter(*some.T, marker=f"${digit}$", s=40, color=colors(digit), lw=0.3)
    axis.set(
        title=f"{name}\n{shares[name]:.0f} % of the digits next to one of their class",
        xlabel="first number of the code",
        ylabel="second number of the code",
    )

left, right = bottom.subfigures(1, 2, width_ratios=(1, 1.5))
axis = left.subplots()
styles = (
    ("k", "-", "o", "PCA"),
    ("#E69F00", "--", "x", "linear autoencoder"),
    ("#0072B2", "-.", "s", "deep autoencoder"),
)
for values, (color, line, marker, name) in zip(tested, styles, strict=True):
    axis.loglog(widths, values, line, color=color, marker=marker, label=name)
axis.set_xticks(widths, [str(k) for k in widths])
axis.set_yticks([0.003, 0.01, 0.03], ["0.003", "0.01", "0.03"])
axis.minorticks_off()
axis.set(
    title="What the code loses",
    xlabel="width of the code (numbers)",
    ylabel="mean squared test error per pixel",
)
axis.legend()

chosen = [int(np.flatnonzero(y_test == digit)[0]) for digit in range(10)]
at = widths.index(8)
rows = {
    "all 64": X_test[chosen],
    "PCA, 2": pca.inverse_transform(pca.transform(X_test[chosen])),
    "deep, 2": net(X_test[chosen]),
    "PCA, 8": components[at].inverse_transform(components[at].transform(X_test[chosen])),
    "deep, 8": deep[at](X_test[chosen]),
}
# (All pictures as one, with a white frame around each.)
frames = np.pad(
    np.reshape(list(rows.values()), (len(rows), 10, 8, 8)), ((0, 0), (0, 0), (1, 1), (1, 1))
)
axis = right.subplots()
axis.imshow(frames.swapaxes(1, 2).reshape(10 * len(rows), 100), cmap="gray_r", vmin=0, vmax=1)
axis.set_yticks(10 * np.arange(len(rows)) + 4.5, list(rows))
axis.set_xticks(10 * np.arange(10) + 4.5, list(range(10)))
axis.set(
    title="Test digits, and what is left of them in 2 and 8 numbers",
    xlabel="class of the digit",
    ylabel="numbers in the code",
)
plt.show()

# %%
# *Bottom left*: on the training data the linear autoencoder's error is PCA's, within 0.13 %. On the
# test data the two curves coincide. The subspace is the same, though its weights need not be
# orthogonal, nor sorted by variance. With 4 numbers the deep autoencoder has a smaller error
# (0.020) than PCA with 8 (0.025). With 2 it has a smaller one than PCA with 4. With 32 numbers it
# has little left to gain, and it fits the training digits better than new ones (0.0012 against
# 0.0024).
#
# *Bottom right*: two principal components make blurred mixtures, from which one can read few
# digits. From two numbers of the deep autoencoder one can read most. The code keeps which digit it
# is, and loses the writer's peculiarities.
#
# *Top*: hence it separates the classes better, although it has never seen a label. 81 % of the test
# digits lie next to a digit of the same class, against 59 % for the principal components. Distances
# in such a code mean little, however: some classes lie spread out and others crowded, as it
# happened to suit the decoder.
#
# .. [1] P. Baldi, K. Hornik, "Neural networks and principal component analysis: learning from
#    examples without local minima", *Neural Networks* 2 (1), 53-58, 1989.
# .. [2] G. E. Hinton, R. R. Salakhutdinov, "Reducing the dimensionality of data with neural
#    networks", *Science* 313 (5786), 504-507, 2006.
