"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn import _checks
from pynn._types import Array
from pynn.plot._common import axes, color_bar, ink, names, pyplot

# The label of the color bar, by `normalize`.
SHARES = {
    "true": "share of the samples of the true class",
    "pred": "share of the samples of the predicted class",
    "all": "share of all samples",
}
# With more classes, counts would be too small to read, and are left out.
MOST_WRITTEN = 30
SMALLEST = 6.0  # points; a second line that would be smaller is left out


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    labels: Sequence[Any] | None = None,
    normalize: str | None = None,
    ax: Any = None,
    *,
    class_names: Sequence[str] | None = None,
) -> Any:
    """Draw the numbers of samples by true and predicted class.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,)
        The true and the predicted classes: integers, strings, or booleans.
    labels : sequence, optional
        The classes to draw, in this order; by default all classes in the data, sorted. Samples of
        other classes are left out.
    normalize : {"true", "pred", "all"}, optional
        Divide the counts by the number of samples of the true class (rows sum to 1), of the
        predicted class (columns sum to 1), or of all. The counts stand below the shares, where
        there is room.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw into; by default a new figure.
    class_names : sequence of str, optional
        The names of the classes in `labels`.

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
    Rows are true classes and columns predicted ones. The counts are those of
    ``sklearn.metrics.confusion_matrix``. With more than 30 classes the cells have a color only.

    Examples
    --------
    >>> import pynn.plot
    >>> ax = pynn.plot.confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 1])
    >>> [cell.get_text() for cell in ax.texts]
    ['1', '1', '0', '3']
    """
    plt = pyplot("pynn.plot.confusion_matrix")
    truth, prediction = _classes(y_true, "y_true"), _classes(y_pred, "y_pred")
    if len(truth) != len(prediction):
        raise ValueError(f"y_pred has {len(prediction)} samples, expected {len(truth)} as y_true")
    _check_kinds(truth, prediction, "y_true and y_pred")
    if normalize is not None:
        normalize = _checks.choice(normalize, "normalize", tuple(SHARES))
    classes = _labels(labels, truth, prediction)
    counts = _count(truth, prediction, classes)
    called = names(class_names, "class_names", len(classes)) or [str(c) for c in classes]
    side = min(max(3.6, 0.55 * len(classes) + 1.4), 12.0)
    ax = axes(ax, plt, (side + 1.0, side + 0.3), "compressed")
    return _draw(ax, counts, called, normalize)


def _draw(ax: Any, counts: Array, called: list[str], normalize: str | None) -> Any:
    shares = _shares(counts, normalize)
    shown = counts if shares is None else shares
    highest = 1.0 if normalize in ("true", "pred") else max(float(shown.max()), 1e-9)
    image = ax.imshow(shown, cmap="Blues", vmin=0, vmax=highest)
    color_bar(ax, image, SHARES[normalize] if normalize else "samples")
    cell = _cell(ax, len(called))
    size = float(np.clip(0.7 * cell, 4, 10))
    ticks, longest = range(len(called)), max(map(len, called))
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(ticks, called, fontsize=size, **(turned if 0.65 * size * longest > cell else {}))
    ax.set_yticks(ticks, called, fontsize=size)
    # Lines separate empty neighbors.
    ax.set_xticks(np.arange(len(called) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(called) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="0.8", linewidth=0.5)
    ax.tick_params(which="minor", length=0)
    ax.set(
        xlabel="predicted class",
        ylabel="true class",
        title=f"Confusion matrix: {np.trace(counts)} of {counts.sum()} right",
    )
    if len(called) > MOST_WRITTEN:
        return ax
    longest = len(str(counts.max()))
    size = _text_size(cell, longest, lines=1)
    both = False
    if shares is not None:
        both = _text_size(cell, longest + 2, lines=2) >= SMALLEST
        size = _text_size(cell, max(longest + 2, 5) if both else 5, lines=2 if both else 1)
    for row, column in np.ndindex(*counts.shape):
        text = str(counts[row, column])
        if shares is not None:
            text = f"{100 * shares[row, column]:.0f} %" + both * f"\n({text})"
        color = ink(image.cmap(image.norm(shown[row, column])))
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    return ax


def _cell(ax: Any, classes: int) -> float:
    """Return the approximate side of a cell in points, before the layout."""
    box = ax.get_window_extent()
    return float(0.95 * min(box.width, box.height) * 72 / ax.figure.dpi / classes)


def _text_size(cell: float, characters: int, *, lines: int) -> float:
    """Return the font size in points at which the text fits into a cell."""
    # A digit is about 0.62 times as wide as high. The factors leave a margin.
    return float(min(12.0, 0.9 * cell / (0.62 * characters), cell / (1.3 * lines)))


def _shares(counts: Array, normalize: str | None) -> Array | None:
    if normalize is None:
        return None
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    sums = counts.sum(axis=axis, keepdims=True)
    shares: Array = counts / np.maximum(sums, 1)  # a class that never occurs has shares of 0
    return shares


def _classes(y: ArrayLike, name: str) -> Array:
    array = np.asarray(y)
    if array.ndim != 1:
        hint = ""
        if array.ndim == 2:
            hint = f"; of rows of probabilities take the classes, {name}.argmax(axis=1)"
        raise ValueError(f"{name} has shape {array.shape}, expected (n,) classes{hint}")
    if len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}: there are no samples")
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array):
        array = array.astype(str)
    if array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
        raise ValueError(f"{name} holds numbers that are no classes, such as fractions or NaN")
    if array.dtype.kind not in "biufU":
        raise TypeError(f"{name} must hold integers or strings, got dtype {array.dtype}")
    return array.astype(np.int64) if array.dtype.kind in "bf" else array


def _check_kinds(a: Array, b: Array, name: str) -> None:
    if (a.dtype.kind == "U") != (b.dtype.kind == "U"):
        raise TypeError(
            f"{name} must hold classes of one kind, numbers or strings, got dtypes {a.dtype} and "
            f"{b.dtype}"
        )


def _labels(labels: Any, truth: Array, prediction: Array) -> Array:
    if labels is None:
        return np.unique(np.concatenate([truth, prediction]))
    try:
        chosen = np.asarray(list(labels))
    except (TypeError, ValueError):
        raise TypeError(f"labels must be a sequence of classes, got {labels!r}") from None
    if isinstance(labels, str) or chosen.ndim != 1 or len(chosen) == 0:
        raise ValueError(f"labels must be a sequence of classes, got {labels!r}")
    if len(np.unique(chosen)) < len(chosen):
        raise ValueError(f"labels holds a class twice: {labels!r}")
    _check_kinds(truth, chosen, "y_true and labels")
    if not np.isin(chosen, truth).any():
        raise ValueError(f"labels must hold a class that occurs in y_true, got {labels!r}")
    return chosen


def _count(truth: Array, prediction: Array, classes: Array) -> Array:
    order = np.argsort(classes, kind="stable")

    def places(y: Array) -> tuple[Array, Array]:
        found = np.searchsorted(classes, y, sorter=order)
        place = order[np.minimum(found, len(classes) - 1)]
        return place, classes[place] == y

    (rows, rows_there), (columns, columns_there) = places(truth), places(prediction)
    there = rows_there & columns_there
    count = len(classes)
    cells = rows[there] * count + columns[there]
    return np.bincount(cells, minlength=count * count).reshape(count, count)
