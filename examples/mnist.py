"""MNIST with a 784-128-10 network and SGD: about 98 % of the test digits in ten epochs.

The data set is an ``.npz`` file with the arrays ``x_train`` (60000, 28, 28) and ``x_test``
(10000, 28, 28) of uint8 pixels and their labels ``y_train`` and ``y_test``::

    python examples/mnist.py --data mnist.npz --plot mnist.png
"""

from __future__ import annotations

import argparse
import sys
import time
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

import pynn

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(path: str) -> list[np.ndarray]:
    """Read the four arrays: pixels as float32 rows in [0, 1], labels as int64.

    Parameters
    ----------
    path : str
        The ``.npz`` file.

    Returns
    -------
    list of ndarray
        In the order of `KEYS`; pixels (n, 784), labels (n,).

    Raises
    ------
    ValueError
        Where the file cannot be read, an array is missing or has another shape.
    """
    try:
        if not zipfile.is_zipfile(path):
            open(path, "rb").close()  # says why, where it cannot be opened
            raise ValueError(f"{path}: is not an .npz file")
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file.files]
            if missing:
                raise ValueError(f"{path}: no {', '.join(missing)}; it holds {file.files}")
            arrays = {key: file[key] for key in KEYS}
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
            raise ValueError(
                f"{path}: x_{part} {x.shape} and y_{part} {y.shape} should be (n, 28, 28) and (n,)"
            )
        arrays[f"x_{part}"] = np.divide(x.reshape(len(x), 784), 255, dtype=np.float32)
        arrays[f"y_{part}"] = y.astype(np.int64)
    return [arrays[key] for key in KEYS]


def plot(path: str, history: Any) -> None:
    """Write the learning curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = np.arange(1, len(history.loss) + 1)
    left.semilogy(epochs, history.loss, "o-", color="#0072B2", label="training")
    left.semilogy(epochs, history.history["val_loss"], "s--", color="#D55E00", label="validation")
    left.set(xlabel="epoch", ylabel="cross-entropy (nats)")
    left.legend()
    right.plot(epochs, 100 * np.array(history.history["val_accuracy"]), "s--", color="#D55E00")
    right.set(xlabel="epoch", ylabel="validation accuracy (%)")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Train and test; gives 1 with a message where the data cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, metavar="PATH", help="the .npz file")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the data (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (%(default)s)")
    parser.add_argument("--plot", metavar="PATH", help="picture of the learning curves to write")
    args = parser.parse_args(argv)
    try:
        x, y, x_test, y_test = load(args.data)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1

    held_out = len(x) // 12  # 5000 digits for the figures of each epoch
    validation = (x[-held_out:], y[-held_out:])
    x, y = x[:-held_out], y[:-held_out]
    net = pynn.MLP([784, 128, 10], activation="relu", seed=args.seed)
    start = time.perf_counter()
    history = net.fit(
        x,
        y,
        epochs=args.epochs,
        batch_size=32,
        optimizer=pynn.SGD(0.1, momentum=0.5),
        validation_data=validation,
        progress=True,
    )
    seconds = time.perf_counter() - start

    validation_loss, validation_accuracy = (
        history.history[key] for key in ("val_loss", "val_accuracy")
    )
    print("epoch  training loss  validation loss  validation accuracy")
    for i, loss in enumerate(history.loss):
        figures = f"{validation_loss[i]:15.4f}  {100 * validation_accuracy[i]:17.2f} %"
        print(f"{i + 1:5d}  {loss:13.4f}  {figures}")
    print(
        f"test accuracy {100 * net.evaluate(x_test, y_test)['accuracy']:.2f} %, "
        f"{seconds / args.epochs:.2f} s per epoch of {len(x)} digits (validation included)"
    )
    if args.plot:
        plot(args.plot, history)
    return 0


if __name__ == "__main__":
    sys.exit(main())
