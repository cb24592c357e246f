"""Networks as ONNX models."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn._types import LEAKY_SLOPE
from pynn._version import __version__
from pynn.formats.sklearn import spec_of_model
from pynn.formats.spec import (
    PROJECTION,
    LayerSpec,
    NetworkSpec,
    batch_norm_scale,
    distinct,
    identifier,
    look_up,
    optional,
)
from pynn.formats.write import check_path, write_atomically

# The first operator set whose Softmax works on the last axis alone. Of the operators needed here
# it lacks only GELU, which Erf composes. Run times read older sets, never newer ones: this is that
# of ONNX 1.8.
OPSET = 13
IR_VERSION = 7
# The first one with LayerNormalization, that of ONNX 1.12.
OPSET_NORM = 17
IR_VERSION_NORM = 8
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
    net : MLP, Sequential, MLPClassifier or MLPRegressor
        A network, or a fitted estimator of pynn.sklearn or scikit-learn.
    path : str or path-like, optional
        A file for the model. It replaces an older one when it is whole.

    Returns
    -------
    onnx.ModelProto
        It computes an output ``Y`` of shape (N, outputs) from an input ``X`` of shape (N, inputs),
        both of the network's dtype, for any number N of rows. Those of a `Sequential` have its
        shapes, channels last; tokens are int64. The model uses operator set 13, which ONNX Runtime
        1.6 and later support, with `LayerNorm` in float32 set 17 (ONNX Runtime 1.12).

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the network is larger than the 2 GiB that an ONNX model can have, an estimator is not
        fitted, or ONNX cannot express a layer, naming it.
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
    composes them of other operators, and GELU's normal distribution of a polynomial. It composes
    LayerNormalization, too, whose epsilon is a float32.

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
    value = _write_all(graph, spec.layers, "X", spec.input_shape)
    graph.rename(value, "Y")
    kind = TensorProto.DOUBLE if spec.dtype == np.float64 else TensorProto.FLOAT
    input_kind = TensorProto.INT64 if spec.tokens else kind
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "MLP" if spec.is_mlp else "Sequential",
            [helper.make_tensor_value_info("X", input_kind, ["N", *_sizes(spec.input_shape)])],
            [helper.make_tensor_value_info("Y", kind, ["N", *_sizes(spec.output_shape)])],
            graph.arrays,
        ),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=IR_VERSION if graph.opset == OPSET else IR_VERSION_NORM,
        producer_name="pynn",
        producer_version=__version__,
        doc_string=f"{_describe(spec)}; loss {spec.loss}",
    )
    if spec.classes is not None:
        helper.set_model_props(model, {"classes": json.dumps(spec.classes, default=str)})
    return model


def _sizes(shape: Shape) -> list[Any]:
    """Return sizes as ONNX has them: a name where any length is possible."""
    return ["T" if n is None else n for n in shape]


def _describe(spec: NetworkSpec) -> str:
    """Describe a network in a line."""
    if spec.is_mlp:
        steps = [f"{units} {activation}" for (units,), activation in spec.steps()]
        return f"Multilayer perceptron: {' - '.join([str(spec.input_shape[0]), *steps])}"
    return f"Network of layers: {' - '.join(layer.kind for layer in spec.layers)}"


class _Graph:
    """The nodes and arrays of a graph as it grows. A value is a name."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.opset = OPSET
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self._names: set[str] = set()
        self._constants: dict[float, str] = {}

    @property
    def double(self) -> bool:
        """True for float64."""
        return self.dtype == np.float64

    def array(self, array: Any, name: str, dtype: Any = None) -> str:
        """Add a constant array, and return its name."""
        from onnx import numpy_helper

        unique = distinct(name, self._names)
        self._names.add(unique)
        values = np.asarray(array, self.dtype if dtype is None else dtype)
        self.arrays.append(numpy_helper.from_array(values, unique))
        return unique

    def parameter(self, layer: LayerSpec, role: str) -> str:
        """Add a layer's parameter, and return its name."""
        return self.array(layer.arrays[role], identifier(layer.names[role]))

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
        if not self.nodes or list(self.nodes[-1].output) != [value]:
            self.node("Identity", value)
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


def _write_all(graph: _Graph, layers: Sequence[LayerSpec], x: str, shape: Shape) -> str:
    """Write layers, of which the first has inputs of a shape."""
    for layer in layers:
        x = look_up(WRITERS, layer, "ONNX")(graph, layer, x, shape)
        shape = layer.output_shape
    return x


def _write_activation(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    return ACTIVATIONS[layer.config["name"]](graph, x)


def _write_dense(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    parameters = [graph.parameter(layer, role) for role in layer.arrays]
    return _dense(graph, x, parameters, shape)


def _dense(graph: _Graph, x: str, parameters: Sequence[str], shape: Shape) -> str:
    """Multiply the last axis by a kernel, and add a bias if there is one."""
    if len(shape) == 1:
        return graph.node("Gemm", x, *parameters)
    kernel, *bias = parameters
    y = graph.node("MatMul", x, kernel)
    return graph.node("Add", y, *bias) if bias else y


def _write_nothing(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    """Leave out a layer that is not active in predictions."""
    return x


def _write_reshape(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    # (0 is the number of rows, as it is.)
    sizes = graph.array((0, *layer.output_shape), f"shape{len(graph.nodes)}", np.int64)
    return graph.node("Reshape", x, sizes)


def _write_residual(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    y = _write_all(graph, layer.layers, x, shape)
    if layer.arrays:
        parameters = [graph.parameter(layer, role) for role in PROJECTION]
        x = _dense(graph, x, parameters, shape)
    return graph.node("Add", x, y)


def _write_batch_norm(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    # (BatchNormalization has its channels first, and an epsilon in float32.)
    scale = identifier(layer.names["gamma"].removesuffix("gamma") + "scale")
    centered = graph.node("Sub", x, graph.parameter(layer, "moving_mean"))
    scaled = graph.node("Mul", centered, graph.array(batch_norm_scale(layer), scale))
    return graph.node("Add", scaled, graph.parameter(layer, "beta"))


def _write_layer_norm(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    gamma, beta = (graph.parameter(layer, role) for role in ("gamma", "beta"))
    epsilon = layer.config["epsilon"]
    if not graph.double:
        graph.opset = OPSET_NORM
        return graph.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=epsilon)
    centered = graph.node("Sub", x, graph.node("ReduceMean", x, axes=[-1], keepdims=1))
    squares = graph.node("Mul", centered, centered)
    variance = graph.node("ReduceMean", squares, axes=[-1], keepdims=1)
    deviation = graph.node("Sqrt", graph.node("Add", variance, epsilon))
    scaled = graph.node("Mul", graph.node("Div", centered, deviation), gamma)
    return graph.node("Add", scaled, beta)


def _write_embedding(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    return graph.node("Gather", graph.parameter(layer, "embeddings"), x, axis=0)


def _write_position_embedding(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    return graph.node("Add", x, graph.parameter(layer, "embeddings"))


def _pool(operator: str) -> _Writer:
    def write(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
        return graph.node(operator, x, axes=list(range(1, len(shape))), keepdims=0)

    return write


def _write_rbf(graph: _Graph, layer: LayerSpec, x: str, shape: Shape) -> str:
    # exp(-|x - c|**2 / (2 w**2)), with |x - c|**2 = |x|**2 - 2 x.c + |c|**2
    centers, widths = (layer.arrays[role].astype(np.float64) for role in ("centers", "widths"))
    place = identifier(layer.names["centers"])
    doubled = graph.array(-2 * centers.T, place)
    lengths = graph.array((centers**2).sum(axis=1), f"{place}_lengths")
    factor = graph.array(-0.5 / widths**2, identifier(layer.names["widths"]))
    length = graph.node("ReduceSumSquare", x, axes=[-1], keepdims=1)
    squares = graph.node(
        "Add", graph.node("Add", length, lengths), graph.node("MatMul", x, doubled)
    )
    return graph.node("Exp", graph.node("Mul", graph.node("Relu", squares), factor))


Shape = tuple[Any, ...]  # the first size may be None: any length
_Writer = Callable[[_Graph, LayerSpec, str, Shape], str]

# The writer of each kind of layer takes the value and the shape of its inputs, and returns the
# value of its outputs.
WRITERS: dict[str, _Writer] = {
    "Activation": _write_activation,
    "Dense": _write_dense,
    "Dropout": _write_nothing,
    "Flatten": _write_reshape,
    "Reshape": _write_reshape,
    "Residual": _write_residual,
    "BatchNorm": _write_batch_norm,
    "LayerNorm": _write_layer_norm,
    "Embedding": _write_embedding,
    "PositionEmbedding": _write_position_embedding,
    **{f"GlobalAvgPool{n}D": _pool("ReduceMean") for n in (1, 2, 3)},
    **{f"GlobalMaxPool{n}D": _pool("ReduceMax") for n in (1, 2, 3)},
    "RBF": _write_rbf,
}
