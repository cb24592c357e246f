"""ONNX Runtime: predictions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from .base import Array, Model, Peer


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
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, ["rows", size])
        for end, size in (("x", model.sizes[0]), ("y", model.sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], values)
    opset = [helper.make_opsetid("", 17)]
    file: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return file


class OnnxRuntimePeer(Peer):
    """Speaks for ONNX Runtime."""

    name = "onnxruntime"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def info(self) -> dict[str, Any]:
        return {"intra_op_num_threads": self.threads}

    def predictor(self, model: Model, x: Array) -> Callable[[], Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            onnx_model(model), options, providers=["CPUExecutionProvider"]
        )
        names, feed = ["y"], {"x": x}
        return lambda: session.run(names, feed)[0]


def load(threads: int) -> Peer:
    """Hold ONNX Runtime to so many threads."""
    return OnnxRuntimePeer(threads)
