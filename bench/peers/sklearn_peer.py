"""scikit-learn's MLPClassifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from .base import LEARNING_RATE, Array, Data, Model, Peer, Trainer


def classifier(model: Model, batch: int) -> Any:
    """A classifier with these weights (set once its first partial fit has made its own)."""
    if model.sizes[-1] == 2:
        raise NotImplementedError("scikit-learn has one output for two classes")
    sizes = model.sizes
    net = MLPClassifier(
        sizes[1:-1],
        activation="relu",
        solver="sgd",
        alpha=0.0,
        batch_size=batch,
        learning_rate_init=LEARNING_RATE,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    y = np.arange(batch) % sizes[-1]
    net.partial_fit(np.zeros((batch, sizes[0]), np.float32), y, classes=np.arange(sizes[-1]))
    ours = (*model.weights, *model.biases)
    for parameter, value in zip((*net.coefs_, *net.intercepts_), ours, strict=True):
        parameter[...] = value
    return net


class SklearnTrainer(Trainer):
    """One ``partial_fit`` over all the mini-batches."""

    def __init__(self, model: Model, data: Data) -> None:
        super().__init__(model, data)
        self.net = classifier(model, data.batch)

    def train(self, start: int, steps: int) -> None:
        self.net.partial_fit(*self.data.part(start, steps))

    def weights(self) -> list[Array]:
        return list(self.net.coefs_)


class SklearnPeer(Peer):
    """Speaks for scikit-learn."""

    name = "sklearn"
    trainer = SklearnTrainer

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        net = classifier(model, batch=16)
        return lambda: net.predict_proba(x)


def load(threads: int) -> Peer:
    """Give scikit-learn; it multiplies with NumPy's or SciPy's BLAS."""
    return SklearnPeer()
