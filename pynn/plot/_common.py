"""Colors and markers, the import of matplotlib, and checks for all pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pynn._types import Array

# M. Okabe, K. Ito, "Color universal design", 2008; yellow comes last, since thin lines of it are
# hard to see on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
BLUE, VERMILION = "#0072B2", "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", "*", ">")


def pyplot(caller: str) -> Any:
    """Import matplotlib.pyplot, or name `caller` in the error."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(f"{caller} needs matplotlib: pip install matplotlib") from error
    return plt


def axes(ax: Any, plt: Any, size: tuple[float, float], layout: str = "constrained") -> Any:
    """Return `ax`, or the Axes of a new figure of `size` inches. Images take "compressed"."""
    if ax is None:
        return plt.subplots(figsize=size, layout=layout)[1]
    check_axes(ax)
    return ax


def color_bar(ax: Any, image: Any, label: str, **look: Any) -> None:
    """Add a color bar beside the image and as high."""
    fraction, pad = 0.05, 0.03
    if ax.figure.get_layout_engine() is None:
        # Without room beside the image, the bar's numbers and label cover the neighbor. The room
        # makes the image lower, so the bar shrinks too.
        fraction = 0.2
        box = ax.get_window_extent()
        rows, columns = image.get_array().shape
        height = (1 - fraction - pad) * box.width * rows / columns
        look["shrink"] = min(1.0, height / box.height)
    ax.figure.colorbar(image, ax=ax, fraction=fraction, pad=pad, **look).set_label(label)


def check_axes(ax: Any) -> None:
    """Raise an error if `ax` is neither None nor an Axes."""
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        hint = " (of an array of Axes, pass one)" if isinstance(ax, np.ndarray) else ""
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}{hint}")


def class_color(index: int) -> tuple[float, float, float]:
    """Return the color of class `index`: the palette, then darker, then lighter."""
    from matplotlib.colors import to_rgb

    turn, place = divmod(index, len(PALETTE))
    toward, share = ((0.0, 0.0), (0.0, 0.45), (1.0, 0.55))[turn % 3]
    red, green, blue = ((1 - share) * part + share * toward for part in to_rgb(PALETTE[place]))
    return red, green, blue


def class_marker(index: int) -> str:
    """Return the marker of class `index`. Marker and color distinguish 77 classes."""
    return MARKERS[index % len(MARKERS)]


def ink(background: Any) -> str:
    """Return black or white, whichever contrasts more with the color `background`.

    Notes
    -----
    This is the contrast of the Web Content Accessibility Guidelines 2.1. On a background of
    relative luminance L, black has the contrast (L + 0.05) / 0.05, and white 1.05 / (L + 0.05).
    """
    from matplotlib.colors import to_rgb

    rgb = np.asarray(to_rgb(background))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


def layer_weights(net: Any, name: str) -> list[Array]:
    """Return the weights of a network: pynn's ``weights``, or scikit-learn's ``coefs_``."""
    arrays = getattr(net, "weights", None)
    if arrays is None:
        arrays = getattr(net, "coefs_", None)
    if arrays is None or isinstance(arrays, str):
        raise TypeError(
            f"{name} must be a network with weights, such as a pynn.MLP or a fitted MLPClassifier "
            f"of scikit-learn, got {type(net).__name__}"
        )
    weights = [np.asarray(array) for array in arrays]
    fits = all(w.ndim == 2 for w in weights) and all(
        a.shape[1] == b.shape[0] for a, b in pairwise(weights)
    )
    if not weights or not fits:
        shapes = ", ".join(str(w.shape) for w in weights)
        raise ValueError(
            f"{name} must have a matrix of shape (inputs, outputs) for each layer, got shapes "
            f"[{shapes}]"
        )
    return weights


def names(value: Any, argument: str, count: int) -> list[str] | None:
    """Return `value` as a list of `count` strings, or None."""
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        raise TypeError(f"{argument} must be a sequence of {count} names, got {value!r}")
    if len(value) != count:
        raise ValueError(f"{argument} has {len(value)} names, expected {count}")
    return [str(item) for item in value]
