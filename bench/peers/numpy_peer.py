"""NumPy: a well-written MLP (buffers made once, results in place)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import LEARNING_RATE, Array, Data, Model, Peer, Trainer


class NumpyTrainer(Trainer):
    """Forward, loss, backward and update without a temporary of the size of a layer."""

    def __init__(self, model: Model, data: Data) -> None:
        super().__init__(model, data)
        self.w = [w.copy() for w in model.weights]
        self.b = [b.copy() for b in model.biases]
        self.dw = [np.empty_like(w) for w in self.w]
        self.db = [np.empty_like(b) for b in self.b]
        self.z = [np.empty((data.batch, len(b)), np.float32) for b in self.b]
        self.delta = [np.empty_like(z) for z in self.z[:-1]]
        self.active = [np.empty(z.shape, np.bool_) for z in self.z[:-1]]
        self.column = np.empty((data.batch, 1), np.float32)
        self.rows = np.arange(data.batch)

    def train(self, start: int, steps: int) -> None:
        x, y = self.data.part(start, steps)
        for first in range(0, len(x), self.data.batch):
            self.step(x[first : first + self.data.batch], y[first : first + self.data.batch])

    def step(self, x: Array, y: NDArray[np.int64]) -> float:
        """One SGD step; gives the loss before it."""
        last = len(self.w) - 1
        a = x
        for i, (w, b, z) in enumerate(zip(self.w, self.b, self.z, strict=True)):
            np.matmul(a, w, out=z)
            np.add(z, b, out=z)
            if i < last:
                np.maximum(z, 0, out=z)
            a = z

        np.max(a, axis=1, keepdims=True, out=self.column)
        np.subtract(a, self.column, out=a)
        picked = a[self.rows, y]
        np.exp(a, out=a)
        np.sum(a, axis=1, keepdims=True, out=self.column)
        loss = float(np.mean(np.log(self.column[:, 0]) - picked))
        self.column *= len(x)  # the gradient is that of the mean
        np.divide(a, self.column, out=a)
        a[self.rows, y] -= np.float32(1 / len(x))

        delta = a
        for i in range(last, -1, -1):
            np.matmul((self.z[i - 1] if i else x).T, delta, out=self.dw[i])
            np.sum(delta, axis=0, out=self.db[i])
            if i:
                below = self.delta[i - 1]
                np.matmul(delta, self.w[i].T, out=below)
                np.greater(self.z[i - 1], 0, out=self.active[i - 1])
                delta = np.multiply(below, self.active[i - 1], out=below)
        for p, gradient in zip((*self.w, *self.b), (*self.dw, *self.db), strict=True):
            gradient *= LEARNING_RATE  # noqa: PLW2901 (in place)
            p -= gradient  # noqa: PLW2901 (in place)
        return loss

    def weights(self) -> list[Array]:
        return self.w


def kernels() -> str | None:
    """The kernels that the OpenBLAS of NumPy's wheel has chosen, where threadpoolctl can tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    folder = Path(np.__file__).resolve().parents[1] / "numpy.libs"  # not another package's OpenBLAS
    chosen = (
        p.get("architecture") for p in threadpool_info() if Path(p["filepath"]).parent == folder
    )
    return next(chosen, None)


class NumpyPeer(Peer):
    """Speaks for NumPy."""

    name = "numpy"
    trainer = NumpyTrainer

    def info(self) -> dict[str, Any]:
        config: Any = np.show_config(mode="dicts")
        blas = config["Build Dependencies"]["blas"]
        return {"name": blas.get("name"), "version": blas.get("version"), "kernels": kernels()}

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        layers = list(zip(model.weights, model.biases, strict=True))

        def predict() -> Array:
            a = x
            for w, b in layers[:-1]:
                a = a @ w
                a += b
                np.maximum(a, 0, out=a)
            w, b = layers[-1]
            a = a @ w
            a += b
            a -= a.max(axis=1, keepdims=True)
            np.exp(a, out=a)
            a /= a.sum(axis=1, keepdims=True)
            return a

        return predict

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        out = np.empty((len(a), b.shape[1]), a.dtype)
        return lambda: np.matmul(a, b, out=out)

    def activation(self, function: str, x: Array) -> Callable[[], Any] | None:
        try:
            from . import numpy_activations
        except ImportError:  # no SciPy
            return None
        return numpy_activations.program(function, x)


def load(threads: int) -> Peer:
    """Give NumPy; its BLAS has read the number of threads from the environment."""
    return NumpyPeer()
