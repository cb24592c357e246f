"""ONNX Runtime: predictions and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from .base import Array, LayeredModel, Model, Peer
from .onnx_layers import onnx_file

OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}),
    "softplus": ("Softplus", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "softmax": ("Softmax", {"axis": 1}),
    "log_softmax": ("LogSoftmax", {"axis": 1}),
}


def onnx_model(model: Model) -> bytes:
    """The network as an ONNX file: Gemm, Relu, ..., Gemm, Softmax."""
    nodes, values = [], []
    last, name = len(model.weights) - 1, "x"
    for i, (w, b) in enumerate(zip(model.weights, model.biases, strict=True)):
        values += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"]))
        name = f"a{i}" if i < last else "y"
        if i < last:
            nodes.append(helper.make_node("Relu", [f"z{i}"], [name]))
        else:
            nodes.append(helper.make_node("Softmax", [f"z{i}"], [name], axis=-1))
    shapes = [["rows", size] for size in (model.sizes[0], model.sizes[-1])]
    return as_file(nodes, values, *shapes)


def as_file(nodes: list[Any], values: list[Any], x_shape: list[Any], y_shape: list[Any]) -> bytes:
    """The nodes from x to y as an ONNX file."""
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, shape)
        for end, shape in (("x", x_shape), ("y", y_shape))
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], values)
    opset = [helper.make_opsetid("", 20)]
    file: bytes = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    return file


def activation_model(function: str, shape: tuple[int, ...]) -> bytes:
    """An activation as an ONNX file."""
    if function == "silu":  # which the runtime makes one operator of
        nodes = [
            helper.make_node("Sigmoid", ["x"], ["s"]),
            helper.make_node("Mul", ["x", "s"], ["y"]),
        ]
    else:
        operator, options = OPERATORS[function]
        nodes = [helper.make_node(operator, ["x"], ["y"], **options)]
    return as_file(nodes, [], list(shape), list(shape))


class OnnxRuntimePeer(Peer):
    """Speaks for ONNX Runtime."""

    name = "onnxruntime"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def info(self) -> dict[str, Any]:
        return {"intra_op_num_threads": self.threads}

    def session(self, file: bytes) -> Any:
        """A program for an ONNX file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        session = self.session(onnx_model(model))
        names, feed = ["y"], {"x": x}
        return lambda: session.run(names, feed)[0]

    def layers_predictor(self, model: LayeredModel, x: Array) -> Callable[[], Any]:
        session = self.session(onnx_file(model))
        names, feed = ["y"], {"x": x}
        return lambda: session.run(names, feed)[0]

    def activation(self, function: str, x: Array) -> Callable[[], Any]:
        session = self.session(activation_model(function, x.shape))
        out = np.empty_like(x)
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(out))

        def run() -> Array:
            session.run_with_iobinding(binding)
            return out

        return run


def load(threads: int) -> Peer:
    """Limit ONNX Runtime's threads."""
    return OnnxRuntimePeer(threads)
