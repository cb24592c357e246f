"""A multilayer perceptron in plain NumPy and float64: what pynn.MLP is compared with."""

import copy
import subprocess
import sys

import numpy as np

LOSSES = ("softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "mse")


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


# Each function, and its derivative from the output y.
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda y: (y > 0).astype(float)),
    "sigmoid": (sigmoid, lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y**2),
}


class NumpyMLP:
    """Starts from a pynn.MLP's weights and a copy of its generator."""

    def __init__(self, net):
        self.weights, self.biases = ([a.astype(float) for a in x] for x in net.get_weights())
        self.activations, self.loss, self.dtype = net.activations, net.loss, net.dtype
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
            return self.inputs(y)
        return self.inputs(y)[:, None] if outputs == 1 else np.eye(outputs)[y.astype(int)]

    def layers(self, x):
        """Every layer's output, the samples first; the cross-entropies' last is their logits."""
        outputs = [self.inputs(x)]
        for i, weight in enumerate(self.weights):
            z = outputs[-1] @ weight
            if self.biases:
                z = z + self.biases[i]
            logits = i == len(self.weights) - 1 and self.loss.endswith("cross_entropy")
            outputs.append(z if logits else ACTIVATIONS[self.activations[i]][0](z))
        return outputs

    def __call__(self, x):
        z = self.layers(x)[-1]
        if self.loss == "softmax_cross_entropy":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
        return sigmoid(z) if self.loss == "sigmoid_cross_entropy" else z

    def mean_loss(self, x, y):
        z, t = self.layers(x)[-1], self.targets(y)
        if self.loss == "softmax_cross_entropy":
            return np.mean(np.sum(t * (np.logaddexp.reduce(z, axis=1)[:, None] - z), axis=1))
        if self.loss == "sigmoid_cross_entropy":
            return np.mean(np.sum(np.logaddexp(0, z) - t * z, axis=1))
        if self.loss == "squared_error":
            return np.mean(np.sum((z - t) ** 2, axis=1)) / 2
        return np.mean((z - t) ** 2)

    def gradients(self, x, y):
        """Of the mean loss, in the order of `parameters`."""
        layers, t = self.layers(x), self.targets(y)
        if self.loss == "softmax_cross_entropy":
            delta = self(x) * t.sum(axis=1, keepdims=True) - t
        elif self.loss == "sigmoid_cross_entropy":
            delta = self(x) - t
        else:
            delta = (layers[-1] - t) * (2 / t.shape[1] if self.loss == "mse" else 1)
            delta = delta * ACTIVATIONS[self.activations[-1]][1](layers[-1])
        delta = delta / len(t)
        dw, db = [], []
        for i in reversed(range(len(self.weights))):
            dw.insert(0, layers[i].T @ delta)
            db.insert(0, delta.sum(axis=0))
            if i:
                slope = ACTIVATIONS[self.activations[i - 1]][1](layers[i])
                delta = delta @ self.weights[i].T * slope
        return [*dw, *(db if self.biases else [])]

    def train_on_batch(self, x, y, learning_rate, momentum=0.0, nesterov=False):
        loss = self.mean_loss(x, y)
        gradients = self.gradients(x, y)
        for p, v, g in zip(self.parameters, self.velocity, gradients, strict=True):
            v[...] = momentum * v - learning_rate * g
            p[...] = p + (momentum * v - learning_rate * g if nesterov else v)
        return loss

    def fit(self, x, y, epochs, batch_size, shuffle=True, **sgd):
        """Each epoch's mean loss, every mini-batch's before its update."""
        history = []
        for _ in range(epochs):
            order = self.rng.permutation(len(x)) if shuffle else np.arange(len(x))
            total = 0.0
            for i in range(0, len(x), batch_size):
                batch = order[i : i + batch_size]
                total += len(batch) * self.train_on_batch(x[batch], y[batch], **sgd)
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
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
