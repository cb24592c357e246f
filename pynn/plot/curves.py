"""Learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pynn.history import History
from pynn.plot._common import BLUE, VERMILION, axes, check_axes, pyplot

# Figures that are neither losses nor metrics.
OTHERS = ("epoch", "loss", "learning_rate", "seconds")


def learning_curve(
    history: History | Mapping[str, Any], ax: Any = None, *, metrics: Iterable[str] | None = None
) -> Any:
    """Draw the loss and the metrics of a fit against the epoch.

    Parameters
    ----------
    history : History or dict of str to list
        A dict as `History.to_dict` gives, with or without ``epoch``.
    ax : matplotlib.axes.Axes, optional
        Where to draw the losses, and then no metrics; by default in a new figure.
    metrics : iterable of str, optional
        The metrics to draw, without ``val_``, each in a panel of its own below the losses; by
        default all there are, and none where `ax` is given.

    Returns
    -------
    matplotlib.axes.Axes
        The panel of the losses; ``ax.figure.axes`` has all.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    The marked epoch is the first with the smallest validation loss.

    Examples
    --------
    >>> import pynn, pynn.plot
    >>> history = {"loss": [0.9, 0.5, 0.3], "val_loss": [0.8, 0.6, 0.7]}
    >>> ax = pynn.plot.learning_curve(history)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training', 'validation', 'best: epoch 2']
    """
    if not isinstance(history, History):
        try:
            history = History.from_dict(history)
        except (TypeError, ValueError) as error:
            raise type(error)(f"history is no History, and as a dict: {error}") from None
    return draw_learning_curve(history.to_dict(), metrics, ax, "pynn.plot.learning_curve")


def draw_learning_curve(
    recorded: dict[str, list[float]], metrics: Iterable[str] | None, ax: Any, caller: str
) -> Any:
    """Draw what `History.to_dict` gave; `caller` is what the user called."""
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
    dots = len(epochs) <= 30  # so that a lone epoch is seen
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
    """Where the validation loss is smallest."""
    losses = recorded.get("val_loss", [])
    finite = [i for i, value in enumerate(losses) if math.isfinite(value)]
    return min(finite, key=losses.__getitem__, default=None)
