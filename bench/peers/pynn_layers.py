"""Networks of layers in pynn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pynn

from .base import Array, Data, LayeredModel, LayersTrainer

GAMMA, TAU = 0.99, 0.005  # of a DQN: the discount, and the share by which its target follows


def network(model: LayeredModel) -> pynn.Sequential:
    """A network with these parameters."""
    net = pynn.Sequential(model.net.made(), model.net.input_shape, model.net.loss)
    net.load_state_dict(model.parameters)
    return net


def optimizer(given: Any) -> pynn.Optimizer:
    """An optimizer with these settings."""
    if given.name == "sgd":
        return pynn.SGD(given.learning_rate)
    moments = {"beta1": given.beta1, "beta2": given.beta2, "epsilon": given.epsilon}
    if given.name == "adam":
        return pynn.Adam(given.learning_rate, **moments)
    return pynn.AdamW(given.learning_rate, weight_decay=given.decay, **moments)


class Supervised(LayersTrainer):
    """One ``fit`` over all the mini-batches."""

    def __init__(self, model: LayeredModel, data: Data) -> None:
        super().__init__(model, data)
        self.model, self.optimizer = network(model), optimizer(self.net.optimizer)

    def fit(self, start: int, steps: int) -> pynn.History:
        """Train on mini-batches in order."""
        x, y = self.data.part(start, steps)
        return self.model.fit(
            x,
            y,
            epochs=1,
            batch_size=self.data.batch,
            optimizer=self.optimizer,
            shuffle=False,
            progress=False,
        )

    def train(self, start: int, steps: int) -> None:
        self.fit(start, steps)

    def losses(self, steps: int) -> list[float]:
        return [float(self.fit(i, 1)["loss"][0]) for i in range(steps)]


class Dqn(LayersTrainer):
    """A DQN's steps: two networks, Huber loss of the values of the actions taken."""

    def __init__(self, model: LayeredModel, data: Data) -> None:
        super().__init__(model, data)
        self.model, self.target = network(model), network(model)
        self.optimizer = optimizer(self.net.optimizer)

    def step(self, i: int) -> Array:
        """Take a step and return the errors of the mini-batch."""
        x, y = self.data.part(i, 1)
        rows, action = np.arange(len(x)), y[:, 0].astype(np.intp)
        values = self.model(x)
        best = self.target(y[:, 2:]).max(axis=1)
        error = values[rows, action] - (y[:, 1] + GAMMA * best)
        dout = np.zeros_like(values)
        dout[rows, action] = np.clip(error, -1, 1) / len(x)
        _, gradients = self.model.backward(dout, x, training=True, parameters=True)
        self.optimizer.apply_gradients(self.model, gradients)
        parameters = self.model.parameters
        for name, values in self.target.parameters.items():
            values += TAU * (parameters[name] - values)  # noqa: PLW2901 - in place
        return np.asarray(error)

    def train(self, start: int, steps: int) -> None:
        for i in range(start, start + steps):
            self.step(i)

    def losses(self, steps: int) -> list[float]:
        errors = [np.abs(self.step(i)) for i in range(steps)]
        return [float(np.where(e < 1, 0.5 * e * e, e - 0.5).mean()) for e in errors]


STEPS: dict[str, type[LayersTrainer]] = {"supervised": Supervised, "dqn": Dqn}


def predictor(model: LayeredModel, x: Array) -> Callable[[], Any]:
    """Give a function that computes the outputs."""
    net = network(model)
    return lambda: net(x)
