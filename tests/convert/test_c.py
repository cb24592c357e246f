"""The C files, compiled without a warning and run."""

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
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
DTYPES = ["float32", "float64"]


def compiled(path, dtype, sizes, *, name="predict", command=("cc", *C99)):
    """The file as functions of arrays: of one row, and of a batch."""
    library = path.with_suffix(".so")
    run(*command, "-shared", "-fPIC", path, "-o", library, "-lm")
    functions = ctypes.CDLL(str(library))
    pointer = np.ctypeslib.ndpointer(dtype, flags="C")
    one, batch = functions[name], functions[f"{name}_batch"]
    one.argtypes, one.restype = [pointer, pointer], None
    batch.argtypes, batch.restype = [pointer, pointer, ctypes.c_int], None

    def of_batch(x):
        x = np.ascontiguousarray(x, dtype)
        y = np.full((len(x) + 1, sizes[-1]), 7.5, dtype)
        batch(x, y, len(x))
        assert (y[-1] == 7.5).all()
        return y[:-1]

    def of_row(x):
        x = np.ascontiguousarray(x, dtype)
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
