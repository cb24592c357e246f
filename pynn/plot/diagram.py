"""A network as a diagram of units and connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import _checks
from pynn._types import Array
from pynn.plot._common import BLUE, VERMILION, axes, layer_weights, names, pyplot

RADIUS = 0.34  # of a unit, where units lie 1 apart
NEAREST = 2.5  # layers, where units lie 1 apart
THINNEST, THICKEST = 0.15, 2.4  # lines, in points
ABOVE, BELOW = 0.27, 0.92  # the room for captions and legend, in inches


def network(
    net: Any,
    ax: Any = None,
    max_units: int = 12,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Any:
    """Draw a network: units as circles, weights as lines between them.

    Parameters
    ----------
    net : MLP, Sequential, or a fitted network of scikit-learn
        Anything with ``weights`` or ``coefs_``. A `Sequential` of other layers than dense ones over
        vectors becomes a column of boxes, a box a layer, with the shapes of the outputs.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw into; by default a new figure.
    max_units : int, default 12
        The largest number of units to draw in a layer, at least 2. A wider layer shows its first
        and last units, with dots between them. Boxes have no units.
    input_names, output_names : sequence of str, optional
        The names of the inputs and outputs; not for boxes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    Positive weights are solid and blue, negative ones dashed and vermilion. Width and darkness of a
    line grow with its weight relative to the layer's largest drawn weight. Biases are not drawn.

    Examples
    --------
    >>> import pynn, pynn.plot
    >>> net = pynn.MLP([4, 6, 3], seed=0)
    >>> pynn.plot.network(net).get_title()
    '4-6-3 network'
    """
    plt = pyplot("pynn.plot.network")
    most = _checks.integer(max_units, "max_units", 2)
    spec = net.to_spec() if hasattr(net, "walk") and not isinstance(net, type) else None
    if spec is not None and not spec.is_mlp:
        for name, value in (("input_names", input_names), ("output_names", output_names)):
            if value is not None:
                raise ValueError(f"{name} must be None for a network of other layers than dense")
        return _boxes(net, ax, plt)
    if spec is not None:
        weights = [layer.arrays["kernel"] for layer in spec.layers if layer.kind == "Dense"]
        functions = [function for _, function in spec.steps()]
    else:
        weights = layer_weights(net, "net")
        functions = _activations(net, len(weights))
    sizes = [len(weights[0]), *(w.shape[1] for w in weights)]
    inputs = names(input_names, "input_names", sizes[0])
    outputs = names(output_names, "output_names", sizes[-1])
    shown = [_shown(size, most) for size in sizes]
    tallest = max(
        len(units) + (len(units) < size) for units, size in zip(shown, sizes, strict=True)
    )
    size = min(2.2 + 1.9 * len(weights), 12.0), min(max(0.36 * tallest, 1.5) + 1.6, 9.0)
    own, ax = ax is None, axes(ax, plt, size)
    width, height = size[0] - 0.2, size[1] - 0.4
    if not own:
        box = ax.get_window_extent()
        width, height = box.width / ax.figure.dpi, box.height / ax.figure.dpi
    # Inches between units, and the distance of layers that fills the width.
    unit = min((height - ABOVE - BELOW) / tallest, width / (NEAREST * len(sizes)))
    unit = max(unit, 0.05)
    step = max(NEAREST, width / (unit * len(sizes)))
    places = [_places(units, size) for units, size in zip(shown, sizes, strict=True)]
    for layer, w in enumerate(weights):
        here = np.column_stack([np.full(len(shown[layer]), layer * step), places[layer]])
        there = np.column_stack(
            [np.full(len(shown[layer + 1]), (layer + 1) * step), places[layer + 1]]
        )
        _lines(ax, here, there, w[np.ix_(shown[layer], shown[layer + 1])])
    for layer, (units, size) in enumerate(zip(shown, sizes, strict=True)):
        _circles(ax, layer * step, places[layer], dots=len(units) < size)
    _captions(ax, functions, sizes, step, tallest)
    for side, texts, layer in ((-1, inputs, 0), (1, outputs, len(sizes) - 1)):
        for index, y in zip(shown[layer], places[layer], strict=True):
            if texts is not None:
                ax.annotate(
                    texts[index],
                    (layer * step + side * RADIUS, y),
                    (side * 4, 0),
                    textcoords="offset points",
                    ha="right" if side < 0 else "left",
                    va="center",
                    fontsize=9,
                )
    bottom, top = -tallest / 2 - BELOW / unit, tallest / 2 + ABOVE / unit
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0)
    ax.update_datalim([(-step / 2, bottom), ((len(sizes) - 0.5) * step, top)])
    ax.autoscale_view()
    ax.set_title(f"{'-'.join(map(str, sizes))} network")
    ax.axis("off")
    return ax


def _shown(size: int, most: int) -> Array:
    """Return the units to draw: all, or the first and the last ones."""
    if size <= most:
        return np.arange(size)
    first = (most + 1) // 2
    return np.concatenate([np.arange(first), np.arange(size - (most - first), size)])


def _places(units: Array, size: int) -> Array:
    """Return the heights of the units, from the top, with a gap for the dots."""
    slots = np.arange(len(units), dtype=float)
    if len(units) < size:
        slots[(len(units) + 1) // 2 :] += 1
    heights: Array = slots[-1] / 2 - slots
    return heights


def _lines(ax: Any, here: Array, there: Array, weights: Array) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    largest = float(np.abs(weights).max(initial=0.0, where=np.isfinite(weights))) or 1.0
    with np.errstate(under="ignore"):
        share = np.abs(np.nan_to_num(weights, posinf=largest, neginf=-largest)) / largest
    share[share < np.finfo(np.float32).eps] = 0.0  # too small to see, and to multiply
    for sign, color, style in ((1, BLUE, "solid"), (-1, VERMILION, (0, (4, 1.5)))):
        rows, columns = np.nonzero(np.sign(weights) == sign)
        rank = np.argsort(share[rows, columns])  # large weights lie on small ones
        rows, columns = rows[rank], columns[rank]
        strength = share[rows, columns]
        ax.add_collection(
            LineCollection(
                list(np.stack([here[rows], there[columns]], axis=1)),
                linewidths=THINNEST + (THICKEST - THINNEST) * strength,
                colors=[to_rgba(color, 0.12 + 0.78 * s) for s in strength],
                linestyles=[style],
                zorder=1,
            )
        )


def _circles(ax: Any, x: float, heights: Array, *, dots: bool) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle

    circles = [Circle((x, y), RADIUS) for y in heights]
    ax.add_collection(
        PatchCollection(circles, facecolor="white", edgecolor="black", linewidth=1, zorder=2)
    )
    if dots:
        first = (len(heights) + 1) // 2
        gap = (heights[first - 1] + heights[first]) / 2
        points = [Circle((x, gap + offset), 0.07) for offset in (-0.3, 0.0, 0.3)]
        ax.add_collection(PatchCollection(points, color="black", zorder=2))


def _captions(ax: Any, functions: list[str], sizes: list[int], step: float, tallest: int) -> None:
    """Write layer names above, units and activations below, and the legend of the lines."""
    from matplotlib.lines import Line2D

    last = len(sizes) - 1
    for layer, size in enumerate(sizes):
        name = "input" if layer == 0 else "output" if layer == last else f"hidden {layer}"
        units = f"{size} unit{'s' * (size != 1)}" if layer else f"{size} input{'s' * (size != 1)}"
        function = functions[layer - 1] if layer and functions else ""
        for text, side, look in (
            (name, 1, {"va": "bottom", "weight": "bold"}),
            (f"{units}\n{function}", -1, {"va": "top", "fontsize": 9, "linespacing": 1.3}),
        ):
            ax.annotate(
                text,
                (layer * step, side * tallest / 2),
                (0, side * 5),
                textcoords="offset points",
                ha="center",
                **look,
            )
    ax.legend(
        handles=[
            Line2D([], [], color=BLUE, linewidth=2, label="positive weight"),
            Line2D([], [], color=VERMILION, linewidth=2, dashes=(4, 1.5), label="negative weight"),
        ],
        title="width: magnitude relative to the layer's largest",
        title_fontsize=8,
        fontsize=8,
        ncols=2,
        frameon=False,
        loc="lower center",
        borderaxespad=0.0,
    )


# ----------------------------------------------------------------------- boxes


def _boxes(net: Any, ax: Any, plt: Any) -> Any:
    """Draw each layer as a box below the one before, and a line around each residual."""
    shapes = {path: shape for path, _, shape in net.walk()}
    rows = [("input", net.input_shape)]
    skips: list[tuple[int, int, int]] = []  # from below a row, to a row, and how deeply nested

    def add(layers: Sequence[Any], prefix: str, depth: int) -> None:
        for i, layer in enumerate(layers):
            path = f"{prefix}{layer.name or i}"
            held = getattr(layer, "layers", ())
            if held:
                start = len(rows) - 1
                add(held, f"{path}.", depth + 1)
                function = "" if layer.activation == "identity" else f", {layer.activation}"
                rows.append((f"+{function}", shapes[path]))
                skips.append((start, len(rows) - 1, depth))
            else:
                rows.append((_label(layer), shapes[path]))

    add(net.layers, "", 0)
    deepest = max((depth for *_, depth in skips), default=-1)
    width = 4.0
    ax = axes(ax, plt, (5.6 + 0.4 * deepest, min(0.62 * len(rows) + 0.8, 14.0)))
    for row, (label, shape) in enumerate(rows):
        _box(ax, -row, width, label, shape, first=row == 0)
    for start, end, depth in skips:
        # (The outer ones go further around.)
        left = -0.3 - 0.35 * (deepest - depth)
        ax.plot(
            [width / 2, left, left],
            [-start - 0.45, -start - 0.45, -end],
            color=VERMILION,
            linewidth=1.5,
            zorder=1,
        )
        look = {"arrowstyle": "-|>", "color": VERMILION, "linewidth": 1.5, "shrinkA": 0}
        ax.annotate("", (0, -end), (left, -end), arrowprops={**look, "shrinkB": 0})
    ax.set_xlim(-0.6 - 0.35 * max(deepest, 0), width + 2.4)
    ax.set_ylim(0.6 - len(rows), 0.6)
    ax.set_title(f"network of {len(net.layers)} layer{'s' * (len(net.layers) != 1)}")
    ax.axis("off")
    return ax


def _box(
    ax: Any, y: float, width: float, label: str, shape: tuple[int, ...], *, first: bool
) -> None:
    """Draw one layer, its output's shape beside it, and the arrow that leads to it."""
    from matplotlib.patches import FancyBboxPatch

    height = 0.56
    ax.add_patch(
        FancyBboxPatch(
            (0.05, y - height / 2),
            width - 0.1,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor="white",
            edgecolor=BLUE,
            linewidth=1.2,
            zorder=2,
        )
    )
    ax.text(width / 2, y, label, ha="center", va="center", fontsize=9, zorder=3)
    sizes = ", ".join(["n", *map(str, shape)])
    ax.text(width + 0.15, y, f"({sizes})", ha="left", va="center", fontsize=9)
    if not first:
        look = {"arrowstyle": "-|>", "color": BLUE, "shrinkA": 0, "shrinkB": 0}
        top = (width / 2, y + height / 2)
        ax.annotate("", top, (width / 2, y + 1 - height / 2), arrowprops=look)


def _label(layer: Any) -> str:
    """Return a layer's kind and its main settings."""
    settings = [
        str(value)
        for key in ("vocabulary", "units", "function", "rate", "kind", "activation")
        if (value := getattr(layer, key, "identity")) != "identity"
    ]
    return f"{type(layer).__name__}({', '.join(settings)})" if settings else type(layer).__name__


def _activations(net: Any, layers: int) -> list[str]:
    """Return the activations' names, one for each layer of weights, or an empty list."""
    names = getattr(net, "activations", None)
    if names is None and hasattr(net, "out_activation_"):  # scikit-learn's
        names = [net.activation] * (layers - 1) + [net.out_activation_]
    return [str(name) for name in names or ()]
