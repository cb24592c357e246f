"""The C files, compiled without a warning and run."""

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from layer_cases import CASES, DTYPES, layer_kinds, make_case
from toolchain import run

import pynn
from pynn._types import ACTIVATIONS, OUTPUT_ACTIVATIONS
from pynn.convert import to_c
from pynn.formats import c as conversion

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-Wconversion", "-O2"]
C99 = ["-std=c99", *STRICT, "-Wmissing-prototypes", "-Wstrict-prototypes", "-Wdouble-promotion"]
pytestmark = pytest.mark.skipif(
    not shutil.which("cc") or sys.platform == "win32", reason="no C compiler called cc"
)

X = np.random.default_rng(1).normal(size=(9, 5))


def compiled(path, dtype, sizes, *, name="predict", command=("cc", *C99), inputs=None):
    """The file as functions of arrays: of one row, and of a batch."""
    inputs = inputs or dtype
    library = path.with_suffix(".so")
    run(*command, "-shared", "-fPIC", path, "-o", library, "-lm")
    functions = ctypes.CDLL(str(library))
    pointer = np.ctypeslib.ndpointer(dtype, flags="C")
    source = np.ctypeslib.ndpointer(inputs, flags="C")
    one, batch = functions[name], functions[f"{name}_batch"]
    one.argtypes, one.restype = [source, pointer], None
    batch.argtypes, batch.restype = [source, pointer, ctypes.c_int], None

    def of_batch(x):
        x = np.ascontiguousarray(x, inputs)
        y = np.full((len(x) + 1, sizes[-1]), 7.5, dtype)
        batch(x, y, len(x))
        assert (y[-1] == 7.5).all()
        return y[:-1]

    def of_row(x):
        x = np.ascontiguousarray(x, inputs)
        y = np.full(sizes[-1] + 1, 7.5, dtype)
        one(x, y)
        assert y[-1] == 7.5
        return y[:-1]

    return of_row, of_batch


@pytest.fixture
def make(tmp_path):
    """Functions of a network in plain data."""

    def make(layers, **options):
        path = tmp_path / "net.c"
        path.write_text("".join(conversion.source(layers, "predict")))
        return compiled(path, layers.dtype, layers.output_shape, **options)

    return make


def test_every_activation_is_known():
    assert (
        set(conversion.ACTIVATIONS)
        == {*ACTIVATIONS, *OUTPUT_ACTIVATIONS}
        >= set(pynn.ops.ACTIVATIONS)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ACTIVATIONS, *OUTPUT_ACTIVATIONS])
def test_activations(make, make_layers, forward, assert_close, name, dtype):
    hidden = name if name in ACTIVATIONS else "tanh"
    layers = make_layers(hidden=hidden, output=name, dtype=dtype, bias=name != "elu")
    row, batch = make(layers)
    x = X.astype(dtype)
    assert_close(batch(x), forward(layers, x))
    np.testing.assert_array_equal(np.array([row(r) for r in x]), batch(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in (*ACTIVATIONS, *OUTPUT_ACTIVATIONS) if n != "exp"])
def test_large_and_small_values(make, make_layers, forward, name, dtype):
    layers = make_layers((1, 1 if name != "softmax" else 3), output=name, dtype=dtype, bias=False)
    layers.layers[0].arrays["kernel"][...] = np.array([1, -2, 0.5])[: layers.output_shape[0]]
    # Above the denormals; GELU's tail needs the square of its argument.
    tail = 8 if name == "gelu" else 80
    small = np.geomspace(1e-8, tail, 500)
    x = np.concatenate([-small, small, [-1e4, -700, 0, 700, 1e4]])[:, np.newaxis].astype(dtype)
    _, batch = make(layers)
    eps = np.finfo(dtype).eps
    rtol = (100 if name in ("gelu", "softmax") else 8) * eps
    np.testing.assert_allclose(
        batch(x), forward(layers, x), rtol=rtol, atol=4 * np.finfo(dtype).tiny
    )
    assert np.isnan(batch([[np.nan]])).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "mse"])
@pytest.mark.parametrize("name", pynn.ops.ACTIVATIONS)
def test_networks(tmp_path, assert_close, name, loss, bias, dtype):
    net = pynn.MLP([5, 7, 6, 3], name, loss, bias=bias, dtype=dtype, seed=0)
    for b in net.biases:
        b[...] = np.linspace(-1, 1, len(b))
    path = tmp_path / "net.c"
    to_c(net, path, "f1_Net")
    _, batch = compiled(path, dtype, net.layer_sizes, name="f1_Net")
    assert_close(batch(X), net(X.astype(dtype)))
    assert batch(np.empty((0, 5))).shape == (0, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_are_exact(make, make_layers, dtype):
    """Rows of the unit matrix give the weights, to the bit."""
    layers = make_layers((40, 20), dtype=dtype, bias=False)
    info = np.finfo(dtype)
    weights = layers.layers[0].arrays["kernel"]
    special = [info.max, -info.max, info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
    weights[0, :8] = [*special, 1, -3, 1e22]
    weights[1] *= info.tiny
    weights[2] *= 1e30
    _, batch = make(layers)
    np.testing.assert_array_equal(batch(np.eye(40)), weights)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "c++", "clang++"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_other_compilers_and_cpp(make, make_layers, forward, assert_close, compiler, dtype):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    names = [*ACTIVATIONS, *ACTIVATIONS[:3]]
    layers = make_layers((5, *range(4, 4 + len(names)), 3), names, "softmax", dtype=dtype)
    flags = C99
    if compiler.endswith("++"):
        flags = ["-std=c++11", "-x", "c++", *STRICT]
    _, batch = make(layers, command=(compiler, *flags))
    assert_close(batch(X), forward(layers, X.astype(dtype)))


MAIN = """
#include <stdio.h>
void iris(const float *x, float *y);
int main(void)
{
    float x[4], y[3];
    while (scanf("%f %f %f %f", x, x + 1, x + 2, x + 3) == 4) {
        iris(x, y);
        printf("%.9g %.9g %.9g\\n", (double)y[0], (double)y[1], (double)y[2]);
    }
    return 0;
}
"""


def test_a_whole_program(tmp_path, assert_close):
    net = pynn.MLP([4, 16, 3], "tanh", seed=0)
    to_c(net, str(tmp_path / "iris.c"), "iris")
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "main"
    run("cc", "-std=c99", *STRICT, tmp_path / "iris.c", tmp_path / "main.c", "-o", program, "-lm")
    x = np.random.default_rng(0).normal(size=(10, 4)).astype("float32")
    text = "\n".join(" ".join(f"{v:.9g}" for v in row) for row in x)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    assert_close(np.array(done.stdout.split(), np.float32).reshape(10, 3), net(x))


@pytest.mark.skipif(not shutil.which("nm") or sys.platform != "linux", reason="no nm")
def test_two_functions_and_constant_data_are_all_there_is(tmp_path, make_layers):
    path = tmp_path / "net.c"
    layers = make_layers(hidden=["gelu", "softplus"], output="softmax")
    path.write_text("".join(conversion.source(layers, "predict")))
    run("cc", *C99, "-fno-builtin", "-c", path, "-o", tmp_path / "net.o")
    symbols = [line.split()[-2:] for line in run("nm", tmp_path / "net.o").splitlines()]
    assert sorted(n for kind, n in symbols if kind == "T") == ["predict", "predict_batch"]
    assert {kind for kind, _ in symbols} <= {"T", "t", "r", "U"}
    wanted = {n for kind, n in symbols if kind == "U"} - {"_GLOBAL_OFFSET_TABLE_"}
    assert wanted == {"erfcf", "log1pf", "expf", "fabsf"}
    assert re.findall(r"#include.*", path.read_text()) == ["#include <math.h>"]


def test_two_networks_in_one_program(tmp_path, assert_close):
    net = pynn.MLP([5, 4, 2], seed=0)
    other = pynn.MLP([5, 6, 3], seed=1)
    to_c(net, tmp_path / "a.c", "a")
    to_c(other, tmp_path / "x.c", "x")  # the parameter's name too
    both = tmp_path / "both.c"
    both.write_text('#include "a.c"\n#include "x.c"\n')
    for name, each in (("a", net), ("x", other)):
        _, batch = compiled(both, "float32", each.layer_sizes, name=name)
        assert_close(batch(X), each(X.astype("float32")))


def test_wide_layers(tmp_path):
    net = pynn.MLP([300, 1000, 10], seed=0)
    path = tmp_path / "net.c"
    to_c(net, path)
    parameters = 300 * 1000 + 1000 + 1000 * 10 + 10
    # What the docstring says of the size; zeros are short.
    assert 10 * parameters < path.stat().st_size < 15 * parameters
    assert max(len(line) for line in path.read_text().splitlines()) < 140
    x = np.random.default_rng(0).normal(size=(3, 300)).astype("float32")
    _, batch = compiled(path, "float32", net.layer_sizes, name="net")
    np.testing.assert_allclose(batch(x), net(x), rtol=1e-4, atol=1e-6)
    text = path.read_text()
    assert "311010 parameters" in text
    assert "4000 bytes of stack" in text


NAMES = {
    "": "C identifier",
    "1st": "C identifier",
    "_x": "C identifier",
    "a-b": "C identifier",
    "a b": "C identifier",
    "é": "C identifier",
    "f\n": "C identifier",
    "x;": "C identifier",
    "double": "uses itself",
    "restrict": "uses itself",
    "class": "uses itself",
    "exp": "uses itself",
    "tanhf": "uses itself",
    "NAN": "uses itself",
    "main": "uses itself",
    "malloc": "uses itself",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_function_can_have(tmp_path, name):
    with pytest.raises(ValueError, match=f"name must .*{NAMES[name]}"):
        to_c(pynn.MLP([2, 2]), tmp_path / "net.c", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' headers have extensions")
def test_the_functions_of_math_h_are_reserved(tmp_path):
    source = tmp_path / "math.c"
    source.write_text("#include <math.h>\n")
    text = run("cc", "-std=gnu99", "-E", source)
    declared = re.findall(r"\b([a-z]\w*) ?\((?:float|double|long double)\b", text)
    functions = {name for name in declared if not re.search(r"f(16|32|64|128)x?$", name)}
    assert len(functions) > 150
    assert functions <= conversion.RESERVED


def test_errors(tmp_path):
    net = pynn.MLP([3, 2, 1], loss="mse", seed=0)
    with pytest.raises(TypeError, match=r"net must be a pynn\.MLP"):
        to_c("net", tmp_path / "net.c")
    with pytest.raises(TypeError, match="name must be a string, got 3"):
        to_c(net, tmp_path / "net.c", 3)
    with pytest.raises(TypeError, match="path must be a string or path-like, got None"):
        to_c(net, None)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        to_c(net, tmp_path / "none" / "net.c")
    net.biases[1][0] = np.inf
    with pytest.raises(ValueError, match=r"net\.biases\[1\] has values that are not finite"):
        to_c(net, tmp_path / "net.c")
    net.weights[0][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"net\.weights\[0\] has values that are not finite"):
        to_c(net, tmp_path / "net.c")
    assert not list(tmp_path.iterdir())


def test_the_example_of_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    to_c(pynn.MLP([3, 1], loss="mse"), "net.c")
    assert Path("net.c").read_text().startswith("/* A multilayer perceptron")


# ----------------------------------------------------------- networks of layers


def of_layers(net, path, **options):
    """The functions of a network's file, with the shapes of its samples and outputs."""
    inputs = "int32" if net.to_spec().tokens else None
    size = int(np.prod(net.output_shape))
    to_c(net, path, "predict")
    row, batch = compiled(path, net.dtype, [size], inputs=inputs, **options)

    def reshaped(x):
        return batch(x).reshape(len(x), *net.output_shape)

    return row, reshaped


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_layers(tmp_path, assert_close, case, dtype):
    net, x = make_case(case, dtype)
    row, batch = of_layers(net, tmp_path / "net.c")
    before = x.copy()
    result = batch(x)
    assert_close(result, net(x))
    np.testing.assert_array_equal(x, before)
    rows = np.array([row(sample) for sample in x])
    np.testing.assert_array_equal(rows.reshape(result.shape), result)


def test_every_layer_has_a_writer():
    assert conversion.WRITERS.keys() == layer_kinds()


def big_network(dtype="float32"):
    """All layers in one network."""
    L = pynn.layers
    inner = [L.LayerNorm(), L.Residual([L.Activation("tanh")]), L.RBF(6, width=3.0)]
    layers = [
        *(L.Embedding(9, 8), L.PositionEmbedding(), L.Residual(inner, "gelu", name="0_")),
        *(L.Activation("softmax"), L.BatchNorm(), L.Reshape((2, 3, 6)), L.Dropout(0.1)),
        *(L.GlobalMaxPool2D(), L.Dense(3)),
    ]
    net = pynn.Sequential(layers, 6, dtype=dtype, seed=0)
    return net, np.random.default_rng(0).integers(0, 9, size=(5, 6))


@pytest.mark.parametrize("compiler", ["gcc", "clang", "c++", "clang++"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_with_other_compilers_and_in_cpp(tmp_path, assert_close, compiler, dtype):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    net, x = big_network(dtype)
    flags = ["-std=c++11", "-x", "c++", *STRICT] if compiler.endswith("++") else C99
    _, batch = of_layers(net, tmp_path / "net.c", command=(compiler, *flags))
    assert_close(batch(x), net(x))


def test_layers_with_sanitizers(tmp_path, assert_close):
    net, x = big_network()
    options = ("-fsanitize=undefined,bounds", "-fno-sanitize-recover=all")
    _, batch = of_layers(net, tmp_path / "net.c", command=("cc", *C99, *options))
    assert_close(batch(x), net(x))


def test_the_text_of_a_network_of_layers(tmp_path):
    net, _ = big_network()
    to_c(net, tmp_path / "net.c")
    text = (tmp_path / "net.c").read_text()
    assert text.startswith("/* A network of layers, written by pynn")
    assert (
        "void net(const int32_t *x, float *y);\n       takes the 6 tokens x to the 3 outputs"
        in text
    )
    assert "            6 x 8  PositionEmbedding\n" in text
    assert "__0" not in text
    sizes = re.findall(r"static const float net_(\w+)\[(\d+)\]", text)
    assert len({name for name, _ in sizes}) == len(sizes)
    assert ("0_embeddings", "72") in sizes


def test_layers_whose_names_are_alike_in_c(tmp_path, assert_close):
    names = ["a b", "a_b", "größe", "gr__e", "a-b"]
    layers = [pynn.layers.Dense(5, name=name) for name in names]
    net = pynn.Sequential(layers, 5, seed=0)
    _, batch = of_layers(net, tmp_path / "net.c")
    assert_close(batch(X), net(X.astype("float32")))


def test_nan_in_a_maximum_stays(tmp_path):
    net, x = make_case("maximum over time")
    x[0, 2, 3] = np.nan
    _, batch = of_layers(net, tmp_path / "net.c")
    result = batch(x)
    assert np.isnan(result[0]).all()
    assert not np.isnan(result[1:]).any()


def test_errors_name_the_layers_parameters(tmp_path):
    net, _ = make_case("residual with projection")
    net.parameters["block.projection.bias"][0] = np.nan
    message = r"net\.parameters\['block\.projection\.bias'\] has values that are not finite"
    with pytest.raises(ValueError, match=message):
        to_c(net, tmp_path / "net.c")
    net = pynn.Sequential([pynn.layers.BatchNorm(epsilon=0)], 5, "mse")
    net.parameters["0.moving_variance"] = 0
    with pytest.raises(ValueError, match=r"\['0\.moving_variance'\] has values that are 0"):
        to_c(net, tmp_path / "net.c")


def test_a_layer_that_c_cannot_express_is_named(monkeypatch, tmp_path):
    monkeypatch.delitem(conversion.WRITERS, "LayerNorm")
    net, _ = make_case("residual over time")
    message = r"C cannot express layer 0\.0 \(LayerNorm\); it has Activation, Dense, Dropout, "
    with pytest.raises(ValueError, match=message):
        to_c(net, tmp_path / "net.c")
    assert not list(tmp_path.iterdir())


def test_any_length_is_refused(tmp_path):
    layers = [pynn.layers.GlobalAvgPool1D(), pynn.layers.Dense(3)]
    net = pynn.Sequential(layers, (None, 5), seed=0)
    with pytest.raises(ValueError, match=r"any length, of shape \(None, 5\); C needs a fixed one"):
        to_c(net, tmp_path / "net.c")
