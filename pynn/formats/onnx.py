"""Networks as ONNX models."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._types import LEAKY_SLOPE
from pynn._version import __version__
from pynn.formats.sklearn import spec_of_model
from pynn.formats.spec import LayerSpec, NetworkSpec, identifier, look_up, optional
from pynn.formats.write import check_path, write_atomically

# The first operator set whose Softmax works on the last axis alone. Of the operators needed here
# it lacks only GELU, which Erf composes. Run times read older sets, never newer ones: this is that
# of ONNX 1.8.
OPSET = 13
IR_VERSION = 7
# An ONNX model is a protobuf message, which must be smaller.
MOST_BYTES = 2**31 - 2**20

# log(erfc(z) exp(z**2) / t) with t = 2 / (2 + z), for z >= 0, as a polynomial in 2 t - 1, lowest
# power first. The coefficients are those of its Chebyshev series, computed with 50 digits. The
# relative error of erfc is 1e-15.
LOG_ERFC = (
    -0.6717940840566922,
    0.6726432239776583,
    0.047343306841863525,
    -0.04689561023132892,
    -0.009872689364099222,
    0.008824938561312326,
    0.0017589335074028032,
    -0.002345812552995894,
    -0.00014624628742128406,
    0.0006736791352568864,
    -9.373894767667296e-05,
    -0.00017430412986925938,
    7.141810433422309e-05,
    3.174693542327241e-05,
    -3.0237840540071568e-05,
    1.398937047760237e-07,
    8.66253539747586e-06,
    -2.9634842309596014e-06,
    -1.4094459914338739e-06,
    1.2833949153561303e-06,
    -4.146853754640521e-08,
    -2.8956265674352505e-07,
    7.745572408749582e-08,
    2.980513364514696e-08,
    -1.2776086554953637e-08,
)


def to_onnx(net: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """Make an ONNX model that computes the network's outputs.

    Parameters
    ----------
    net : MLP, MLPClassifier or MLPRegressor
        A network, or a fitted estimator of pynn.sklearn or scikit-learn.
    path : str or path-like, optional
        A file for the model. It replaces an older one when it is whole.

    Returns
    -------
    onnx.ModelProto
        It computes an output ``Y`` of shape (N, outputs) from an input ``X`` of shape (N, inputs),
        both of the network's dtype, for any number N of rows. It uses operator set 13, which ONNX
        Runtime 1.6 and later support.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the network is larger than the 2 GiB that an ONNX model can have, or an estimator is not
        fitted.
    OSError
        If `path` cannot be written.
    ImportError
        If onnx is not installed.

    Notes
    -----
    The outputs of a classifier are the probabilities of ``net(X)``; the model has no output of
    labels. Its metadata hold an estimator's classes as a JSON list named ``classes``. The most
    probable class is that of the largest output. Two classes have one output: the second class is
    the more probable one if the output exceeds 0.5.

    ONNX Runtime has no float64 kernels for LeakyRelu, Elu, Softplus and Erf. In float64 the model
    composes them of other operators, and GELU's normal distribution of a polynomial.

    Examples
    --------
    >>> import pynn
    >>> model = pynn.convert.to_onnx(pynn.MLP([4, 16, 3]))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm', 'Softmax']
    """
    spec = spec_of_model(net)
    target = None if path is None else check_path(path)
    size = spec.parameter_count * spec.dtype.itemsize
    if size > MOST_BYTES:
        raise ValueError(f"net has {size:.3g} bytes of parameters, an ONNX model at most 2 GiB")
    optional("onnx", "to_onnx", "onnx")
    model = make_model(spec)
    if target is not None:
        write_atomically(target, [model.SerializeToString()])
    return model


def make_model(spec: NetworkSpec) -> Any:
    """Make the model of a network in plain data."""
    from onnx import TensorProto, helper

    graph = _Graph(spec.dtype)
    value = "X"
    for layer in spec.layers:
        value = look_up(WRITERS, layer, "ONNX")(graph, layer, value)
    graph.rename(value, "Y")
    kind = TensorProto.DOUBLE if spec.dtype == np.float64 else TensorProto.FLOAT
    (inputs,), (outputs,) = spec.input_shape, spec.output_shape
    steps = [f"{units} {activation}" for (units,), activation in spec.steps()]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "MLP",
            [helper.make_tensor_value_info("X", kind, ["N", inputs])],
            [helper.make_tensor_value_info("Y", kind, ["N", outputs])],
            graph.arrays,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="pynn",
        producer_version=__version__,
        doc_string=f"Multilayer perceptron: {' - '.join([str(inputs), *steps])}; loss {spec.loss}",
    )
    if spec.classes is not None:
        helper.set_model_props(model, {"classes": json.dumps(spec.classes, default=str)})
    return model


class _Graph:
    """The nodes and arrays of a graph as it grows. A value is a name."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self._constants: dict[float, str] = {}

    @property
    def double(self) -> bool:
        """True for float64."""
        return self.dtype == np.float64

    def array(self, array: Any, name: str) -> str:
        """Add a constant array, and return its name."""
        from onnx import numpy_helper

        self.arrays.append(numpy_helper.from_array(np.asarray(array, self.dtype), name))
        return name

    def node(self, kind: str, *operands: str | float, **attributes: Any) -> str:
        """Add an operator, and return its value. Numbers among the operands become constants."""
        from onnx import helper

        inputs = [x if isinstance(x, str) else self._constant(x) for x in operands]
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, number: float) -> str:
        if number not in self._constants:
            name = f"constant{len(self._constants)}"
            self._constants[number] = self.array(number, name)
        return self._constants[number]

    def rename(self, value: str, name: str) -> None:
        """Give the last value another name."""
        assert list(self.nodes[-1].output) == [value]
        self.nodes[-1].output[0] = name


def _leaky_relu(graph: _Graph, x: str) -> str:
    if graph.double:  # an attribute of ONNX is float32, so 0.01 would not be the same number
        return graph.node("Max", x, graph.node("Mul", x, LEAKY_SLOPE))
    return graph.node("LeakyRelu", x, alpha=LEAKY_SLOPE)


def _elu(graph: _Graph, x: str) -> str:
    if not graph.double:
        return graph.node("Elu", x)
    below = graph.node("Sub", graph.node("Exp", graph.node("Min", x, 0.0)), 1.0)
    return graph.node("Add", graph.node("Relu", x), below)


def _gelu(graph: _Graph, x: str) -> str:
    if not graph.double:
        erf = graph.node("Erf", graph.node("Mul", x, math.sqrt(0.5)))
        return graph.node("Mul", graph.node("Mul", x, 0.5), graph.node("Add", erf, 1.0))
    # x Phi(x) = max(x, 0) - |x| erfc(|x| / sqrt(2)) / 2
    size = graph.node("Abs", x)
    z = graph.node("Mul", size, math.sqrt(0.5))
    t = graph.node("Div", 2.0, graph.node("Add", z, 2.0))
    u = graph.node("Sub", graph.node("Mul", t, 2.0), 1.0)
    sum_ = graph.node("Mul", u, LOG_ERFC[-1])
    for coefficient in LOG_ERFC[-2:0:-1]:
        sum_ = graph.node("Mul", graph.node("Add", sum_, coefficient), u)
    sum_ = graph.node("Add", sum_, LOG_ERFC[0])
    exponent = graph.node("Sub", sum_, graph.node("Mul", z, z))
    erfc = graph.node("Mul", graph.node("Exp", exponent), t)
    below = graph.node("Mul", graph.node("Mul", size, erfc), 0.5)
    return graph.node("Sub", graph.node("Relu", x), below)


def _softplus(graph: _Graph, x: str) -> str:
    if not graph.double:
        return graph.node("Softplus", x)
    e = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
    return graph.node("Add", graph.node("Relu", x), graph.node("Log", graph.node("Add", e, 1.0)))


# The composition of each activation from operators.
ACTIVATIONS: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda graph, x: x,
    "relu": lambda graph, x: graph.node("Relu", x),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "gelu": _gelu,
    "silu": lambda graph, x: graph.node("Mul", x, graph.node("Sigmoid", x)),
    "softplus": _softplus,
    "sigmoid": lambda graph, x: graph.node("Sigmoid", x),
    "tanh": lambda graph, x: graph.node("Tanh", x),
    "softmax": lambda graph, x: graph.node("Softmax", x, axis=-1),
    "exp": lambda graph, x: graph.node("Exp", x),
}


def _write_activation(graph: _Graph, layer: LayerSpec, x: str) -> str:
    return ACTIVATIONS[layer.config["name"]](graph, x)


def _write_dense(graph: _Graph, layer: LayerSpec, x: str) -> str:
    parameters = [
        graph.array(array, identifier(layer.names[role])) for role, array in layer.arrays.items()
    ]
    return graph.node("Gemm", x, *parameters)


def _write_nothing(graph: _Graph, layer: LayerSpec, x: str) -> str:
    """Leave out a layer that is not active in predictions."""
    return x


# The writer of each kind of layer takes the value of its inputs, and returns that of its outputs.
WRITERS: dict[str, Callable[[_Graph, LayerSpec, str], str]] = {
    "Activation": _write_activation,
    "Dense": _write_dense,
    "Dropout": _write_nothing,
}
