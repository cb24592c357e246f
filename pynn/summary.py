"""A network's layers, shapes and parameters as a table."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from pynn.engine import Trainable, engine_of
from pynn.optimizers import Optimizer, state_of

# Settings of the layers, and how their columns are called; a column is there where one is in use.
SETTINGS = {"dropout": "dropout", "l1": "L1", "l2": "L2", "max_norm": "max norm"}
# Of a layer's description.
MOST_CHARACTERS = 40


class Summary(str):
    """A table of a network: a string that prints itself, and shows itself in notebooks.

    Attributes
    ----------
    rows : list of dict of str to str
        What the table holds, one row a layer.
    parameters : int
        Weights and biases.
    memory : int
        Bytes of the parameters. Each layer's begin on a new cache line, so that there are
        a few more than the parameters alone would take.
    optimizer_memory : int
        Bytes that the optimizer last used keeps for this network: velocity and moments.
    """

    rows: list[dict[str, str]]
    _heading: str
    _totals: list[str]
    parameters: int
    memory: int
    optimizer_memory: int

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        cells = ["".join(f"<th>{escape(name)}</th>" for name in self.rows[0])]
        cells += ["".join(f"<td>{escape(cell)}</td>" for cell in row.values()) for row in self.rows]
        body = "".join(f"<tr>{line}</tr>" for line in cells)
        foot = "<br>".join(map(escape, self._totals))
        return f"<table><caption>{escape(self._heading)}</caption>{body}</table><p>{foot}</p>"


def summary(net: Any) -> Summary:
    """Describe a network: its layers, their activations, shapes and parameters, and its memory.

    Parameters
    ----------
    net : MLP or Sequential

    Returns
    -------
    Summary
        A str whose printed form is a table.

    Raises
    ------
    TypeError
        If `net` is no network.

    Notes
    -----
    A layer's dropout is that of its output. n in a shape is the number of samples.

    Examples
    --------
    >>> import pynn
    >>> from pynn.summary import summary
    >>> summary(pynn.MLP([784, 128, 10], seed=0))
    MLP, loss softmax_cross_entropy, float32
    ----------------------------------------------
    layer     activation  output shape  parameters
    ----------------------------------------------
    input                 (n, 784)               0
    hidden 0  relu        (n, 128)         100,480
    output    softmax     (n, 10)            1,290
    ----------------------------------------------
    101,770 parameters (101,632 weights, 138 biases): 407,104 bytes (397.6 KiB)
    """
    given: Any = net
    if not isinstance(given, Trainable):
        raise TypeError(f"net must be a network of pynn's, got {type(net).__name__}")
    rows = _layer_rows(net) if hasattr(net, "layers") else _dense_rows(net)
    parts = _parts(net)
    count = sum(parts.values())
    memory = engine_of(net).parameters.nbytes
    counted = ", ".join(f"{size:,} {name}" for name, size in parts.items())
    totals = [f"{count:,} parameters ({counted}): {_bytes(memory)}"]
    optimizer: Optimizer | None = net.optimizer
    state = None if optimizer is None else state_of(optimizer, net)
    kept = 0
    if state is not None:
        kept = sum(a.nbytes for a in vars(state).values() if isinstance(a, np.ndarray))
        steps = int(state.steps[0])
        totals.append(f"{optimizer}, {steps:,} step{'s' * (steps != 1)}: {_bytes(kept)}")
    heading = f"{type(net).__name__}, loss {net.loss}, {net.dtype}"
    result = Summary("\n".join([heading, *_table(rows), *totals]))
    result.rows, result._heading, result._totals = rows, heading, totals
    result.parameters, result.memory, result.optimizer_memory = count, memory, kept
    return result


def _parts(net: Any) -> dict[str, int]:
    """The numbers of parameters by what they are."""
    if hasattr(net, "layers"):
        trained = {*net.trainable_parameters}
        sizes = {name: array.size for name, array in net.parameters.items()}
        total = sum(sizes.values())
        of_trained = sum(size for name, size in sizes.items() if name in trained)
        return {"trained": of_trained, "not trained": total - of_trained}
    groups = {"weights": net.weights, "biases": net.biases}
    return {name: sum(a.size for a in group) for name, group in groups.items()}


def _layer_rows(net: Any) -> list[dict[str, str]]:
    rows = [_row("input", "", net.input_shape, 0)]
    for path, layer, shape in net.walk():
        size = sum(a.size for n, a in net.parameters.items() if n.startswith(f"{path}."))
        indent = "  " * path.count(".")
        # (What a layer holds has rows for itself.)
        kind = type(layer).__name__ if hasattr(layer, "layers") else repr(layer)
        rows.append(_row(f"{indent}{path.rpartition('.')[2]}", kind, shape, size))
    return rows


def _row(layer: str, kind: str, shape: tuple[int, ...], parameters: int) -> dict[str, str]:
    return {
        "layer": layer,
        "kind": kind if len(kind) <= MOST_CHARACTERS else kind[: MOST_CHARACTERS - 3] + "...",
        "output shape": f"(n, {', '.join(map(str, shape))})",
        "parameters": f"{parameters:,}",
    }


def _dense_rows(net: Any) -> list[dict[str, str]]:
    weights, biases = net.weights, net.biases
    columns = _columns(net)
    rows = []
    for layer, size in enumerate(net.layer_sizes):
        last = layer == len(weights)
        arrays = [group[layer - 1] for group in (weights, biases) if layer and group]
        row = {
            "layer": "output" if last else f"hidden {layer - 1}" if layer else "input",
            "activation": net.activations[layer - 1] if layer else "",
            **{title: cells[layer] for title, cells in columns.items()},
            "output shape": f"(n, {size})",
            "parameters": f"{sum(a.size for a in arrays):,}",
        }
        rows.append(row)
    return rows


def _columns(net: Any) -> dict[str, list[str]]:
    """The settings in use: a column's title, and a cell for each layer, the input's first."""
    result = {}
    for name, title in SETTINGS.items():
        values = getattr(net, name, None) or ()
        cells = [f"{value:g}" if value and np.isfinite(value) else "" for value in values]
        if not any(cells):
            continue
        # Dropout is given for each layer of weights' input; the others for its weights.
        result[title] = [*cells, ""] if name == "dropout" else ["", *cells]
    return result


def _table(rows: list[dict[str, str]]) -> list[str]:
    """Lines of text in columns: the last one, of numbers, flush right."""
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for *texts, number in table:
        cells = [text.ljust(width) for text, width in zip(texts, widths, strict=False)]
        lines.append("  ".join([*cells, number.rjust(widths[-1])]))
    rule = "-" * len(lines[0])
    return [rule, lines[0], rule, *lines[1:], rule]


def _bytes(count: int) -> str:
    """A number of bytes, and what it is in a unit that is easily read."""
    size, unit = float(count), ""
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count:,} bytes" + (f" ({size:.1f} {unit})" if unit else "")
