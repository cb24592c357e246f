"""Networks of layers in JAX: a compiled scan over the mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .base import Array, Data, LayeredModel, LayersTrainer
from .pynn_layers import GAMMA, TAU

FUNCTIONS: dict[str, Any] = {
    "identity": lambda x: x,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}
Get = Callable[[str], Any]  # a layer's parameter by its name
Set = Callable[[str, Any], None]  # advance one that is not trained


class Call:
    """One pass through a network while JAX traces it.

    Parameters
    ----------
    parameters : dict
        All of them, by pynn's names.
    training : bool
        Normalize by the mini-batch.
    """

    def __init__(self, parameters: dict[str, Any], training: bool) -> None:
        self.parameters, self.training = parameters, training
        self.advanced: dict[str, Any] = {}  # running statistics after the pass

    def layers(self, layers: Sequence[Any], x: Any, prefix: str = "") -> Any:
        """Layers one after the other."""
        for i, layer in enumerate(layers):
            kind = type(layer).__name__
            if kind not in PROGRAMS:
                raise NotImplementedError(f"layer {kind}")
            x = PROGRAMS[kind](self, layer, f"{prefix}{i}.", x)
        return x

    def dense(self, path: str, x: Any) -> Any:
        """A product and a bias."""
        x = x @ self.parameters[f"{path}kernel"]
        bias = self.parameters.get(f"{path}bias")
        return x if bias is None else x + bias


def residual(call: Call, layer: Any, path: str, x: Any) -> Any:
    """A residual block."""
    inner = call.layers(layer.layers, x, path)
    if f"{path}projection.kernel" in call.parameters:
        x = call.dense(f"{path}projection.", x)
    return FUNCTIONS[layer.activation](x + inner)


def normalized(call: Call, layer: Any, path: str, x: Any, mean: Any, variance: Any) -> Any:
    """Scale and offset after a normalization."""
    gamma, beta = call.parameters[f"{path}gamma"], call.parameters[f"{path}beta"]
    return (x - mean) * (jax.lax.rsqrt(variance + layer.epsilon) * gamma) + beta


def batch_norm(call: Call, layer: Any, path: str, x: Any) -> Any:
    """Normalize by the mini-batch, or by the running statistics."""
    running = [f"{path}moving_mean", f"{path}moving_variance"]
    if not call.training:
        return normalized(call, layer, path, x, *(call.parameters[name] for name in running))
    axes = tuple(range(x.ndim - 1))
    found = x.mean(axes), x.var(axes)
    for name, value in zip(running, found, strict=True):
        old = call.parameters[name]
        call.advanced[name] = layer.momentum * old + (1 - layer.momentum) * value
    return normalized(call, layer, path, x, *found)


def layer_norm(call: Call, layer: Any, path: str, x: Any) -> Any:
    """Normalize each position."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return normalized(call, layer, path, x, mean, variance)


def rbf(call: Call, layer: Any, path: str, x: Any) -> Any:
    """Gaussian units, the distances by a product."""
    centers, widths = call.parameters[f"{path}centers"], call.parameters[f"{path}widths"]
    squares = (x * x).sum(1, keepdims=True) - 2 * (x @ centers.T) + (centers**2).sum(1)
    return jnp.exp(squares / (-2 * widths**2))


# By the class of a layer: its program, of the pass, the layer, the path of its parameters, x.
PROGRAMS: dict[str, Callable[[Call, Any, str, Any], Any]] = {
    "Dense": lambda call, layer, path, x: FUNCTIONS[layer.activation](call.dense(path, x)),
    "Activation": lambda call, layer, path, x: FUNCTIONS[layer.function](x),
    "Residual": residual,
    "BatchNorm": batch_norm,
    "LayerNorm": layer_norm,
    "Embedding": lambda call, layer, path, x: call.parameters[f"{path}embeddings"][x],
    "GlobalAvgPool1D": lambda call, layer, path, x: x.mean(1),
    "RBF": rbf,
}


def loss_of(name: str, out: Any, y: Any) -> Any:
    """Mean loss of a mini-batch's logits or values."""
    if name == "softmax_cross_entropy":
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1))
    return jnp.mean((out - y) ** 2)


def huber(error: Any) -> Any:
    """Mean Huber loss."""
    size = jnp.abs(error)
    return jnp.where(size < 1, 0.5 * error * error, size - 0.5).mean()


def fresh(given: Any, trained: Any) -> Any:
    """The state of an optimizer: the steps done and the two moments."""
    if given.name == "sgd":
        return ()
    zeros = jax.tree.map(jnp.zeros_like, trained)
    return jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, trained)


def update(given: Any, trained: Any, gradient: Any, state: Any) -> Any:
    """Parameters and optimizer state after a step."""
    rate, beta1, beta2 = given.learning_rate, given.beta1, given.beta2
    if given.name == "sgd":
        return jax.tree.map(lambda p, g: p - rate * g, trained, gradient), state
    steps, first, second = state
    steps = steps + 1
    first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradient)
    a, b = 1 - beta1**steps, 1 - beta2**steps

    def moved(p: Any, m: Any, v: Any) -> Any:
        return p * (1 - rate * given.decay) - rate * (m / a) / (jnp.sqrt(v / b) + given.epsilon)

    return jax.tree.map(moved, trained, first, second), (steps, first, second)


class JaxLayers(LayersTrainer):
    """A jitted scan, compiled once for each number of steps."""

    def __init__(self, model: LayeredModel, data: Data) -> None:
        super().__init__(model, data)
        self.layers = self.net.made()
        sparse = any(getattr(layer, "sparse", False) for layer in self.layers)
        if sparse and self.net.optimizer.name != "sgd":
            raise NotImplementedError("it has no sparse gradients")
        parameters = {name: jnp.array(value) for name, value in model.parameters.items()}
        running = {name: value for name, value in parameters.items() if "moving_" in name}
        trained = {name: value for name, value in parameters.items() if name not in running}
        target = jax.tree.map(jnp.copy, trained) if self.net.step == "dqn" else None
        self.state = trained, running, fresh(self.net.optimizer, trained), target
        shape = (len(data), data.batch)
        self.x = jnp.array(data.x.reshape(*shape, *data.x.shape[1:]))
        y = data.y.astype(np.int32) if data.y.dtype == np.int64 else data.y
        self.y = jnp.array(y.reshape(*shape, *y.shape[1:]))
        self.program = jax.jit(self.scan, static_argnames="steps", donate_argnums=0)

    def loss(self, trained: Any, running: Any, target: Any, x: Any, y: Any) -> Any:
        """The loss of a mini-batch, and the running statistics after it."""
        call = Call({**trained, **running}, training=True)
        out = call.layers(self.layers, x)
        if self.net.step == "dqn":
            best = Call(target, training=False).layers(self.layers, y[:, 2:]).max(1)
            value = jnp.take_along_axis(out, y[:, :1].astype(jnp.int32), axis=1)[:, 0]
            return huber(value - (y[:, 1] + GAMMA * best)), call.advanced
        return loss_of(self.net.loss, out, y), call.advanced

    def scan(self, state: Any, xs: Any, ys: Any, start: Any, steps: int) -> Any:
        """Train on `steps` mini-batches from number `start` on; gives the state and losses."""

        def step(state: Any, i: Any) -> Any:
            trained, running, moments, target = state
            compute = jax.value_and_grad(self.loss, has_aux=True)
            (loss, running), gradient = compute(trained, running, target, xs[i], ys[i])
            trained, moments = update(self.net.optimizer, trained, gradient, moments)
            if target is not None:
                target = jax.tree.map(lambda t, p: t + TAU * (p - t), target, trained)
            return (trained, running, moments, target), loss

        return jax.lax.scan(step, state, start + jnp.arange(steps))

    def run(self, start: int, steps: int) -> Any:
        """Train and wait; give the losses."""
        self.state, losses = self.program(self.state, self.x, self.y, start, steps=steps)
        jax.block_until_ready((self.state, losses))
        return losses

    def train(self, start: int, steps: int) -> None:
        self.run(start, steps)

    def losses(self, steps: int) -> list[float]:
        return [float(loss) for loss in self.run(0, steps)]


def predictor(model: LayeredModel, x: Array) -> Callable[[], Any]:
    """Give a function that computes the outputs."""
    layers, rows = model.net.made(), jnp.array(x)
    parameters = {name: jnp.array(value) for name, value in model.parameters.items()}

    @jax.jit
    def outputs(parameters: Any, rows: Any) -> Any:
        out = Call(parameters, training=False).layers(layers, rows)
        return jax.nn.softmax(out) if model.net.loss == "softmax_cross_entropy" else out

    return lambda: partial(outputs, parameters)(rows).block_until_ready()
