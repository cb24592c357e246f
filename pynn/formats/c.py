"""Networks as C."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import Template
from typing import Any

import numpy as np

from pynn._types import LEAKY_SLOPE, Array
from pynn._version import __version__
from pynn.formats.c_names import RESERVED
from pynn.formats.sklearn import spec_of_model
from pynn.formats.spec import LayerSpec, NetworkSpec, identifier, look_up
from pynn.formats.write import check_path, write_atomically

NUMBERS_A_LINE = 8


def to_c(net: Any, path: str | os.PathLike[str], name: str | None = None) -> None:
    """Write a network as one file of C that depends only on the C library.

    Parameters
    ----------
    net : MLP, MLPClassifier or MLPRegressor
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
        If `name` or the file's name is not a possible name, a parameter is not finite, or an
        estimator is not fitted.
    OSError
        If `path` cannot be written.

    Notes
    -----
    The file "iris.c" defines ``void iris(const float *x, float *y)``, which computes one row of
    outputs from one row of inputs. ``void iris_batch(const float *x, float *y, int rows)`` does so
    for consecutive rows. A float64 network has double in place of float. The outputs of a
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
            raise ValueError(f"net.{name} has values that are not finite")


@dataclass
class _Buffer:
    """An array in the generated function."""

    name: str
    size: int


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
        }
        self.arrays: list[tuple[str, Array]] = []
        self.functions: dict[str, str] = {}
        self.buffers = [_Buffer("x", spec.input_shape[0])]
        self.calls: list[tuple[str, dict[str, object]]] = []
        for layer in spec.layers:
            look_up(WRITERS, layer, "C")(self, layer)
        self.buffers[-1].name = "y"

    def fill(self, text: str, **more: object) -> str:
        """Return a template with the file's names and others filled in."""
        return Template(text.lstrip("\n")).substitute(self._names, **more)

    def array(self, layer: LayerSpec, role: str) -> str:
        """Add a parameter's constants, and return their name."""
        name = self.fill("${name}_$array", array=identifier(layer.names[role]))
        self.arrays.append((name, layer.arrays[role]))
        return name

    def function(self, name: str, text: str) -> None:
        """Add a function, unless the file has it."""
        self.functions.setdefault(name, text)

    def next_buffer(self, size: int) -> tuple[_Buffer, _Buffer]:
        """Return the present buffer, and a new one for a layer's outputs."""
        self.buffers.append(_Buffer(f"h{len(self.buffers) - 1}", size))
        return self.buffers[-2], self.buffers[-1]

    def call(self, text: str, **values: object) -> None:
        """Add a statement. Buffers get their names after the last layer."""
        self.calls.append((text, values))

    def body(self) -> Iterator[str]:
        """Yield the statements: hidden layers' buffers, then a call for each layer."""
        hidden = self.buffers[1:-1]
        for buffer in hidden:
            yield self.fill("    $real $buffer[$size];\n", buffer=buffer.name, size=buffer.size)
        yield "\n" if hidden else ""
        for text, values in self.calls:
            named = {k: v.name if isinstance(v, _Buffer) else v for k, v in values.items()}
            yield self.fill(text, **named)


def _write_dense(file: _File, layer: LayerSpec) -> None:
    n_in, n_out = layer.arrays["kernel"].shape
    x, y = file.next_buffer(n_out)
    function = "dense" if "bias" in layer.arrays else "dense_no_bias"
    file.function(function, DENSE[function])
    arrays = ", ".join(file.array(layer, role) for role in layer.arrays)
    file.call(DENSE_CALL, function=function, x=x, arrays=arrays, y=y, n_in=n_in, n_out=n_out)


def _write_activation(file: _File, layer: LayerSpec) -> None:
    name = layer.config["name"]
    if not ACTIVATIONS[name]:
        return
    if name in ("sigmoid", "silu"):
        file.function("sigmoid_of", SIGMOID_OF_ONE)
    file.function(name, ACTIVATIONS[name])
    buffer = file.buffers[-1]
    file.call("    ${name}_$function($y, $n);\n", function=name, y=buffer, n=buffer.size)


def _write_nothing(file: _File, layer: LayerSpec) -> None:
    """Leave out a layer that is not active in predictions."""


# The writer of each kind of layer.
WRITERS: dict[str, Callable[[_File, LayerSpec], None]] = {
    "Activation": _write_activation,
    "Dense": _write_dense,
    "Dropout": _write_nothing,
}


def source(spec: NetworkSpec, name: str) -> Iterator[str]:
    """Yield the text of the file, in pieces."""
    file = _File(spec, name)
    yield file.fill(HEAD, **_facts(spec, file))
    real = file.fill("$real")
    for array_name, array in file.arrays:
        yield from _array(array_name, real, array)
    for function in file.functions.values():
        yield file.fill(function)
    yield file.fill(ROW_BEGIN)
    yield from file.body()
    yield file.fill(ROW_END, inputs=spec.input_shape[0], outputs=spec.output_shape[0])


def _facts(spec: NetworkSpec, file: _File) -> dict[str, object]:
    rows = [f"   {'inputs':>10}  {spec.input_shape[0]}"]
    steps = spec.steps()
    for i, ((units,), activation) in enumerate(steps):
        kind = "outputs" if i == len(steps) - 1 else f"layer {i}"
        rows.append(f"   {kind:>10}  {units}, {activation}")
    return {
        "version": __version__,
        "table": "\n".join(rows),
        "loss": spec.loss,
        "classes": _classes(spec),
        "inputs": spec.input_shape[0],
        "outputs": spec.output_shape[0],
        "parameters": spec.parameter_count,
        "bytes": spec.parameter_count * spec.dtype.itemsize,
        "stack": sum(buffer.size for buffer in file.buffers[1:-1]) * spec.dtype.itemsize,
    }


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
/* A multilayer perceptron, written by pynn $version. Trained with loss $loss.

$table$classes

   $parameters parameters, $bytes bytes of constants, $stack bytes of stack.

   void $name(const $real *x, $real *y);
       takes the $inputs inputs x to the $outputs outputs y.
   void ${name}_batch(const $real *x, $real *y, int rows);
       does so for rows of inputs one after the other.

   x and y must not overlap. Compile as C99 or C++, link with the mathematical library:
       cc -std=c99 -O3 -c FILE.c
       cc main.o FILE.o -lm
*/

#include <math.h>

#ifdef __cplusplus
extern "C" {
#endif
void $name(const $real *x, $real *y);
void ${name}_batch(const $real *x, $real *y, int rows);
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

ROW_BEGIN = """
static void ${name}_row(const $real *x, $real *y)
{
"""

DENSE_CALL = "    ${name}_$function($x, $arrays, $y, $n_in, $n_out);\n"

ROW_END = """
}

void $name(const $real *x, $real *y)
{
    ${name}_row(x, y);
}

void ${name}_batch(const $real *x, $real *y, int rows)
{
    for (; rows > 0; rows--, x += $inputs, y += $outputs)
        ${name}_row(x, y);
}
"""
