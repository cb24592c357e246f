"""ONNX models, run by ONNX Runtime."""

import numpy as np
import pytest
from layer_cases import CASES, layer_kinds, make_case

import pynn
from pynn import layers as L
from pynn._types import ACTIVATIONS, OUTPUT_ACTIVATIONS
from pynn.convert import to_onnx
from pynn.formats import onnx as conversion

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

X = np.random.default_rng(1).normal(size=(9, 5))
DTYPES = ["float32", "float64"]


def run(model, x):
    onnx.checker.check_model(model, full_check=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    # Beyond "basic", 1.23 (the last for Python 3.10) makes x * sigmoid(x) a node that has no
    # kernel in float64.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (result,) = session.run(None, {"X": x})
    return result


def test_every_activation_is_known():
    assert (
        set(conversion.ACTIVATIONS)
        == {*ACTIVATIONS, *OUTPUT_ACTIVATIONS}
        >= set(pynn.ops.ACTIVATIONS)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ACTIVATIONS, *OUTPUT_ACTIVATIONS])
def test_activations(make_layers, forward, assert_close, name, dtype):
    hidden = name if name in ACTIVATIONS else "tanh"
    layers = make_layers(hidden=hidden, output=name, dtype=dtype)
    x = X.astype(dtype)
    result = run(conversion.make_model(layers), x)
    assert result.dtype == dtype
    assert_close(result, forward(layers, x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in (*ACTIVATIONS, *OUTPUT_ACTIVATIONS) if n != "exp"])
def test_large_and_small_values(make_layers, forward, name, dtype):
    """Nothing overflows, and what is small stays accurate where ONNX's operators are."""
    layers = make_layers((1, 1 if name != "softmax" else 3), output=name, dtype=dtype, bias=False)
    layers.layers[0].arrays["kernel"][...] = np.array([1, -2, 0.5])[: layers.output_shape[0]]
    x = np.concatenate([np.linspace(-9, 9, 1801), [-1e4, -700, -90, -1e-8, 0, 1e-8, 90, 700, 1e4]])
    x = x[:, np.newaxis].astype(dtype)
    result = run(conversion.make_model(layers), x)
    # ONNX Runtime's sigmoid is off by an eps in absolute terms, which SiLU multiplies by x.
    eps = np.finfo(dtype).eps
    atol = (40 if name == "silu" else 4) * eps
    np.testing.assert_allclose(result, forward(layers, x), rtol=4 * eps, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "mse"])
@pytest.mark.parametrize("name", pynn.ops.ACTIVATIONS)
def test_networks(assert_close, name, loss, bias, dtype):
    net = pynn.MLP([5, 7, 6, 3], name, loss, bias=bias, dtype=dtype, seed=0)
    for b in net.biases:
        b[...] = np.linspace(-1, 1, len(b))
    x = X.astype(dtype)
    assert_close(run(to_onnx(net), x), net(x))


def test_one_layer_and_any_number_of_rows(assert_close):
    net = pynn.MLP([5, 1], loss="sigmoid_cross_entropy", seed=0)
    model = to_onnx(net)
    for rows in (1, 2, 1000):
        x = np.ones((rows, 5), np.float32)
        assert_close(run(model, x), net(x))
    identity = pynn.MLP([5, 2], loss="mse", seed=0)
    assert_close(run(to_onnx(identity), X.astype("float32")), identity(X.astype("float32")))


def test_what_the_model_says():
    model = to_onnx(pynn.MLP([4, 16, 3], seed=0))
    assert model.producer_name == "pynn"
    assert "4 - 16 relu - 3 softmax" in model.doc_string
    assert [o.version for o in model.opset_import] == [13]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_param, shape[1].dim_value) == ("N", 4)
    # No name twice: everything has one assignment.
    names = [name for node in model.graph.node for name in node.output]
    names += [array.name for array in model.graph.initializer] + ["X"]
    assert len(set(names)) == len(names)


def test_the_file(tmp_path, assert_close):
    net = pynn.MLP([5, 3], seed=0)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"an older one")
    model = to_onnx(net, path)
    read = onnx.load(path)
    assert read == model
    assert_close(run(read, X.astype("float32")), net(X.astype("float32")))
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_errors(tmp_path, monkeypatch):
    net = pynn.MLP([5, 3])
    with pytest.raises(TypeError, match=r"net must be a pynn\.MLP"):
        to_onnx(None)
    with pytest.raises(TypeError, match="path must be a string or path-like, got 3"):
        to_onnx(net, 3)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        to_onnx(net, tmp_path / "none" / "net.onnx")
    with pytest.raises(IsADirectoryError, match="got the folder"):
        to_onnx(net, tmp_path)
    monkeypatch.setattr(conversion, "MOST_BYTES", 71)
    with pytest.raises(ValueError, match="net has 72 bytes of parameters"):
        to_onnx(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------- networks of layers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_layers(assert_close, case, dtype):
    net, x = make_case(case, dtype)
    result = run(to_onnx(net), x)
    assert result.dtype == dtype
    assert_close(result, net(x))


def test_every_layer_has_a_writer():
    kinds = {type(layer).__name__ for name in CASES for layer in CASES[name][0]}
    assert {*kinds, "Dense"} == conversion.WRITERS.keys() == layer_kinds()


def test_any_length(assert_close):
    layers = [L.Dense(4, "tanh"), L.LayerNorm(), L.GlobalAvgPool1D(), L.Dense(3)]
    net = pynn.Sequential(layers, (None, 5), seed=0)
    model = to_onnx(net)
    for length in (1, 4, 9):
        x = np.random.default_rng(0).normal(size=(2, length, 5)).astype(np.float32)
        assert_close(run(model, x), net(x))


def test_layers_without_a_writer_are_named():
    net = pynn.Sequential([L.Dense(2), L.Conv1D(3, 2), L.Flatten(), L.Dense(3)], (6, 5))
    with pytest.raises(ValueError, match=r"ONNX cannot express layer 1 \(Conv1D\); it has Activ"):
        to_onnx(net)
