"""Learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pynn.history import History
from pynn.plot._curve import draw_learning_curve


def learning_curve(
    history: History | Mapping[str, Any], ax: Any = None, *, metrics: Iterable[str] | None = None
) -> Any:
    """Draw the loss and the metrics of a fit against the epoch.

    Parameters
    ----------
    history : History or dict of str to list
        A dict has the form of `History.to_dict`, with or without ``epoch``.
    ax : matplotlib.axes.Axes, optional
        The Axes for the losses; metrics are then left out. By default a new figure.
    metrics : iterable of str, optional
        The metrics to draw, without ``val_``, each in a separate panel below the losses. By
        default all recorded ones, and none with `ax`.

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
