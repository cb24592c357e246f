"""pynn itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import pynn

from . import pynn_layers
from .base import LEARNING_RATE, Array, Data, LayeredModel, LayersTrainer, Model, Peer, Trainer

GELUS = {
    "gelu": ("gelu", {"approximate": "none"}),
    "gelu_tanh": ("gelu", {"approximate": "tanh"}),
}


def network(model: Model) -> pynn.MLP:
    """A network with these weights."""
    net = pynn.MLP(model.sizes, activation="relu", loss="softmax_cross_entropy", dtype="float32")
    net.set_weights(model.weights, model.biases)
    return net


class PynnTrainer(Trainer):
    """One ``fit`` over all the mini-batches."""

    def __init__(self, model: Model, data: Data) -> None:
        super().__init__(model, data)
        self.net, self.optimizer = network(model), pynn.SGD(LEARNING_RATE)

    def train(self, start: int, steps: int) -> None:
        x, y = self.data.part(start, steps)
        self.net.fit(
            x,
            y,
            epochs=1,
            batch_size=self.data.batch,
            optimizer=self.optimizer,
            shuffle=False,
            progress=False,
        )

    def weights(self) -> list[Array]:
        return list(self.net.weights)


def variants(model: Model, data: Data) -> dict[str, Callable[[int], None]]:
    """Ways to train: for each a program that does a number of steps of one epoch."""

    def way(
        optimizer: pynn.Optimizer, shuffle: bool = False, dtype: str = "float32"
    ) -> Callable[[int], None]:
        net = pynn.MLP(model.sizes, dtype=dtype, seed=0)
        net.set_weights(model.weights, model.biases)
        x = data.x.astype(dtype)

        def run(steps: int) -> None:
            rows = min(steps, len(data)) * data.batch
            for _ in range(-(-steps // len(data))):
                net.fit(
                    x[:rows],
                    data.y[:rows],
                    epochs=1,
                    batch_size=data.batch,
                    optimizer=optimizer,
                    shuffle=shuffle,
                    progress=False,
                )

        return run

    return {
        "pynn": way(pynn.SGD(LEARNING_RATE)),
        "shuffled": way(pynn.SGD(LEARNING_RATE), shuffle=True),
        "momentum": way(pynn.SGD(LEARNING_RATE, momentum=0.9)),
        "Nesterov": way(pynn.SGD(LEARNING_RATE, momentum=0.9, nesterov=True)),
        "Adam": way(pynn.Adam(1e-4)),
        "float64": way(pynn.SGD(LEARNING_RATE), dtype="float64"),
    }


class PynnPeer(Peer):
    """Speaks for pynn."""

    name = "pynn"
    trainer = PynnTrainer

    def info(self) -> dict[str, Any]:
        return dict(pynn.show_config("dict"))

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        net = network(model)
        return lambda: net(x)

    def layers_trainer(self, model: LayeredModel, data: Data) -> LayersTrainer:
        return pynn_layers.STEPS[model.net.step](model, data)

    def layers_predictor(self, model: LayeredModel, x: Array) -> Callable[[], Any]:
        return pynn_layers.predictor(model, x)

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        out = np.empty((len(a), b.shape[1]), a.dtype)
        return lambda: pynn.matmul(a, b, out=out)

    def activation(self, function: str, x: Array) -> Callable[[], Any] | None:
        name, options = GELUS.get(function, (function, {}))
        if not hasattr(pynn, name):
            return None
        return partial(getattr(pynn, name), x, out=np.empty_like(x), **options)


def load(threads: int) -> Peer:
    """Limit pynn's threads."""
    pynn.set_num_threads(threads)
    return PynnPeer()
