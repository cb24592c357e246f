"""A multilayer perceptron in plain NumPy and float64, the reference for pynn.MLP."""

import copy
import subprocess
import sys

import numpy as np
from sanitizers import PATIENCE
from scipy.special import ndtr, xlogy

LOSSES = (
    "softmax_cross_entropy",
    "sigmoid_cross_entropy",
    "squared_error",
    "mse",
    "mae",
    "huber",
    "poisson",
    "pinball",
)


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


def normal_density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


# Each function, and its derivative at z.
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1.0, np.exp(z))),
    "gelu": (lambda z: z * ndtr(z), lambda z: ndtr(z) + z * normal_density(z)),
    "silu": (
        lambda z: z * sigmoid(z),
        lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    ),
    "softplus": (lambda z: np.logaddexp(0, z), sigmoid),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "exp": (np.exp, np.exp),
}


def philox(key, counters, rounds=7):
    """The words (n, 4) of Philox4x32 for counters (n, 4) (Salmon 2011)."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [np.array(x, np.uint64) for x in zip(*counters, strict=True)]
    k = [int(key) & 0xFFFFFFFF, int(key) >> 32]
    for _ in range(rounds):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        k0, k1 = map(np.uint64, k)
        c = [(p1 >> half) ^ c[1] ^ k0, p1 & low, (p0 >> half) ^ c[3] ^ k1, p0 & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=1)


def kept(key, step, layer, shape, rate):
    """Which elements of a mini-batch (rows, units) dropout lets through."""
    count = shape[0] * shape[1]
    groups = -(-count // 64)
    counters = [
        (
            (16 * g + lane) & 0xFFFFFFFF,
            ((16 * g + lane) >> 32) ^ (step >> 32),
            layer,
            step & 0xFFFFFFFF,
        )
        for g in range(groups)
        for lane in range(16)
    ]
    words = philox(key, counters).reshape(groups, 16, 2, 2)  # (group, counter, half, word)
    flat = words.transpose(0, 2, 1, 3).reshape(-1)[:count]
    return (flat >= round(rate * 2**32)).reshape(shape)


class NumpyMLP:
    """Starts from a pynn.MLP's weights and a copy of its generator."""

    def __init__(self, net):
        self.weights, self.biases = ([a.astype(float) for a in x] for x in net.get_weights())
        self.activations, self.loss, self.dtype = net.activations, net._engine.loss.name, net.dtype
        self.settings = net._engine.loss.config()
        self.dropout, self.l1, self.l2, self.max_norm = net.dropout, net.l1, net.l2, net.max_norm
        self.key, self.step = (int(x) for x in net._engine.rng_position)
        self.rng = copy.deepcopy(net.rng)
        self.velocity = [np.zeros_like(p) for p in self.parameters]

    @property
    def parameters(self):
        return [*self.weights, *self.biases]

    def inputs(self, x):
        """The samples in float64, rounded to the network's type first."""
        return np.asarray(x).astype(self.dtype).astype(float)

    def targets(self, y):
        """The targets in float64, one row a sample."""
        y, outputs = np.asarray(y), self.weights[-1].shape[1]
        if y.ndim == 2:
            t = self.inputs(y)
        elif outputs == 1:
            t = self.inputs(y)[:, None]
        else:
            t = np.eye(outputs)[y.astype(int)]
        smoothing = self.settings.get("label_smoothing", 0.0)
        alternatives = outputs if self.loss == "softmax_cross_entropy" else 2
        return (1 - smoothing) * t + smoothing / alternatives

    def masks(self, layer, rows):
        """Dropout's factors of a layer's inputs in the present step."""
        rate = self.dropout[layer]
        if rate == 0:
            return 1.0
        shape = (rows, self.weights[layer].shape[0])
        return kept(self.key, self.step, layer, shape, rate) / (1 - rate)

    def layers(self, x, training=False):
        """Each layer's inputs, and what its activation is applied to."""
        inputs, before = [self.inputs(x)], []
        for i, weight in enumerate(self.weights):
            if training:
                inputs[i] = inputs[i] * self.masks(i, len(inputs[i]))
            z = inputs[i] @ weight
            before.append(z + self.biases[i] if self.biases else z)
            if i < len(self.weights) - 1:
                inputs.append(ACTIVATIONS[self.activations[i]][0](before[i]))
        return inputs, before

    def outputs(self, z):
        name = self.activations[-1]
        if name == "softmax":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
        return ACTIVATIONS[name][0](z)

    def __call__(self, x):
        return self.outputs(self.layers(x)[1][-1])

    def row_losses(self, z, t):
        """Each row's loss, and its gradient with respect to z, the outputs' pre-activation."""
        y, n = self.outputs(z), t.shape[1]
        d = y - t
        if self.loss == "softmax_cross_entropy":
            losses = np.sum(t * (np.logaddexp.reduce(z, axis=1)[:, None] - z), axis=1)
            return losses, y * t.sum(axis=1, keepdims=True) - t
        if self.loss == "sigmoid_cross_entropy":
            return np.sum(np.logaddexp(0, z) - t * z, axis=1), d
        if self.loss == "poisson":
            losses, slope = np.sum(xlogy(t, t / y) - t + y, axis=1), 1 - t / y
        elif self.loss == "squared_error":
            losses, slope = np.sum(d**2, axis=1) / 2, d
        elif self.loss == "mse":
            losses, slope = np.mean(d**2, axis=1), 2 * d / n
        elif self.loss == "mae":
            losses, slope = np.mean(abs(d), axis=1), np.sign(d) / n
        elif self.loss == "huber":
            delta = self.settings["delta"]
            each = np.where(abs(d) <= delta, d**2 / 2, delta * (abs(d) - delta / 2))
            losses, slope = np.mean(each, axis=1), np.clip(d, -delta, delta) / n
        else:
            q = np.asarray(self.settings["quantile"])
            each = np.where(d < 0, -q * d, (1 - q) * d)
            losses, slope = np.mean(each, axis=1), np.where(d < 0, -q, 1 - q) / n
        if self.activations[-1] == "softmax":
            return losses, y * (slope - np.sum(slope * y, axis=1, keepdims=True))
        return losses, slope * ACTIVATIONS[self.activations[-1]][1](z)

    def penalty(self):
        pairs = zip(self.weights, self.l1, self.l2, strict=True)
        return sum(l1 * abs(w).sum() + l2 / 2 * (w**2).sum() for w, l1, l2 in pairs)

    def mean_loss(self, x, y, weights=None, training=False):
        losses, _ = self.row_losses(self.layers(x, training)[1][-1], self.targets(y))
        if weights is not None and not np.any(weights):
            return self.penalty()
        return np.average(losses, weights=weights) + self.penalty()

    def gradients(self, x, y, weights=None, training=False):
        """Of the mean loss, in the order of `parameters`."""
        inputs, before = self.layers(x, training)
        _, delta = self.row_losses(before[-1], self.targets(y))
        w = np.ones(len(delta)) if weights is None else np.asarray(weights)
        delta = delta * (w / (w.sum() or 1.0))[:, None]
        dw, db = [], []
        for i in reversed(range(len(self.weights))):
            weight = self.weights[i]
            dw.insert(0, inputs[i].T @ delta + self.l1[i] * np.sign(weight) + self.l2[i] * weight)
            db.insert(0, delta.sum(axis=0))
            delta = delta @ weight.T
            if training:
                delta = delta * self.masks(i, len(delta))
            if i:
                delta = delta * ACTIVATIONS[self.activations[i - 1]][1](before[i - 1])
        self.input_gradient = delta
        return [*dw, *(db if self.biases else [])]

    def train_on_batch(
        self, x, y, learning_rate, momentum=0.0, nesterov=False, weights=None, clip_norm=None
    ):
        loss = self.mean_loss(x, y, weights, training=True)
        gradients = self.gradients(x, y, weights, training=True)
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        if clip_norm is not None and norm > clip_norm:
            gradients = [g * (clip_norm / norm) for g in gradients]
        for p, v, g in zip(self.parameters, self.velocity, gradients, strict=True):
            v[...] = momentum * v - learning_rate * g
            p[...] = p + (momentum * v - learning_rate * g if nesterov else v)
        for weight, limit in zip(self.weights, self.max_norm, strict=True):
            if limit:
                length = np.sqrt((weight**2).sum(axis=0))
                factor = np.where(length > limit, limit / np.maximum(length, 1e-300), 1)
                np.multiply(weight, factor, out=weight)
        self.step += 1
        return loss

    def fit(self, x, y, epochs, batch_size, shuffle=True, weights=None, **sgd):
        """Each epoch's mean loss, every mini-batch's before its update."""
        history = []
        for _ in range(epochs):
            order = self.rng.permutation(len(x)) if shuffle else np.arange(len(x))
            total = 0.0
            for i in range(0, len(x), batch_size):
                batch = order[i : i + batch_size]
                of_batch = None if weights is None else weights[batch]
                loss = self.train_on_batch(x[batch], y[batch], weights=of_batch, **sgd)
                total += len(batch) * loss
            history.append(total / len(x))
        return history


def make_samples(loss, n, inputs, outputs, *, labels=False, seed=1):
    """X of shape (n, inputs), and labels or values that fit the loss."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, inputs))
    if labels:
        return x, rng.integers(max(outputs, 2), size=n)
    if loss == "softmax_cross_entropy":
        return x, rng.dirichlet(np.ones(outputs), n)
    shape = (n, outputs)
    if loss == "poisson":
        return x, rng.poisson(1.5, shape).astype(float)
    return x, rng.random(shape) if loss.endswith("cross_entropy") else rng.normal(size=shape)


def randomize_biases(net, seed=2):
    """Away from 0, where they would hide errors and put units on ReLU's kink."""
    rng = np.random.default_rng(seed)
    for bias in net.biases:
        bias[...] = rng.uniform(-0.5, 0.5, bias.shape)
    return net


def parameters_of(net):
    """Copies of a network's weights and biases, in one list."""
    weights, biases = net.get_weights()
    return [*weights, *biases]


def assert_same_bits(a, b):
    """Of two networks' parameters, or of two lists of arrays."""
    a, b = (x if isinstance(x, list) else parameters_of(x) for x in (a, b))
    for x, y in zip(a, b, strict=True):
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        assert x.tobytes() == y.tobytes()


def assert_close(a, b, relative):
    """Lists of arrays: the largest difference in each, relative to its largest value."""
    a, b = (x if isinstance(x, list) else x.parameters for x in (a, b))
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape
        assert np.abs(x - y).max() <= relative * np.abs(y).max()


def run_python(code, folder, *arguments, timeout=60, environment=None):
    """The standard output of a new Python process; `folder`, where it runs, shadows no package."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env=environment,
        timeout=timeout * PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
