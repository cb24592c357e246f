"""Networks as C."""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

import numpy as np

from pynn._types import LEAKY_SLOPE, Array
from pynn._version import __version__
from pynn.formats.c_names import RESERVED
from pynn.formats.sklearn import spec_of_model
from pynn.formats.spec import (
    PROJECTION,
    LayerSpec,
    NetworkSpec,
    attribute,
    batch_norm_scale,
    distinct,
    identifier,
    look_up,
)
from pynn.formats.write import check_path, write_atomically

NUMBERS_A_LINE = 8


def to_c(net: Any, path: str | os.PathLike[str], name: str | None = None) -> None:
    """Write a network as one file of C that depends only on the C library.

    Parameters
    ----------
    net : MLP, Sequential, MLPClassifier or MLPRegressor
        A network, or a fitted estimator of pynn.sklearn or scikit-learn.
    path : str or path-like
        The file to write. It replaces an older one when it is whole.
    name : str, optional
        The name of the function and the prefix of all other names: an ASCII identifier that starts
        with a letter and that C and C++ do not use themselves. The default follows the file's name:
        "digits" for "digits.c", "net_8x8_a" for "8x8-a.c", "exp_net" for "exp.c". Two files of one
        program need different names.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If `name` or the file's name is not a possible name, a parameter is not finite, an estimator
        is not fitted, a network takes any length, or C cannot express a layer, naming it.
    OSError
        If `path` cannot be written.

    Notes
    -----
    The file "iris.c" defines ``void iris(const float *x, float *y)``, which computes one row of
    outputs from one row of inputs. ``void iris_batch(const float *x, float *y, int rows)`` does so
    for consecutive rows. A float64 network has double in place of float. A network that begins
    with an `Embedding` reads ``const int32_t *x``, tokens from 0 to vocabulary - 1. Samples and
    outputs of several axes lie in memory as NumPy's in C order, channels last. The outputs of a
    classifier are probabilities; a comment lists an estimator's classes in their order.

    Both functions are plain C99 and C++. They allocate nothing and keep no state, so any number of
    threads may call them. Parameters are the shortest decimals that read back as the same number:
    13 to 15 bytes each in float32, 22 to 24 in float64. For a million parameters a compiler needs
    about 5 s; GCC needs 300 MB of memory, Clang 600 MB. Hidden layers lie on the stack; the comment
    at the top gives their size.

    Sums are plain loops in the network's type, so the outputs agree with `net`'s to rounding.

    Examples
    --------
    >>> import pathlib, pynn, tempfile
    >>> net = pynn.MLP([4, 16, 3], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "iris.c")
    ...     pynn.convert.to_c(net, path)
    ...     "void iris(const float *x, float *y);" in path.read_text()
    True
    """
    spec = spec_of_model(net)
    target = check_path(path)
    name = name_from(path) if name is None else check_name(name)
    if None in spec.input_shape:
        raise ValueError(
            f"net takes inputs of any length, of shape {spec.input_shape}; C needs a fixed one: "
            "make the network with that input_shape, and load the state_dict"
        )
    check_finite(spec)
    write_atomically(target, (piece.encode("ascii") for piece in source(spec, name)))


def check_name(name: Any) -> str:
    """`name` if a function of C and C++ can be called so."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            "name must be a C identifier (ASCII letters, digits and underscores, a letter first), "
            f"got {name!r}"
        )
    if name in RESERVED:
        raise ValueError(f"name must not be a name that C or C++ uses itself, got {name!r}")
    return name


def name_from(path: Any) -> str:
    """Derive a function's name from a file's."""
    file = os.path.basename(os.fsdecode(path))
    stem = os.path.splitext(file)[0]
    # Letters lose their accents; other characters than ASCII letters and digits separate words.
    plain = unicodedata.normalize("NFKD", stem)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    name = "_".join(re.findall(r"[A-Za-z0-9]+", plain))
    if not name:
        raise ValueError(
            f"path's file name {file!r} has no ASCII letter or digit to make the function's name "
            "of; pass name"
        )
    if name[0].isdigit():
        name = f"net_{name}"
    return f"{name}_net" if name in RESERVED else name


def check_finite(spec: NetworkSpec) -> None:
    """Refuse parameters that C has no literals for."""
    for name, array in spec.parameters():
        if not np.isfinite(array).all():
            raise ValueError(f"{attribute(name)} has values that are not finite")


@dataclass
class _Buffer:
    """An array in the generated function.

    Attributes
    ----------
    name : str
    size : int
    shared : bool
        Something else reads it later: it must not change in place.
    """

    name: str
    size: int
    shared: bool = False


class _File:
    """The parts of a file as it grows, one layer after another.

    Parameters
    ----------
    spec : NetworkSpec
    name : str
        The beginning of all names.
    """

    def __init__(self, spec: NetworkSpec, name: str) -> None:
        double = spec.dtype == np.float64
        self._names = {
            "name": name,
            "real": "double" if double else "float",
            "f": "" if double else "f",  # the suffix of literals and of math.h's functions
            "input": "int32_t" if spec.tokens else "double" if double else "float",
        }
        self.dtype = spec.dtype
        self.arrays: dict[str, Array] = {}
        self.functions: dict[str, str] = {}
        self.current = _Buffer("x", math.prod(spec.input_shape), shared=True)
        self.hidden: list[_Buffer] = []
        self.calls: list[tuple[str, dict[str, object]]] = []
        self.add(spec.layers, spec.input_shape)
        if self.current.shared:
            self.own_buffer()
        self.hidden.remove(self.current)
        self.current.name = "y"

    def add(self, layers: Sequence[LayerSpec], shape: Shape) -> None:
        """Add layers, of which the first has inputs of a shape."""
        for layer in layers:
            look_up(WRITERS, layer, "C")(self, layer, shape)
            shape = layer.output_shape

    def fill(self, text: str, **more: object) -> str:
        """Return a template with the file's names and others filled in."""
        return Template(text.lstrip("\n")).substitute(self._names, **more)

    def array(self, layer: LayerSpec, role: str) -> str:
        """Add a parameter's constants, and return their name."""
        return self.constants(layer.names[role], layer.arrays[role])

    def constants(self, name: str, array: Array) -> str:
        """Add constants, and return their name."""
        # (Two underscores in a row are C++'s.)
        plain = re.sub(r"_+", "_", identifier(name)).strip("_")
        unique = distinct(self.fill("${name}_$array", array=plain), self.arrays)
        self.arrays[unique] = array
        return unique

    def function(self, name: str, text: str) -> None:
        """Add a function, unless the file has it."""
        self.functions.setdefault(name, text)

    def next_buffer(self, size: int) -> tuple[_Buffer, _Buffer]:
        """Return the present buffer, and a new one for a layer's outputs."""
        before, self.current = self.current, _Buffer(f"h{len(self.hidden)}", size)
        self.hidden.append(self.current)
        return before, self.current

    def own_buffer(self) -> _Buffer:
        """Return the present buffer, or a copy of it if something else reads it later."""
        if self.current.shared:
            x, y = self.next_buffer(self.current.size)
            self.function("copy", COPY)
            self.call("    ${name}_copy($x, $y, $n);\n", x=x, y=y, n=y.size)
        return self.current

    def call(self, text: str, **values: object) -> None:
        """Add a statement. Buffers get their names after the last layer."""
        self.calls.append((text, values))

    def positions(self, text: str, count: int, **values: object) -> None:
        """Add a call for each position, whose pointers ${at_NAME} advance by NAME_size."""
        step = {}
        for name in [key for key in values if f"{key}_size" in values]:
            size = values[f"{name}_size"]
            step[f"at_{name}"] = f"${name}" if count == 1 else f"${name} + i * {size}"
        filled = Template(text).safe_substitute(step)
        if count > 1:
            filled = f"    for (int i = 0; i < {count}; i++)\n    {filled}"
        self.call(filled, **values)

    def body(self) -> Iterator[str]:
        """Yield the statements: hidden layers' buffers, then a call for each layer."""
        for buffer in self.hidden:
            yield self.fill("    $real $buffer[$size];\n", buffer=buffer.name, size=buffer.size)
        yield "\n" if self.hidden else ""
        for text, values in self.calls:
            named = {k: v.name if isinstance(v, _Buffer) else v for k, v in values.items()}
            yield self.fill(text, **named)


Shape = tuple[int, ...]


def _write_dense(file: _File, layer: LayerSpec, shape: Shape) -> None:
    x, y = file.next_buffer(math.prod(layer.output_shape))
    _dense(file, x, y, layer, list(layer.arrays), math.prod(shape[:-1]))


def _dense(
    file: _File, x: _Buffer, y: _Buffer, layer: LayerSpec, roles: Sequence[str], count: int
) -> None:
    """Multiply each of `count` positions by a kernel, and add a bias if there is one."""
    n_in, n_out = layer.arrays[roles[0]].shape
    function = "dense" if len(roles) == 2 else "dense_no_bias"
    file.function(function, DENSE[function])
    arrays = ", ".join(file.array(layer, role) for role in roles)
    sizes = {"n_in": n_in, "n_out": n_out, "x_size": n_in, "y_size": n_out}
    file.positions(DENSE_CALL, count, function=function, x=x, arrays=arrays, y=y, **sizes)


def _write_activation(file: _File, layer: LayerSpec, shape: Shape) -> None:
    name = layer.config["name"]
    if not ACTIVATIONS[name]:
        return
    if name in ("sigmoid", "silu"):
        file.function("sigmoid_of", SIGMOID_OF_ONE)
    file.function(name, ACTIVATIONS[name])
    y = file.own_buffer()
    n = shape[-1] if name == "softmax" else y.size
    file.positions(
        "    ${name}_$function($at_y, $n);\n", y.size // n, function=name, y=y, y_size=n, n=n
    )


def _write_nothing(file: _File, layer: LayerSpec, shape: Shape) -> None:
    """Leave out a layer that does nothing in predictions, or nothing with the memory."""


def _write_residual(file: _File, layer: LayerSpec, shape: Shape) -> None:
    start = file.current
    start.shared = True
    file.add(layer.layers, shape)
    y = file.own_buffer()
    if layer.arrays:
        _, projected = file.next_buffer(y.size)
        _dense(file, start, projected, layer, PROJECTION, math.prod(shape[:-1]))
        file.current, start = y, projected
    file.function("add", ADD)
    file.call("    ${name}_add($y, $x, $n);\n", x=start, y=y, n=y.size)


def _write_batch_norm(file: _File, layer: LayerSpec, shape: Shape) -> None:
    scale = batch_norm_scale(layer).astype(file.dtype)
    if not np.isfinite(scale).all():
        name = attribute(layer.names["moving_variance"])
        raise ValueError(f"{name} has values that are 0, without an epsilon")
    names = [
        file.array(layer, "moving_mean"),
        file.constants(layer.names["gamma"].removesuffix("gamma") + "scale", scale),
        file.array(layer, "beta"),
    ]
    _in_place(file, "batch_norm", BATCH_NORM, ", ".join(names), shape)


def _write_layer_norm(file: _File, layer: LayerSpec, shape: Shape) -> None:
    epsilon = file.fill("$number$f", number=np.array(layer.config["epsilon"], file.dtype))
    names = [file.array(layer, "gamma"), file.array(layer, "beta"), epsilon]
    _in_place(file, "layer_norm", LAYER_NORM, ", ".join(names), shape)


def _in_place(file: _File, function: str, text: str, arrays: str, shape: Shape) -> None:
    """Change each position's channels in place."""
    file.function(function, text)
    y, n = file.own_buffer(), shape[-1]
    call = "    ${name}_$function($at_y, $arrays, $n);\n"
    file.positions(call, y.size // n, function=function, y=y, y_size=n, arrays=arrays, n=n)


def _write_embedding(file: _File, layer: LayerSpec, shape: Shape) -> None:
    file.function("embedding", EMBEDDING)
    x, y = file.next_buffer(math.prod(layer.output_shape))
    values = {"array": file.array(layer, "embeddings"), "n": x.size, "units": y.size // x.size}
    file.call("    ${name}_embedding($x, $array, $y, $n, $units);\n", x=x, y=y, **values)


def _write_position_embedding(file: _File, layer: LayerSpec, shape: Shape) -> None:
    file.function("add", ADD)
    y = file.own_buffer()
    array = file.array(layer, "embeddings")
    file.call("    ${name}_add($y, $array, $n);\n", y=y, array=array, n=y.size)


def _pool(function: str) -> _Writer:
    def write(file: _File, layer: LayerSpec, shape: Shape) -> None:
        file.function(function, POOLS[function])
        x, y = file.next_buffer(shape[-1])
        values = {"positions": math.prod(shape[:-1]), "n": shape[-1]}
        call = "    ${name}_$function($x, $y, $positions, $n);\n"
        file.call(call, function=function, x=x, y=y, **values)

    return write


def _write_rbf(file: _File, layer: LayerSpec, shape: Shape) -> None:
    file.function("rbf", RBF)
    x, y = file.next_buffer(math.prod(layer.output_shape))
    arrays = f"{file.array(layer, 'centers')}, {file.array(layer, 'widths')}"
    n_in, n_out = shape[-1], layer.output_shape[-1]
    sizes = {"n_in": n_in, "n_out": n_out, "x_size": n_in, "y_size": n_out}
    call = "    ${name}_rbf($at_x, $arrays, $at_y, $n_in, $n_out);\n"
    file.positions(call, math.prod(shape[:-1]), x=x, y=y, arrays=arrays, **sizes)


_Writer = Callable[[_File, LayerSpec, Shape], None]

# The writer of each kind of layer.
WRITERS: dict[str, _Writer] = {
    "Activation": _write_activation,
    "Dense": _write_dense,
    "Dropout": _write_nothing,
    "Flatten": _write_nothing,
    "Reshape": _write_nothing,
    "Residual": _write_residual,
    "BatchNorm": _write_batch_norm,
    "LayerNorm": _write_layer_norm,
    "Embedding": _write_embedding,
    "PositionEmbedding": _write_position_embedding,
    **{f"GlobalAvgPool{n}D": _pool("mean_of_positions") for n in (1, 2, 3)},
    **{f"GlobalMaxPool{n}D": _pool("max_of_positions") for n in (1, 2, 3)},
    "RBF": _write_rbf,
}


def source(spec: NetworkSpec, name: str) -> Iterator[str]:
    """Yield the text of the file, in pieces."""
    file = _File(spec, name)
    facts = _facts(spec, file)
    yield file.fill(HEAD, **facts)
    real = file.fill("$real")
    for array_name, array in file.arrays.items():
        yield from _array(array_name, real, array)
    for function in file.functions.values():
        yield file.fill(function)
    yield file.fill(ROW_BEGIN)
    yield from file.body()
    yield file.fill(ROW_END, inputs=facts["inputs"], outputs=facts["outputs"])


def _facts(spec: NetworkSpec, file: _File) -> dict[str, object]:
    values = sum(array.size for array in file.arrays.values())
    return {
        "version": __version__,
        "what": "multilayer perceptron" if spec.is_mlp else "network of layers",
        "table": "\n".join(_table_of_mlp(spec) if spec.is_mlp else _table_of_layers(spec)),
        "loss": spec.loss,
        "classes": _classes(spec),
        "inputs": math.prod(spec.input_shape),
        "outputs": math.prod(spec.output_shape),
        "kind": "tokens" if spec.tokens else "inputs",
        "headers": "#include <math.h>\n" + "#include <stdint.h>\n" * spec.tokens,
        "parameters": spec.parameter_count,
        "bytes": values * spec.dtype.itemsize,
        "stack": sum(buffer.size for buffer in file.hidden) * spec.dtype.itemsize,
    }


def _table_of_mlp(spec: NetworkSpec) -> Iterator[str]:
    yield f"   {'inputs':>10}  {spec.input_shape[0]}"
    steps = spec.steps()
    for i, ((units,), activation) in enumerate(steps):
        kind = "outputs" if i == len(steps) - 1 else f"layer {i}"
        yield f"   {kind:>10}  {units}, {activation}"


def _table_of_layers(spec: NetworkSpec) -> Iterator[str]:
    yield f"   {_sizes(spec.input_shape):>16}  inputs"
    for layer in spec.walk():
        kind = layer.config["name"] if layer.kind == "Activation" else layer.kind
        yield f"   {_sizes(layer.output_shape):>16}  {'  ' * layer.path.count('.')}{kind}"


def _sizes(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _classes(spec: NetworkSpec) -> str:
    """Return a sentence about an estimator's classes, or an empty string."""
    if spec.classes is None:
        return ""
    # Without a star, no label begins or ends a comment.
    labels = json.dumps(spec.classes, default=str).replace("*", "\\u002a")
    kind = "The output is the probability of the second class"
    if spec.output_shape[0] > 1:
        kind = "The outputs are the probabilities of the classes"
    return f"\n\n   {kind}, as JSON:\n   {labels}"


def _array(name: str, real: str, array: Array) -> Iterator[str]:
    """Yield the definition of a constant array, in C order."""
    flat = array.ravel()
    yield f"static const {real} {name}[{flat.size}] = {{\n"
    suffix = "f" if real == "float" else ""
    for start in range(0, flat.size, NUMBERS_A_LINE):
        # str gives the shortest decimal that reads back as the same float32 or float64.
        numbers = (str(x) for x in flat[start : start + NUMBERS_A_LINE])
        yield "    " + ", ".join(f"{number}{suffix}" for number in numbers) + ",\n"
    yield "};\n\n"


HEAD = """
/* A $what, written by pynn $version. Trained with loss $loss.

$table$classes

   $parameters parameters, $bytes bytes of constants, $stack bytes of stack.

   void $name(const $input *x, $real *y);
       takes the $inputs $kind x to the $outputs outputs y.
   void ${name}_batch(const $input *x, $real *y, int rows);
       does so for rows of inputs one after the other.

   x and y must not overlap. Compile as C99 or C++, link with the mathematical library:
       cc -std=c99 -O3 -c FILE.c
       cc main.o FILE.o -lm
*/

$headers
#ifdef __cplusplus
extern "C" {
#endif
void $name(const $input *x, $real *y);
void ${name}_batch(const $input *x, $real *y, int rows);
#ifdef __cplusplus
}
#endif

"""

# The inner loop is over outputs, whose sums do not depend on each other: compilers vectorize it.
DENSE = {
    "dense": """
/* y = x w + b, w with a row for each input. */
static void ${name}_dense(const $real *x, const $real *w, const $real *b, $real *y, int n_in,
                          int n_out)
{
    for (int j = 0; j < n_out; j++)
        y[j] = 0.0$f;
    for (int i = 0; i < n_in; i++, w += n_out)
        for (int j = 0; j < n_out; j++)
            y[j] += x[i] * w[j];
    for (int j = 0; j < n_out; j++)
        y[j] += b[j];
}

""",
    "dense_no_bias": """
/* y = x w, w with a row for each input. */
static void ${name}_dense_no_bias(const $real *x, const $real *w, $real *y, int n_in, int n_out)
{
    for (int j = 0; j < n_out; j++)
        y[j] = 0.0$f;
    for (int i = 0; i < n_in; i++, w += n_out)
        for (int j = 0; j < n_out; j++)
            y[j] += x[i] * w[j];
}

""",
}

SIGMOID_OF_ONE = """
/* exp of a positive number might overflow. */
static $real ${name}_sigmoid_of($real v)
{
    const $real e = exp$f(-fabs$f(v));
    return (v < 0.0$f ? e : 1.0$f) / (1.0$f + e);
}

"""

ELEMENTWISE = """
static void ${name}_ACTIVATION($real *v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = FORMULA;
}

"""


def _elementwise(activation: str, formula: str) -> str:
    return ELEMENTWISE.replace("ACTIVATION", activation).replace("FORMULA", formula)


# The functions; the identity has none. All of them propagate NaN.
ACTIVATIONS = {
    "identity": "",
    "relu": _elementwise("relu", "v[i] < 0.0$f ? 0.0$f : v[i]"),
    "leaky_relu": _elementwise("leaky_relu", f"v[i] < 0.0$f ? {LEAKY_SLOPE}$f * v[i] : v[i]"),
    "elu": _elementwise("elu", "v[i] < 0.0$f ? expm1$f(v[i]) : v[i]"),
    # 1 + erf would cancel for negative numbers.
    "gelu": _elementwise("gelu", "0.5$f * v[i] * erfc$f(-0.70710678118654752$f * v[i])"),
    "silu": _elementwise("silu", "v[i] * ${name}_sigmoid_of(v[i])"),
    "softplus": _elementwise(
        "softplus", "(v[i] < 0.0$f ? 0.0$f : v[i]) + log1p$f(exp$f(-fabs$f(v[i])))"
    ),
    "sigmoid": _elementwise("sigmoid", "${name}_sigmoid_of(v[i])"),
    "tanh": _elementwise("tanh", "tanh$f(v[i])"),
    "exp": _elementwise("exp", "exp$f(v[i])"),
    "softmax": """
/* Without the largest, exp might overflow. */
static void ${name}_softmax($real *v, int n)
{
    $real largest = v[0], sum = 0.0$f;
    for (int i = 1; i < n; i++)
        if (v[i] > largest)
            largest = v[i];
    for (int i = 0; i < n; i++) {
        v[i] = exp$f(v[i] - largest);
        sum += v[i];
    }
    for (int i = 0; i < n; i++)
        v[i] /= sum;
}

""",
}

COPY = """
static void ${name}_copy(const $real *x, $real *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i];
}

"""

ADD = """
static void ${name}_add($real *v, const $real *x, int n)
{
    for (int i = 0; i < n; i++)
        v[i] += x[i];
}

"""

BATCH_NORM = """
static void ${name}_batch_norm($real *v, const $real *mean, const $real *scale, const $real *beta,
                               int n)
{
    for (int i = 0; i < n; i++)
        v[i] = (v[i] - mean[i]) * scale[i] + beta[i];
}

"""

LAYER_NORM = """
static void ${name}_layer_norm($real *v, const $real *gamma, const $real *beta, $real epsilon,
                               int n)
{
    $real mean = 0.0$f, variance = 0.0$f;
    for (int i = 0; i < n; i++)
        mean += v[i];
    mean /= ($real)n;
    for (int i = 0; i < n; i++)
        variance += (v[i] - mean) * (v[i] - mean);
    variance = variance / ($real)n + epsilon;
    for (int i = 0; i < n; i++)
        v[i] = (v[i] - mean) / sqrt$f(variance) * gamma[i] + beta[i];
}

"""

EMBEDDING = """
/* A row of e for each token. */
static void ${name}_embedding(const int32_t *x, const $real *e, $real *y, int n, int units)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < units; j++)
            *y++ = e[(long)x[i] * units + j];
}

"""

POOLS = {
    "mean_of_positions": """
static void ${name}_mean_of_positions(const $real *x, $real *y, int positions, int n)
{
    for (int j = 0; j < n; j++)
        y[j] = 0.0$f;
    for (int i = 0; i < positions; i++)
        for (int j = 0; j < n; j++)
            y[j] += *x++;
    for (int j = 0; j < n; j++)
        y[j] /= ($real)positions;
}

""",
    "max_of_positions": """
static void ${name}_max_of_positions(const $real *x, $real *y, int positions, int n)
{
    for (int j = 0; j < n; j++)
        y[j] = *x++;
    for (int i = 1; i < positions; i++)
        for (int j = 0; j < n; j++, x++)
            if (*x > y[j] || *x != *x) /* NaN, too, and it stays */
                y[j] = *x;
}

""",
}

RBF = """
/* exp(-|x - c|^2 / (2 width^2)), c with a row for each unit. */
static void ${name}_rbf(const $real *x, const $real *c, const $real *width, $real *y, int n_in,
                        int n_out)
{
    for (int j = 0; j < n_out; j++, c += n_in) {
        $real square = 0.0$f;
        for (int i = 0; i < n_in; i++)
            square += (x[i] - c[i]) * (x[i] - c[i]);
        y[j] = exp$f(-0.5$f * square / (width[j] * width[j]));
    }
}

"""

ROW_BEGIN = """
static void ${name}_row(const $input *x, $real *y)
{
"""

DENSE_CALL = "    ${name}_$function($at_x, $arrays, $at_y, $n_in, $n_out);\n"

ROW_END = """
}

void $name(const $input *x, $real *y)
{
    ${name}_row(x, y);
}

void ${name}_batch(const $input *x, $real *y, int rows)
{
    for (; rows > 0; rows--, x += $inputs, y += $outputs)
        ${name}_row(x, y);
}
"""
