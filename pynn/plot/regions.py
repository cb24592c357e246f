"""Decision regions in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn import _checks
from pynn._types import Array
from pynn.engine import Trainable, engine_of
from pynn.losses import LOSSES
from pynn.plot._common import axes, class_color, class_marker, names, pyplot

# The share of the class's color in a region: at a probability of chance, and at certainty.
UNSURE, SURE = 0.1, 0.55


@dataclass(frozen=True)
class Regions:
    """A model's predictions on a grid.

    Attributes
    ----------
    x, y : ndarray
        The coordinates of the grid's columns and rows.
    classes : ndarray
    predicted : ndarray of shape (len(y), len(x))
        Indices of `classes`.
    probabilities : ndarray of shape (len(y), len(x), classes), or None
    """

    x: Array
    y: Array
    classes: Array
    predicted: Array
    probabilities: Array | None


def decision_regions(
    model: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    ax: Any = None,
    *,
    resolution: int = 200,
    margin: float = 0.1,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
) -> Any:
    """Draw the predictions of a classifier over two features, and samples.

    Parameters
    ----------
    model : MLP or Sequential, or any object with ``predict``
        A fitted classifier of two inputs: a network with a cross-entropy, an estimator of
        scikit-learn, or any object whose ``predict`` gives one class for each row. With a network,
        or a ``predict_proba``, a stronger color stands for a more probable class.
    X : array_like of shape (n, 2)
        The samples to draw, whose range is the range of the picture. With a pandas DataFrame the
        columns name the axes, and the model gets a DataFrame too.
    y : array_like of shape (n,), optional
        The samples' true classes. Without it the samples are small dots, and each region shows the
        name of its class.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw into; by default a new figure.
    resolution : int, default 200
        The model predicts at ``resolution**2`` points.
    margin : float, default 0.1
        The border around the samples, as a fraction of their range.
    class_names : sequence of str, optional
        The names of the classes, in sorted order (``model.classes_``).
    feature_names : sequence of two str, optional
        The names of the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or the model is no classifier of two features.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, pynn, pynn.plot
    >>> X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> net = pynn.MLP([2, 8, 2], activation="tanh", seed=0)
    >>> history = net.fit(X, y, epochs=500, batch_size=4, optimizer=pynn.SGD(0.5))
    >>> pynn.plot.decision_regions(net, X, y).get_title()
    'Decision regions'
    """
    plt = pyplot("pynn.plot.decision_regions")
    samples = _check_samples(X)
    labels = None if y is None else _check_labels(y, len(samples))
    if not hasattr(model, "predict"):
        raise TypeError(f"model must have a method predict, got {type(model).__name__}")
    resolution = _checks.integer(resolution, "resolution", 2)
    margin = _checks.number(margin, "margin", low=0.0, open_low=False)
    columns = getattr(X, "columns", None)
    called = names(feature_names, "feature_names", 2)
    if called is None:
        called = ["feature 1", "feature 2"] if columns is None else [str(c) for c in columns]
    lines = [_line(samples[:, i], resolution, margin) for i in range(2)]
    regions = _ask(model, X, lines[0], lines[1], labels)
    if labels is not None and not np.isin(labels, regions.classes).all():
        strange = labels[~np.isin(labels, regions.classes)][0]
        raise ValueError(
            f"y holds {strange}, expected the model's classes: "
            f"{', '.join(map(str, regions.classes))}"
        )
    texts = names(class_names, "class_names", len(regions.classes))
    texts = texts or [str(c) for c in regions.classes]
    own = ax is None
    ax = axes(ax, plt, (6.4, 4.8))
    _draw_regions(ax, regions)
    if labels is None:
        ax.scatter(*samples.T, s=_area(len(samples)) / 4, color="black", linewidths=0, zorder=3)
        _name_regions(ax, regions, texts)
    else:
        _draw_samples(ax, samples, labels, regions.classes)
    _legend(ax, texts, markers=labels is not None, outside=own)
    ax.set(
        xlabel=called[0],
        ylabel=called[1],
        xlim=lines[0][[0, -1]],
        ylim=lines[1][[0, -1]],
        title="Decision regions",
    )
    return ax


# --------------------------------------------------------------------- the model's predictions


def _ask(model: Any, X: Any, x: Array, y: Array, labels: Array | None) -> Regions:
    grid: Any = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    count = len(grid)
    if hasattr(X, "columns"):
        grid = type(X)(grid, columns=X.columns)
    probabilities, classes = _probabilities(model, grid)
    answer = np.asarray(model.predict(grid))
    if answer.shape == (count, 1):
        answer = answer[:, 0]
    if answer.shape != (count,):
        raise ValueError(
            f"model.predict gave shape {answer.shape} for {count} samples, expected one class each"
        )
    if answer.dtype.kind == "f" and not np.array_equal(answer, np.round(answer)):
        raise ValueError("model.predict gave fractions, expected classes: is it a regressor?")
    if classes is None:
        classes = getattr(model, "classes_", None)
    if classes is None:
        classes = np.unique(answer if labels is None else np.concatenate([answer, labels]))
    classes = np.asarray(classes)
    if probabilities is not None and probabilities.shape != (count, len(classes)):
        raise ValueError(
            f"model.predict_proba gave shape {probabilities.shape}, expected ({count}, "
            f"{len(classes)})"
        )
    order = np.argsort(classes)
    predicted = order[np.searchsorted(classes, answer, sorter=order).clip(max=len(classes) - 1)]
    if (classes[predicted] != answer).any():
        raise ValueError("model.predict gave a class that is not in model.classes_")
    shape = (len(y), len(x))
    if probabilities is not None:
        if not np.isfinite(probabilities).all():
            raise ValueError("the model's probabilities are not finite")
        probabilities = probabilities.reshape(*shape, -1)
    return Regions(x, y, classes, predicted.reshape(shape), probabilities)


def _probabilities(model: Any, grid: Any) -> tuple[Array | None, Array | None]:
    """Return the classes' probabilities and the classes; None for what the model cannot tell."""
    if not isinstance(model, Trainable):
        if not hasattr(model, "predict_proba"):
            return None, None
        return np.asarray(model.predict_proba(grid), dtype=float), None
    spec = engine_of(model).data_spec
    net: Any = model
    loss = spec.loss
    if spec.input_shape != (2,) or len(spec.output_shape) > 1:
        size = spec.inputs if len(spec.input_shape) == 1 else spec.input_shape
        raise ValueError(f"model must have 2 inputs, got a network of {size}")
    if not loss.info.classes:
        expected = " or ".join(name for name, info in LOSSES.items() if info.classes)
        raise ValueError(
            f"model must be a classifier, with a loss of {expected}; this network's is {loss.name}"
        )
    outputs = np.asarray(net(grid), dtype=float)
    if loss.name == "sigmoid_cross_entropy":
        if spec.outputs != 1:
            raise ValueError(
                f"model must give one class a sample; this network has {spec.outputs} independent "
                "outputs (sigmoid_cross_entropy)"
            )
        outputs = np.hstack([1 - outputs, outputs])
    return outputs, np.arange(outputs.shape[1])


# -------------------------------------------------------------------------------- drawing


def _draw_regions(ax: Any, regions: Regions) -> None:
    count = len(regions.classes)
    colors = np.array([class_color(i) for i in range(count)])
    strength = np.full(regions.predicted.shape, (UNSURE + SURE) / 2)
    if regions.probabilities is not None and count > 1:
        highest = np.take_along_axis(
            regions.probabilities, regions.predicted[..., np.newaxis], axis=2
        )[..., 0]
        certainty = ((highest - 1 / count) / (1 - 1 / count)).clip(0, 1)
        strength = UNSURE + (SURE - UNSURE) * certainty
    picture = 1 - strength[..., np.newaxis] * (1 - colors[regions.predicted])
    x, y = regions.x, regions.y
    # The grid's points are the pixels' centers.
    dx, dy = float(x[1] - x[0]) / 2, float(y[1] - y[0]) / 2
    extent = (x[0] - dx, x[-1] + dx, y[0] - dy, y[-1] + dy)
    ax.imshow(picture, origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    for heights, level in _boundaries(regions):
        if heights.min() < level < heights.max():
            ax.contour(x, y, heights, levels=[level], colors="black", linewidths=0.9)


def _boundaries(regions: Regions) -> list[tuple[Array, float]]:
    """Return, for each class, heights whose contour at the level is the edge of its region."""
    p, predicted = regions.probabilities, regions.predicted
    count = len(regions.classes)
    # Where predict follows the probabilities, their contours are smooth.
    if p is not None and count > 1 and np.mean(p.argmax(axis=2) != predicted) < 1e-3:
        result = []
        for i in range(count):
            others = np.delete(p, i, axis=2).max(axis=2)
            result.append((p[..., i] - others, 0.0))
        return result[:1] if count == 2 else result
    masks = [(predicted == i).astype(float) for i in range(count)]
    return [(mask, 0.5) for mask in (masks[:1] if count == 2 else masks)]


def _draw_samples(ax: Any, samples: Array, labels: Array, classes: Array) -> None:
    for i, name in enumerate(classes):
        mine = samples[labels == name]
        ax.scatter(
            *mine.T,
            s=_area(len(samples)),
            color=[class_color(i)],
            marker=class_marker(i),
            edgecolors="black",
            linewidths=0.6,
            zorder=3,
        )


def _area(count: int) -> float:
    """Return the area of a marker in square points: fewer samples, larger markers."""
    return float(np.clip(7000 / max(count, 1), 10, 36))


def _name_regions(ax: Any, regions: Regions, texts: list[str]) -> None:
    """Write each class's name where its region is widest."""
    for i, text in enumerate(texts):
        place = _center(regions.predicted == i)
        if place is not None:
            row, column = place
            ax.text(
                regions.x[column],
                regions.y[row],
                text,
                ha="center",
                va="center",
                zorder=4,
                bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "alpha": 0.85},
            )


def _center(mask: Array) -> tuple[int, int] | None:
    """Return a point of the mask at the largest distance from its edge, by erosion."""
    if not mask.any():
        return None
    inner = np.pad(mask, 1)  # the picture has an edge
    while True:
        peeled = inner.copy()
        for axis in (0, 1):
            peeled &= np.roll(inner, 1, axis) & np.roll(inner, -1, axis)
        if not peeled.any():
            break
        inner = peeled
    rows, columns = np.nonzero(inner)
    middle = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
    return int(rows[middle]) - 1, int(columns[middle]) - 1


def _legend(ax: Any, texts: list[str], *, markers: bool, outside: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for i, text in enumerate(texts):
        color = class_color(i)
        if markers:
            handle = Line2D([], [], linestyle="none", color=color, label=text)
            handle.set(marker=class_marker(i), markeredgecolor="black")
            handles.append(handle)
        else:
            handles.append(Patch(facecolor=color, edgecolor="black", label=text))
    place: dict[str, Any] = {"loc": "best", "framealpha": 0.9}
    if outside:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    ax.legend(handles=handles, title="class", ncols=1 + len(texts) // 16, **place)


# --------------------------------------------------------------------------------- checks


def _check_samples(X: Any) -> Array:
    samples = np.asarray(X)
    if samples.dtype.kind not in "biuf":
        raise TypeError(f"X must hold numbers, got dtype {samples.dtype}")
    if samples.ndim != 2 or samples.shape[1] != 2:
        raise ValueError(f"X has shape {samples.shape}, expected (n, 2)")
    if len(samples) == 0:
        raise ValueError(f"X has shape {samples.shape}: there are no samples")
    samples = samples.astype(float)
    if not np.isfinite(samples).all():
        raise ValueError("X has values that are not finite")
    return samples


def _check_labels(y: Any, count: int) -> Array:
    labels = np.asarray(y)
    if labels.shape != (count,):
        hint = "; of rows of probabilities take y.argmax(axis=1)" if labels.ndim == 2 else ""
        raise ValueError(f"y has shape {labels.shape}, expected ({count},){hint}")
    return labels


def _line(values: Array, count: int, margin: float) -> Array:
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low)
    if low == high or low - room == high + room:
        room = 0.5 * max(abs(low), 1.0)
    with np.errstate(under="ignore"):
        return np.linspace(low - room, high + room, count)
