"""First-layer weights as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import _checks
from pynn._types import Array
from pynn.engine import Trainable, engine_of
from pynn.plot._common import axes, color_bar, layer_weights, pyplot


def first_layer(
    net: Any,
    shape: Sequence[int],
    n: int | None = 25,
    ax: Any = None,
    *,
    cmap: str = "RdBu_r",
) -> Any:
    """Draw the weights of each unit of the first layer as an image.

    Parameters
    ----------
    net : MLP or Sequential, or a fitted network of scikit-learn
        Anything with ``weights`` or ``coefs_``: the first is of shape (inputs, units). Of a
        `Sequential` the first kernel, or the centers of `RBF`.
    shape : (int, int)
        Height and width of an input image, whose rows follow each other in a sample. Of a
        convolution of one channel those of its kernel.
    n : int or None, default 25
        The number of units to draw, from the first one. None: all.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw into; by default a new figure.
    cmap : str, default "RdBu_r"
        A diverging color map whose white middle stands for 0. Red and blue can be distinguished
        with any color vision. "gray" suits prints without color: 0 is gray.

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
    All images share one scale, from minus to plus the 99.5th percentile of the drawn weights'
    magnitudes. A few large weights would otherwise make the others pale.

    Examples
    --------
    >>> import pynn, pynn.plot
    >>> net = pynn.MLP([64, 10, 3], seed=0)
    >>> pynn.plot.first_layer(net, (8, 8)).get_title()
    'First-layer weights: 10 of 10 units'
    """
    plt = pyplot("pynn.plot.first_layer")
    first = _first_weights(net) if isinstance(net, Trainable) else layer_weights(net, "net")[0]
    height, width = _check_shape(shape, len(first))
    units = first.shape[1]
    count = units if n is None else min(_checks.integer(n, "n", 1), units)
    if cmap not in plt.colormaps():
        raise ValueError(f"cmap must be the name of a matplotlib color map, got {cmap!r}")
    images = first[:, :count].T.reshape(count, height, width).astype(float)
    # The number of columns that makes the whole about square.
    columns = min(count, math.ceil(math.sqrt(count * height / width)))
    rows = math.ceil(count / columns)
    gap = max(1, round(min(height, width) / 10))
    mosaic = _mosaic(images, rows, columns, gap)
    aspect = len(mosaic) / mosaic.shape[1]
    size = max(5.2 * min(1.0, 1 / aspect) + 1.4, 4.2), max(5.2 * min(1.0, aspect) + 0.9, 2.0)
    ax = axes(ax, plt, size, "compressed")
    limit = _limit(images)
    colors = plt.get_cmap(cmap).with_extremes(bad=(0, 0, 0, 0))
    image = ax.imshow(mosaic, cmap=colors, vmin=-limit, vmax=limit, interpolation="none")
    # A rectangle below the images fills the gaps with a color that is not that of weight 0. It
    # spares the free places of the last row.
    ax.set_facecolor("none")
    below = "0.7" if min(colors(0.5)[:3]) > 0.85 else "white"
    full = len(mosaic) - height - gap
    used = ((count - 1) % columns + 1) * (width + gap) - gap
    for top, wide, high in ((0, mosaic.shape[1], full), (full, used, height + gap)):
        corner = (-0.5, top - 0.5)
        ax.add_patch(plt.Rectangle(corner, wide, high, facecolor=below, linewidth=0, zorder=-1))
    clipped = bool((np.abs(images) > limit).any())
    extend = "both" if clipped else "neither"
    color_bar(ax, image, "weight", aspect=20 * max(1.0, aspect), extend=extend)
    ax.set_xticks(
        [column * (width + gap) + (width - 1) / 2 for column in range(columns)],
        [f"+{column}" for column in range(columns)],
    )
    ax.set_yticks(
        [row * (height + gap) + (height - 1) / 2 for row in range(rows)],
        [str(row * columns) for row in range(rows)],
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(
        xlabel="unit's number: row + column",
        title=f"First-layer weights: {count} of {units} units",
    )
    return ax


def _first_weights(net: Trainable) -> Array:
    """The weights of the first layer that has any, of shape (inputs, units)."""
    for name, array in engine_of(net).arrays.items():
        if name.rpartition(".")[2] == "centers":
            return array.T
        if array.ndim > 1:
            return array.reshape(-1, array.shape[-1])
    raise ValueError("net has no layer with a matrix of weights")


def _check_shape(shape: Any, inputs: int) -> tuple[int, int]:
    if isinstance(shape, str) or not hasattr(shape, "__len__") or len(shape) != 2:
        raise TypeError(f"shape must be a pair (height, width), got {shape!r}")
    height, width = (_checks.integer(side, f"shape[{i}]", 1) for i, side in enumerate(shape))
    if height * width != inputs:
        raise ValueError(
            f"shape ({height}, {width}) has {height * width} pixels, but the network has {inputs} "
            "inputs"
        )
    return height, width


def _mosaic(images: Array, rows: int, columns: int, gap: int) -> Array:
    """Return the images in one array, with gaps of NaN between them."""
    count, height, width = images.shape
    mosaic = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for index in range(count):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        mosaic[top : top + height, left : left + width] = images[index]
    return mosaic


def _limit(images: Array) -> float:
    magnitudes = np.abs(images[np.isfinite(images)])
    if not magnitudes.any():
        return 1.0
    percentile = float(np.percentile(magnitudes, 99.5))
    return percentile if percentile > 0 else float(magnitudes.max())
