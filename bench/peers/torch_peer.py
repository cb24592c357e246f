"""PyTorch: the usual eager training loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from . import torch_layers
from .base import LEARNING_RATE, Array, Data, LayeredModel, LayersTrainer, Model, Peer, Trainer

# What the functions of torch.nn.functional call, with an `out` that they do not pass on.
INNER = torch._C._nn
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": partial(torch.clamp_min, min=0),
    "leaky_relu": partial(INNER.leaky_relu, negative_slope=0.01),
    "elu": INNER.elu,
    "silu": INNER.silu,
    "softplus": INNER.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": partial(INNER.gelu, approximate="none"),
    "gelu_tanh": partial(INNER.gelu, approximate="tanh"),
    "softmax": partial(torch.softmax, dim=1),
    "log_softmax": partial(torch.log_softmax, dim=1),
}


def network(model: Model) -> Any:
    """``Sequential`` of ``Linear`` and ``ReLU`` with these weights, giving logits."""
    layers: list[Any] = []
    for w, b in zip(model.weights, model.biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w.T.copy()))
            layer.bias.copy_(torch.from_numpy(b.copy()))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class TorchTrainer(Trainer):
    """Zero the gradients, forward, loss, backward, step."""

    def __init__(self, model: Model, data: Data) -> None:
        super().__init__(model, data)
        self.net = network(model)
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=LEARNING_RATE)
        self.x, self.y = torch.from_numpy(data.x), torch.from_numpy(data.y)

    def train(self, start: int, steps: int) -> None:
        batch = self.data.batch
        for first in range(start * batch, (start + steps) * batch, batch):
            rows = slice(first, first + batch)
            self.optimizer.zero_grad()
            self.loss(self.net(self.x[rows]), self.y[rows]).backward()
            self.optimizer.step()

    def weights(self) -> list[Array]:
        return [layer.weight.detach().numpy().T for layer in self.net if hasattr(layer, "weight")]


class TorchPeer(Peer):
    """Speaks for PyTorch."""

    name = "torch"
    trainer = TorchTrainer

    def info(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads(), "cpu": torch.backends.cpu.get_cpu_capability()}

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        net, rows = network(model).eval(), torch.from_numpy(x)

        def predict() -> Any:
            with torch.inference_mode():
                return torch.softmax(net(rows), dim=1)

        return predict

    def layers_trainer(self, model: LayeredModel, data: Data) -> LayersTrainer:
        return torch_layers.TorchLayers(model, data)

    def layers_predictor(self, model: LayeredModel, x: Array) -> Callable[[], Any]:
        return torch_layers.predictor(model, x)

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        left, right = torch.from_numpy(a), torch.from_numpy(b)
        out = torch.empty(len(a), b.shape[1])
        return lambda: torch.mm(left, right, out=out)

    def activation(self, function: str, x: Array) -> Callable[[], Any]:
        values = torch.from_numpy(x)
        call = partial(ACTIVATIONS[function], values, out=torch.empty_like(values))

        def run() -> Any:
            with torch.no_grad():
                return call()

        return run


def load(threads: int) -> Peer:
    """Limit PyTorch's threads."""
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # set already, by the peer that compiles
        torch.set_num_interop_threads(1)
    return TorchPeer()
