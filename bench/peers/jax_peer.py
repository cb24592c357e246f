"""JAX: a compiled scan over the mini-batches; the arrays stay on the device (the CPU)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import jax_layers
from .base import LEARNING_RATE, Array, Data, LayeredModel, LayersTrainer, Model, Peer, Trainer

GELUS = {
    "gelu": ("gelu", {"approximate": False}),
    "gelu_tanh": ("gelu", {"approximate": True}),
}


def logits(parameters: Any, x: Any) -> Any:
    """The network without the softmax."""
    for w, b in parameters[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = parameters[-1]
    return x @ w + b


def cross_entropy(parameters: Any, x: Any, y: Any) -> Any:
    """Mean loss of a mini-batch."""
    scores = jax.nn.log_softmax(logits(parameters, x))
    return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))


@partial(jax.jit, static_argnames="steps", donate_argnames="parameters")
def run(parameters: Any, xs: Any, ys: Any, start: Any, steps: int) -> Any:
    """Train on `steps` mini-batches from number `start` on; gives parameters and losses."""

    def step(parameters: Any, i: Any) -> Any:
        loss, gradient = jax.value_and_grad(cross_entropy)(parameters, xs[i], ys[i])
        updated = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradient)
        return updated, loss

    return jax.lax.scan(step, parameters, start + jnp.arange(steps))


@jax.jit
def probabilities(parameters: Any, x: Any) -> Any:
    """The whole network."""
    return jax.nn.softmax(logits(parameters, x))


def on_device(model: Model) -> Any:
    """Weights and biases as JAX arrays, layer by layer."""
    pairs = zip(model.weights, model.biases, strict=True)
    return [(jnp.array(w), jnp.array(b)) for w, b in pairs]


class JaxTrainer(Trainer):
    """The scan above, compiled once for each number of steps."""

    def __init__(self, model: Model, data: Data) -> None:
        super().__init__(model, data)
        self.parameters = on_device(model)
        self.x = jnp.array(data.x.reshape(len(data), data.batch, -1))
        self.y = jnp.array(data.y.reshape(len(data), data.batch).astype(np.int32))

    def train(self, start: int, steps: int) -> None:
        self.parameters, losses = run(self.parameters, self.x, self.y, start, steps)
        jax.block_until_ready((self.parameters, losses))

    def weights(self) -> list[Array]:
        return [np.asarray(w) for w, _ in self.parameters]


class JaxPeer(Peer):
    """Speaks for JAX."""

    name = "jax"
    trainer = JaxTrainer

    def info(self) -> dict[str, Any]:
        return {"devices": [str(device) for device in jax.devices()]}

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        parameters, rows = on_device(model), jnp.array(x)
        return lambda: probabilities(parameters, rows).block_until_ready()

    def layers_trainer(self, model: LayeredModel, data: Data) -> LayersTrainer:
        return jax_layers.JaxLayers(model, data)

    def layers_predictor(self, model: LayeredModel, x: Array) -> Callable[[], Any]:
        return jax_layers.predictor(model, x)

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        # JAX knows no strides: a transposed view is the array below it, transposed by the program.
        a_transposed, b_transposed = (not v.flags.c_contiguous for v in (a, b))
        left = jnp.array(a.T if a_transposed else a)
        right = jnp.array(b.T if b_transposed else b)

        @jax.jit
        def multiply(left: Any, right: Any) -> Any:
            return (left.T if a_transposed else left) @ (right.T if b_transposed else right)

        return lambda: multiply(left, right).block_until_ready()

    def activation(self, function: str, x: Array) -> Callable[[], Any]:
        name, options = GELUS.get(function, (function, {}))
        values = jnp.array(x)
        compiled = jax.jit(partial(getattr(jax.nn, name), **options))
        return lambda: compiled(values).block_until_ready()


def load(threads: int) -> Peer:
    """Give JAX; its threads are held by the environment and by the cores it may use."""
    jax.config.update("jax_platforms", "cpu")
    return JaxPeer()
