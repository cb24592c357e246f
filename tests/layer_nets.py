"""Networks with each kind of layer, their data, and the same networks in torch."""

import numpy as np

import pynn
from pynn import layers as L

# Layers, and the shape of a sample. Each kind is here alone and between others.
NETS = {
    "dense": ([L.Dense(3)], 4),
    "dense, no bias": ([L.Dense(5, "relu", bias=False), L.Dense(3, bias=False)], 4),
    "dense, fused functions": (
        [L.Dense(5, f) for f in ("relu", "leaky_relu", "elu", "softplus", "sigmoid", "tanh")],
        4,
    ),
    "dense, other functions": ([L.Dense(5, f) for f in ("gelu", "silu", "softmax")], 4),
    "dense over time": ([L.Dense(5, "tanh"), L.Dense(2)], (3, 4)),
    "dense over an image": ([L.Dense(3, "elu"), L.Flatten(), L.Dense(2)], (2, 3, 2)),
    "activation": ([L.Activation("tanh"), L.Dense(3), L.Activation("gelu"), L.Dense(2)], 4),
    "activation, exp": ([L.Dense(3), L.Activation("exp"), L.Dense(2)], 4),
    "softmax over time": ([L.Dense(4), L.Activation("softmax"), L.Dense(2)], (3, 3)),
    "flatten and reshape": (
        [L.Flatten(), L.Dense(6, "tanh"), L.Reshape((3, -1)), L.Dense(2)],
        (2, 2, 1),
    ),
    "residual": ([L.Dense(4, "relu"), L.Residual([L.Dense(5, "tanh"), L.Dense(4)]), L.Dense(2)], 3),
    "residual, projection": (
        [L.Dense(4, "tanh"), L.Residual([L.Dense(3, "elu"), L.Dense(5)], "relu"), L.Dense(2)],
        (2, 3),
    ),
    "residual, nested": (
        [
            L.Dense(4, "sigmoid"),
            L.Residual([L.Residual([L.Dense(4, "tanh")]), L.Residual([L.Dense(3)]), L.Dense(4)]),
            L.Dense(2),
        ],
        3,
    ),
    "several readers of the input": (
        [L.Residual([L.Residual([L.Dense(4, "tanh")], "tanh"), L.Dense(4)]), L.Dense(2)],
        4,
    ),
    "several readers of the outputs": (
        [L.Dense(4, "sigmoid"), L.Residual([L.Dense(4, "tanh")])],
        3,
    ),
    "batch norm": ([L.BatchNorm(0.9)], 4),
    "batch norm, first and last": ([L.BatchNorm(0.5), L.Dense(4, "relu"), L.BatchNorm(0.9)], 3),
    "batch norm, twice": (
        [
            L.Dense(4),
            L.BatchNorm(0.8),
            L.Activation("relu"),
            L.Dense(20),
            L.BatchNorm(),
            L.Dense(2),
        ],
        3,
    ),
    "batch norm in a residual": (
        [
            L.Dense(4),
            L.Residual([L.BatchNorm(0.9), L.Dense(4, "tanh"), L.BatchNorm(0.9)]),
            L.Dense(2),
        ],
        (2, 3),
    ),
    "layer norm": ([L.LayerNorm()], 5),
    "layer norm over time": ([L.Dense(18, "tanh"), L.LayerNorm(epsilon=1e-2), L.Dense(2)], (3, 2)),
    "rbf": ([L.RBF(6), L.Dense(2)], 3),
    "rbf over time": ([L.Dense(3, "tanh"), L.RBF(5, train_widths=False), L.Dense(2)], (2, 3)),
    "position embedding": ([L.Dense(3, "tanh"), L.PositionEmbedding(), L.Dense(2)], (4, 2)),
    "position embedding, fixed": ([L.PositionEmbedding("sinusoidal"), L.Dense(2)], (3, 4)),
    "average pool": ([L.Dense(4, "tanh"), L.GlobalAvgPool1D(), L.Dense(2)], (5, 3)),
    "max pool": ([L.Dense(4, "tanh"), L.GlobalMaxPool1D(), L.Dense(2)], (5, 3)),
    "average pool of images": ([L.Dense(3, "elu"), L.GlobalAvgPool2D(), L.Dense(2)], (2, 3, 2)),
    "max pool of videos": ([L.GlobalMaxPool3D(), L.Dense(2)], (2, 2, 2, 3)),
    "embedding": ([L.Embedding(7, 3), L.Flatten(), L.Dense(2)], 4),
    "embedding, the last": ([L.Embedding(7, 3)], 4),
    "embedding and the rest": (
        [
            L.Embedding(7, 4),
            L.PositionEmbedding(),
            L.LayerNorm(),
            L.Residual([L.Dense(6, "gelu"), L.Dense(4)]),
            L.GlobalAvgPool1D(),
            L.Dense(2),
        ],
        5,
    ),
}


def has(layers, kind):
    """Tell if a layer of a kind is among some, or within one of them."""
    return any(isinstance(each, kind) or has(getattr(each, "layers", ()), kind) for each in layers)


def make(name, *, loss="mse", dtype="float64", seed=0, scale=0.6):
    """A network of the table, with random parameters of every kind."""
    layers, input_shape = NETS[name]
    net = pynn.Sequential(layers, input_shape, loss=loss, dtype=dtype, seed=seed)
    randomize(net, seed, scale)
    return net


def randomize(net, seed=0, scale=0.6):
    rng = np.random.default_rng(seed)
    for name, array in net.parameters.items():
        array[...] = scale * rng.standard_normal(array.shape)
        if name.rpartition(".")[2] in ("gamma", "widths", "moving_variance"):
            array[...] = abs(array) + 0.8


def samples(net, n, seed=0, dtype=None):
    """Samples that a network takes."""
    rng = np.random.default_rng([seed, n])
    if isinstance(net.layers[0], L.Embedding):
        return rng.integers(0, net.layers[0].vocabulary, (n, *net.input_shape))
    return rng.standard_normal((n, *net.input_shape)).astype(dtype or net.dtype)


def values(net, n, seed=1, dtype=None):
    """Targets of a regression."""
    rng = np.random.default_rng([seed, n])
    return rng.standard_normal((n, *net.output_shape)).astype(dtype or net.dtype)


# ---------------------------------------------------------------- in torch


def functions():
    import torch
    from torch.nn import functional as F

    return {
        "identity": lambda x: x,
        "exp": torch.exp,
        "softmax": lambda x: torch.softmax(x, -1),
        **{name: getattr(F, name) for name in ("relu", "leaky_relu", "elu", "softplus", "sigmoid")},
        **{name: getattr(F, name) for name in ("tanh", "gelu", "silu")},
    }


def tensors(net):
    """A network's parameters as tensors; the trained ones require a gradient."""
    import torch

    return {
        name: torch.tensor(array.copy(), requires_grad=name in net.trainable_parameters)
        for name, array in net.parameters.items()
    }


def forward(net, parameters, x, *, training=False, statistics=None, frozen=()):
    """What the network computes; with `statistics` (a dict) also each layer's of the mini-batch."""
    import torch

    apply = functions()

    def dense(path, x):
        y = x @ parameters[f"{path}.kernel"]
        return y + parameters[f"{path}.bias"] if f"{path}.bias" in parameters else y

    def normalize(x, mean, variance, epsilon, path):
        y = (x - mean) / torch.sqrt(variance + epsilon)
        return y * parameters[f"{path}.gamma"] + parameters[f"{path}.beta"]

    def one(layer, path, x):
        axes = tuple(range(x.ndim - 1))
        match layer:
            case L.Dense():
                return apply[layer.activation](dense(path, x))
            case L.Activation():
                return apply[layer.function](x)
            case L.Flatten():
                return x.flatten(1)
            case L.Reshape():
                return x.reshape(len(x), *layer.shape)
            case L.Residual():
                y = every(layer.layers, f"{path}.", x)
                if f"{path}.projection.kernel" in parameters:
                    x = dense(f"{path}.projection", x)
                return apply[layer.activation](x + y)
            case L.BatchNorm() if training and path not in frozen:
                mean, variance = x.mean(axes), x.var(axes, correction=0)
                if statistics is not None:
                    statistics[path] = mean.detach().numpy(), variance.detach().numpy()
                return normalize(x, mean, variance, layer.epsilon, path)
            case L.BatchNorm():
                moving = [parameters[f"{path}.moving_{of}"] for of in ("mean", "variance")]
                return normalize(x, *moving, layer.epsilon, path)
            case L.LayerNorm():
                mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
                return normalize(x, mean, variance, layer.epsilon, path)
            case L.RBF():
                squares = ((x[..., None, :] - parameters[f"{path}.centers"]) ** 2).sum(-1)
                return torch.exp(-squares / (2 * parameters[f"{path}.widths"] ** 2))
            case L.Embedding():
                return torch.nn.functional.embedding(
                    x, parameters[f"{path}.embeddings"], sparse=layer.sparse
                )
            case L.PositionEmbedding():
                return x + parameters[f"{path}.embeddings"]
            case L.GlobalAvgPool1D() | L.GlobalAvgPool2D() | L.GlobalAvgPool3D():
                return x.flatten(1, -2).mean(1)
            case L.GlobalMaxPool1D() | L.GlobalMaxPool2D() | L.GlobalMaxPool3D():
                return x.flatten(1, -2).max(1).values
        raise NotImplementedError(layer)

    def every(layers, prefix, x):
        for i, layer in enumerate(layers):
            x = one(layer, f"{prefix}{layer.name or i}", x)
        return x

    return every(net.layers, "", x)
