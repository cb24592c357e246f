"""The drawing of learning curves, which `History.plot` uses too."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pynn.plot._common import BLUE, VERMILION, axes, check_axes, pyplot

# Recorded values that are neither losses nor metrics.
OTHERS = ("epoch", "loss", "learning_rate", "seconds")


def draw_learning_curve(
    recorded: dict[str, list[float]], metrics: Iterable[str] | None, ax: Any, caller: str
) -> Any:
    """Draw the metrics of `History.to_dict`.

    Parameters
    ----------
    recorded : dict of str to list of float
    metrics : iterable of str, optional
    ax : matplotlib.axes.Axes, optional
    caller : str
        The name of the function that the user called, for messages.

    Returns
    -------
    matplotlib.axes.Axes
    """
    plt = pyplot(caller)
    chosen = _check_metrics(metrics, recorded, ax)
    check_axes(ax)
    if ax is None and chosen:
        _, panels = plt.subplots(
            1 + len(chosen),
            sharex=True,
            layout="constrained",
            figsize=(6.4, 3.2 + 2.2 * len(chosen)),
        )
        ax = panels[0]
        for panel, metric in zip(panels[1:], chosen, strict=True):
            _draw(panel, recorded, metric)
            panel.set_ylabel(metric)
        panels[-1].set_xlabel("epoch")
    else:
        ax = axes(ax, plt, (6.4, 4.2))
        ax.set_xlabel("epoch")
    _draw(ax, recorded, "loss")
    ax.set(ylabel="loss", title="Learning curve")
    return ax


def _check_metrics(metrics: Any, recorded: dict[str, list[float]], ax: Any) -> list[str]:
    there = list(dict.fromkeys(name.removeprefix("val_") for name in recorded))
    there = [name for name in there if name not in OTHERS]
    if metrics is None:
        return there if ax is None else []
    if isinstance(metrics, str):
        metrics = [metrics]
    try:
        chosen = list(metrics)
    except TypeError:
        raise TypeError(f"metrics must be a sequence of names, got {metrics!r}") from None
    for name in chosen:
        if name not in there:
            raise ValueError(
                f"metrics must be of {', '.join(there) or 'none (there are no metrics)'}; "
                f"got {name!r}"
            )
    if chosen and ax is not None:
        raise ValueError("metrics need panels of their own: pass metrics or ax, not both")
    return chosen


def _draw(ax: Any, recorded: dict[str, list[float]], name: str) -> None:
    """Draw a metric in training and validation, and the best epoch."""
    from matplotlib.ticker import MaxNLocator

    epochs, best = recorded["epoch"], _best(recorded)
    dots = len(epochs) <= 30  # a single epoch has no line
    training, validation = recorded.get(name, []), recorded.get(f"val_{name}", [])
    if training:
        marker = "o" if dots else None
        ax.plot(epochs, training, label="training", color=BLUE, marker=marker, markersize=3.5)
    if validation:
        ax.plot(
            epochs,
            validation,
            label="validation",
            color=VERMILION,
            linestyle="--",
            marker="s" if dots else None,
            markersize=3.5,
        )
    if best is not None and validation:
        ax.axvline(epochs[best], color="0.6", linewidth=0.8, linestyle=":", zorder=0.5)
        ax.plot(
            epochs[best],
            validation[best],
            marker="*",
            markersize=13,
            linestyle="none",
            color=VERMILION,
            markeredgecolor="black",
            markeredgewidth=0.7,
            label=f"best: epoch {epochs[best]}" if name == "loss" else None,
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if len(epochs) == 1:
        ax.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    ax.margins(y=0.08)
    ax.grid(alpha=0.25)
    if training or validation:
        ax.legend()


def _best(recorded: dict[str, list[float]]) -> int | None:
    """Return the index of the smallest validation loss."""
    losses = recorded.get("val_loss", [])
    finite = [i for i, value in enumerate(losses) if math.isfinite(value)]
    return min(finite, key=losses.__getitem__, default=None)
