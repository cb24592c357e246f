"""Fifty steps of every optimizer on each layer, beside torch's in float64.

A bias right before a batch normalization has the gradient 0 in exact arithmetic: Adam would scale
its rounding errors up to whole steps. So these biases are frozen on both sides.
"""

import layer_nets as nets
import numpy as np
import pytest

import pynn
from pynn import layers as L

torch = pytest.importorskip("torch")

# pynn's optimizer and torch's.
OPTIMIZERS = {
    "sgd": (lambda: pynn.SGD(0.05), ("SGD", {"lr": 0.05})),
    "momentum": (lambda: pynn.SGD(0.02, momentum=0.9), ("SGD", {"lr": 0.02, "momentum": 0.9})),
    "adam": (lambda: pynn.Adam(0.01), ("Adam", {"lr": 0.01})),
    "adamw": (
        lambda: pynn.AdamW(0.01, weight_decay=0.1),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ),
    "rmsprop": (lambda: pynn.RMSprop(0.01, rho=0.9), ("RMSprop", {"lr": 0.01, "alpha": 0.9})),
}
# Each kind of layer once.
NAMES = (
    "dense, fused functions",
    "dense, other functions",
    "dense over time",
    "residual, projection",
    "residual, nested",
    "several readers of the outputs",
    "batch norm, first and last",
    "batch norm in a residual",
    "layer norm over time",
    "rbf",
    "rbf over time",
    "max pool",
    "position embedding",
    "embedding",
    "embedding and the rest",
)
# 50 steps; the last mini-batch of each epoch is a ragged one.
EPOCHS, BATCH, ROWS = 10, 13, 60


@pytest.fixture(autouse=True)
def one_thread_of_torch():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def freeze_vain_biases(net):
    for before, layer, name in zip(
        net.layers, net.layers[1:], range(len(net.layers)), strict=False
    ):
        if isinstance(layer, L.BatchNorm) and before == L.Dense(getattr(before, "units", 1)):
            net.set_trainable(f"{name}.bias", False)


def train_torch(net, x, y, make_optimizer):
    """The parameters after the steps of `fit` with `shuffle=False`."""
    parameters = nets.tensors(net)
    optimizers = make_optimizer({n: p for n, p in parameters.items() if p.requires_grad})
    momentum = {
        f"{path}": layer.momentum for path, layer, _ in net.walk() if isinstance(layer, L.BatchNorm)
    }
    for _ in range(EPOCHS):
        for start in range(0, len(x), BATCH):
            own = slice(start, start + BATCH)
            statistics = {}
            outputs = nets.forward(
                net, parameters, torch.tensor(x[own]), training=True, statistics=statistics
            )
            loss = ((outputs - torch.tensor(y[own])) ** 2).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            for path, now in statistics.items():
                for of, value in zip(("mean", "variance"), now, strict=True):
                    moving = parameters[f"{path}.moving_{of}"]
                    moving *= momentum[path]
                    moving += (1 - momentum[path]) * torch.tensor(value)
    return {name: tensor.detach().numpy() for name, tensor in parameters.items()}


def assert_close(net, expected):
    for name, array in net.parameters.items():
        bound = 1e-10 * np.maximum(1, abs(expected[name]))
        worst = abs(array - expected[name]).max()
        assert (abs(array - expected[name]) <= bound).all(), f"{name} is off by {worst:.1e}"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NAMES)
def test_torch_agrees(name, optimizer):
    net = nets.make(name)
    freeze_vain_biases(net)
    x, y = nets.samples(net, ROWS), nets.values(net, ROWS)
    own, (of_torch, settings) = OPTIMIZERS[optimizer]
    expected = train_torch(
        net, x, y, lambda trained: [getattr(torch.optim, of_torch)(trained.values(), **settings)]
    )
    before = net.state_dict()
    net.fit(x, y, epochs=EPOCHS, batch_size=BATCH, optimizer=own(), shuffle=False)
    assert any((net.parameters[key] != before[key]).any() for key in before)
    assert_close(net, expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_sparse_embeddings_step_as_sparse_adam(optimizer):
    """Rows of tokens that do not occur keep their values and moments.

    (SparseAdam adds epsilon before the bias correction, Adam after it: a tiny one shows neither.)
    """
    layers = [L.Embedding(40, 3, sparse=True), L.LayerNorm(), L.GlobalAvgPool1D(), L.Dense(2)]
    net = pynn.Sequential(layers, 3, loss="mse", dtype="float64", seed=0)
    nets.randomize(net)
    x, y = nets.samples(net, ROWS), nets.values(net, ROWS)
    x[x == 17] = 16

    def make(trained):
        embeddings, *others = trained.values()
        if optimizer == "sgd":
            return [torch.optim.SGD(trained.values(), lr=0.1)]
        return [
            torch.optim.SparseAdam([embeddings], lr=0.01, eps=1e-30),
            torch.optim.Adam(others, lr=0.01, eps=1e-30),
        ]

    expected = train_torch(net, x, y, make)
    absent = net.parameters["0.embeddings"][17].copy()
    chosen = pynn.SGD(0.1) if optimizer == "sgd" else pynn.Adam(0.01, epsilon=1e-30)
    net.fit(x, y, epochs=EPOCHS, batch_size=BATCH, optimizer=chosen, shuffle=False)
    np.testing.assert_array_equal(net.parameters["0.embeddings"][17], absent)
    assert_close(net, expected)


@pytest.mark.parametrize("frozen", [(), ("0",), ("1",), ("2.kernel",)])
def test_clipping_is_torchs(frozen):
    """The norm is that of the gradients of all trainable parameters, and of no frozen one."""
    net = pynn.Sequential(
        [L.Dense(5, "tanh"), L.LayerNorm(), L.Dense(3)], 4, loss="mse", dtype="float64", seed=0
    )
    nets.randomize(net)
    for name in frozen:
        net.set_trainable(name, False)
    x, y = nets.samples(net, ROWS), 5 * nets.values(net, ROWS)
    parameters = nets.tensors(net)
    trained = [tensor for tensor in parameters.values() if tensor.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    norms = []
    for _ in range(20):
        optimizer.zero_grad()
        ((nets.forward(net, parameters, torch.tensor(x)) - torch.tensor(y)) ** 2).mean().backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 0.5).item())
        optimizer.step()
    # (torch adds 1e-6 to the norm that it divides by.)
    assert norms[0] > 1
    net.fit(x, y, epochs=20, batch_size=ROWS, optimizer=pynn.SGD(0.1, clip_norm=0.5), shuffle=False)
    for name, array in net.parameters.items():
        np.testing.assert_allclose(array, parameters[name].detach().numpy(), rtol=0, atol=2e-5)
