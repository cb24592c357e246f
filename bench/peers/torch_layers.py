"""Networks of layers in PyTorch: eager, or compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .base import Array, Data, LayeredModel, LayersTrainer
from .pynn_layers import GAMMA, TAU

FUNCTIONS: dict[str, Any] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
Get = Callable[[str], Any]  # a layer's parameter by its name, as a tensor


class Mean(nn.Module):  # type: ignore[misc]  # the base is Any without torch
    """The mean over the positions."""

    def forward(self, x: Any) -> Any:
        return x.mean(1)


class Residual(nn.Module):  # type: ignore[misc]  # the base is Any without torch
    """The input, projected or not, plus what some layers make of it."""

    def __init__(self, inner: Any, projection: Any, function: Any) -> None:
        super().__init__()
        self.inner, self.projection, self.function = inner, projection, function

    def forward(self, x: Any) -> Any:
        return self.function(self.projection(x) + self.inner(x))


class Rbf(nn.Module):  # type: ignore[misc]  # the base is Any without torch
    """Gaussian units, the distances by a product."""

    def __init__(self, centers: Any, widths: Any) -> None:
        super().__init__()
        self.centers, self.widths = nn.Parameter(centers), nn.Parameter(widths)

    def forward(self, x: Any) -> Any:
        products = x @ self.centers.T
        squares = (x * x).sum(1, keepdim=True) - 2 * products + (self.centers**2).sum(1)
        return torch.exp(squares / (-2 * self.widths**2))


def with_function(module: Any, name: str) -> Any:
    """A module and the activation after it."""
    return module if name == "identity" else nn.Sequential(module, FUNCTIONS[name]())


def linear(kernel: Any, bias: Any) -> Any:
    """A dense layer."""
    made = nn.Linear(*kernel.shape, bias=bias is not None)
    made.weight = nn.Parameter(kernel.T.contiguous())
    if bias is not None:
        made.bias = nn.Parameter(bias)
    return made


def norm(made: Any, get: Get) -> Any:
    """A normalization with its scale and offset."""
    made.weight, made.bias = nn.Parameter(get("gamma")), nn.Parameter(get("beta"))
    return made


def residual(layer: Any, shape: Any, get: Get, sparse: bool) -> Any:
    """A residual block."""
    projection: Any = nn.Identity()
    if layer.output_shape(shape) != shape:
        projection = linear(get("projection.kernel"), get("projection.bias"))
    function = FUNCTIONS.get(layer.activation, nn.Identity)()
    return Residual(network(layer.layers, shape, get, sparse), projection, function)


def dense(layer: Any, shape: Any, get: Get, sparse: bool) -> Any:
    """A dense layer and its activation."""
    bias = get("bias") if layer.bias else None
    return with_function(linear(get("kernel"), bias), layer.activation)


def embedding(layer: Any, shape: Any, get: Get, sparse: bool) -> Any:
    """Vectors for tokens."""
    return nn.Embedding.from_pretrained(
        get("embeddings"), freeze=False, sparse=sparse or layer.sparse
    )


# By the class of a layer: the module, made of the layer, its input's shape, its parameters, and
# True where the optimizer takes sparse gradients.
MODULES: dict[str, Callable[[Any, Any, Get, bool], Any]] = {
    "Dense": dense,
    "Activation": lambda layer, shape, get, sparse: FUNCTIONS[layer.function](),
    "Residual": residual,
    "BatchNorm": lambda layer, shape, get, sparse: norm(
        nn.BatchNorm1d(shape[-1], eps=layer.epsilon, momentum=1 - layer.momentum), get
    ),
    "LayerNorm": lambda layer, shape, get, sparse: norm(
        nn.LayerNorm(shape[-1], eps=layer.epsilon), get
    ),
    "Embedding": embedding,
    "GlobalAvgPool1D": lambda layer, shape, get, sparse: Mean(),
    "RBF": lambda layer, shape, get, sparse: Rbf(get("centers"), get("widths")),
}


def network(layers: Sequence[Any], shape: Any, get: Get, sparse: bool) -> Any:
    """Layers one after the other."""
    made = []
    for i, layer in enumerate(layers):
        kind = type(layer).__name__
        if kind not in MODULES:
            raise NotImplementedError(f"layer {kind}")
        own: Get = lambda name, i=i: get(f"{i}.{name}")  # type: ignore[misc]  # noqa: E731
        made.append(MODULES[kind](layer, shape, own, sparse))
        shape = layer.output_shape(shape)
    return nn.Sequential(*made)


def module(model: LayeredModel) -> Any:
    """The network with these parameters, giving logits."""
    net = model.net
    return network(
        net.made(),
        net.input_shape,
        lambda name: torch.from_numpy(model.parameters[name].copy()),
        net.optimizer.name == "sgd",
    )


def optimizers(given: Any, made: Any) -> list[Any]:
    """The optimizers of a network: one, and another for sparse gradients."""
    sparse = [
        part.weight for part in made.modules() if isinstance(part, nn.Embedding) and part.sparse
    ]
    rest = [p for p in made.parameters() if not any(p is other for other in sparse)]
    rate = given.learning_rate
    if given.name == "sgd":
        found = [torch.optim.SGD(rest, rate, fused=True)]
        return [*found, torch.optim.SGD(sparse, rate)] if sparse else found
    moments = {"betas": (given.beta1, given.beta2), "eps": given.epsilon}
    if given.name == "adam":
        found = [torch.optim.Adam(rest, rate, fused=True, **moments)]
        return [*found, torch.optim.SparseAdam(sparse, rate, **moments)] if sparse else found
    return [torch.optim.AdamW(rest, rate, weight_decay=given.decay, fused=True, **moments)]


def objective(name: str) -> Any:
    """The loss of logits or values."""
    return F.cross_entropy if name == "softmax_cross_entropy" else F.mse_loss


class TorchLayers(LayersTrainer):
    """Zero the gradients, forward, loss, backward, step; what gives the loss may be compiled."""

    def __init__(self, model: LayeredModel, data: Data, compiled: bool = False) -> None:
        super().__init__(model, data)
        self.model = module(model)
        self.optimizers = optimizers(self.net.optimizer, self.model)
        self.x, self.y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        self.objective = objective(self.net.loss)
        self.target: Any = None
        forward = self.loss
        if self.net.step == "dqn":
            self.target, forward = module(model), self.dqn_loss
        self.forward = torch.compile(forward) if compiled else forward

    def loss(self, x: Any, y: Any) -> Any:
        """The loss of a mini-batch."""
        return self.objective(self.model(x), y)

    def dqn_loss(self, x: Any, y: Any) -> Any:
        """The Huber loss of the values of the actions taken."""
        values = self.model(x).gather(1, y[:, :1].long())
        with torch.no_grad():
            best = self.target(y[:, 2:]).max(1).values
        return F.smooth_l1_loss(values, (y[:, 1] + GAMMA * best).unsqueeze(1))

    def step(self, i: int) -> Any:
        """Take a step and return the loss."""
        rows = slice(i * self.data.batch, (i + 1) * self.data.batch)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss = self.forward(self.x[rows], self.y[rows])
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        if self.target is not None:
            with torch.no_grad():
                pairs = zip(self.target.parameters(), self.model.parameters(), strict=True)
                for follower, parameter in pairs:
                    follower.lerp_(parameter, TAU)
        return loss

    def train(self, start: int, steps: int) -> None:
        for i in range(start, start + steps):
            self.step(i)

    def losses(self, steps: int) -> list[float]:
        return [float(self.step(i).detach()) for i in range(steps)]


def predictor(model: LayeredModel, x: Array, compiled: bool = False) -> Callable[[], Any]:
    """Give a function that computes the outputs."""
    net, rows = module(model).eval(), torch.from_numpy(np.array(x))
    classifier = model.net.loss == "softmax_cross_entropy"

    def outputs(rows: Any) -> Any:
        return torch.softmax(net(rows), dim=1) if classifier else net(rows)

    called = torch.compile(outputs) if compiled else outputs

    def predict() -> Any:
        with torch.inference_mode():
            return called(rows)

    return predict
