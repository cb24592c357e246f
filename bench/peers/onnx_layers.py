"""Networks of layers as ONNX files, for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .base import Array, LayeredModel

FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


class Graph:
    """The nodes of a file, as the layers append them.

    Parameters
    ----------
    parameters : dict
        By pynn's names.
    """

    def __init__(self, parameters: dict[str, Array]) -> None:
        self.parameters = parameters
        self.nodes: list[Any] = []
        self.values: dict[str, Any] = {}

    def node(self, operator: str, *inputs: str, **options: Any) -> str:
        """Append a node and name its output."""
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [out], **options))
        return out

    def value(self, name: str, array: Any = None) -> str:
        """Hold a parameter, or another constant, under a name."""
        held = self.parameters[name] if array is None else array
        self.values[name] = numpy_helper.from_array(np.ascontiguousarray(held), name)
        return name

    def function(self, name: str, x: str) -> str:
        """Append an activation, unless it is the identity."""
        return x if name == "identity" else self.node(FUNCTIONS[name], x)

    def dense(self, path: str, x: str, positions: bool) -> str:
        """Append a product and a bias."""
        kernel, bias = self.value(f"{path}kernel"), f"{path}bias"
        if bias not in self.parameters:
            return self.node("MatMul", x, kernel)
        if positions:
            return self.node("Add", self.node("MatMul", x, kernel), self.value(bias))
        return self.node("Gemm", x, kernel, self.value(bias))

    def layers(self, layers: Sequence[Any], shape: Any, x: str, prefix: str = "") -> str:
        """Append layers one after the other."""
        for i, layer in enumerate(layers):
            kind = type(layer).__name__
            if kind not in PROGRAMS:
                raise NotImplementedError(f"layer {kind}")
            x = PROGRAMS[kind](self, layer, shape, f"{prefix}{i}.", x)
            shape = layer.output_shape(shape)
        return x


def dense(graph: Graph, layer: Any, shape: Any, path: str, x: str) -> str:
    """A dense layer and its activation."""
    return graph.function(layer.activation, graph.dense(path, x, len(shape) > 1))


def residual(graph: Graph, layer: Any, shape: Any, path: str, x: str) -> str:
    """A residual block."""
    inner = graph.layers(layer.layers, shape, x, path)
    if layer.output_shape(shape) != shape:
        x = graph.dense(f"{path}projection.", x, len(shape) > 1)
    return graph.function(layer.activation, graph.node("Add", x, inner))


def batch_norm(graph: Graph, layer: Any, shape: Any, path: str, x: str) -> str:
    """Normalize by the running statistics."""
    if len(shape) > 1:
        raise NotImplementedError("batch normalization of positions")
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    values = [graph.value(path + name) for name in names]
    return graph.node("BatchNormalization", x, *values, epsilon=layer.epsilon)


def layer_norm(graph: Graph, layer: Any, shape: Any, path: str, x: str) -> str:
    """Normalize each position."""
    values = [graph.value(path + name) for name in ("gamma", "beta")]
    return graph.node("LayerNormalization", x, *values, axis=-1, epsilon=layer.epsilon)


def mean(graph: Graph, layer: Any, shape: Any, path: str, x: str) -> str:
    """The mean over the positions."""
    axes = graph.value(f"{path}axes", np.array([1], np.int64))
    return graph.node("ReduceMean", x, axes, keepdims=0)


def rbf(graph: Graph, layer: Any, shape: Any, path: str, x: str) -> str:
    """Gaussian units: the squared distances are one product of (x, |x|^2) and a sum."""
    centers, widths = (graph.parameters[path + name] for name in ("centers", "widths"))
    axes = graph.value(f"{path}axes", np.array([1], np.int64))
    lengths = graph.node("ReduceSumSquare", x, axes, keepdims=1)
    products = graph.node(
        "Gemm",
        x,
        graph.value(f"{path}kernel", (-2 * centers.T).astype(np.float32)),
        graph.value(f"{path}lengths", (centers**2).sum(axis=1)),
    )
    squares = graph.node("Add", products, lengths)
    factor = graph.value(f"{path}factor", (-0.5 / widths**2).astype(np.float32))
    return graph.node("Exp", graph.node("Mul", squares, factor))


# By the class of a layer: its nodes, of the graph, the layer, its input's shape, the path of its
# parameters, and the name of its input; gives the name of its output.
PROGRAMS: dict[str, Callable[[Graph, Any, Any, str, str], str]] = {
    "Dense": dense,
    "Activation": lambda graph, layer, shape, path, x: graph.function(layer.function, x),
    "Residual": residual,
    "BatchNorm": batch_norm,
    "LayerNorm": layer_norm,
    "Embedding": lambda graph, layer, shape, path, x: graph.node(
        "Gather", graph.value(f"{path}embeddings"), x, axis=0
    ),
    "GlobalAvgPool1D": mean,
    "RBF": rbf,
}


def onnx_file(model: LayeredModel) -> bytes:
    """The network as an ONNX file, from x to y."""
    net, layers = model.net, model.net.made()
    graph = Graph(model.parameters)
    out = graph.layers(layers, net.input_shape, "x")
    softmax = net.loss == "softmax_cross_entropy"
    operator, options = ("Softmax", {"axis": -1}) if softmax else ("Identity", {})
    graph.nodes.append(helper.make_node(operator, [out], ["y"], **options))
    kind = TensorProto.INT64 if net.vocabulary else TensorProto.FLOAT
    x = helper.make_tensor_value_info("x", kind, ["rows", *net.input_shape])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_graph(graph.nodes, "graph", [x], [y], list(graph.values.values()))
    opset = [helper.make_opsetid("", 20)]
    file: bytes = helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()
    return file
