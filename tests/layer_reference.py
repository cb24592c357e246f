"""Scalar arithmetic of each kind of layer: what pynn must compute, bit for bit.

A network becomes nodes in topological order, forward and backward; an element of a product is the
chain of `reference.dot_chain`, and a sum over a mini-batch is cut into pieces of 512 samples.
Functions of single values (tanh, exp) are pynn's own, which tests/kernels judges.
"""

import numpy as np
from reference import KC, lane_sum, matmul_chain

import pynn
from pynn import layers as L

PIECE = 512


def pieces(samples, positions):
    """The rows of each piece of a sum over a mini-batch."""
    for first in range(0, samples, PIECE):
        yield slice(first * positions, min(samples, first + PIECE) * positions)


def add_up(parts):
    total = None
    for part in parts:
        total = part if total is None else total + part
    return total


def chained(rows):
    """The sum over rows as a chain, cut every KC."""
    parts = []
    for first in range(0, len(rows), KC):
        total = np.zeros(rows.shape[1:], rows.dtype)
        for row in rows[first : first + KC]:
            total = total + row
        parts.append(total)
    return add_up(parts)


def column_sums(rows, samples):
    """The sum of (samples * positions, columns) over its rows."""
    return add_up(chained(rows[own]) for own in pieces(samples, len(rows) // samples))


def weight_gradient(x, delta, samples):
    """x^T delta over a mini-batch."""
    own = pieces(samples, len(x) // samples)
    return add_up(matmul_chain(np.ascontiguousarray(x[rows].T), delta[rows]) for rows in own)


def exp(x):
    """pynn's exponential, by the outputs of Poisson's loss."""
    net = pynn.MLP([1, 1], loss="poisson", init="zeros", dtype=x.dtype)
    net.weights[0][...] = 1
    return net(x.reshape(-1, 1)).reshape(x.shape)


def activate(name, x):
    if name == "identity":
        return x.copy()
    return exp(x) if name == "exp" else getattr(pynn, name)(x)


def differentiate(name, x, y, delta):
    if name == "identity":
        return delta.copy()
    if name == "exp":
        return delta * y
    of = x if name in ("gelu", "silu") else y
    return getattr(pynn, f"{name}_backward")(delta, of)


class Function:
    def __init__(self, name):
        self.name = name

    def forward(self, x):
        self.x, self.y = x, activate(self.name, x)
        return self.y

    def backward(self, delta):
        return differentiate(self.name, self.x, self.y, delta)


class Add:
    def forward(self, x, x2):
        return x + x2

    def backward(self, delta):
        return delta.copy(), delta.copy()


class Dense:
    def __init__(self, kernel, bias=None):
        self.kernel, self.bias = kernel, bias

    def forward(self, x):
        self.x = x
        z = matmul_chain(x.reshape(-1, x.shape[-1]), self.kernel)
        if self.bias is not None:
            z = z + self.bias
        return z.reshape(*x.shape[:-1], -1)

    def backward(self, delta):
        n, x = len(delta), self.x.reshape(-1, self.x.shape[-1])
        rows = delta.reshape(-1, delta.shape[-1])
        self.gradients = {"kernel": weight_gradient(x, rows, n)}
        if self.bias is not None:
            self.gradients["bias"] = column_sums(rows, n)
        return matmul_chain(rows, np.ascontiguousarray(self.kernel.T)).reshape(self.x.shape)


class BatchNorm:
    def __init__(self, parameters, epsilon, training):
        self.p, self.epsilon, self.training = parameters, epsilon, training

    def forward(self, x):
        self.n, self.x = len(x), x.reshape(-1, x.shape[-1])
        one = x.dtype.type(1)
        count = x.dtype.type(len(self.x))
        self.mean, variance = self.p["moving_mean"], self.p["moving_variance"]
        if self.training:
            self.mean = column_sums(self.x, self.n) / count
            variance = column_sums((self.x - self.mean) ** 2, self.n) / count
            self.variance = variance
        self.inverse = one / np.sqrt(variance + x.dtype.type(self.epsilon))
        self.scale = self.p["gamma"] * self.inverse
        y = (self.x - self.mean) * self.scale + self.p["beta"]
        return y.reshape(x.shape)

    def backward(self, delta):
        rows = delta.reshape(self.x.shape)
        normalized = (self.x - self.mean) * self.inverse
        self.gradients = {
            "gamma": column_sums(rows * normalized, self.n),
            "beta": column_sums(rows, self.n),
        }
        if not self.training:
            return (self.scale * rows).reshape(delta.shape)
        count = rows.dtype.type(len(rows))
        offset, slope = (self.gradients[of] / count for of in ("beta", "gamma"))
        return (self.scale * ((rows - offset) - normalized * slope)).reshape(delta.shape)


class LayerNorm:
    def __init__(self, parameters, epsilon):
        self.p, self.epsilon = parameters, epsilon

    def forward(self, x):
        self.x, one, count = x, x.dtype.type(1), x.dtype.type(x.shape[-1])
        self.mean = (lane_sum(x) / count)[..., np.newaxis]
        squares = lane_sum((x - self.mean) ** 2)
        inverse = one / np.sqrt(squares / count + x.dtype.type(self.epsilon))
        self.inverse = inverse[..., np.newaxis]
        return (x - self.mean) * self.inverse * self.p["gamma"] + self.p["beta"]

    def backward(self, delta):
        normalized = (self.x - self.mean) * self.inverse
        scaled, count = delta * self.p["gamma"], delta.dtype.type(delta.shape[-1])
        offset = (lane_sum(scaled) / count)[..., np.newaxis]
        slope = (lane_sum(scaled * normalized) / count)[..., np.newaxis]
        columns = (-1, delta.shape[-1])
        self.gradients = {
            "gamma": column_sums((delta * normalized).reshape(columns), len(delta)),
            "beta": column_sums(delta.reshape(columns), len(delta)),
        }
        return self.inverse * ((scaled - offset) - normalized * slope)


class Rbf:
    def __init__(self, parameters):
        self.p = parameters

    def forward(self, x):
        centers, widths = self.p["centers"], self.p["widths"]
        self.shape, self.n, self.x = x.shape, len(x), x.reshape(-1, x.shape[-1])
        lengths, of_centers = squared_lengths(self.x)[:, np.newaxis], squared_lengths(centers)
        products = matmul_chain(self.x, np.ascontiguousarray(centers.T))
        half, two, zero = (x.dtype.type(v) for v in (-0.5, 2, 0))
        self.squares = np.maximum(zero, (lengths + of_centers) - two * products)
        self.y = exp(self.squares * (half / (widths * widths)))
        return self.y.reshape(*x.shape[:-1], -1)

    def backward(self, delta):
        centers, widths = self.p["centers"], self.p["widths"]
        delta = delta.reshape(self.y.shape)
        e = -(delta * self.y) / (widths * widths)
        total = np.zeros(len(e), e.dtype)
        for column in e.T:
            total = total + column
        dx = total[:, np.newaxis] * self.x - matmul_chain(e, centers)
        of_centers = column_sums(e, self.n)[:, np.newaxis] * centers
        of_centers = of_centers - weight_gradient(e, self.x, self.n)
        of_widths = column_sums(-e * self.squares, self.n) / widths
        self.gradients = {"centers": of_centers, "widths": of_widths}
        return dx.reshape(self.shape)


def squared_lengths(rows):
    total = np.zeros(len(rows), rows.dtype)
    for column in rows.T:
        total = total + column * column
    return total


class PositionEmbedding:
    def __init__(self, embeddings):
        self.embeddings = embeddings

    def forward(self, x):
        return x + self.embeddings

    def backward(self, delta):
        sums = column_sums(delta.reshape(len(delta), -1), len(delta))
        self.gradients = {"embeddings": sums.reshape(self.embeddings.shape)}
        return delta.copy()


class Embedding:
    """A dense layer on rows of 0 and 1."""

    def __init__(self, embeddings):
        self.embeddings, self.dense = embeddings, Dense(embeddings)

    def forward(self, tokens):
        return self.dense.forward(np.eye(len(self.embeddings), dtype=self.embeddings.dtype)[tokens])

    def backward(self, delta):
        self.dense.backward(delta)
        self.gradients = {"embeddings": self.dense.gradients["kernel"]}


class Average:
    def forward(self, x):
        self.shape, positions = x.shape, x.reshape(len(x), -1, x.shape[-1])
        self.count = x.dtype.type(positions.shape[1])
        return add_up(positions.transpose(1, 0, 2)) / self.count

    def backward(self, delta):
        each = delta[:, np.newaxis] / self.count
        return np.broadcast_to(each, (len(delta), int(self.count), delta.shape[-1])).reshape(
            self.shape
        )


class Maximum:
    def forward(self, x):
        self.shape, self.positions = x.shape, x.reshape(len(x), -1, x.shape[-1])
        return self.positions.max(axis=1)

    def backward(self, delta):
        dx = np.zeros_like(self.positions)
        first = self.positions.argmax(axis=1)[:, np.newaxis]
        np.put_along_axis(dx, first, delta[:, np.newaxis], axis=1)
        return dx.reshape(self.shape)


class Reshape:
    def __init__(self, shape):
        self.shape = shape

    def forward(self, x):
        self.before = x.shape
        return x.reshape(len(x), *self.shape)

    def backward(self, delta):
        return delta.reshape(self.before)


class Tape:
    """A network's nodes, made from its layers, in their order; node 0 is the input."""

    def __init__(self, net, training=False):
        self.parameters, self.training = net.parameters, training
        self.nodes = []  # (operation, inputs, path)
        self.shape = net.input_shape
        end = self.extend(net.layers, "", 0)
        assert end == len(self.nodes)

    def node(self, operation, *inputs, path=None):
        self.nodes.append((operation, inputs, path))
        return len(self.nodes)

    def extend(self, layers, prefix, at):
        for i, layer in enumerate(layers):
            at = self.append(layer, f"{prefix}{layer.name or i}", at)
        return at

    def dense(self, path, at):
        p = self.own(path)
        return self.node(Dense(p["kernel"], p.get("bias")), at, path=path)

    def own(self, path):
        start = f"{path}."
        named = {
            k.removeprefix(start): v for k, v in self.parameters.items() if k.startswith(start)
        }
        return {name: array for name, array in named.items() if "." not in name}

    def append(self, layer, path, at):
        p = self.own(path)
        match layer:
            case L.Dense():
                return self.node(Function(layer.activation), self.dense(path, at))
            case L.Activation():
                return self.node(Function(layer.function), at)
            case L.Flatten():
                return self.node(Reshape((-1,)), at)
            case L.Reshape():
                return self.node(Reshape(layer.shape), at)
            case L.Residual():
                end, start = self.extend(layer.layers, f"{path}.", at), at
                if f"{path}.projection.kernel" in self.parameters:
                    start = self.dense(f"{path}.projection", at)
                return self.node(Function(layer.activation), self.node(Add(), start, end))
            case L.BatchNorm():
                return self.node(BatchNorm(p, layer.epsilon, self.training), at, path=path)
            case L.LayerNorm():
                return self.node(LayerNorm(p, layer.epsilon), at, path=path)
            case L.RBF():
                return self.node(Rbf(p), at, path=path)
            case L.Embedding():
                return self.node(Embedding(p["embeddings"]), at, path=path)
            case L.PositionEmbedding():
                return self.node(PositionEmbedding(p["embeddings"]), at, path=path)
            case L.GlobalAvgPool1D() | L.GlobalAvgPool2D() | L.GlobalAvgPool3D():
                return self.node(Average(), at)
            case L.GlobalMaxPool1D() | L.GlobalMaxPool2D() | L.GlobalMaxPool3D():
                return self.node(Maximum(), at)
        raise NotImplementedError(layer)

    def forward(self, x):
        outputs = [x]
        for operation, inputs, _ in self.nodes:
            outputs.append(operation.forward(*(outputs[i] for i in inputs)))
        return outputs[-1]

    def backward(self, dout):
        """The input's gradient, and the parameters' by name; an output's readers add from last."""
        deltas = {len(self.nodes): dout}
        gradients = {}
        for i in range(len(self.nodes), 0, -1):
            operation, inputs, path = self.nodes[i - 1]
            passed = operation.backward(deltas[i])
            passed = passed if isinstance(passed, tuple) else (passed,)
            for k, dx in zip(inputs, passed, strict=True):
                deltas[k] = dx if k not in deltas else deltas[k] + dx
            if path is not None:
                found = operation.gradients.items()
                gradients.update({f"{path}.{name}": value for name, value in found})
        return deltas[0], gradients
