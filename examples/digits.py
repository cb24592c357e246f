"""Handwritten digits: a NumPy program and pynn train the same network, side by side.

Both start from the same weights and see the same mini-batches, so they end with the same weights.
The program checks that, compares the times and plots the results::

    python examples/digits.py --plot digits.png
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import pynn

SIZES = [64, 128, 10]
LEARNING_RATE, MOMENTUM, BATCH_SIZE = 0.1, 0.9, 16
MIN_ACCURACY, MAX_DIFFERENCE = 0.97, 1e-10


class NumpyMLP:
    """Multilayer perceptron in plain NumPy: ReLU, softmax cross-entropy, SGD with momentum."""

    def __init__(self, weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
        self.weights, self.biases = weights, biases
        self.velocities = [np.zeros_like(p) for p in (*weights, *biases)]

    def forward(self, x: np.ndarray) -> list[np.ndarray]:
        """Activations of every layer, the input first, the logits last."""
        layers = [x]
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = layers[-1] @ w
            z += b
            layers.append(np.maximum(z, 0, out=z) if i < len(self.weights) - 1 else z)
        return layers

    def train_on_batch(self, x: np.ndarray, y: np.ndarray) -> float:
        """One SGD step on a mini-batch; gives the loss before it."""
        *layers, z = self.forward(x)
        rows = np.arange(len(x))
        z -= z.max(axis=1, keepdims=True)
        delta = np.exp(z)
        total = delta.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(total[:, 0]) - z[rows, y]))
        delta /= total
        delta[rows, y] -= 1
        delta /= len(x)
        gradients: list[np.ndarray] = []  # of the weights, then of the biases
        for i in range(len(layers) - 1, -1, -1):
            gradients.insert(0, layers[i].T @ delta)
            gradients.insert(len(layers) - i, delta.sum(axis=0))
            if i:
                delta = (delta @ self.weights[i].T) * (layers[i] > 0)
        parameters = (*self.weights, *self.biases)
        for parameter, velocity, gradient in zip(
            parameters, self.velocities, gradients, strict=True
        ):
            np.multiply(velocity, MOMENTUM, out=velocity)
            np.subtract(velocity, LEARNING_RATE * gradient, out=velocity)
            np.add(parameter, velocity, out=parameter)
        return loss

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        rng: np.random.Generator,
        epochs: int,
        each_epoch: Callable[[float], Any] = lambda loss: None,
    ) -> None:
        """Train; `each_epoch` is called with the mean loss of every epoch."""
        for _ in range(epochs):
            order, total = rng.permutation(len(x)), 0.0
            for i in range(0, len(x), BATCH_SIZE):
                batch = order[i : i + BATCH_SIZE]
                total += len(batch) * self.train_on_batch(x[batch], y[batch])
            each_epoch(total / len(x))


def accuracy(net: NumpyMLP | pynn.MLP, x: np.ndarray, y: np.ndarray) -> float:
    """Share of the rows of `x` that get their label `y`."""
    outputs = net.forward(x)[-1] if isinstance(net, NumpyMLP) else net(x)
    return float(np.mean(outputs.argmax(axis=1) == y))


def load(dtype: str) -> list[np.ndarray]:
    """Training and test pixels in [0, 1], training and test labels."""
    x, y = load_digits(return_X_y=True)
    x = np.asarray(x / 16, dtype=dtype)
    parts: list[np.ndarray] = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    return parts


def twins(dtype: str, seed: int) -> tuple[NumpyMLP, pynn.MLP, np.random.Generator]:
    """Both programs with the same weights, and a generator in the state of pynn's."""
    net = pynn.MLP(SIZES, activation="relu", dtype=dtype, seed=seed)
    return NumpyMLP(*net.get_weights()), net, copy.deepcopy(net.rng)


def fit_pynn(net: pynn.MLP, x: np.ndarray, y: np.ndarray, epochs: int, **options: Any) -> Any:
    """Train pynn's network with this program's settings."""
    sgd = pynn.SGD(LEARNING_RATE, momentum=MOMENTUM)
    return net.fit(x, y, epochs=epochs, batch_size=BATCH_SIZE, optimizer=sgd, **options)


def compare_times(dtype: str, seed: int, epochs: int, repeats: int = 3) -> None:
    """Time the bare training of both, alternating, and print the best of `repeats`."""
    x, _, y, _ = load(dtype)
    seconds: dict[str, list[float]] = {"numpy": [], "pynn": []}
    for _ in range(repeats):
        plain, net, rng = twins(dtype, seed)
        start = time.perf_counter()
        plain.fit(x, y, rng, epochs)
        middle = time.perf_counter()
        fit_pynn(net, x, y, epochs, progress=False)
        seconds["numpy"].append(middle - start)
        seconds["pynn"].append(time.perf_counter() - middle)
    best = {name: min(values) for name, values in seconds.items()}
    print(
        f"training time, {dtype}:  NumPy {best['numpy'] * 1e3:7.1f} ms   "
        f"pynn {best['pynn'] * 1e3:7.1f} ms   ratio {best['numpy'] / best['pynn']:.1f}"
    )


def plot(path: str, curves: dict[str, dict[str, list[float]]], weights: np.ndarray) -> None:
    """Write the learning curves and the first layer's weights, one image per hidden unit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(14, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.5])
    top, bottom = left.subplots(2, 1, sharex=True)
    styles: dict[str, dict[str, Any]] = {
        "pynn": {"color": "#56B4E9", "lw": 4},
        "NumPy": {"color": "black", "ls": "--"},
    }
    for name, curve in curves.items():
        epochs = np.arange(1, len(curve["loss"]) + 1)
        top.semilogy(epochs, curve["loss"], label=name, **styles[name])
        bottom.plot(epochs, 100 * np.array(curve["accuracy"]), label=name, **styles[name])
    top.set(ylabel="training loss (cross-entropy, nats)", title="The two programs agree")
    bottom.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(90, 100))
    top.legend()
    bottom.legend(loc="lower right")

    columns = 16
    images = right.subplots(-(-weights.shape[1] // columns), columns)
    scale = float(np.abs(weights).max())
    for axis in images.flat:
        axis.axis("off")
    for axis, column in zip(images.flat, weights.T, strict=False):
        shown = axis.imshow(column.reshape(8, 8), cmap="RdBu_r", vmin=-scale, vmax=scale)
    right.suptitle("First-layer weights, one image per hidden unit")
    right.colorbar(shown, ax=images, shrink=0.7, label="weight of the pixel")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; gives 0 where both promises hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=30, help="passes over the data (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (%(default)s)")
    parser.add_argument("--plot", default="digits.png", metavar="PATH", help="picture to write")
    args = parser.parse_args(argv)

    x, x_test, y, y_test = load("float64")
    plain, net, rng = twins("float64", args.seed)
    curves: dict[str, dict[str, list[float]]] = {"pynn": {}, "NumPy": {"loss": [], "accuracy": []}}

    with tqdm(total=args.epochs, desc="NumPy", unit="epoch") as bar:

        def each_epoch(loss: float) -> None:
            curves["NumPy"]["loss"].append(loss)
            curves["NumPy"]["accuracy"].append(accuracy(plain, x_test, y_test))
            bar.set_postfix(loss=f"{loss:.4f}")
            bar.update()

        plain.fit(x, y, rng, args.epochs, each_epoch)
    history = fit_pynn(net, x, y, args.epochs, validation_data=(x_test, y_test), progress=True)
    curves["pynn"] = {"loss": history.loss, "accuracy": history.history["val_accuracy"]}

    accuracies = {"NumPy": accuracy(plain, x_test, y_test), "pynn": accuracy(net, x_test, y_test)}
    pairs = zip((*plain.weights, *plain.biases), (*net.weights, *net.biases), strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    print(
        f"network {'-'.join(map(str, SIZES))}, {len(x)} training and {len(x_test)} test digits, "
        f"{args.epochs} epochs of mini-batches of {BATCH_SIZE}"
    )
    for name, value in accuracies.items():
        print(f"test accuracy, {name + ':':6} {100 * value:.2f} %")
    print(f"largest difference of their weights (float64): {difference:.1e}")
    for dtype in ("float64", "float32"):
        compare_times(dtype, args.seed, args.epochs)
    plot(args.plot, curves, net.weights[0])

    if not difference <= MAX_DIFFERENCE:
        print(
            f"FAILED: the weights differ by {difference:.1e}, more than {MAX_DIFFERENCE:.0e}",
            file=sys.stderr,
        )
        return 1
    if not min(accuracies.values()) >= MIN_ACCURACY:
        print(f"FAILED: a test accuracy is below {100 * MIN_ACCURACY:g} %", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
